//! The descriptors that the child gets.

use super::plan::Plan;
use nix::errno::Errno;
use std::os::fd::AsRawFd;

/// The most descriptors that one child is given.
pub const DESCRIPTORS_MAX: usize = 64;

/// Child descriptors are numbered below this, and ours are copied to this number and up on the way.
const NUMBERS_BELOW: i32 = 64;

/// Gives the child its descriptors. All are first copied out of the way, so that no target overwrites a
/// source that is still needed.
pub(super) fn arrange(plan: &Plan<'_>) -> Result<(), Errno> {
    let descriptors = plan.spawn.descriptors;
    let mut copies = [0; DESCRIPTORS_MAX];
    if descriptors.len() > DESCRIPTORS_MAX {
        return Err(Errno::EINVAL);
    }
    for ((source, target), copy) in descriptors.iter().zip(&mut copies) {
        if !(0..NUMBERS_BELOW).contains(target) {
            return Err(Errno::EBADF);
        }
        // SAFETY: takes and returns descriptor numbers only.
        *copy =
            Errno::result(unsafe { libc::fcntl(source.as_raw_fd(), libc::F_DUPFD_CLOEXEC, NUMBERS_BELOW) })?;
    }
    for ((_, target), copy) in descriptors.iter().zip(&copies) {
        // SAFETY: takes and returns descriptor numbers only; the copy is not closed at exec.
        Errno::result(unsafe { libc::dup2(*copy, *target) })?;
    }
    Ok(())
}
