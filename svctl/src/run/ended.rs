//! How a service has ended for good: nothing of it runs, nor will by itself.

use super::directory;
use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::reports::{Next, Reports};
use serde_json::{Value, json};
use service::WaitStatus;
use service::status::{State, Status, Want};
use service::wire::Report;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// The end of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    name: String,
    /// None once it has been destroyed.
    state: Option<State>,
    destroyed: bool,
    exit: Option<WaitStatus>,
    starved: bool,
    oom_kills: u64,
    reason: String,
}

impl End {
    fn new(name: &str, status: Option<Status>, destroyed: bool) -> End {
        let state = status.as_ref().map(|status| status.state).filter(|_| !destroyed);
        let (exit, starved, oom_kills, reason) = match status {
            Some(status) => (status.last_exit, status.starved, status.oom_kills, status.reason),
            None => (None, false, 0, String::new()),
        };
        End { name: name.to_owned(), state, destroyed, exit, starved, oom_kills, reason }
    }

    /// The exit code for whoever stands for the service: its own, or 128 and the number of the signal.
    #[must_use]
    pub fn exit_code(&self) -> Exit {
        match self.exit {
            Some(WaitStatus::Exited(0)) => Exit::Ok,
            Some(WaitStatus::Exited(code)) => Exit::Ended(code),
            Some(WaitStatus::Signalled { signal, .. }) => {
                Exit::Ended(u8::try_from(signal.number()).unwrap_or(0).saturating_add(128))
            }
            Some(WaitStatus::Unknown) | None => Exit::Failed,
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let (code, signal, core) = match self.exit {
            Some(WaitStatus::Exited(code)) => (Some(code), None, false),
            Some(WaitStatus::Signalled { signal, core }) => (None, Some(signal), core),
            Some(WaitStatus::Unknown) | None => (None, None, false),
        };
        json!({
            "name": self.name,
            "state": self.state.map(State::word),
            "destroyed": self.destroyed,
            "code": code,
            "signal": signal.map(|signal| signal.to_string()),
            "signal_number": signal.map(service::Signal::number),
            "core": core,
            "out_of_memory": self.starved,
            "oom_kills": self.oom_kills,
            "reason": self.reason,
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        if self.destroyed {
            f.write_str("destroyed")?;
            if self.exit.is_some() {
                f.write_str(", ")?;
            }
        }
        match self.exit {
            Some(WaitStatus::Exited(code)) => write!(f, "exited with {code}")?,
            Some(WaitStatus::Signalled { signal, .. }) => write!(f, "killed by {signal}")?,
            Some(WaitStatus::Unknown) => f.write_str("ended, nobody knows how")?,
            None if self.destroyed => {}
            None if self.reason.is_empty() => f.write_str(self.state.map_or("gone", State::word))?,
            None => write!(f, "{}: {}", self.state.map_or("gone", State::word), self.reason)?,
        }
        if self.starved { f.write_str(" (out of memory)") } else { Ok(()) }
    }
}

/// The status of a service, if it has one.
pub(super) fn status(places: &Places, name: &str) -> Option<Status> {
    let path = places.run.join("service").join(name).join("status");
    Status::decode(&fs::read_to_string(path).ok()?)
}

/// Whether a report tells of the end.
fn is_end(state: State, want: Want) -> bool {
    match state {
        State::Failed | State::Done | State::Skipped | State::Invalid => true,
        State::Down => want == Want::Down,
        State::Blocked
        | State::Starting
        | State::Listening
        | State::Up
        | State::Stopping
        | State::Finishing
        | State::Backoff => false,
    }
}

/// Looks how a service has ended.
fn look(places: &Places, name: &str, transient: bool) -> End {
    let directory = directory::of(places, name);
    let last = status(places, name);
    // Its status goes when it is forgotten; what it was then has been noted by who destroyed it.
    let last = last.or_else(|| Status::decode(&directory::noted_end(&directory)?));
    End::new(name, last, transient && directory::is_leaving(&directory))
}

/// Waits until all of these have ended. Empty if the time is over before.
///
/// # Errors
/// A name is unknown; init cannot be reached.
pub fn until(places: &Places, names: &[String], timeout: Option<Duration>) -> Result<Vec<End>, Failure> {
    let deadline = timeout.map(|timeout| Instant::now() + timeout);
    let mut reports = Reports::open(&places.run)?;
    let plan = Plan::read(&places.run);
    let transient: Vec<bool> = names.iter().map(|name| directory::is_there(places, name)).collect();
    // As long as we hold these, whoever destroys the service leaves us the time to read how it ended.
    let _attended: Vec<_> =
        names.iter().filter_map(|name| directory::attend(&directory::of(places, name))).collect();
    if let Some(unknown) = names.iter().find(|name| !plan.knows(&places.run, name)) {
        return Err(plan.no_such(unknown));
    }
    let mut ends: Vec<Option<End>> = vec![None; names.len()];
    loop {
        if ends.iter().all(Option::is_some) {
            return Ok(ends.into_iter().flatten().collect());
        }
        let ended: Box<dyn Fn(&str) -> bool> = match reports.next(deadline)? {
            Next::Report(line) => {
                let found = Report::parse(&line).filter(|report| is_end(report.state, report.want));
                let Some(name) = found.map(|report| report.name.to_owned()) else { continue };
                Box::new(move |other| *other == *name)
            }
            // Whoever is not known by then will not be reported.
            Next::Again => Box::new(|name| !places.run.join("service").join(name).exists()),
            Next::TimedOut => return Ok(Vec::new()),
        };
        for ((name, transient), end) in names.iter().zip(&transient).zip(&mut ends) {
            if end.is_none() && ended(name) {
                *end = Some(look(places, name, *transient));
            }
        }
    }
}

/// Waits until all of these have ended, and shows how.
///
/// # Errors
/// A name is unknown; init cannot be reached; standard output cannot be written.
pub fn wait(
    places: &Places,
    names: &[String],
    timeout: Option<Duration>,
    json: bool,
) -> Result<Exit, Failure> {
    let ends = until(places, names, timeout)?;
    if ends.is_empty() {
        return Err(Failure::new(Exit::TimedOut, "timed out: not all of them have ended"));
    }
    let text: String = if json {
        format!("{}\n", Value::from(ends.iter().map(End::json).collect::<Vec<_>>()))
    } else {
        ends.iter().map(|end| format!("{end}\n")).collect()
    };
    output::print(&text)?;
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use service::Signal;
    use service::definition::Kind;

    fn end(exit: Option<WaitStatus>, destroyed: bool, reason: &str, starved: bool) -> End {
        let mut status = Status::new("a", Kind::Longrun);
        (status.state, status.last_exit) = (State::Failed, exit);
        (status.reason, status.starved) = (reason.to_owned(), starved);
        End::new("a", Some(status), destroyed)
    }

    #[test]
    fn an_end_is_told_as_it_was() {
        let killed = Some(WaitStatus::Signalled { signal: Signal::KILL, core: false });
        for (end, text, code) in [
            (end(Some(WaitStatus::Exited(0)), false, "", false), "a: exited with 0", 0),
            (end(Some(WaitStatus::Exited(3)), false, "x", false), "a: exited with 3", 3),
            (end(killed, false, "", true), "a: killed by KILL (out of memory)", 137),
            (end(killed, true, "", false), "a: destroyed, killed by KILL", 137),
            (end(None, false, "no such program", false), "a: failed: no such program", 1),
            (end(None, true, "", false), "a: destroyed", 1),
            (End::new("a", None, false), "a: gone", 1),
        ] {
            assert_eq!((end.to_string().as_str(), end.exit_code().number()), (text, code));
        }
    }

    #[test]
    fn an_end_is_told_to_programs_with_every_key() {
        let killed = Some(WaitStatus::Signalled { signal: Signal::TERM, core: true });
        let json = end(killed, true, "r", false).json();
        assert_eq!(json["state"], Value::Null);
        assert_eq!(
            (&json["signal"], &json["signal_number"], &json["core"]),
            (&"TERM".into(), &15.into(), &true.into())
        );
        assert_eq!((&json["code"], &json["destroyed"]), (&Value::Null, &true.into()));
        assert_eq!(json.as_object().unwrap().len(), 10);
    }
}
