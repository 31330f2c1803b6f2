//! The command line.

mod arguments;
mod containers;
mod images;
mod output;
mod service;
mod settle;
mod sweep;

use crate::error::{Error, Kind, Result};
use crate::provision::Containers;
use crate::settings::{FILE, Settings};
use crate::store::Store;
use arguments::{Arguments, Verb};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help is what was asked for, and goes to standard output.
            let wrong = error.use_stderr();
            let _ = error.print();
            return ExitCode::from(if wrong { code(Kind::Usage) } else { 0 });
        }
    };
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(&error.to_string());
            if let Some(name) = arguments.provisioned() {
                service::leave_reason(&arguments.run(), name, &error);
            }
            ExitCode::from(code(error.kind))
        }
    }
}

/// The exit code of an error: svctl's, and one for what another holds.
fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Refused => 1,
        Kind::Missing => 3,
        Kind::Busy => 4,
        Kind::TimedOut => 99,
        Kind::Usage => 100,
        Kind::System => 111,
    }
}

/// What every verb has.
struct Context {
    settings: Settings,
    store: Store,
    containers: Containers,
    run: PathBuf,
    quiet: bool,
    json: bool,
}

fn run(arguments: &Arguments) -> Result<()> {
    let settings = settings(arguments)?;
    if let Some(name) = arguments.destroyed().filter(|name| !settings.containers.join(name).exists()) {
        // It may be of a user who cannot reach the store, for whom nothing was made.
        return Err(Error::missing(format!("there is no container {name}")));
    }
    let context = Context {
        store: Store::open(&settings.store)?,
        containers: Containers::open(&settings.containers)?,
        settings,
        run: arguments.run(),
        quiet: arguments.quiet,
        json: arguments.json,
    };
    match &arguments.verb {
        Verb::Import(what) => images::import(&context, what),
        Verb::List => images::list(&context),
        Verb::Inspect { reference } => images::inspect(&context, reference),
        Verb::Remove { references } => images::remove(&context, references),
        Verb::Gc(what) => images::gc(&context, what),
        Verb::Verify { repair } => images::verify(&context, *repair),
        Verb::Provision(what) => containers::provision(&context, what),
        Verb::Settle { service } => settle::settle(&context, service),
        Verb::Destroy { names, service, force } => {
            let service = service.iter().cloned();
            let names: Vec<String> = names.iter().cloned().chain(service).collect();
            containers::destroy(&context, &names, *force)
        }
        Verb::Sweep => sweep::sweep(&context, &context.settings),
        Verb::Containers => containers::list(&context),
        Verb::Recover(what) => containers::recover(&context, what),
    }
}

/// The machine's, and over them what the command line says.
fn settings(arguments: &Arguments) -> Result<Settings> {
    let mut settings = Settings::default();
    match &arguments.settings {
        Some(path) => settings.read(path)?,
        None if Path::new(FILE).exists() => settings.read(Path::new(FILE))?,
        None => {}
    }
    if let Some(name) = arguments.destroyed() {
        service::adjust_leniently(&mut settings, &arguments.run(), name)?;
    } else if let Some(name) = arguments.of_service() {
        service::adjust(&mut settings, &arguments.run(), name)?;
    }
    for (name, value) in &arguments.set {
        settings.set(name, value)?;
    }
    settings.pull.quiet |= arguments.quiet;
    Ok(settings)
}

/// An error of what was asked for.
fn usage(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}
