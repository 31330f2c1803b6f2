//! Private memory: what a process has for itself alone, of which smaps_rollup tells (proc(5)).

use crate::processes::{self, Process};
use crate::sample::Sample;

/// What a set of processes has, in kB.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    private: u64,
    /// The part of it that is data; the rest is code and constants of a program that runs only once.
    data: u64,
    /// By name, in the order of the first one met: what each of that name has.
    pub(crate) by_name: Vec<(String, Sample)>,
}

impl Memory {
    pub(crate) fn of(processes: &[Process]) -> Memory {
        let mut memory = Memory { private: 0, data: 0, by_name: Vec::new() };
        for process in processes {
            let kilobytes = |keys: &[&str]| processes::sum(process.pid, "smaps_rollup", keys);
            let Some(private) = kilobytes(&["Private_Clean", "Private_Dirty"]) else { continue };
            memory.private += private;
            // On a tmpfs, which the programs are on, Private_Dirty has their code as well.
            memory.data += kilobytes(&["Anonymous"]).unwrap_or(0);
            match memory.by_name.iter_mut().find(|(name, _)| *name == process.name) {
                Some((_, sample)) => sample.add(private as f64),
                None => memory.by_name.push((process.name.clone(), Sample::from(private as f64))),
            }
        }
        memory
    }

    /// All of it and the data, per service.
    pub(crate) fn per(&self, services: usize) -> [String; 2] {
        [self.private, self.data].map(|kilobytes| format!("{:.1}", kilobytes as f64 / services as f64))
    }

    /// Who has it: `init 100, svlog 240, supervise 21`, the median where there are several.
    pub(crate) fn parts(&self) -> String {
        let part = |(name, sample): &(String, Sample)| format!("{name} {:.0}", sample.median());
        self.by_name.iter().map(part).collect::<Vec<_>>().join(", ")
    }
}
