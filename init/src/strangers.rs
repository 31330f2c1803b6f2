//! The processes that belong to no service: sessions, orphans, executors, whatever is left at the end.

use crate::Role;
use service::{Pid, Signal};
use std::fs::read_dir;

/// Whether no process is left but init and the logger.
pub(crate) fn alone(role: Role, logger: Option<Pid>) -> bool {
    match list(role) {
        Some(pids) => pids.iter().all(|pid| Some(*pid) == logger),
        // Without /proc only our own children are known of.
        None => logger.is_none() && !sys::process::has_children(),
    }
}

/// Sends signals to all of them.
pub(crate) fn signal(role: Role, logger: Option<Pid>, signals: &[Signal]) {
    match list(role) {
        Some(pids) => {
            for pid in pids.into_iter().filter(|pid| Some(*pid) != logger) {
                for signal in signals {
                    let _ = sys::process::signal(pid, *signal);
                }
            }
        }
        None if role != Role::Subreaper => {
            for signal in signals {
                let _ = sys::process::signal_everyone(*signal);
            }
        }
        None => {}
    }
}

/// The processes that are ours to end, zombies and kernel threads left out; none if `/proc` is not there or
/// is that of another PID namespace, whose numbers mean other processes.
fn list(role: Role) -> Option<Vec<Pid>> {
    let own = sys::process::own();
    let seen = std::fs::read_link("/proc/self").ok()?;
    if seen.to_string_lossy() != own.to_string() {
        return None;
    }
    let entries = read_dir("/proc").ok()?;
    let pids =
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::new));
    Some(pids.filter(|pid| pid.number() != own && is_ours(role, *pid, own)).collect())
}

fn is_ours(role: Role, pid: Pid, own: i32) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let Some((_, rest)) = text.rsplit_once(") ") else { return false };
    let mut fields = rest.split(' ');
    let (state, parent) = (fields.next().unwrap_or("X"), fields.next().unwrap_or("0"));
    // Kernel threads are the children of number 2, which is the child of nobody.
    let kernel = role == Role::Machine && (parent == "2" || (parent == "0" && pid.number() == 2));
    let dead = matches!(state, "Z" | "X");
    // A subreaper ends only what has become its child: the rest of the machine is not its business.
    let child = role != Role::Subreaper || parent == own.to_string();
    !kernel && !dead && child
}
