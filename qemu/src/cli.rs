//! The command: boot, show what is waited for, run what was asked, power off.

use std::fs::File;
use std::io::{Write as _, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::progress::{self, Level, Progress};
use crate::terminal::{self, Key, Raw};
use crate::{Accelerator, Ended, Error, Machine, OnReboot, Ports, process};

const NOT_POWERED_OFF: u8 = 120;
const NOT_UP: u8 = 121;
const NOT_STARTED: u8 = 122;
const USAGE: u8 = 100;

const EXIT_CODES: &str = "\
Exit status:
  with --cmd, that of the command (128 plus the signal, if one ended it; 255 is also ssh's own), but
  100  the command line is wrong
  120  the guest did not power itself off cleanly (says so, and the command's status)
  121  the guest did not start up in time, or not at all; the command did not run
  122  no machine could be started: no image, no qemu, a port in use
  129, 130, 143  interrupted by HUP, INT or TERM; the guest was stopped, not powered off

Nothing outlives this command, however it ends: no process, no file.";

/// Boots an image in QEMU.
#[derive(Debug, Parser)]
#[command(name = "qemu", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Boots an image and stays at its console, or runs one command in it and powers it off.
    #[command(after_help = EXIT_CODES)]
    Run(RunOptions),
}

#[derive(Args, Debug)]
struct RunOptions {
    /// The directory with the image: vmlinuz, initramfs, and what `make image` wrote beside them
    #[arg(long, value_name = "DIRECTORY", default_value = "target/image")]
    image: PathBuf,
    /// Runs COMMAND over ssh when the guest is up, then powers off
    #[arg(long, value_name = "COMMAND")]
    cmd: Option<String>,
    /// The private ssh key that the guest accepts [default: the one the image names]
    #[arg(long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// Which ports of 127.0.0.1 lead to the guest: GUEST=HOST,... or free
    #[arg(long, value_parser = Ports::parse, default_value = "ssh=2222,5050=5050,5051=5051,9100=9100")]
    ports: Ports,
    /// The guest's memory, in MiB
    #[arg(long, value_name = "MIB", default_value_t = 512)]
    memory: u32,
    /// The guest's processors
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    cpus: u32,
    /// More arguments for the kernel
    #[arg(long, value_name = "ARGUMENTS", allow_hyphen_values = true)]
    append: Option<String>,
    /// Lets a reboot of the guest end the machine, also at the console (as it always does with --cmd)
    #[arg(long)]
    no_reboot: bool,
    /// Adds a watchdog device (i6300esb)
    #[arg(long)]
    watchdog: bool,
    /// Writes the console to FILE
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How long the guest may take to start up, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    timeout: u64,
    /// Says nothing but errors
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Shows the guest's console while waiting
    #[arg(long, short)]
    verbose: bool,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { USAGE } else { 0 });
        }
    };
    if let Err(error) = end_on_signals() {
        progress::error(&format!("unable to watch for signals: {error}"));
        return ExitCode::from(NOT_STARTED);
    }
    let Verb::Run(options) = cli.verb;
    let level = match (options.quiet, options.verbose) {
        (true, _) => Level::Quiet,
        (_, true) => Level::Verbose,
        _ => Level::Normal,
    };
    let status = run(options, level).unwrap_or_else(|error| {
        progress::error(&error.to_string());
        status_of(&error)
    });
    ExitCode::from(status)
}

fn run(mut options: RunOptions, level: Level) -> Result<u8, Error> {
    let progress = Progress::new(level);
    let command = options.cmd.take();
    let timeout = Duration::from_secs(options.timeout);
    {
        let _waiting = progress.waiting_for("an answer whether KVM works");
        Accelerator::choose();
    }
    progress.say(&Accelerator::choose().reason);
    let builder = builder(options, command.is_some())?;
    match command {
        Some(command) => {
            let machine =
                if level == Level::Verbose { builder.console_to(show_as_progress) } else { builder }
                    .boot()?;
            run_command(&machine, &command, timeout, progress)
        }
        None => at_console(builder.console_to(terminal::show).boot()?, timeout, progress),
    }
}

fn builder(options: RunOptions, with_command: bool) -> Result<crate::Builder, Error> {
    let ends = with_command || options.no_reboot;
    let mut builder = Machine::builder(&options.image)
        .memory(options.memory)
        .cpus(options.cpus)
        .ports(options.ports)
        .on_reboot(if ends { OnReboot::Ends } else { OnReboot::Restarts });
    if let Some(arguments) = options.append {
        builder = builder.argument(arguments);
    }
    if let Some(key) = options.ssh_key {
        builder = builder.ssh_key(key);
    }
    if options.watchdog {
        builder = builder.watchdog();
    }
    match options.log {
        Some(path) => {
            let file = File::create(&path).map_err(|error| Error::Start {
                cause: format!("the log {} cannot be written: {error}", path.display()),
            })?;
            Ok(builder.log(file))
        }
        None => Ok(builder),
    }
}

/// Startup, the command, power-off: each is reported, the first to fail decides.
fn run_command(machine: &Machine, command: &str, timeout: Duration, progress: Progress) -> Result<u8, Error> {
    if let Err(error) = come_up(machine, timeout, progress) {
        if !process::interrupted() {
            progress::error(&error.to_string());
            tell_what_is_not_up(machine);
            return Ok(NOT_UP);
        }
        return Err(error);
    }
    let up_after = machine.age();
    let status = machine.ssh_streamed(command)?;
    let ran_for = machine.age() - up_after;
    let ended = {
        let _waiting = progress.waiting_for("the guest to power off");
        machine.power_off()
    };
    let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f32());
    match ended {
        Ok(ended) => {
            let how = if ended == Ended::PoweredOff {
                "powered off cleanly"
            } else {
                "rebooted, which ends it here"
            };
            let off_in = machine.age() - up_after - ran_for;
            progress.say(&format!(
                "the guest {how} (up in {}, command {}, power-off {}); the command's status is {status}",
                seconds(up_after),
                seconds(ran_for),
                seconds(off_in)
            ));
            Ok(u8::try_from(status).unwrap_or(u8::MAX))
        }
        Err(error) => {
            progress.say(&format!("the command's status is {status}"));
            Err(error)
        }
    }
}

fn come_up(machine: &Machine, timeout: Duration, progress: Progress) -> Result<(), Error> {
    let deadline = Instant::now() + timeout;
    let how = {
        let _waiting = progress.waiting_for("the guest's startup to complete");
        machine.wait_until_up(timeout)?
    };
    progress.say(&format!("startup complete after {:.1} s: {how}", machine.age().as_secs_f32()));
    let port = machine.port(crate::SSH).unwrap_or_default();
    let _waiting = progress.waiting_for(&format!("ssh on 127.0.0.1:{port}"));
    machine.wait_for_ssh(deadline.saturating_duration_since(Instant::now()))
}

/// After a startup that did not complete: which service is to blame, if the guest can still be asked.
fn tell_what_is_not_up(machine: &Machine) {
    const WITHIN: Duration = Duration::from_secs(5);
    const READY_WITHIN: Duration = Duration::from_secs(1);
    let answer = machine.wait_for_ssh(READY_WITHIN).and_then(|()| machine.ssh_within("svctl status", WITHIN));
    match answer {
        Ok(output) => {
            progress::error(&format!("svctl status in the guest says:\n{}{}", output.stdout, output.stderr));
        }
        Err(Error::TimedOut { .. }) => {
            progress::error(
                "the guest does not answer over ssh, so which of its services are up is not known",
            );
        }
        // Whatever ended it has been told.
        Err(_) => {}
    }
}

/// A person's session at the console, until the machine ends or Ctrl-A X ends it.
fn at_console(machine: Machine, timeout: Duration, progress: Progress) -> Result<u8, Error> {
    let machine = Arc::new(machine);
    let ssh = machine.ssh_command().unwrap_or_else(|error| error.to_string());
    progress.say(&format!("log in with: {ssh}"));
    progress.say("the console follows; Ctrl-A X ends the machine, Ctrl-A H shows the keys");
    let raw = Raw::enter();
    let keyboard = Arc::downgrade(&machine);
    let act = move |key| keyboard.upgrade().is_some_and(|machine| press(&machine, &key, progress));
    if let Err(error) = terminal::follow_keys(act) {
        progress::error(&format!(
            "unable to read the terminal: {error} (the machine runs on without a keyboard)"
        ));
    }
    let watched = Arc::clone(&machine);
    let watch = thread::spawn(move || match watched.wait_until_up(timeout) {
        Ok(how) => progress.say(&format!("startup complete: {how}; log in with: {ssh}")),
        Err(Error::TimedOut { within, .. }) => {
            progress.say(&format!(
                "the startup is not complete after {} s; the machine runs on",
                within.as_secs()
            ));
        }
        // It ended, which the console shows.
        Err(_) => {}
    });
    machine.process.wait();
    let _ = watch.join();
    drop(raw);
    machine.wait_for_exit(Duration::from_secs(5));
    how_it_ended(&machine, progress)
}

fn how_it_ended(machine: &Machine, progress: Progress) -> Result<u8, Error> {
    if process::interrupted() {
        return Err(Error::Interrupted);
    }
    if QUIT.load(Ordering::SeqCst) != 0 {
        progress.say("the machine was ended with Ctrl-A X");
        return Ok(0);
    }
    let ended = machine.power_off()?;
    progress.say(if ended == Ended::PoweredOff {
        "the guest powered off cleanly"
    } else {
        "the guest rebooted"
    });
    Ok(0)
}

static QUIT: AtomicU8 = AtomicU8::new(0);

fn press(machine: &Machine, key: &Key, progress: Progress) -> bool {
    match key {
        Key::Type(byte) => machine.console().send(&[*byte]).is_ok(),
        Key::Help => {
            progress.say("Ctrl-A X ends the machine, Ctrl-A Ctrl-A types one Ctrl-A, Ctrl-A H shows this");
            true
        }
        Key::Quit => {
            QUIT.store(1, Ordering::SeqCst);
            machine.pull_plug();
            false
        }
    }
}

fn show_as_progress(bytes: &[u8]) {
    let _ = stderr().write_all(bytes);
}

/// The signal that was received, if any.
static SIGNAL: AtomicU8 = AtomicU8::new(0);

/// The first signal stops the children, and with them every wait; a second one does not wait for that.
fn end_on_signals() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let watch = move || {
        for signal in &mut signals {
            let signal = u8::try_from(signal).unwrap_or_default();
            if SIGNAL.swap(signal, Ordering::SeqCst) != 0 {
                terminal::restore();
                #[expect(clippy::exit, reason = "the person insists, and the kernel ends the children")]
                std::process::exit(i32::from(128 + signal));
            }
            process::interrupt();
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(watch).map(drop)
}

fn status_of(error: &Error) -> u8 {
    match error {
        Error::Interrupted => 128 + SIGNAL.load(Ordering::SeqCst),
        Error::Image { .. } | Error::PortInUse { .. } | Error::Start { .. } => NOT_STARTED,
        Error::NotPoweredOff { .. } => NOT_POWERED_OFF,
        Error::TimedOut { .. }
        | Error::Ended { .. }
        | Error::Ssh { .. }
        | Error::Command { .. }
        | Error::Monitor { .. } => NOT_UP,
    }
}
