//! PID 1: boots, keeps one supervisor per service and one logger, reaps, and takes the machine down.
//!
//! It decides nothing about a single service, which its supervisor does, and nothing about order, which
//! [`service::graph`] does. It parses nothing that people write: a short-lived child compiles the
//! definitions. One thread, one loop, no wait for anything but events.

mod access;
mod arguments;
mod boot;
mod cgroups;
mod command_line;
mod compiler;
mod container;
mod control;
mod emergency;
mod forgotten;
mod instances;
mod last_resort;
mod ledger;
mod logger;
mod message;
mod news;
mod pipelines;
mod places;
mod power;
mod programs;
mod recover;
mod reexec;
mod refresh;
mod reload;
mod runtime;
mod services;
mod signals;
mod steps;
mod store;
mod strangers;
mod table;
mod unmount;
mod watchdog;

use arguments::{Parsed, Words, parse};
use container::{Inherited, Main};
use message::{Level, Messages};
use runtime::Init;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use sys::signals::Signals;

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
    const ALL: [(&str, Role); 3] =
        [("machine", Role::Machine), ("container", Role::Container), ("subreaper", Role::Subreaper)];

    /// The word for it.
    fn word(self) -> &'static str {
        Role::ALL.iter().find(|(_, role)| *role == self).map_or("container", |(word, _)| word)
    }

    fn parse(word: &str) -> Option<Role> {
        Role::ALL.iter().find(|(name, _)| *name == word).map(|(_, role)| *role)
    }

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
    let (takeover, original) = recover::Takeover::find(arguments.collect());
    let words = match parse(original.iter().cloned(), first) {
        Ok(Parsed::Run(words)) => words,
        Ok(Parsed::UnmountAll) => {
            unmount::unmount_all();
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Print(text)) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            return ExitCode::SUCCESS;
        }
        Err(problem) => return wrong(&problem),
    };
    let inherited = if words.command.is_empty() { Inherited::default() } else { Inherited::take() };
    sys::fd::open_standard();
    sys::fd::close_at_exec();
    sys::signals::restore_defaults();
    // Before anything can arrive: an early Ctrl-Alt-Del must find it blocked, not unhandled.
    let signals = match signals::block(&words) {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("unable to take signals: {error}")),
    };
    if let Some(takeover) = takeover {
        return takeover.take_over(words, &original, inherited, signals);
    }
    match if first { Role::find() } else { Role::Subreaper } {
        Role::Machine => boot_machine(words, &original, signals),
        role @ (Role::Container | Role::Subreaper) => match &words.unknown {
            Some(word) => wrong(&format!("unknown argument {word} (a command comes after --)")),
            None => run_elsewhere(role, words, &original, inherited, signals),
        },
    }
}

/// Boots the machine, and keeps it.
fn boot_machine(words: Words, original: &[OsString], signals: Signals) -> ExitCode {
    // What only has a meaning elsewhere has none here.
    let words = Words { main: None, command: Vec::new(), user: false, ..words };
    let mut messages = Messages::new();
    let options = match places::settle(words, Role::Machine) {
        Ok(options) => boot::boot(&mut messages, options),
        Err(problem) => return last_resort::attend(&problem),
    };
    match Init::new(Role::Machine, options, messages, signals, None, original) {
        Ok(mut init) => init.run(),
        Err(problem) => last_resort::attend(&problem),
    }
}

/// Keeps the services of a container, or of a user, or one command.
fn run_elsewhere(
    role: Role,
    words: Words,
    original: &[OsString],
    inherited: Inherited,
    signals: Signals,
) -> ExitCode {
    use nix::sys::stat::{Mode, umask};
    // No stricter than it is, but never so that others can write.
    umask(umask(Mode::empty()) | Mode::from_bits_truncate(0o022));
    let main_words = (words.main.clone(), words.command.clone());
    if main_words.1.iter().any(|word| word.to_str().is_none()) {
        return wrong("the command is not UTF-8");
    }
    inherited.keep();
    let main = Main::new(main_words.0, &main_words.1, inherited);
    let started = places::settle(words, role).and_then(|options| {
        // Held until the end.
        let _lock = places::lock(&options)?;
        let mut messages = Messages::new();
        if !options.tree {
            // With a command and nothing else, what is to be heard is the command.
            messages.limit = Level::Error;
        }
        Init::new(role, options, messages, signals, main, original).map(|mut init| init.run())
    });
    match started {
        Ok(code) => code,
        Err(problem) => fail(&problem),
    }
}

/// The command line is wrong.
fn wrong(problem: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "init: fatal: {problem}");
    ExitCode::from(EXIT_USAGE)
}

fn fail(problem: &str) -> ExitCode {
    Messages::new().say(Level::Error, &format!("fatal: {problem}"));
    ExitCode::from(EXIT_SYSTEM)
}
