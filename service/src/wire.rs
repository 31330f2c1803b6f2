//! What the programs say to each other: one line of text a message, on unix sockets.
//!
//! - `/run/service/NAME/control` (stream): a line with a [`Command`] is answered by a line `ok` or
//!   `error REASON`; after `events` the connection also carries a [`Report`] for every change.
//! - `/run/init/control` (stream): the same for [`InitCommand`]s.
//! - the channel between init and a supervisor (seqpacket, inherited): [`Command`]s one way,
//!   [`Report`]s the other.
//! - the channel between init and the logger (seqpacket, inherited): [`LogCommand`]s, [`LogAnswer`]s.

mod fault;
mod init;
mod log;
mod power;
mod report;
mod supervisor;
#[cfg(test)]
mod tests;

pub use fault::Fault;
pub use init::{InitCommand, Planned};
pub use log::{LogAnswer, LogCommand};
pub use power::Power;
pub use report::Report;
pub use supervisor::{Command, PipeEnd, SupervisorMessage};

/// The longest line that any of the sockets takes, in bytes; a longer one is answered with an error.
pub const LINE_MAX: usize = 1024;
