//! The command line.

use crate::error::{Error, Kind};
use std::process::ExitCode;

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(code(error.kind))
        }
    }
}

fn run() -> Result<(), Error> {
    Err(Error::new(Kind::Usage, "nothing can be asked for yet"))
}

/// The exit code of an error, those of svctl.
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

fn complain(error: &Error) {
    use std::io::Write;
    // Whoever closed it does not want to know.
    let _ = writeln!(std::io::stderr(), "svctl image: {error}");
}
