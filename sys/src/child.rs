//! Children of the standard library's `Command`: the two things that have to happen between fork and exec.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::getppid;

/// Makes the kernel kill the child as soon as its parent is gone, however the parent ends.
///
/// The kernel counts the *thread* that spawned the child as its parent: spawn from a thread that lives as
/// long as the child may.
pub fn die_with_parent(command: &mut Command) -> &mut Command {
    let parent = std::process::id();
    let set = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // A parent that died before the line above sends nothing any more.
        if getppid().as_raw().unsigned_abs() == parent { Ok(()) } else { Err(io::Error::from(Errno::ESRCH)) }
    };
    // SAFETY: after the fork the closure only calls prctl and getppid, which are async-signal-safe; it
    // allocates nothing (both errors hold an errno) and takes no lock.
    unsafe { command.pre_exec(set) }
}

/// Has the child begin with every signal at its default, whatever is ignored here: a shell ignores INT and QUIT for what
/// it starts in the background.
pub fn default_signals(command: &mut Command) -> &mut Command {
    let reset = || {
        crate::signals::all_defaults();
        Ok(())
    };
    // SAFETY: after the fork the closure only sets dispositions, by a call that is async-signal-safe.
    unsafe { command.pre_exec(reset) }
}

/// Lets the child inherit `fd` under its number; the parent's copy closes when the command is dropped.
///
/// The flag is cleared in the child only, so that no other child spawned meanwhile inherits it too.
pub fn inherit(command: &mut Command, fd: OwnedFd) -> &mut Command {
    let clear = move || {
        fcntl(&fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        Ok(())
    };
    // SAFETY: after the fork the closure only calls fcntl, which is async-signal-safe, and allocates nothing.
    unsafe { command.pre_exec(clear) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::fd::AsRawFd as _;
    use std::os::unix::net::UnixStream;
    use std::process::Stdio;

    #[test]
    fn a_child_dies_with_the_thread_that_spawned_it() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut child = std::thread::spawn(move || {
            let mut command = Command::new("cat");
            command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null());
            die_with_parent(&mut command).spawn().unwrap()
        })
        .join()
        .unwrap();
        // Our end is still open, so `cat` would wait for ever: only the signal can end it.
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        assert_eq!(ours.read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn an_inherited_descriptor_keeps_its_number() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let number = theirs.as_raw_fd();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("echo heard >&{number}")]);
        inherit(&mut command, theirs.into()).status().unwrap();
        drop(command);
        let mut text = String::new();
        (&ours).read_to_string(&mut text).unwrap();
        assert_eq!(text, "heard\n");
    }
}
