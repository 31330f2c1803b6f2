//! How the program ends: every exit code in one place, and the error that carries one.

use std::fmt;
use std::io;
use std::process::ExitCode;

/// The exit codes, those of the field where it has one (s6's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything is as asked for.
    Ok,
    /// The answer is no: a service is not as it should be, or a definition has errors.
    Failed,
    /// There is no service of this name.
    NoSuchService,
    /// There is a service of this name already.
    Exists,
    /// The time was over first.
    TimedOut,
    /// The command line cannot be understood.
    Usage,
    /// Nobody listens: neither a supervisor nor init.
    NotSupervised,
    /// The system refused something.
    System,
    /// How a service ended that was waited for: its exit code, or 128 and the number of a signal.
    Ended(u8),
}

/// Every code with its number and its meaning, as `--help` shows them.
pub const TABLE: [(Exit, u8, &str); 8] = [
    (Exit::Ok, 0, "done; for status: every service listed is good, or wanted down"),
    (Exit::Failed, 1, "failed; for status: some service is not as it should be; for check: errors"),
    (Exit::NoSuchService, 3, "no such service"),
    (Exit::Exists, 4, "there is a service of this name already"),
    (Exit::TimedOut, 99, "timed out"),
    (Exit::Usage, 100, "wrong usage"),
    (Exit::NotSupervised, 102, "not supervised: nobody listens"),
    (Exit::System, 111, "the system refused something"),
];

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        if let Exit::Ended(code) = self {
            return code;
        }
        TABLE.iter().find(|(exit, ..)| *exit == self).map_or(111, |(_, number, _)| *number)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.number())
    }
}

/// Why a verb could not do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// For people, without the program's name; empty if everything has been said.
    pub message: String,
}

impl Failure {
    /// A failure with a message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// A mistake on the command line.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, message)
    }

    /// The system's refusal of `what`, which begins with "unable to".
    #[must_use]
    pub fn system(what: &str, error: &io::Error) -> Failure {
        Failure::new(Exit::System, format!("{what}: {}", cause(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The cause as people read it: without the number that the standard library appends.
#[must_use]
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text.get(..end).unwrap_or(&text).to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_has_no_number() {
        assert_eq!(cause(&io::Error::from_raw_os_error(2)), "No such file or directory");
    }

    #[test]
    fn every_code_stands_in_the_table_once() {
        for (exit, number, _) in TABLE {
            assert_eq!(exit.number(), number);
            assert_eq!(TABLE.iter().filter(|(_, other, _)| *other == number).count(), 1);
        }
    }
}
