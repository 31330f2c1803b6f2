//! Every system call that the suite needs and the standard library does not offer safely, behind safe
//! types. This is the only crate in which `unsafe` is allowed; each block says why it is sound.

#![expect(unsafe_code, reason = "this crate exists to fence it in")]

pub mod child;
pub mod clients;
pub mod clock;
pub mod connection;
pub mod crash;
pub mod datagram;
pub mod fd;
pub mod fs;
pub mod listen;
pub mod memfd;
pub mod net;
pub mod pipe;
pub mod poll;
pub mod power;
pub mod process;
pub mod record;
pub mod signals;
pub mod socket;
pub mod spawn;
pub mod watchdog;

/// What a system error means, as strerror(3) has it.
#[must_use]
pub fn errno_text(number: i32) -> &'static str {
    nix::errno::Errno::from_raw(number).desc()
}
