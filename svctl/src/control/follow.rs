//! What reports say about a request: whether it has been met, has failed, or is still under way.

use super::Outcome;
use crate::compile::units::show;
use crate::exit::Exit;
use service::Pid;
use service::status::{State, Want};
use service::wire::Report;
use std::time::Duration;

/// A report that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) state: State,
    pub(super) want: Want,
    pub(super) overdue: bool,
    pub(super) pid: Option<Pid>,
    pub(super) starts: u32,
    pub(super) reason: String,
}

impl Seen {
    pub(super) fn new(report: &Report<'_>) -> Seen {
        let Report { state, want, overdue, pid, starts, reason, .. } = *report;
        Seen { state, want, overdue, pid, starts, reason: reason.to_owned() }
    }

    fn with_reason(&self) -> String {
        if self.reason.is_empty() { String::new() } else { format!(": {}", self.reason) }
    }
}

/// Where one service stands with respect to what was asked.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub(super) name: String,
    /// The first report: how it was when we came.
    pub(super) first: Option<Seen>,
    /// The last report after that.
    pub(super) last: Option<Seen>,
}

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Goal {
    /// That it is up, or done.
    Up,
    /// That it is up, or has been in a run that began after the request.
    Once,
    /// That it is up, or done, in a run that began after the request.
    NewRun,
    /// That it is down.
    Down,
}

/// Whether it is settled, once the request has been taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not yet.
    Wait,
    /// Probably not; but if nothing has changed since we came, this is where it stays: ask again.
    Unsure,
    /// Met.
    Met,
    /// Not met, and will not be without another request.
    Failed,
}

impl Progress {
    pub(super) fn new(name: &str) -> Progress {
        Progress { name: name.to_owned(), first: None, last: None }
    }

    /// Of a service that is yet to be made: whatever runs then is new.
    pub(super) fn expect_nothing(&mut self) {
        let (state, want) = (State::Down, Want::Down);
        let (pid, starts, reason) = (None, 0, String::new());
        self.first = Some(Seen { state, want, overdue: false, pid, starts, reason });
    }

    pub(super) fn take(&mut self, report: &Report<'_>) {
        let seen = Seen::new(report);
        if self.first.is_none() {
            self.first = Some(seen);
        } else {
            self.last = Some(seen);
        }
    }

    /// Whether another run has begun since the first report.
    pub(super) fn new_run(&self) -> bool {
        let first = self.first.as_ref().map_or(0, |first| first.starts);
        self.last.as_ref().is_some_and(|last| last.starts > first)
    }

    pub(super) fn verdict(&self, goal: Goal) -> Verdict {
        let moved = self.last.is_some();
        let Some(seen) = self.last.as_ref().or(self.first.as_ref()) else { return Verdict::Wait };
        let new_run = self.first.as_ref().is_some_and(|first| seen.starts > first.starts);
        match (goal, seen.state) {
            (Goal::Up, State::Up | State::Listening | State::Done)
            | (Goal::Once, State::Up)
            | (Goal::Down, State::Down | State::Failed | State::Skipped | State::Invalid) => Verdict::Met,
            (Goal::NewRun, State::Up | State::Listening | State::Done)
            | (Goal::Once, State::Done | State::Down)
                if new_run =>
            {
                Verdict::Met
            }
            (Goal::Down, State::Done) if moved && seen.want == Want::Down => Verdict::Met,
            (Goal::Down | Goal::Once, State::Done) => Verdict::Unsure,
            (Goal::Up | Goal::Once, State::Skipped) if moved => Verdict::Met,
            (Goal::Up | Goal::Once | Goal::NewRun, State::Skipped | State::Invalid) if !moved => {
                Verdict::Unsure
            }
            // It has died, or could not be started: that it will be tried again is no success.
            (
                Goal::Up | Goal::Once | Goal::NewRun,
                State::Failed | State::Invalid | State::Skipped | State::Backoff,
            ) if moved => Verdict::Failed,
            (Goal::Up | Goal::Once | Goal::NewRun, State::Down) if moved && seen.want == Want::Down => {
                Verdict::Failed
            }
            (_, _) => Verdict::Wait,
        }
    }

    /// What people are told once it is settled.
    pub(super) fn outcome(&self, verdict: &Verdict, took: Duration) -> Outcome {
        let name = &self.name;
        let Some(seen) = self.last.as_ref().or(self.first.as_ref()) else {
            return Outcome::failed(Exit::Failed, format!("{name}: nothing is known of it"));
        };
        let (word, after) = (seen.state.word(), show(took));
        if *verdict == Verdict::Met {
            let pid = seen.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
            return Outcome::good(match (seen.state, &self.last) {
                (State::Up, None) => format!("{name}: up{pid}, already"),
                (State::Up, Some(_)) => format!("{name}: up{pid}, ready after {after}"),
                (State::Skipped, _) => format!("{name}: skipped{}", seen.with_reason()),
                (_, None) => format!("{name}: {word}, already"),
                (_, Some(_)) => format!("{name}: {word} after {after}"),
            });
        }
        let what = match seen.state {
            State::Backoff => "died before it was ready, and will be started again",
            State::Down => "stopped by somebody else",
            State::Blocked
            | State::Starting
            | State::Listening
            | State::Up
            | State::Stopping
            | State::Finishing
            | State::Done
            | State::Failed
            | State::Skipped
            | State::Invalid => word,
        };
        let message = format!("{name}: {what}{}", seen.with_reason());
        Outcome { exit: Exit::Failed, message, log: Some(name.clone()) }
    }

    /// What people are told when the time is over.
    pub(super) fn timed_out(&self, took: Duration) -> Outcome {
        let name = &self.name;
        let stands = match self.last.as_ref().or(self.first.as_ref()) {
            None => "nothing has been heard of it".to_owned(),
            Some(seen) => {
                let pid = seen.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
                let overdue = if seen.overdue { ", overdue" } else { "" };
                format!("still {}{pid}{overdue}{}", seen.state.word(), seen.with_reason())
            }
        };
        let message = format!("{name}: timed out after {}: {stands}", show(took));
        Outcome { exit: Exit::TimedOut, message, log: Some(name.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(reports: &[(State, Want, u32)]) -> Progress {
        let mut progress = Progress::new("a");
        for (state, want, starts) in reports {
            let report = Report {
                name: "a",
                state: *state,
                want: *want,
                overdue: false,
                pid: None,
                starts: *starts,
                reason: "",
            };
            progress.take(&report);
        }
        progress
    }

    #[test]
    fn a_restart_is_met_by_a_new_run_and_not_by_the_old_one() {
        let up = (State::Up, Want::Up, 3);
        for reports in [
            &[up][..],
            &[up, up],
            &[up, (State::Stopping, Want::Up, 3)],
            &[up, (State::Starting, Want::Up, 4)],
        ] {
            assert_eq!(progress(reports).verdict(Goal::NewRun), Verdict::Wait);
        }
        assert_eq!(progress(&[up, (State::Up, Want::Up, 4)]).verdict(Goal::NewRun), Verdict::Met);
        assert_eq!(progress(&[up, (State::Backoff, Want::Up, 4)]).verdict(Goal::NewRun), Verdict::Failed);
        assert_eq!(progress(&[up, (State::Down, Want::Down, 3)]).verdict(Goal::NewRun), Verdict::Failed);
    }

    #[test]
    fn how_a_service_was_before_a_start_does_not_fail_it() {
        for state in [State::Failed, State::Down, State::Backoff, State::Blocked] {
            assert_eq!(progress(&[(state, Want::Down, 1)]).verdict(Goal::Up), Verdict::Wait, "{state:?}");
        }
        assert_eq!(progress(&[(State::Up, Want::Up, 1)]).verdict(Goal::Up), Verdict::Met);
        assert_eq!(progress(&[(State::Skipped, Want::Up, 0)]).verdict(Goal::Up), Verdict::Unsure);
        assert_eq!(
            progress(&[(State::Failed, Want::Down, 1), (State::Failed, Want::Up, 2)]).verdict(Goal::Up),
            Verdict::Failed
        );
    }

    #[test]
    fn a_run_that_was_asked_for_once_may_be_over_by_now() {
        let down = (State::Down, Want::Down, 1);
        assert_eq!(progress(&[down]).verdict(Goal::Once), Verdict::Wait);
        assert_eq!(progress(&[down, (State::Down, Want::Down, 2)]).verdict(Goal::Once), Verdict::Met);
        assert_eq!(progress(&[down, (State::Up, Want::Once, 2)]).verdict(Goal::Once), Verdict::Met);
        assert_eq!(progress(&[down, (State::Failed, Want::Once, 2)]).verdict(Goal::Once), Verdict::Failed);
    }

    #[test]
    fn a_stop_is_met_when_nothing_runs() {
        let stopping = (State::Stopping, Want::Down, 1);
        assert_eq!(progress(&[stopping]).verdict(Goal::Down), Verdict::Wait);
        assert_eq!(progress(&[stopping, (State::Down, Want::Down, 1)]).verdict(Goal::Down), Verdict::Met);
        assert_eq!(progress(&[(State::Failed, Want::Up, 1)]).verdict(Goal::Down), Verdict::Met);
    }
}
