//! The pure half of the suite: definitions, the dependency graph, state machines, and the text formats
//! that the programs exchange. Nothing here makes a system call, reads a clock or blocks: every decision
//! takes the time and an event, and returns what is to be done.

#![forbid(unsafe_code)]

pub mod backoff;
pub mod codec;
pub mod definition;
pub mod exit;
pub mod graph;
pub mod list;
pub mod machine;
pub mod notify;
pub mod places;
pub mod plan;
pub mod settings;
pub mod shutdown;
pub mod signal;
pub mod status;
pub mod tick;
pub mod wire;

pub use definition::Definition;
pub use exit::{Pid, WaitStatus};
pub use signal::Signal;
pub use tick::Tick;

/// Where the running system keeps what the programs share. Tests and user trees put it elsewhere.
pub const RUN_DIRECTORY: &str = "/run";
/// The tree of service directories that the image ships.
pub const SERVICES_DIRECTORY: &str = "/etc/services.d";
/// Where the logger writes, a directory per service.
pub const LOG_DIRECTORY: &str = "/var/log";
