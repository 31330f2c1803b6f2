//! `svctl image`: hands over to the provisioner, which is a program of its own.

use crate::args::Places;
use crate::exit::{Exit, Failure, cause};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

/// The program, beside this one.
const PROGRAM: &str = "svctl-image";

/// Becomes the provisioner. It learns by `MAINSTAY_RUN` which run directory is meant. What is returned says why not.
#[must_use]
pub fn execute(places: &Places, words: &[OsString]) -> Failure {
    let program = match beside() {
        Ok(program) => program,
        Err(failure) => return failure,
    };
    let error = Command::new(&program).args(words).env("MAINSTAY_RUN", &places.run).exec();
    let shown = program.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        let message = format!("unable to find {shown}: the provisioner of images is not installed");
        return Failure::new(Exit::System, message);
    }
    Failure::new(Exit::System, format!("unable to execute {shown}: {}", cause(&error)))
}

fn beside() -> Result<PathBuf, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::system("unable to find this program", &error))?;
    Ok(own.with_file_name(PROGRAM))
}
