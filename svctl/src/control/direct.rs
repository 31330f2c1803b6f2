//! Requests to a service's own supervisor.

use super::client::{Connection, Line};
use super::follow::{Goal, Progress, Verdict};
use super::{Outcome, Wish, init, resolve};
use crate::args::{Patience, Places};
use crate::exit::{Exit, Failure};
use crate::plan::Plan;
use service::definition::valid_name;
use service::wire::{Command, Report};
use std::time::{Duration, Instant};

/// How long a supervisor may take to answer what it answers at once.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// What a supervisor says to `restart` of a service that is to be down: then it is init's to start.
const NOT_WANTED: &str = "not wanted up";

/// Restarts one service, or each member of a bundle.
pub(super) fn restart(places: &Places, name: &str, patience: Patience) -> Vec<Outcome> {
    let asked = match reach(places, name) {
        Way::Open(connection) => restart_by(connection, name, patience),
        Way::Refused | Way::Absent => Ok(None),
        Way::Broken(failure) => Err(failure),
    };
    match asked {
        Ok(Some(outcome)) => vec![outcome],
        Ok(None) => restart_without(places, name, patience),
        Err(failure) => vec![named(name, &failure)],
    }
}

/// No supervisor can do it: the name is that of a bundle, or of a service that init has to start.
fn restart_without(places: &Places, name: &str, patience: Patience) -> Vec<Outcome> {
    let members = match resolve(places, &Plan::read(&places.run), name) {
        Ok(members) => members,
        // Only init can tell whether there is such a template.
        Err(_) if init::may_be_instance(name) => vec![name.to_owned()],
        Err(failure) => return vec![failure.into()],
    };
    if members == [name] {
        return init::ask(places, Wish::Restart, &members, patience);
    }
    members.iter().flat_map(|member| restart(places, member, patience)).collect()
}

/// None if init has to start it.
fn restart_by(
    mut connection: Connection,
    name: &str,
    patience: Patience,
) -> Result<Option<Outcome>, Failure> {
    let begun = Instant::now();
    if !patience.wait {
        connection.send(Command::Restart)?;
        return match answer(&mut connection, Command::Restart)? {
            Ok(()) => Ok(Some(Outcome::good(String::new()))),
            Err(reason) if reason.contains(NOT_WANTED) => Ok(None),
            Err(reason) => Ok(Some(refused(name, &reason))),
        };
    }
    let mut progress = Progress::new(name);
    let mut taken = false;
    loop {
        match try_restart(&mut connection, &mut progress, &mut taken, begun, patience)? {
            Attempt::Gone if connection.reopen()? => {}
            // None comes after it, as after the end of a oneshot: who asks for another run asks init.
            Attempt::Gone => return Ok(None),
            Attempt::Over(outcome) => return Ok(outcome),
        }
    }
}

/// What became of an attempt.
enum Attempt {
    /// Its outcome; none if init has to start the service.
    Over(Option<Outcome>),
    /// The supervisor has gone, and another comes.
    Gone,
}

/// Asks one supervisor, as long as it is there. What one has answered, `taken`, the next one carries out.
fn try_restart(
    connection: &mut Connection,
    progress: &mut Progress,
    taken: &mut bool,
    begun: Instant,
    patience: Patience,
) -> Result<Attempt, Failure> {
    let deadline = begun + patience.timeout;
    let name = progress.name.clone();
    connection.send(Command::Events)?;
    // The number of runs before ours has to be known before ours can begin.
    let (mut subscribed, mut heard) = (false, false);
    while !(subscribed && heard) {
        match connection.line(Some(deadline.min(Instant::now() + ANSWER_TIME)))? {
            Line::Text(line) => match reply(&line) {
                Some(Ok(())) => subscribed = true,
                Some(Err(reason)) => return Ok(Attempt::Over(Some(refused(&name, &reason)))),
                None => {
                    heard = true;
                    take(progress, &line);
                }
            },
            Line::End => return Ok(Attempt::Gone),
            Line::TimedOut => return Ok(Attempt::Over(Some(progress.timed_out(begun.elapsed())))),
        }
    }
    // It may have been taken, and the answer lost.
    *taken |= progress.new_run();
    if !*taken {
        connection.send(Command::Restart)?;
    }
    loop {
        let verdict = progress.verdict(Goal::NewRun);
        if *taken && matches!(verdict, Verdict::Met | Verdict::Failed) {
            return Ok(Attempt::Over(Some(progress.outcome(&verdict, begun.elapsed()))));
        }
        match connection.line(Some(deadline))? {
            Line::Text(line) => match reply(&line) {
                Some(Ok(())) => *taken = true,
                Some(Err(reason)) if reason.contains(NOT_WANTED) => return Ok(Attempt::Over(None)),
                Some(Err(reason)) => return Ok(Attempt::Over(Some(refused(&name, &reason)))),
                None => take(progress, &line),
            },
            Line::End => return Ok(Attempt::Gone),
            Line::TimedOut => return Ok(Attempt::Over(Some(progress.timed_out(begun.elapsed())))),
        }
    }
}

/// Sends one command to one service, or to each member of a bundle.
pub(super) fn tell(places: &Places, name: &str, command: Command) -> Vec<Outcome> {
    let outcome = match reach(places, name) {
        Way::Open(connection) => tell_by(connection, name, command),
        Way::Refused => init::tell(places, name, command),
        Way::Absent => return tell_without(places, name, command),
        Way::Broken(failure) => Err(failure),
    };
    vec![outcome.unwrap_or_else(|failure| named(name, &failure))]
}

fn tell_by(mut connection: Connection, name: &str, command: Command) -> Result<Outcome, Failure> {
    connection.send(command)?;
    Ok(match answer(&mut connection, command)? {
        Ok(()) => Outcome::good(String::new()),
        Err(reason) => refused(name, &reason),
    })
}

fn tell_without(places: &Places, name: &str, command: Command) -> Vec<Outcome> {
    match resolve(places, &Plan::read(&places.run), name) {
        Ok(members) if members == [name] => {
            vec![Outcome::failed(Exit::NotSupervised, format!("{name}: not supervised: nobody listens"))]
        }
        Ok(members) => members.iter().flat_map(|member| tell(places, member, command)).collect(),
        Err(failure) => vec![failure.into()],
    }
}

/// What became of the attempt to speak to a supervisor.
enum Way {
    Open(Connection),
    /// It is for others to speak to: init passes on what its rules allow.
    Refused,
    /// Nobody listens.
    Absent,
    Broken(Failure),
}

fn reach(places: &Places, name: &str) -> Way {
    if !valid_name(name) {
        return Way::Absent;
    }
    let path = places.run.join("service").join(name).join("control");
    match Connection::connect(&path) {
        Ok(Some(connection)) => Way::Open(connection),
        Ok(None) => Way::Absent,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Way::Refused,
        Err(error) => Way::Broken(super::client::unable_to_connect(&path, &error)),
    }
}

/// The answer to the one command that was sent. It is sent again to the next supervisor if there was none, unless
/// it makes a difference whether it is carried out twice.
fn answer(connection: &mut Connection, command: Command) -> Result<Result<(), String>, Failure> {
    let once = matches!(command, Command::Kill(_) | Command::Reexec);
    let deadline = Instant::now() + ANSWER_TIME;
    loop {
        match connection.line(Some(deadline))? {
            Line::Text(line) => {
                if let Some(reply) = reply(&line) {
                    return Ok(reply);
                }
            }
            Line::End if !once && connection.reopen()? => connection.send(command)?,
            Line::End => return Err(gone()),
            Line::TimedOut => return Err(Failure::new(Exit::TimedOut, "its supervisor does not answer")),
        }
    }
}

/// A line as the answer to a command; none if it is something else.
#[must_use]
pub fn reply(line: &str) -> Option<Result<(), String>> {
    match line.split_once(' ') {
        None if line == "ok" => Some(Ok(())),
        None if line == "error" => Some(Err("refused".to_owned())),
        Some(("ok", _)) => Some(Ok(())),
        Some(("error", reason)) => Some(Err(reason.to_owned())),
        Some(_) | None => None,
    }
}

fn take(progress: &mut Progress, line: &str) {
    if let Some(report) = Report::parse(line) {
        progress.take(&report);
    }
}

fn gone() -> Failure {
    Failure::new(Exit::NotSupervised, "its supervisor went away")
}

fn refused(name: &str, reason: &str) -> Outcome {
    Outcome::failed(Exit::Failed, format!("{name}: {reason}"))
}

fn named(name: &str, failure: &Failure) -> Outcome {
    Outcome::failed(failure.exit, format!("{name}: {}", failure.message))
}
