//! Every system call that the suite needs and the standard library does not offer safely, behind safe
//! types. This is the only crate in which `unsafe` is allowed; each block says why it is sound.

#![expect(unsafe_code, reason = "this crate exists to fence it in")]

pub mod child;
pub mod clock;
pub mod connection;
pub mod fd;
pub mod fs;
pub mod pipe;
pub mod poll;
pub mod power;
pub mod process;
pub mod signals;
pub mod socket;
pub mod spawn;
