//! `svctl image`: hands over to the provisioner, which is a program of its own.

use crate::args::Places;
use crate::exit::{Exit, Failure, cause};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

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

/// Has the provisioner take away all roots of a service. That there are none is as good.
///
/// # Errors
/// It is not there, or cannot do it.
pub fn destroy(places: &Places, name: &str) -> Result<(), Failure> {
    let program = beside()?;
    let words = ["--quiet", "destroy", "--service", name];
    let output =
        Command::new(&program).args(words).env("MAINSTAY_RUN", &places.run).stdin(Stdio::null()).output();
    let shown = program.display();
    let output = output.map_err(|error| Failure::system(&format!("unable to execute {shown}"), &error))?;
    if output.status.success() || output.status.code() == Some(i32::from(Exit::NoSuchService.number())) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ");
    Err(Failure::new(Exit::Failed, format!("{name}: unable to take its roots away: {said}")))
}

fn beside() -> Result<PathBuf, Failure> {
    let own =
        std::env::current_exe().map_err(|error| Failure::system("unable to find this program", &error))?;
    Ok(own.with_file_name(PROGRAM))
}
