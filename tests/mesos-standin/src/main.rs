//! A stand-in for the Mesos master and agent: it has the flags, ports, endpoints, files, processes and
//! signals that a supervisor meets, and does no scheduling. It is for tests, and for images built without
//! Mesos; wherever it shows, it says what it is.
//!
//! One program, named by its first argument or by what it is called as: `mesos-master`, `mesos-agent`, and
//! the two that an agent starts, `mesos-executor` and `mesos-logrotate-logger`.

#![forbid(unsafe_code)]
#![allow(
    clippy::exit,
    reason = "as Mesos, it ends from wherever it finds a fault, with the status of that fault"
)]

use std::io::Write;
use std::process::ExitCode;

#[macro_use]
mod log;

mod address;
mod agent;
mod catalogue;
mod drain;
mod executor;
mod flags;
mod host;
mod http;
mod json;
mod launch;
mod logger;
mod master;
mod meta;
mod process;
mod recovery;
mod registration;
mod signals;

/// What `/version` and `--version` answer: a version that no release of Mesos has.
pub(crate) const VERSION: &str = "1.11.0-standin";
/// Said wherever a person or a program may take this for Mesos.
pub(crate) const NOTICE: &str = "a stand-in for tests, not Apache Mesos";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned());
    let called = arguments.next().unwrap_or_default();
    let mut rest: Vec<String> = arguments.collect();
    let mut role = role_of(&called);
    if role.is_none()
        && let Some(named) = rest.first().and_then(|first| role_of(first))
    {
        role = Some(named);
        rest.remove(0);
    }
    match role {
        Some("master") => master::main(&rest),
        Some("agent") => agent::main(&rest),
        Some("executor") => executor::main(),
        Some("logrotate-logger") => logger::main(&rest),
        _ => usage(&rest),
    }
}

/// The role in a name such as `/usr/sbin/mesos-agent` or `agent`.
fn role_of(name: &str) -> Option<&'static str> {
    let base = name.rsplit('/').next().unwrap_or(name);
    match base.strip_prefix("mesos-").unwrap_or(base) {
        "master" => Some("master"),
        "agent" | "slave" => Some("agent"),
        "executor" => Some("executor"),
        "logrotate-logger" => Some("logrotate-logger"),
        _ => None,
    }
}

fn usage(rest: &[String]) -> ExitCode {
    if rest.iter().any(|argument| argument == "--version") {
        print_version();
        return ExitCode::SUCCESS;
    }
    let help = rest.iter().any(|argument| argument == "--help");
    let text = format!("Usage: mesos-standin (master|agent) [--help] [--FLAG=VALUE ...]\n({NOTICE})\n");
    if help {
        say(&text);
        ExitCode::SUCCESS
    } else {
        let _ = std::io::stderr().write_all(text.as_bytes());
        ExitCode::FAILURE
    }
}

/// Answers `--version`.
pub(crate) fn print_version() {
    say(&format!("mesos {VERSION} ({NOTICE})\n"));
}

/// Writes to stdout; a reader that has gone is none of our business.
pub(crate) fn say(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}
