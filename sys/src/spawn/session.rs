//! Sessions, process groups, and the terminal.

use super::plan::Plan;
use nix::errno::Errno;
use nix::unistd::{Pid, getpid, setpgid, setsid};

/// Whose session a program runs in (credentials(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Ours.
    Ours,
    /// A new one, without a terminal.
    New,
    /// Ours, in a process group of its own, which its standard input is handed to if that is our terminal.
    Foreground,
    /// A new one; the terminal on its standard input becomes its own, even if it was another session's.
    Terminal,
}

/// Leads a new session, if it is to be one.
pub(super) fn leave(plan: &Plan<'_>) -> Result<(), Errno> {
    match plan.spawn.session {
        Session::Ours | Session::Foreground => Ok(()),
        Session::New | Session::Terminal => setsid().map(drop),
    }
}

/// Makes the terminal on standard input its own.
pub(super) fn take_terminal(plan: &Plan<'_>) -> Result<(), Errno> {
    match plan.spawn.session {
        Session::Ours | Session::New => {}
        Session::Terminal => {
            // SAFETY: takes numbers only. Without a terminal it fails, and the program does without.
            unsafe { libc::ioctl(0, libc::TIOCSCTTY, 1) };
        }
        Session::Foreground => {
            let none = Pid::from_raw(0);
            setpgid(none, none)?;
            // SAFETY: takes numbers only. It fails if that is no terminal; TTOU, which it may raise, is blocked.
            unsafe { libc::tcsetpgrp(0, getpid().as_raw()) };
        }
    }
    Ok(())
}
