//! Processes: waiting for them, signalling them, telling them apart.

use nix::errno::Errno;
use service::{Pid, Signal, WaitStatus};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One child that has ended, if any has: to be called until it returns none, since signals coalesce.
#[must_use]
pub fn reap() -> Option<(Pid, WaitStatus)> {
    wait(-1, libc::WNOHANG)
}

/// Waits for this child to end. None if there is no such child.
#[must_use]
pub fn wait_for(pid: Pid) -> Option<WaitStatus> {
    wait(pid.number(), 0).map(|(_, status)| status)
}

/// Reaps this child, which has ended already.
pub(crate) fn reap_one(pid: Pid) {
    let _ = wait(pid.number(), 0);
}

/// What nix offers fails for a process that was ended by a real-time signal, after reaping it.
fn wait(pid: i32, options: i32) -> Option<(Pid, WaitStatus)> {
    loop {
        let mut raw = 0;
        // SAFETY: the status is stored in a live int.
        let result = unsafe { libc::waitpid(pid, &raw mut raw, options) };
        match Errno::result(result) {
            Ok(number) => return Pid::new(number).map(|pid| (pid, WaitStatus::from_raw(raw))),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

/// Whether we have any child, dead or alive.
#[must_use]
pub fn has_children() -> bool {
    // SAFETY: with a null status and WNOWAIT nothing is stored and nothing reaped; the siginfo may be null on Linux.
    let result = unsafe {
        libc::waitid(libc::P_ALL, 0, std::ptr::null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT)
    };
    result == 0
}

/// Sends a signal to one process.
///
/// # Errors
/// `ESRCH` when it is gone, `EPERM`.
pub fn signal(pid: Pid, signal: Signal) -> io::Result<()> {
    kill(pid.number(), signal.number())
}

/// Sends a signal to a process group.
///
/// # Errors
/// `ESRCH` when nobody is in it, `EPERM`.
pub fn signal_group(leader: Pid, signal: Signal) -> io::Result<()> {
    kill(-leader.number(), signal.number())
}

/// Sends a signal to every process but PID 1 and the caller (kill(2)).
///
/// # Errors
/// `ESRCH` when there is nobody else.
pub fn signal_everyone(signal: Signal) -> io::Result<()> {
    kill(-1, signal.number())
}

/// Whether a process with this number exists, dead or alive.
#[must_use]
pub fn exists(pid: Pid) -> bool {
    !matches!(kill(pid.number(), 0), Err(error) if error.raw_os_error() == Some(libc::ESRCH))
}

fn kill(target: i32, number: i32) -> io::Result<()> {
    // SAFETY: takes numbers only.
    Errno::result(unsafe { libc::kill(target, number) })?;
    Ok(())
}

/// A descriptor for a process, readable when it has ended (pidfd_open(2)).
///
/// # Errors
/// `ESRCH` when it is gone.
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    // SAFETY: takes numbers only.
    let result = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.number(), 0) };
    let number = Errno::result(result)?;
    let number = i32::try_from(number).map_err(|_| Errno::EOVERFLOW)?;
    // SAFETY: pidfd_open has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// When a process started, in clock ticks since boot, and whether it is a zombie: fields 22 and 3 of
/// `/proc/PID/stat` (proc(5)). None if it is gone.
#[must_use]
pub fn start_time(pid: Pid) -> Option<(u64, bool)> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: what counts comes after its last closing one.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some((fields.nth(18)?.parse().ok()?, zombie))
}

/// What a process is called (`/proc/PID/comm`, proc(5)), without anything in it that could mislead a reader.
/// None if it is gone, or if `/proc` is that of another PID namespace, where its number means another.
#[must_use]
pub fn name(pid: i32) -> Option<String> {
    let seen = std::fs::read_link("/proc/self").ok()?;
    if seen.to_str()?.parse() != Ok(own()) {
        return None;
    }
    let bytes = std::fs::read(format!("/proc/{pid}/comm")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let plain = |letter: char| if letter.is_ascii_graphic() { letter } else { '?' };
    Some(text.trim_end_matches('\n').chars().map(plain).collect())
}

/// Our own process id.
#[must_use]
pub fn own() -> i32 {
    nix::unistd::getpid().as_raw()
}

/// Makes this process the parent of orphans below it, as PID 1 is of all (prctl(2)).
///
/// # Errors
/// Those of prctl(2).
pub fn become_subreaper() -> io::Result<()> {
    Ok(nix::sys::prctl::set_child_subreaper(true)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_known_by_when_it_started() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::new(child.id().cast_signed()).unwrap();
        let (start, zombie) = start_time(pid).unwrap();
        assert!(start > 0 && !zombie);
        assert!(open(pid).is_ok() && exists(pid));
        signal(pid, Signal::KILL).unwrap();
        child.wait().unwrap();
        assert_eq!(start_time(pid), None);
        assert!(open(pid).is_err() && !exists(pid));
    }

    #[test]
    fn what_a_process_calls_itself_misleads_nobody() {
        let mut child = Command::new("sh")
            .args(["-c", r"printf 'a\nb\033c' > /proc/$$/comm; echo; read line; :"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let pid = child.id().cast_signed();
        assert_eq!(name(pid).as_deref(), Some("a?b?c"));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(name(pid), None);
    }

    #[test]
    fn a_death_by_a_real_time_signal_is_reaped() {
        #[expect(clippy::zombie_processes, reason = "waited for by what is tested")]
        let child = Command::new("sh").args(["-c", "kill -s 37 $$"]).spawn().unwrap();
        let pid = Pid::new(child.id().cast_signed()).unwrap();
        let signal = Signal::parse("RTMIN+3").unwrap();
        assert_eq!(wait_for(pid), Some(WaitStatus::Signalled { signal, core: false }));
    }
}
