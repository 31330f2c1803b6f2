//! The verb `reexec`: init, every supervisor and the logger are replaced in place; and `fault`, for tests.

use crate::args::Places;
use crate::control::{Connection, Line};
use crate::exit::{Exit, Failure};
use crate::output;
use service::init_status::InitStatus;
use service::wire::{Fault, InitCommand};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the new programs may take: init gives them ten seconds to say whether they can go on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Replaces everything, waits until the new init answers, and tells which it is.
///
/// # Errors
/// If nobody listens, or a program on disk cannot go on; then nothing has been replaced.
pub fn run(places: &Places) -> Result<Exit, Failure> {
    let deadline = Instant::now() + TIMEOUT;
    let before = read(&places.run);
    ask(&places.run, InitCommand::Reexec, deadline)?;
    // The socket outlives the program: this one is answered by the next.
    ask(&places.run, InitCommand::Events, deadline)?;
    let (old, new) = (before.unwrap_or_default().version, read(&places.run).unwrap_or_default().version);
    output::print(&format!("init: {old} is replaced by {new}\n"))?;
    Ok(Exit::Ok)
}

/// Has init fail.
///
/// # Errors
/// If it is not one that does.
pub fn fault(places: &Places, fault: Fault) -> Result<Exit, Failure> {
    ask(&places.run, InitCommand::Fault(fault), Instant::now() + TIMEOUT)?;
    Ok(Exit::Ok)
}

/// What init says of itself.
#[must_use]
pub fn read(run: &Path) -> Option<InitStatus> {
    InitStatus::decode(&std::fs::read_to_string(run.join("init/status")).ok()?)
}

fn ask(run: &Path, command: InitCommand<'_>, deadline: Instant) -> Result<(), Failure> {
    let path = run.join("init/control");
    loop {
        let mut connection = Connection::open(&path)?.ok_or_else(|| {
            let place = path.display();
            Failure::new(Exit::NotSupervised, format!("unable to reach init: nobody listens at {place}"))
        })?;
        connection.send(command)?;
        match connection.line(Some(deadline))? {
            Line::Text(line) if line == "ok" => return Ok(()),
            Line::Text(line) => {
                let reason = line.strip_prefix("error ").unwrap_or(&line);
                let message = format!("init refuses to {}: {reason}", command.verb());
                return Err(Failure::new(Exit::Failed, message));
            }
            // One that is just being replaced.
            Line::End if command == InitCommand::Events => {}
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
        }
    }
}
