//! What the programs of the suite hold when everything is at rest.

use crate::model::Model;
use std::fmt;
use tests::{Machine, Pid, eventually, process};

/// How much more private memory a program may have in the end, in kilobytes: a heap is not the same twice.
const GROWTH: u64 = 64;

/// What a logger has once it has had something to do; one that has just been started has less.
const LOGGER: u64 = 256;

/// Of one program; of the supervisors the most that any has.
#[derive(Clone, Copy)]
struct Held {
    descriptors: usize,
    memory: u64,
}

pub(crate) struct Resources {
    init: Held,
    logger: Held,
    supervisors: Held,
    processes: usize,
}

impl Held {
    fn of(pid: Pid) -> Held {
        let descriptors = process::descriptors(pid).len();
        Held { descriptors, memory: process::private_memory(pid) }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} descriptors, {} kB", self.descriptors, self.memory)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Resources { init, logger, supervisors, processes } = self;
        write!(f, "init {init}; svlog {logger}; supervise {supervisors}; {processes} processes")
    }
}

impl Resources {
    pub(crate) fn take(machine: &Machine, model: &Model) -> Resources {
        let mut all = Vec::new();
        let named = |all: &[Pid], name: &str| -> Vec<Pid> {
            let is = |pid: &Pid| process::field(*pid, "Name").as_deref() == Some(name);
            all.iter().copied().filter(is).collect()
        };
        // Whoever has just died is reaped before long, who has been asked goes, and a logger that died twice in a
        // second is started again after it.
        eventually("only what is known of runs", || {
            all = machine.processes();
            let known = all.iter().all(|pid| is_known(machine, *pid) && process::lives(*pid));
            let services = model.specs.iter().filter_map(|spec| machine.try_status(&spec.name));
            let running = services.filter(|status| status.pid.is_some()).count();
            known && named(&all, "svlog").len() == 1 && named(&all, "soak-worker").len() == running
        });
        let supervisors: Vec<Held> = named(&all, "supervise").into_iter().map(Held::of).collect();
        let loggers = named(&all, "svlog");
        let init = machine.init();
        let settled = |pid: Pid| {
            // A client that has gone is let go when init comes to it.
            let mut held = Held::of(pid);
            eventually("it is quiet", || {
                let before = std::mem::replace(&mut held, Held::of(pid)).descriptors;
                before == held.descriptors
            });
            held
        };
        let own = settled(init);
        Resources {
            // Each supervisor has a channel, and how many there are depends on what was stopped last.
            init: Held { descriptors: own.descriptors.saturating_sub(supervisors.len()), ..own },
            logger: settled(loggers[0]),
            supervisors: Held {
                descriptors: supervisors.iter().map(|held| held.descriptors).max().unwrap_or(0),
                memory: supervisors.iter().map(|held| held.memory).max().unwrap_or(0),
            },
            processes: all.len(),
        }
    }

    #[track_caller]
    pub(crate) fn assert_no_growth_since(&self, before: &Resources) {
        for (name, before, after) in [
            ("init", before.init, self.init),
            ("svlog", Held { memory: before.logger.memory.max(LOGGER), ..before.logger }, self.logger),
            ("supervise", before.supervisors, self.supervisors),
        ] {
            assert!(after.descriptors <= before.descriptors + 1, "{name}: {before}, then {after}");
            assert!(after.memory <= before.memory + GROWTH, "{name}: {before}, then {after}");
        }
    }
}

fn is_known(machine: &Machine, pid: Pid) -> bool {
    let name = process::field(pid, "Name").unwrap_or_default();
    pid == machine.init() || ["supervise", "svlog", "soak-worker"].contains(&name.as_str())
}
