//! Signals as readable events: blocked, and read from a descriptor (signalfd(2)), so that no code of ours
//! ever runs in a handler.

use nix::sys::signal::{SigSet, SigmaskHow, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use service::{Pid, Signal};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// The signals that we ignore or handle ourselves, a bit each, that of number 1 being the lowest. Rust's runtime
/// ignores SIGPIPE before `main`.
static OURS: AtomicU64 = AtomicU64::new(1 << (libc::SIGPIPE - 1));

/// To be told of every signal that is given a handler, or is ignored: children begin with its default.
pub fn is_ours(signal: Signal) {
    OURS.fetch_or(1 << (signal.number() - 1), Ordering::Relaxed);
}

/// Gives every signal but our own its default. Ignored signals survive exec, and whoever started us may have
/// ignored some, as nohup(1) does: to be called once, when the program begins.
pub fn restore_defaults() {
    set_defaults(!OURS.load(Ordering::Relaxed));
}

/// Gives all signals their defaults. To be called between fork and exec.
pub(crate) fn all_defaults() {
    set_defaults(u64::MAX);
}

/// Gives the signals that are ours their defaults. To be called between clone and exec.
pub(crate) fn reset() {
    set_defaults(OURS.load(Ordering::Relaxed));
}

fn set_defaults(mut which: u64) {
    // The kernel's struct sigaction, all zero: SIG_DFL, no flags, no mask. The system call is made directly,
    // since the library refuses the two signals that it uses itself.
    let default = [0_u64; 4];
    while which != 0 {
        let number = which.trailing_zeros() + 1;
        which &= which - 1;
        // SAFETY: the kernel reads one sigaction from a live array; KILL and STOP fail harmlessly.
        unsafe {
            libc::syscall(libc::SYS_rt_sigaction, number, default.as_ptr(), std::ptr::null::<u64>(), 8)
        };
    }
}

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
