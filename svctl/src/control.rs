//! The verbs that change something: what is asked of init or of a supervisor, and what became of it.

mod client;
mod direct;
mod follow;
mod init;
mod request;
mod transaction;

use crate::args::{Patience, Places};
use crate::exit::{Exit, Failure};
use crate::logs;
use crate::output;
use crate::plan::Plan;
use service::definition::valid_name;
use service::wire::Command;
use std::thread;

pub use client::{Connection, Line};
pub use direct::reply as parse_reply;
pub use request::request;
pub use transaction::{plan, reload, switch};

/// How many log lines a failure is shown with.
const LOG_LINES: usize = 5;

/// What became of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code that it asks for.
    pub exit: Exit,
    /// For people, beginning with the service's name; empty if there is nothing to say.
    pub message: String,
    /// The service whose last log lines explain it.
    pub log: Option<String>,
}

impl Outcome {
    fn good(message: String) -> Outcome {
        Outcome { exit: Exit::Ok, message, log: None }
    }

    fn failed(exit: Exit, message: String) -> Outcome {
        Outcome { exit, message, log: None }
    }
}

impl From<Failure> for Outcome {
    fn from(failure: Failure) -> Outcome {
        Outcome::failed(failure.exit, failure.message)
    }
}

/// What is asked of init for a service and what it requires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Want it up.
    Start,
    /// Want it down.
    Stop,
    /// Want it to run until it ends.
    Once,
    /// Want it up in a new run.
    Restart,
}

/// Has init start or stop services.
///
/// # Errors
/// If standard output cannot be written.
pub fn ask(places: &Places, wish: Wish, names: &[String], patience: Patience) -> Result<Exit, Failure> {
    report(places, &init::ask(places, wish, names, patience))
}

/// Restarts each service by its own supervisor, all at once.
///
/// # Errors
/// If standard output cannot be written.
pub fn restart(places: &Places, names: &[String], patience: Patience) -> Result<Exit, Failure> {
    let outcomes = match names {
        // The usual case is worth the time of a thread.
        [name] => direct::restart(places, name, patience),
        _ => thread::scope(|scope| {
            let threads: Vec<_> = names
                .iter()
                .map(|name| scope.spawn(move || direct::restart(places, name, patience)))
                .collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect()
        }),
    };
    report(places, &outcomes)
}

/// Sends each service's supervisor a command that is done as soon as it is taken.
///
/// # Errors
/// If standard output cannot be written.
pub fn tell(places: &Places, names: &[String], command: Command) -> Result<Exit, Failure> {
    let outcomes: Vec<Outcome> = names.iter().flat_map(|name| direct::tell(places, name, command)).collect();
    report(places, &outcomes)
}

/// Has init stop services, and tells what became of it without showing it.
#[must_use]
pub fn stop(places: &Places, name: &str, patience: Patience) -> Vec<Outcome> {
    init::ask(places, Wish::Stop, &[name.to_owned()], patience)
}

/// Shows the outcomes, and makes one exit code of theirs: the first that is not 0.
fn report(places: &Places, outcomes: &[Outcome]) -> Result<Exit, Failure> {
    let mut good = String::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.message.is_empty()) {
        if outcome.exit == Exit::Ok {
            good.push_str(&outcome.message);
            good.push('\n');
            continue;
        }
        // What has been achieved so far comes first, as the names do.
        output::print(&std::mem::take(&mut good))?;
        output::complain(&format!("svctl: {}", outcome.message));
        for line in outcome.log.iter().flat_map(|name| logs::tail(&places.logs, name, LOG_LINES)) {
            output::complain(&format!("    {line}"));
        }
    }
    output::print(&good)?;
    Ok(outcomes.iter().map(|outcome| outcome.exit).find(|exit| *exit != Exit::Ok).unwrap_or(Exit::Ok))
}

/// The services that a name stands for when no supervisor listens under it.
fn resolve(places: &Places, plan: &Plan, name: &str) -> Result<Vec<String>, Failure> {
    if valid_name(name) && plan.knows(&places.run, name) {
        Ok(plan.members(name))
    } else {
        Err(plan.no_such(name))
    }
}
