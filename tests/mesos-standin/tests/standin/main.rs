//! The stand-in, as a supervisor meets it: real processes, signals, files and ports.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod harness;

mod endings;
mod executors;
mod registration;
