//! Whether a service that is started for the first time has been: a process of it runs, or has run.

use crate::args::{Patience, Places};
use crate::control::{Connection, Line, parse_reply};
use crate::exit::{Exit, Failure};
use service::Pid;
use service::status::{State, Want};
use service::wire::{InitCommand, Report};
use std::time::{Duration, Instant};

/// How long init may take to answer what it answers at once.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// What became of a start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Started {
    /// It runs, or has run and ended.
    Running(Option<Pid>),
    /// Init has taken the request, and more was not waited for.
    Taken,
    /// It could not be started, or has died before it was ready.
    Failed(String),
    /// That takes longer than it was to: where it stands.
    TimedOut(String),
}

/// What a report says once the request has been taken; none if it is still under way. `declares` tells whether the
/// service says how it becomes ready, which is waited for then.
fn judge(report: &Report<'_>, declares: bool) -> Option<Started> {
    let ran = report.starts > 0;
    let failed = || {
        let reason = if report.reason.is_empty() { "" } else { ": " };
        Some(Started::Failed(format!("{}{reason}{}", report.state.word(), report.reason)))
    };
    match report.state {
        State::Up | State::Listening | State::Done => Some(Started::Running(report.pid)),
        State::Starting if report.pid.is_some() && !declares => Some(Started::Running(report.pid)),
        State::Stopping | State::Finishing | State::Backoff | State::Failed if ran && !declares => {
            Some(Started::Running(report.pid))
        }
        State::Backoff | State::Failed | State::Skipped | State::Invalid => failed(),
        State::Down if ran && !declares => Some(Started::Running(None)),
        State::Down if report.want == Want::Down => None,
        State::Down | State::Blocked | State::Starting | State::Stopping | State::Finishing => None,
    }
}

/// Starts a service that has never run.
///
/// # Errors
/// Init refuses, or cannot be reached.
pub(super) fn start(
    places: &Places,
    name: &str,
    declares: bool,
    patience: Patience,
) -> Result<Started, Failure> {
    let deadline = Instant::now() + if patience.wait { patience.timeout } else { ANSWER_TIME };
    let path = places.run.join("init/control");
    let nobody = || Failure::new(Exit::NotSupervised, "unable to reach init");
    let mut connection = Connection::open(&path)?.ok_or_else(nobody)?;
    let ask = |connection: &mut Connection, taken: bool| -> Result<(), Failure> {
        connection.send(InitCommand::Events)?;
        if taken { Ok(()) } else { connection.send(InitCommand::Start(name)) }
    };
    ask(&mut connection, false)?;
    // The first answer is that to `events`.
    let (mut subscribed, mut taken) = (false, false);
    let mut stands = "nothing has been heard of it".to_owned();
    loop {
        match connection.line(Some(deadline))? {
            Line::Text(line) => match parse_reply(&line) {
                Some(Err(reason)) => return Err(Failure::new(Exit::Failed, format!("{name}: {reason}"))),
                Some(Ok(())) if subscribed => {
                    taken = true;
                    if !patience.wait {
                        return Ok(Started::Taken);
                    }
                }
                Some(Ok(())) => subscribed = true,
                None => {
                    let Some(report) = Report::parse(&line).filter(|report| report.name == name) else {
                        continue;
                    };
                    // A start that the init before has taken and not answered.
                    taken |= report.want != Want::Down || report.starts > 0;
                    stands = report.state.word().to_owned();
                    if let Some(started) = judge(&report, declares).filter(|_| taken) {
                        return Ok(started);
                    }
                }
            },
            Line::End if connection.reopen()? => {
                subscribed = false;
                // What has begun is not to be begun again.
                taken |= super::ended::status(places, name)
                    .is_some_and(|status| status.want != Want::Down || status.last_exit.is_some());
                ask(&mut connection, taken)?;
            }
            Line::End => return Err(nobody()),
            Line::TimedOut => return Ok(Started::TimedOut(stands)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(state: State, want: Want, pid: i32, starts: u32) -> Report<'static> {
        Report { name: "a", state, want, overdue: false, pid: Pid::new(pid), starts, reason: "r" }
    }

    #[test]
    fn what_has_run_was_started_however_it_ended_unless_it_had_to_become_ready() {
        let running = |pid| Some(Started::Running(Pid::new(pid)));
        let failed = |word: &str| Some(Started::Failed(format!("{word}: r")));
        for (state, want, pid, starts, plain, declared) in [
            (State::Down, Want::Down, 0, 0, None, None),
            (State::Down, Want::Up, 0, 0, None, None),
            (State::Blocked, Want::Up, 0, 0, None, None),
            (State::Starting, Want::Up, 0, 0, None, None),
            (State::Starting, Want::Up, 7, 1, running(7), None),
            (State::Up, Want::Up, 7, 1, running(7), running(7)),
            (State::Done, Want::Up, 0, 1, running(0), running(0)),
            (State::Failed, Want::Up, 0, 1, running(0), failed("failed")),
            (State::Failed, Want::Up, 0, 0, failed("failed"), failed("failed")),
            (State::Backoff, Want::Up, 0, 1, running(0), failed("backoff")),
            (State::Backoff, Want::Up, 0, 0, failed("backoff"), failed("backoff")),
            (State::Skipped, Want::Up, 0, 0, failed("skipped"), failed("skipped")),
            (State::Down, Want::Down, 0, 1, running(0), None),
        ] {
            let report = report(state, want, pid, starts);
            assert_eq!(judge(&report, false), plain, "{state:?} {starts}");
            assert_eq!(judge(&report, true), declared, "{state:?} {starts} declared");
        }
    }
}
