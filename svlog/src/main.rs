//! `svlog`: see the library for what it does and svlog(8) for how it is used.

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat::{Mode as Bits, umask};
use service::wire::{LINE_MAX, LogAnswer, LogCommand};
use service::{Signal, definition};
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::ExitCode;
use svlog::logger::Logger;
use svlog::options::{self, Mode, unable};
use svlog::report::say;
use sys::signals::Signals;

const USAGE: u8 = 100;
const SYSTEM: u8 = 111;

fn main() -> ExitCode {
    let result = match options::parse(std::env::args_os().skip(1)) {
        Ok(Mode::Compatible) => Ok(()),
        Ok(Mode::Help) => print(options::USAGE),
        Ok(Mode::Version) => print(concat!("svlog ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Mode::Alone { directory, size, keep }) => alone(&directory, size, keep),
        Ok(Mode::Channel { logs, channel }) => serve(&logs, channel),
        Err(reason) => {
            say(&format_args!("{reason} (see svlog --help)"));
            return ExitCode::from(USAGE);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            say(&reason);
            ExitCode::from(SYSTEM)
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    io::stdout().write_all(text.as_bytes()).map_err(|error| unable("write to standard output", &error))
}

/// Logs standard input until it ends, or until a signal.
fn alone(directory: &Path, size: u64, keep: u32) -> Result<(), String> {
    let signals = [Signal::TERM, Signal::INT, Signal::HUP];
    let (mut logger, signals) = start(&signals)?;
    let input =
        sys::fd::standard()[0].try_clone_to_owned().map_err(|error| unable("use standard input", &error))?;
    let input = as_pipe(input).map_err(|error| unable("use standard input", &error))?;
    let what = format!("lock {}", directory.display());
    let lock = match lock(directory, FlockArg::LockExclusiveNonblock) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            return Err(format!("unable to {what}: another svlog writes to it"));
        }
        other => other.map_err(|error| unable(&what, &error))?,
    };
    logger.keep("", directory, size, keep, input).map_err(|error| unable("use standard input", &error))?;
    logger.watch_control(&signals).map_err(|error| unable("wait for signals", &error))?;
    while !logger.is_empty() {
        if logger.round().map_err(|error| unable("wait", &error))? {
            logger.finish();
        }
    }
    nix::unistd::syncfs(&*lock).map_err(|errno| unable("sync", &errno.into()))
}

/// Logs all services, by the orders that come from init.
fn serve(logs: &Path, channel: i32) -> Result<(), String> {
    // Stopping the logger is init's to decide: signals to everybody at shutdown are not for it, and stay blocked.
    let (mut logger, _ignored) = start(&[Signal::TERM, Signal::INT, Signal::HUP])?;
    let channel = sys::fd::inherited(channel).map_err(|error| unable("use the channel", &error))?;
    // Two loggers that read the same pipes would take each other's lines: the second waits for the first to be gone.
    let _lock = lock_or_wait(logs);
    logger.watch_control(&channel).map_err(|error| unable("watch the channel", &error))?;
    loop {
        if !logger.round().map_err(|error| unable("wait", &error))? {
            continue;
        }
        match obey(&mut logger, &channel, logs) {
            Order::More => {}
            Order::Finish => {
                logger.finish();
                return Ok(());
            }
            Order::Gone => {
                say(&"warning: init has closed the channel (logging the services known so far)");
                logger.unwatch_control(&channel).map_err(|error| unable("leave the channel", &error))?;
                return orphaned(&mut logger);
            }
        }
    }
}

/// Without init, for as long as there is anybody to write.
fn orphaned(logger: &mut Logger) -> Result<(), String> {
    while !logger.is_empty() {
        logger.round().map_err(|error| unable("wait", &error))?;
    }
    Ok(())
}

enum Order {
    More,
    Finish,
    Gone,
}

/// Carries out what has come through the channel.
fn obey(logger: &mut Logger, channel: &OwnedFd, logs: &Path) -> Order {
    let mut buffer = [0; LINE_MAX];
    loop {
        let (length, pipe) = match sys::socket::receive(channel, &mut buffer) {
            Ok(Some(message)) => message,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Order::More,
            Ok(None) | Err(_) => return Order::Gone,
        };
        let line = buffer.get(..length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("");
        let line = line.strip_suffix('\n').unwrap_or(line);
        match (LogCommand::parse(line), pipe) {
            (Some(LogCommand::Finish), _) => return Order::Finish,
            (Some(LogCommand::Keep { name, size, keep }), pipe) if definition::valid_name(name) => {
                let kept = match pipe {
                    Some(pipe) => logger.keep(name, &logs.join(name), size, keep, pipe),
                    None if logger.limit(name, size, keep) => Ok(()),
                    None => Err(nix::errno::Errno::EBADF.into()),
                };
                if let Err(error) = kept {
                    say(&format_args!("warning: {}", unable(&format!("keep the log of {name}"), &error)));
                }
            }
            // One that has no log is forgotten already.
            (Some(LogCommand::Forget(name)), _) => {
                logger.forget_service(name);
                // If this is lost, init keeps the pipe, and asks again when it has another reason to.
                let _ = sys::socket::send(channel, LogAnswer::Forgotten(name).to_string().as_bytes(), None);
            }
            (Some(LogCommand::Keep { .. }) | None, _) => {
                say(&format_args!("warning: unable to obey {line:?}: it is no order (ignoring it)"));
            }
        }
    }
}

/// What both ways of running have in common.
fn start(signals: &[Signal]) -> Result<(Logger, Signals), String> {
    sys::fd::open_standard();
    umask(Bits::from_bits_truncate(0o027));
    // A file that may grow no further is an error like a full disk, not the end.
    let beyond = Signal::parse("XFSZ");
    let _unread =
        Signals::block(beyond.as_slice()).map_err(|error| unable("block the signal XFSZ", &error))?;
    let signals = Signals::block(signals).map_err(|error| unable("block signals", &error))?;
    // Three for a service would be many; what cannot be opened is reported when it is met.
    let _ = sys::fd::raise_limit();
    let logger = Logger::new().map_err(|error| unable("make a pipe", &error))?;
    Ok((logger, signals))
}

/// Only in a pipe can one look without taking: other input goes through one.
fn as_pipe(input: OwnedFd) -> io::Result<OwnedFd> {
    if sys::pipe::capacity(&input).is_ok() {
        return Ok(input);
    }
    let (read, write) = sys::pipe::pair()?;
    std::thread::Builder::new().spawn(move || io::copy(&mut File::from(input), &mut File::from(write)))?;
    Ok(read)
}

fn lock(directory: &Path, how: FlockArg) -> io::Result<Flock<File>> {
    DirBuilder::new().recursive(true).mode(0o750).create(directory)?;
    Flock::lock(File::open(directory)?, how).map_err(|(_, errno)| errno.into())
}

fn lock_or_wait(logs: &Path) -> Option<Flock<File>> {
    let result = match lock(logs, FlockArg::LockExclusiveNonblock) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            say(&format_args!("warning: another svlog writes to {} (waiting for its end)", logs.display()));
            lock(logs, FlockArg::LockExclusive)
        }
        other => other,
    };
    let warn = |error: &io::Error| {
        let what = format!("lock {}", logs.display());
        say(&format_args!("warning: {} (going on without)", unable(&what, error)));
    };
    result.inspect_err(warn).ok()
}
