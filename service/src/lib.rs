//! The pure half of the suite: definitions, the dependency graph, state machines, and the text formats
//! that the programs exchange. Nothing here makes a system call, reads a clock or blocks: every decision
//! takes the time and an event, and returns what is to be done.

#![forbid(unsafe_code)]

#[macro_use]
mod planted;

pub mod accounts;
pub mod adoption;
pub mod backoff;
pub mod codec;
pub mod definition;
pub mod exit;
pub mod graph;
pub mod init_status;
pub mod limits;
pub mod list;
pub mod machine;
pub mod notify;
pub mod places;
pub mod plan;
pub mod reference;
pub mod settings;
pub mod setup;
pub mod shutdown;
pub mod signal;
pub mod status;
pub mod tick;
pub mod unmounting;
pub mod wire;

pub use definition::Definition;
pub use exit::{Pid, WaitStatus};
pub use signal::Signal;
pub use tick::Tick;

/// The version of everything that a program of the suite leaves to the one that takes its place: init's
/// ledger, a supervisor's status and definition, what is said on the channels. A program takes over from
/// one of its own version only, and says so when it is asked (`--compatible VERSION`).
pub const STATE_VERSION: u32 = 2;

/// Where the running system keeps what the programs share. Tests and user trees put it elsewhere.
pub const RUN_DIRECTORY: &str = "/run";
/// The tree of service directories that the image ships.
pub const SERVICES_DIRECTORY: &str = "/etc/services.d";
/// Where the logger writes, a directory per service.
pub const LOG_DIRECTORY: &str = "/var/log";
