//! Wake-ups of processes that have nothing to do.

use crate::processes::{self, Process};
use std::time::Duration;

/// How often each was put on a processor while nothing happened: the names of those that were, with the number.
pub(crate) fn measure(processes: &[Process], time: Duration) -> Vec<(String, u64)> {
    let before: Vec<u64> = processes.iter().map(switches).collect();
    std::thread::sleep(time);
    let woken = processes.iter().zip(before).map(|(process, before)| {
        (format!("{} {}", process.name, process.pid), switches(process).saturating_sub(before))
    });
    woken.filter(|(_, times)| *times > 0).collect()
}

fn switches(process: &Process) -> u64 {
    let keys = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"];
    processes::sum(process.pid, "status", &keys).unwrap_or(0)
}
