//! Other processes, seen from outside.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// When a process started, in clock ticks since boot: with the pid, what tells it from a later one.
pub(crate) fn start_time(pid: Pid) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether a process exists, as libprocess sees it: a zombie does.
pub(crate) fn exists(pid: Pid, started: u64) -> bool {
    !matches!(kill(pid, None), Err(Errno::ESRCH)) && start_time(pid).is_none_or(|time| time == started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zombie_exists_until_it_is_reaped_and_a_later_process_is_not_it() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        let started = start_time(pid).unwrap();
        assert!(exists(pid, started));
        assert!(!exists(pid, started + 1), "another start time is another process");
        drop(child.stdin.take());
        let flags = nix::sys::wait::WaitPidFlag::WEXITED | nix::sys::wait::WaitPidFlag::WNOWAIT;
        nix::sys::wait::waitid(nix::sys::wait::Id::Pid(pid), flags).unwrap();
        assert!(exists(pid, started), "dead, and not yet reaped");
        child.wait().unwrap();
        assert!(!exists(pid, started));
    }
}
