//! Processes: waiting for them, signalling them, telling them apart.

use nix::errno::Errno;
use nix::sys::statfs::FsType;
use service::{Pid, Signal, WaitStatus};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

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
pub fn reap_one(pid: Pid) {
    let _ = wait(pid.number(), 0);
}

/// One child that has ended, which stays to be reaped: whoever dies before [`reap_one`] leaves it, with how it
/// ended, to whoever takes in the orphans. The same is told until it has been reaped.
#[must_use]
pub fn peek() -> Option<(Pid, WaitStatus)> {
    peek_at(libc::P_ALL, 0).ok().flatten()
}

/// Whether this process is a child of ours, dead or alive.
#[must_use]
pub fn is_child(pid: Pid) -> bool {
    peek_at(libc::P_PID, pid.number().unsigned_abs()).is_ok()
}

/// Looks at a child that has ended, if one has (waitid(2)).
fn peek_at(which: libc::idtype_t, number: u32) -> nix::Result<Option<(Pid, WaitStatus)>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: all its fields are numbers, of which zero is one.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the siginfo is live, and all that the call writes to.
        match Errno::result(unsafe { libc::waitid(which, number, &raw mut info, options) }) {
            Ok(_) => break,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    // SAFETY: what waitid stores has this field; it has stored nothing if no child has ended, and it is zero.
    let pid = unsafe { info.si_pid() };
    // SAFETY: the same.
    let status = unsafe { info.si_status() };
    let raw = match info.si_code {
        libc::CLD_EXITED => (status & 0xff) << 8,
        libc::CLD_DUMPED => status | 0x80,
        _ => status,
    };
    Ok(Pid::new(pid).map(|pid| (pid, WaitStatus::from_raw(raw))))
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

/// The file system of pidfds, where they have one of their own and with that an inode each (Linux 6.9).
const PIDFS_MAGIC: FsType = FsType(0x5049_4446);

/// What tells the process of this descriptor from any other of this boot: no inode of pidfs is given twice, as a
/// process id is. None where the kernel has no such thing.
#[must_use]
pub fn inode(descriptor: impl AsFd) -> Option<u64> {
    let file_system = nix::sys::statfs::fstatfs(&descriptor).ok()?;
    if file_system.filesystem_type() != PIDFS_MAGIC {
        return None;
    }
    Some(nix::sys::stat::fstat(&descriptor).ok()?.st_ino)
}

/// What `PIDFD_GET_INFO` stores, in its first version (linux/pidfd.h).
#[repr(C)]
#[derive(Default)]
struct Info {
    mask: u64,
    cgroup: u64,
    /// Process ids and credentials.
    numbers: [u32; 11],
    exit_code: i32,
}

/// The bit of [`Info::mask`] by which the exit code is asked for, and told to be there.
const INFO_EXIT: u64 = 1 << 3;

/// How the process of this descriptor ended, once it has been reaped by whoever had to: also if that was not we.
/// None before, and where the kernel does not keep it (Linux 6.15 does).
#[must_use]
pub fn exit_status(descriptor: impl AsFd) -> Option<WaitStatus> {
    // _IOWR(0xFF, 11, struct pidfd_info), ioctl(2): direction, size, type, number.
    const GET_INFO: u32 = 3 << 30 | 64 << 16 | 0xff << 8 | 11;
    let mut info = Info { mask: INFO_EXIT, ..Info::default() };
    // SAFETY: the number says that 64 bytes are read and written, and that is the size of the live struct.
    let result = unsafe { libc::ioctl(descriptor.as_fd().as_raw_fd(), GET_INFO as _, &raw mut info) };
    (result == 0 && info.mask & INFO_EXIT != 0).then(|| WaitStatus::from_raw(info.exit_code))
}

/// What `/proc/PID/stat` tells (proc(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// It has ended, and has not been reaped.
    pub zombie: bool,
    /// Whose child it is.
    pub parent: i32,
    /// The session that it is in.
    pub session: i32,
    /// When it started, in clock ticks since boot.
    pub start: u64,
}

/// Looks at a process. None if it is gone.
#[must_use]
pub fn look(pid: Pid) -> Option<Look> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything: what counts comes after its last closing one.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let session = fields.nth(1)?.parse().ok()?;
    Some(Look { zombie, parent, session, start: fields.nth(15)?.parse().ok()? })
}

/// When a process started, in clock ticks since boot, and whether it is a zombie: fields 22 and 3 of
/// `/proc/PID/stat` (proc(5)). None if it is gone.
#[must_use]
pub fn start_time(pid: Pid) -> Option<(u64, bool)> {
    look(pid).map(|look| (look.start, look.zombie))
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

/// Executes a program in the place of this one, with this environment; returns why that could not be done. Its
/// descriptors are those that are not closed at exec ([`crate::fd::pass_on`]), and its blocked signals are ours.
#[must_use]
pub fn replace(program: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    match nix::unistd::execve(program, arguments, environment) {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}

/// The path that this program was executed by, as it was given then: with links, so that after an update it leads
/// to the new program (getauxval(3), `AT_EXECFN`). None if that was a relative one.
#[must_use]
pub fn own_program() -> Option<CString> {
    // SAFETY: takes a number; what comes back is zero, or the address of a string that lives as long as we do.
    let address = unsafe { libc::getauxval(libc::AT_EXECFN) };
    let text = std::ptr::with_exposed_provenance::<libc::c_char>(usize::try_from(address).ok()?);
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, and so the null-terminated string that the kernel put on our stack (getauxval(3)).
    let path = unsafe { CStr::from_ptr(text) };
    path.to_bytes().starts_with(b"/").then(|| path.to_owned())
}

/// The session that a process is in, as the number of the process that leads it, or did. None if it is gone.
#[must_use]
pub fn session(pid: Pid) -> Option<Pid> {
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid.number()))).ok()?;
    Pid::new(session.as_raw())
}

/// The user that a process is of: the owner of its directory in `/proc` (proc(5)). None if it is gone.
#[must_use]
pub fn user(pid: Pid) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(std::fs::metadata(format!("/proc/{pid}")).ok()?.uid())
}

/// Our effective user and group, as numbers.
#[must_use]
pub fn identity() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
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

/// Has the kernel send us `signal` when our parent ends, however that ends (prctl(2), `PR_SET_PDEATHSIG`). A
/// parent that executes another program stays one.
///
/// # Errors
/// `EINVAL` for a signal that the library does not know.
pub fn signal_when_parent_ends(signal: Signal) -> io::Result<()> {
    let signal = nix::sys::signal::Signal::try_from(signal.number())?;
    Ok(nix::sys::prctl::set_pdeathsig(signal)?)
}

/// Does `work` in a process of its own, which nobody waits for. Only for a program with one thread.
pub fn aside(work: impl FnOnce()) {
    let _ = fork(work);
}

/// Does `work` in a process of its own, and waits for that, but not longer than `limit`: then it is killed, and
/// left behind if even that takes time. Returns whether it has ended. Only for a program with one thread.
///
/// # Errors
/// Those of fork(2): then nothing has been done.
pub fn within(limit: std::time::Duration, work: impl FnOnce()) -> io::Result<bool> {
    let pid = fork(work)?;
    let deadline = crate::clock::now().after(limit);
    let ended = open(pid).and_then(|descriptor| {
        let poller = crate::poll::Poller::new()?;
        poller.add(&descriptor, 0)?;
        poller.wait(&mut [crate::poll::Ready::default(); 1], Some(deadline))
    });
    let ended = ended.is_ok_and(|count| count > 0);
    if !ended {
        let _ = signal(pid, Signal::KILL);
    }
    // Not for ever, whatever has become of it.
    let _ = wait(pid.number(), libc::WNOHANG);
    Ok(ended)
}

/// Does `work` in a process of its own, which is the caller's to wait for. Only for a program with one thread.
///
/// # Errors
/// Those of fork(2): then nothing has been done.
pub fn fork(work: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: there is no other thread, by the contract of the callers, so the child can do whatever we can.
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Child) => {
            work();
            // SAFETY: ends the process, and runs nothing that is the parent's to run.
            unsafe { libc::_exit(0) }
        }
        Ok(nix::unistd::ForkResult::Parent { child }) => {
            Pid::new(child.as_raw()).ok_or_else(|| io::ErrorKind::InvalidData.into())
        }
        Err(errno) => Err(errno.into()),
    }
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
    fn a_look_tells_whose_child_it_is() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::new(child.id().cast_signed()).unwrap();
        let found = look(pid).unwrap();
        assert_eq!((found.parent, found.zombie), (own(), false));
        assert!(is_child(pid) && !is_child(Pid::new(1).unwrap()));
        assert_eq!(found.session, look(Pid::new(own()).unwrap()).unwrap().session);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_descriptor_tells_how_a_process_ended_once_it_is_reaped_and_which_it_was() {
        let mut child = Command::new("sh").args(["-c", "exit 42"]).spawn().unwrap();
        let pid = Pid::new(child.id().cast_signed()).unwrap();
        let (descriptor, again) = (open(pid).unwrap(), open(pid).unwrap());
        let own = open(Pid::new(own()).unwrap()).unwrap();
        assert_eq!(inode(&descriptor), inode(&again));
        assert!(inode(&own).is_none() || inode(&own) != inode(&descriptor));
        assert_eq!(inode(std::fs::File::open("/dev/null").unwrap()), None);
        assert_eq!(exit_status(&descriptor), None);
        child.wait().unwrap();
        // Older kernels do not keep it.
        assert!(matches!(exit_status(&descriptor), None | Some(WaitStatus::Exited(42))));
    }

    #[test]
    fn a_death_by_a_real_time_signal_is_reaped() {
        #[expect(clippy::zombie_processes, reason = "waited for by what is tested")]
        let child = Command::new("sh").args(["-c", "kill -s 37 $$"]).spawn().unwrap();
        let pid = Pid::new(child.id().cast_signed()).unwrap();
        let signal = Signal::parse("RTMIN+3").unwrap();
        assert!(is_child(pid));
        let seen = std::iter::from_fn(|| Some(peek_at(libc::P_PID, pid.number().unsigned_abs()).unwrap()))
            .flatten()
            .next();
        assert_eq!(seen, Some((pid, WaitStatus::Signalled { signal, core: false })), "and is left there");
        assert_eq!(wait_for(pid), Some(WaitStatus::Signalled { signal, core: false }));
        assert!(!is_child(pid));
    }

    #[test]
    fn what_hangs_is_left_behind_and_what_does_not_is_waited_for() {
        let (reader, writer) = crate::pipe::pair().unwrap();
        // The tests have other threads: nothing is done in the child but system calls.
        let ended = within(std::time::Duration::from_secs(20), || {
            let _ = nix::unistd::write(&writer, b"x");
        });
        assert!(ended.unwrap());
        assert_eq!(nix::unistd::read(&reader, &mut [0; 8]), Ok(1));
        let nothing = std::time::Duration::from_millis(1);
        let hangs = within(nothing, || while nix::unistd::read(&reader, &mut [0; 1]).is_ok() {});
        assert!(!hangs.unwrap());
    }
}
