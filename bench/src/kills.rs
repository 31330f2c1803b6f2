//! From a SIGKILL to the next start.

use crate::fifo::Fifo;
use crate::sample::Sample;
use crate::unable;
use service::{Pid, Signal};

/// Somebody whose services are killed, one after the other, each once: the first restart is the ordinary one.
#[derive(Debug)]
pub(crate) struct Victim<'a> {
    pub(crate) label: &'static str,
    pub(crate) fifo: &'a mut Fifo,
    pub(crate) pids: &'a mut [Pid],
    /// In milliseconds.
    pub(crate) times: Sample,
}

/// Takes turns, so that what else the machine does hurts everybody alike.
pub(crate) fn measure(victims: &mut [Victim<'_>], count: usize) -> Result<(), String> {
    for round in 0..count {
        for victim in &mut *victims {
            let Some(pid) = victim.pids.get_mut(round) else { continue };
            let before = sys::clock::now();
            sys::process::signal(*pid, Signal::KILL).map_err(unable("kill a service"))?;
            let start = victim.fifo.next().map_err(|problem| format!("{}: {problem}", victim.label))?;
            *pid = start.pid;
            victim.times.add(start.at.since(before).as_secs_f64() * 1e3);
        }
    }
    Ok(())
}
