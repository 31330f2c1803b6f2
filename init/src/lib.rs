//! PID 1: boots, keeps one supervisor per service and one logger, reaps, and takes the machine down.
//!
//! It decides nothing about a single service, which its supervisor does, and nothing about order, which
//! [`service::graph`] does. It parses nothing that people write: a short-lived child compiles the
//! definitions. One thread, one loop, no wait for anything but events.

mod access;
mod arguments;
mod boot;
mod command_line;
mod control;
mod instances;
mod logger;
mod message;
mod pipelines;
mod power;
mod reload;
mod runtime;
mod services;
mod steps;
mod store;
mod strangers;
mod unmount;

use arguments::{Parsed, parse};
use message::{Level, Messages};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Usage errors exit so, as in the other programs of the suite.
const EXIT_USAGE: u8 = 100;
/// What the system refused ends so; never as a machine's PID 1.
const EXIT_SYSTEM: u8 = 111;

/// Where and as what init runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// The first process of a machine, which is its to boot and to switch off.
    Machine,
    /// The first process of a PID namespace: everything in it is its to reap and to end.
    Container,
    /// An ordinary process that takes in the orphans of its children.
    Subreaper,
}

impl Role {
    /// Only the first process of the machine may take Ctrl-Alt-Del (reboot(2)).
    fn find() -> Role {
        match (sys::process::own(), sys::power::take_ctrl_alt_del()) {
            (1, Ok(())) => Role::Machine,
            (1, Err(_)) => Role::Container,
            (_, _) => Role::Subreaper,
        }
    }
}

/// Runs the program. As a machine's PID 1 it does not return.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let first = sys::process::own() == 1;
    let options = match parse(arguments, first) {
        Ok(Parsed::Run(options)) => options.absolute(),
        Ok(Parsed::UnmountAll) => {
            unmount::unmount_all();
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "init: fatal: {problem}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    sys::signals::restore_defaults();
    // Before anything can arrive: an early Ctrl-Alt-Del must find it blocked, not unhandled.
    let signals = match runtime::block_signals() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("unable to take signals: {error}")),
    };
    let role = if first { Role::find() } else { Role::Subreaper };
    sys::fd::open_standard();
    let mut messages = Messages::new();
    let options = if role == Role::Machine { boot::boot(&mut messages, options) } else { options };
    match runtime::Init::new(role, options, messages, signals).and_then(runtime::Init::run) {
        Ok(code) => code,
        Err(problem) => fail(&problem),
    }
}

fn fail(problem: &str) -> ExitCode {
    Messages::new().say(Level::Error, &format!("fatal: {problem}"));
    ExitCode::from(EXIT_SYSTEM)
}
