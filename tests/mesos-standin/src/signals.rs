//! Signals, as file descriptors and never as handlers.

use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// A signal, and who sent it.
pub(crate) struct Received {
    pub(crate) signal: Signal,
    pub(crate) sender: Pid,
    pub(crate) user: u32,
}

/// Blocks `signals` for this thread and all that it starts, unblocks every other, and returns where they
/// can be read. Programs begin with this, since a blocked signal is inherited through exec.
pub(crate) fn listen(signals: &[Signal]) -> SignalFd {
    let set: SigSet = signals.iter().copied().collect();
    set.thread_set_mask()
        .and_then(|()| SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC))
        .unwrap_or_else(|error| fatal!("Failed to listen for signals: {error}"))
}

/// Waits for the next signal.
pub(crate) fn next(signals: &SignalFd) -> Option<Received> {
    let raw = signals.read_signal().ok()??;
    let signal = Signal::try_from(i32::try_from(raw.ssi_signo).ok()?).ok()?;
    Some(Received { signal, sender: Pid::from_raw(i32::try_from(raw.ssi_pid).ok()?), user: raw.ssi_uid })
}

/// Logs SIGTERM as Mesos does and dies of it: not with status 0.
pub(crate) fn die_of_term(received: &Received) -> ! {
    warning!("Received signal SIGTERM from process {} of user {}; exiting", received.sender, received.user);
    let _ = SigSet::empty().thread_set_mask();
    let _ = raise(Signal::SIGTERM);
    fatal!("SIGTERM did not end the process")
}
