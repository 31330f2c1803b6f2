//! Signals as readable events: blocked, and read from a descriptor (signalfd(2)), so that no code of ours
//! ever runs in a handler.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use service::{Pid, Signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// A descriptor that signals are read from.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

impl Signals {
    /// Blocks `signals` and opens a descriptor for them. Spawned children start with nothing blocked.
    ///
    /// # Errors
    /// Those of sigprocmask(2) and signalfd(2).
    pub fn block(signals: &[Signal]) -> io::Result<Signals> {
        // The library's own type of a signal knows no real-time ones.
        let mut raw = *SigSet::empty().as_ref();
        for signal in signals {
            // SAFETY: the set is live and was made empty; a number that it cannot hold is refused.
            nix::errno::Errno::result(unsafe { libc::sigaddset(&raw mut raw, signal.number()) })?;
        }
        // SAFETY: the set has been initialised.
        let set = unsafe { SigSet::from_sigset_t_unchecked(raw) };
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        Ok(Signals {
            descriptor: SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?,
        })
    }

    /// The next signal that has come, and its sender if that was a process.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn next(&self) -> io::Result<Option<(Signal, Option<Pid>)>> {
        let Some(info) = self.descriptor.read_signal()? else { return Ok(None) };
        let signal = i32::try_from(info.ssi_signo).ok().and_then(Signal::from_number);
        let sender = i32::try_from(info.ssi_pid).ok().and_then(Pid::new);
        Ok(signal.map(|signal| (signal, sender)))
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
