//! System calls without what the C library puts around them: its own idea of a process with threads, all of which
//! would be given new credentials, and a memory that a child of `CLONE_VM` shares with its parent.

use nix::errno::Errno;
use std::ffi::{c_int, c_long};

/// Calls the kernel, with up to five arguments.
///
/// # Safety
/// As the call asks for: what is passed as a pointer must be one for as long as the call takes.
pub(in crate::spawn) unsafe fn call(number: c_long, arguments: [usize; 5]) -> Result<c_long, Errno> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the caller has seen to the arguments; those too many are passed over.
    Errno::result(unsafe { libc::syscall(number, a, b, c, d, e) })
}

/// A call whose arguments are numbers and nothing else.
pub(in crate::spawn) fn numbers<const N: usize>(number: c_long, given: [i64; N]) -> Result<c_long, Errno> {
    let mut arguments = [0; 5];
    for (argument, value) in arguments.iter_mut().zip(given) {
        *argument = word(value);
    }
    // SAFETY: there is no pointer among them.
    unsafe { call(number, arguments) }
}

/// prctl(2) with numbers.
pub(super) fn prctl(option: c_int, argument: u64, third: u64) -> Result<c_long, Errno> {
    let (argument, third) = (argument.cast_signed(), third.cast_signed());
    numbers(libc::SYS_prctl, [i64::from(option), argument, third, 0, 0])
}

/// A number as a register has it, sign and all.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the kernel takes the low half where registers are short"
)]
pub(super) fn word(value: i64) -> usize {
    value as usize
}
