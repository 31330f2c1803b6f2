//! Sets of signals.

use super::FAULTS;
use nix::errno::Errno;
use std::io;
use std::ptr::{null, null_mut};

pub(super) fn current_mask() -> io::Result<libc::sigset_t> {
    let mut mask = empty_set();
    // SAFETY: with no new mask the present one is stored, into a live set.
    Errno::result(unsafe { libc::sigprocmask(libc::SIG_SETMASK, null(), &raw mut mask) })?;
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigdelset(&raw mut mask, signal) };
    }
    Ok(mask)
}

pub(super) fn empty_set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::uninit();
    // SAFETY: initialises the set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: it has been initialised.
    unsafe { set.assume_init() }
}

/// All but the faults, which a program that takes over must not begin with blocked.
pub(super) fn all_but_faults() -> libc::sigset_t {
    let mut set = empty_set();
    // SAFETY: the set is live.
    unsafe { libc::sigfillset(&raw mut set) };
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigdelset(&raw mut set, signal) };
    }
    set
}

/// A program that was executed by a handler may begin with them blocked.
pub(super) fn unblock_faults() -> io::Result<()> {
    let mut set = empty_set();
    for signal in FAULTS {
        // SAFETY: the set is live and initialised.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    // SAFETY: the set is live.
    Errno::result(unsafe { libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, null_mut()) })?;
    Ok(())
}
