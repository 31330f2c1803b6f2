//! Descriptors across such a replacement: which numbers still mean something.

use super::HIGHEST;
use crate::fd::highest_open;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::atomic::Ordering::SeqCst;

/// Has each of these numbers mean something, were it only `filler`: so none of them comes to mean what is opened
/// later. And each of them outlives a fault from now on.
pub fn occupy(numbers: impl Iterator<Item = RawFd>, filler: BorrowedFd<'_>) {
    for number in numbers.filter(|number| *number > 2) {
        HIGHEST.fetch_max(number, SeqCst);
        // SAFETY: takes numbers only.
        let open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        if !open {
            // SAFETY: takes numbers only; nothing is open under this one, so that nobody loses anything.
            unsafe { libc::dup3(filler.as_raw_fd(), number, libc::O_CLOEXEC) };
        }
    }
}

/// Closes every descriptor but the standard three and those in `known`.
pub fn close_all_but(known: &[RawFd]) {
    let mut known: Vec<RawFd> = known.iter().copied().filter(|number| *number > 2).collect();
    known.sort_unstable();
    known.dedup();
    let mut first = 3;
    let last = highest_open().max(3);
    for number in known.into_iter().chain([last + 1]) {
        for stranger in first..number {
            // SAFETY: by the caller's protocol nobody owns it; it was left by the program before us.
            unsafe { libc::close(stranger) };
        }
        first = first.max(number + 1);
    }
}
