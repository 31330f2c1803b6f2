//! What is left when init can do nothing else: process 1 must not end.

use crate::message::{Level, Messages};
use std::process::ExitCode;

/// Says so, and from now on does no more than reap, and answer the signals that end the machine. Supervisors,
/// services and the logger go on by themselves.
pub(crate) fn attend(problem: &str) -> ExitCode {
    let mut messages = Messages::new();
    if sys::crash::is_machine() {
        messages.use_kernel_log();
    }
    let own = sys::process::own();
    messages.say(Level::Error, &format!("{problem} (the services go on, and nobody looks after them)"));
    messages.say(
        Level::Error,
        &format!(
            "to try again: kill -HUP {own}; to reboot: kill -TERM {own}; to power off: kill -USR2 {own}"
        ),
    );
    sys::crash::attend()
}
