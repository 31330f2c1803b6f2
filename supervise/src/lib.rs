//! The supervisor of one service: an executor around [`service::machine::Machine`].
//!
//! It waits for signals, its channel to init, its control socket, the readiness pipe and the machine's
//! deadline; hands each to the machine as an event; and performs the actions that come back. Whatever it
//! has to remember over its own death stands in the service's status file.

mod actions;
mod adopt;
mod arguments;
mod audit;
mod cgroup;
mod commands;
mod conditions;
mod control_scripts;
mod inherit;
mod launch;
mod limits;
mod lock;
mod namespaces;
mod narrate;
mod notify;
mod pipeline;
mod prepare;
mod publish;
mod readiness;
mod reap;
mod reexec;
mod scripts;
mod setup;
mod sockets;
mod store;
mod supervisor;
mod tasks;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Usage errors exit so, as in the other programs of the suite.
const EXIT_USAGE: u8 = 100;
/// What the system refused ends so.
const EXIT_SYSTEM: u8 = 111;

/// Runs the program, and returns its exit status.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let options = match arguments::parse(arguments) {
        Ok(arguments::Parsed::Run(options)) => options,
        Ok(arguments::Parsed::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            say(&format!("supervise: fatal: {problem}"));
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if let Some(version) = &options.compatible {
        return compatible(version, &options);
    }
    sys::signals::restore_defaults();
    sys::fd::open_standard();
    if options.channel.is_some() {
        // Without init nobody wants the service any more. If init is a first process the kernel ends us with it.
        let _ = sys::process::signal_when_parent_ends(service::Signal::TERM);
    }
    match supervisor::Supervisor::new(&options).and_then(supervisor::Supervisor::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&format!("supervise {}: fatal: {problem}", options.name));
            ExitCode::from(EXIT_SYSTEM)
        }
    }
}

/// Whether a supervisor that keeps the state of this version can be replaced by us.
fn compatible(version: &str, options: &arguments::Options) -> ExitCode {
    let readable = options.name.is_empty() || launch::read_definition(&options.run, &options.name).is_ok();
    if version == service::machine::STATE_VERSION && readable { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Writes a line to standard error, which is the service's log. If the log is full it is lost: a supervisor
/// that waited for its log could not stop the service that fills it.
fn say(line: &str) {
    sys::fd::write_if_ready(std::io::stderr(), format!("{line}\n").as_bytes());
}
