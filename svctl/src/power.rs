//! The verbs `poweroff`, `reboot` and `halt`.

use crate::args::Places;
use crate::control::{Connection, Line};
use crate::exit::{Exit, Failure};
use crate::output;
use service::wire::{InitCommand, Power};
use service::{Pid, Signal};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long init may take to answer.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Has init take the machine down; failing that, signals PID 1.
///
/// # Errors
/// If neither is possible.
pub fn run(places: &Places, power: Power) -> Result<Exit, Failure> {
    let failure = match ask(&places.run, power) {
        Ok(()) => return Ok(Exit::Ok),
        Err(failure) => failure,
    };
    // Another run directory is that of a test or of a user's tree: PID 1 is not its init.
    if places.run != Path::new(service::RUN_DIRECTORY) {
        return Err(failure);
    }
    let Some(signal) = fallback(power) else { return Err(failure) };
    output::complain(&format!("svctl: warning: {failure} (sending PID 1 the signal {signal} instead)"));
    let refused = |error| Failure::system(&format!("unable to send PID 1 the signal {signal}"), &error);
    match Pid::new(1) {
        Some(init) => sys::process::signal(init, signal).map_err(refused).map(|()| Exit::Ok),
        None => Err(failure),
    }
}

/// The signals that PID 1 takes for these by the convention of busybox, where there is one.
fn fallback(power: Power) -> Option<Signal> {
    match power {
        Power::PowerOff => Some(Signal::USR2),
        Power::Reboot => Some(Signal::TERM),
        Power::Halt => Some(Signal::USR1),
        Power::Kexec => None,
    }
}

fn ask(run: &Path, power: Power) -> Result<(), Failure> {
    let path = run.join("init/control");
    let mut connection = Connection::open(&path)?.ok_or_else(|| {
        Failure::new(
            Exit::NotSupervised,
            format!("unable to reach init: nobody listens at {}", path.display()),
        )
    })?;
    connection.send(InitCommand::Power(power))?;
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match connection.line(Some(deadline))? {
            Line::Text(line) if line.split(' ').next() == Some("ok") => return Ok(()),
            Line::Text(line) => {
                if let Some(reason) = line.strip_prefix("error ") {
                    return Err(Failure::new(
                        Exit::Failed,
                        format!("init refuses to {}: {reason}", power.word()),
                    ));
                }
            }
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "init does not answer")),
        }
    }
}
