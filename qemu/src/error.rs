//! What can go wrong between an image and its power-off, worded for the person who reads it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of a machine or of what was asked of it.
pub enum Error {
    /// The image directory cannot be used.
    Image {
        /// The directory or the file in it.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        cause: String,
    },
    /// A port that was to be forwarded is taken.
    PortInUse {
        /// The port on this host.
        port: u16,
        /// The guest's port that it was to lead to.
        guest: u16,
        /// Who has it, when `/proc` says so.
        holder: Option<String>,
    },
    /// qemu could not be started.
    Start {
        /// The reason, mostly in qemu's own words.
        cause: String,
    },
    /// A deadline passed.
    TimedOut {
        /// What did not come.
        waiting_for: String,
        /// How long it was waited for.
        within: Duration,
        /// The last lines of the console.
        console: Vec<String>,
    },
    /// The machine ended, or its kernel panicked, while something was expected of it.
    Ended {
        /// What did not come.
        waiting_for: String,
        /// What happened instead.
        how: String,
        /// The last lines of the console.
        console: Vec<String>,
    },
    /// The person at the terminal, or whoever runs this, asked to stop.
    Interrupted,
    /// No ssh connection, or no key for one.
    Ssh {
        /// The command that was to run.
        command: String,
        /// Why it did not.
        cause: String,
    },
    /// A command ran in the guest and failed.
    Command {
        /// The command.
        command: String,
        /// Its exit status.
        status: i32,
        /// What it wrote to its standard error and output.
        output: String,
    },
    /// qemu's monitor refused or did not answer.
    Monitor {
        /// The QMP command.
        command: String,
        /// Why it failed.
        cause: String,
    },
    /// The machine is off, but the guest did not power itself off when it was asked to.
    NotPoweredOff {
        /// What became of the request.
        asked: String,
        /// What ended it in the end.
        ended_by: &'static str,
        /// The last lines of the console.
        console: Vec<String>,
    },
}

impl std::error::Error for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image { path, cause } => write!(f, "unable to use the image {}: {cause}", path.display()),
            Self::PortInUse { port, guest, holder } => {
                write!(f, "unable to forward port {port}: ")?;
                match holder {
                    Some(holder) => write!(f, "{holder} listens on it")?,
                    None => write!(f, "another program listens on it")?,
                }
                write!(f, " (end that, or choose another: --ports {guest}=free, or --ports free)")
            }
            Self::Start { cause } => write!(f, "unable to start qemu: {cause}"),
            Self::TimedOut { waiting_for, within, console } => {
                write!(f, "{waiting_for} did not come within {:.1} s", within.as_secs_f32())?;
                last_lines(f, console)
            }
            Self::Ended { waiting_for, how, console } => {
                write!(f, "{how} while waiting for {waiting_for}")?;
                last_lines(f, console)
            }
            Self::Interrupted => write!(f, "interrupted (the guest was stopped, not powered off)"),
            Self::Ssh { command, cause } => write!(f, "unable to run '{command}' over ssh: {cause}"),
            Self::Command { command, status, output } => {
                write!(f, "'{command}' exited with status {status}")?;
                if output.is_empty() { Ok(()) } else { write!(f, ":\n{}", output.trim_end()) }
            }
            Self::Monitor { command, cause } => write!(f, "unable to tell qemu '{command}': {cause}"),
            Self::NotPoweredOff { asked, ended_by, console } => {
                write!(f, "the guest did not power itself off ({asked}); {ended_by} ended it")?;
                last_lines(f, console)
            }
        }
    }
}

/// The same as `Display`: a test that ends in `?` prints its error with `Debug`, and a person reads it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn last_lines(f: &mut fmt::Formatter<'_>, console: &[String]) -> fmt::Result {
    if console.is_empty() {
        return write!(f, "\nthe console is empty");
    }
    write!(f, "\nthe console's last lines:")?;
    console.iter().try_for_each(|line| write!(f, "\n  | {line}"))
}
