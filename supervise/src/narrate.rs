//! What the supervisor tells in the service's log, and the reason it gives in the status.

use service::machine::{Machine, Reason};
use service::status::{State, Want};
use service::{Tick, WaitStatus};
use std::time::Duration;

/// What is said of a start that took too long to prepare.
pub(crate) const UNPREPARED_IN_TIME: &str = "unable to prepare its start: took too long";

/// A time span as people read it.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..=59 => format!("{seconds}.{} s", duration.subsec_millis() / 100),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..=86_399 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// What happens next, for the end of a message.
fn next(machine: &Machine, now: Tick) -> String {
    match machine.state() {
        State::Backoff => {
            let wait = machine.next_start().map_or(Duration::ZERO, |at| at.since(now));
            if wait.is_zero() {
                "restarting at once".to_owned()
            } else {
                format!("restarting in {}", span(wait))
            }
        }
        State::Starting | State::Up => "restarting at once".to_owned(),
        State::Listening => "starting it again when somebody connects".to_owned(),
        State::Failed => "giving up".to_owned(),
        State::Finishing => "running its finish script".to_owned(),
        State::Down | State::Blocked | State::Stopping | State::Done | State::Skipped | State::Invalid => {
            "leaving it down".to_owned()
        }
    }
}

/// The line for a death that nobody asked for; none for one that was.
pub(crate) fn death(machine: &Machine, end: &str, uptime: Duration, now: Tick) -> Option<String> {
    if machine.want() == Want::Down || machine.state() == State::Done || idle(machine) {
        return None;
    }
    Some(format!("warning: {end} after {} ({})", span(uptime), next(machine, now)))
}

/// Whether it had nothing to do, and is started again when it has.
fn idle(machine: &Machine) -> bool {
    machine.state() == State::Listening && machine.last_exit().is_some_and(|(status, _)| status.success())
}

/// What stands before the reason of the last of many failed starts.
pub(crate) const NEVER_STARTED: &str = "gave up after too many failed starts: ";

/// The line for a start that failed.
pub(crate) fn spawn_failure(machine: &Machine, problem: &str, now: Tick) -> String {
    format!("warning: {problem} ({})", next(machine, now))
}

/// The line for what is wrong with a service that runs, when that is new.
pub(crate) fn trouble(machine: &Machine, before: Reason) -> Option<String> {
    let reason = machine.reason();
    let next = match reason {
        Reason::TimedOut | Reason::Unhealthy | Reason::Watchdog if machine.state() == State::Stopping => {
            "stopping it"
        }
        Reason::Unhealthy | Reason::Overdue | Reason::ReloadOverdue | Reason::ReloadFailed => "leaving it so",
        Reason::TimedOut
        | Reason::Watchdog
        | Reason::None
        | Reason::SpawnFailed
        | Reason::PrepareFailed
        | Reason::PrepareTimedOut
        | Reason::Died
        | Reason::GaveUp
        | Reason::Permanent
        | Reason::DownFailed => return None,
    };
    (reason != before).then(|| format!("warning: {} ({next})", self::reason(machine, "", false)))
}

/// How a run has ended.
pub(crate) fn end(status: WaitStatus, starved: bool) -> String {
    if starved { "killed for want of memory".to_owned() } else { format!("ended with {status}") }
}

/// The reason in the status file. `problem` is that of the last start, if it failed; `starved` is whether the last run ended
/// for want of memory.
pub(crate) fn reason(machine: &Machine, problem: &str, starved: bool) -> String {
    let last = || machine.last_exit().map(|(status, _)| end(status, starved)).unwrap_or_default();
    match machine.reason() {
        Reason::None => String::new(),
        Reason::SpawnFailed | Reason::PrepareFailed => problem.to_owned(),
        Reason::PrepareTimedOut => UNPREPARED_IN_TIME.to_owned(),
        Reason::Died => last(),
        Reason::GaveUp if !problem.is_empty() => format!("{NEVER_STARTED}{problem}"),
        Reason::GaveUp => format!("gave up after too many deaths, the last {}", last()),
        Reason::Permanent => format!("its finish script declared a permanent failure after it {}", last()),
        Reason::TimedOut => "took too long".to_owned(),
        Reason::Overdue => "takes longer to become ready than it should".to_owned(),
        Reason::Unhealthy => "its health checks fail".to_owned(),
        Reason::Watchdog => "its watchdog was not heard of in time".to_owned(),
        Reason::ReloadFailed => "its last reload failed".to_owned(),
        Reason::ReloadOverdue => "takes longer to reload than it should".to_owned(),
        Reason::DownFailed => "its down command failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_short_at_every_length() {
        for (seconds, text) in
            [(0.25, "250 ms"), (12.34, "12.3 s"), (125.0, "2 min 5 s"), (7260.0, "2 h 1 min")]
        {
            assert_eq!(span(Duration::from_secs_f64(seconds)), text);
        }
        assert_eq!(span(Duration::from_secs(90_000)), "1 d 1 h");
    }
}
