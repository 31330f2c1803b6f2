//! Private memory: what a process has for itself alone, of which smaps_rollup tells (proc(5)).

use crate::processes::{self, Process};
use crate::sample::Sample;

/// What a set of processes has, in kB.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    /// By name, in the order of the first one met: what each of that name has.
    pub(crate) by_name: Vec<(String, Sample)>,
}

impl Memory {
    pub(crate) fn of(processes: &[Process]) -> Memory {
        let mut memory = Memory { total: 0, by_name: Vec::new() };
        for process in processes {
            let keys = ["Private_Clean", "Private_Dirty"];
            let Some(private) = processes::sum(process.pid, "smaps_rollup", &keys) else { continue };
            memory.total += private;
            match memory.by_name.iter_mut().find(|(name, _)| *name == process.name) {
                Some((_, sample)) => sample.add(private as f64),
                None => memory.by_name.push((process.name.clone(), Sample::from(private as f64))),
            }
        }
        memory
    }

    /// Per service, in kB.
    pub(crate) fn per(&self, services: u16) -> f64 {
        self.total as f64 / f64::from(services)
    }

    /// Who has it: `init 100, svlog 240, supervise 21`.
    pub(crate) fn parts(&self) -> String {
        let part = |(name, sample): &(String, Sample)| format!("{name} {:.0}", sample.median());
        self.by_name.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}
