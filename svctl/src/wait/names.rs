//! Waiting for services, which may not have been started yet.

use crate::args::Places;
use crate::compile::units::show;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::reports::{Next, Reports};
use service::status::{State, Want};
use service::wire::Report;
use std::time::{Duration, Instant};

/// The pause between two looks for the plan while the machine comes up.
const PAUSE: Duration = Duration::from_millis(20);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// That it runs, ready or not.
    Up,
    /// That it is ready.
    Ready,
    /// That nothing of it runs, nor will by itself.
    Down,
    /// That it has done its work.
    Done,
}

/// What a report says about an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Wait,
    Met,
    Hopeless,
}

/// One service.
struct Awaited {
    name: String,
    verdict: Verdict,
    /// What was heard last.
    stands: String,
    /// Whether it has been seen to run, so that being down is to have ended.
    ran: bool,
}

impl Awaited {
    fn take(&mut self, aim: Aim, report: &Report<'_>) {
        let Report { state, want, .. } = *report;
        self.ran |= report.pid.is_some();
        self.verdict = judge(aim, state, want, self.ran);
        let reason = if report.reason.is_empty() { String::new() } else { format!(": {}", report.reason) };
        let pid = report.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        self.stands = format!("{}{pid}{reason}", state.word());
    }
}

/// What dies is started again, and what is down may be started by somebody: that is waited for. What has
/// failed, cannot be started, or is passed over by its conditions, needs somebody to do something first.
fn judge(aim: Aim, state: State, want: Want, ran: bool) -> Verdict {
    match (aim, state) {
        (Aim::Up, State::Starting | State::Listening | State::Up | State::Done)
        | (Aim::Ready, State::Listening | State::Up | State::Done)
        | (Aim::Down, State::Failed | State::Invalid | State::Skipped)
        | (Aim::Done, State::Done) => Verdict::Met,
        (Aim::Down, State::Down) if want == Want::Down => Verdict::Met,
        (Aim::Done, State::Down) if ran && want == Want::Down => Verdict::Met,
        (Aim::Up | Aim::Ready | Aim::Done, State::Failed | State::Invalid | State::Skipped) => {
            Verdict::Hopeless
        }
        (_, _) => Verdict::Wait,
    }
}

/// Waits until every one of these services is there, or one never will be.
///
/// # Errors
/// If a name is unknown, or init cannot be reached.
pub fn names(places: &Places, names: &[String], aim: Aim, timeout: Duration) -> Result<Exit, Failure> {
    let deadline = Instant::now() + timeout;
    // Subscribed first: what changes between a look and the subscription would be lost.
    let mut reports = Reports::open(&places.run)?;
    let plan = plan(places, deadline);
    let mut awaited: Vec<Awaited> = Vec::new();
    for name in names {
        if !plan.knows(&places.run, name) {
            return Err(plan.no_such(name));
        }
        for name in plan.members(name) {
            let stands = "nothing has been heard of it".to_owned();
            awaited.push(Awaited { name, verdict: Verdict::Wait, stands, ran: false });
        }
    }
    loop {
        if let Some(lost) = awaited.iter().find(|one| one.verdict == Verdict::Hopeless) {
            return Err(Failure::new(Exit::Failed, format!("{}: {}", lost.name, lost.stands)));
        }
        if awaited.iter().all(|one| one.verdict == Verdict::Met) {
            return Ok(Exit::Ok);
        }
        match reports.next(Some(deadline))? {
            Next::Report(line) => {
                if let Some(report) = Report::parse(&line) {
                    let same = |one: &&mut Awaited| one.name == report.name;
                    awaited.iter_mut().filter(same).for_each(|one| one.take(aim, &report));
                }
            }
            Next::Again => {}
            Next::TimedOut => {
                for late in awaited.iter().filter(|one| one.verdict == Verdict::Wait) {
                    let after = show(timeout);
                    output::complain(&format!(
                        "svctl: {}: timed out after {after}: still {}",
                        late.name, late.stands
                    ));
                }
                return Ok(Exit::TimedOut);
            }
        }
    }
}

/// Init listens before the definitions are compiled: until then no name is known.
fn plan(places: &Places, deadline: Instant) -> Plan {
    loop {
        let plan = Plan::read(&places.run);
        if !plan.entries.is_empty() || Instant::now() >= deadline || places.run.join("init/plan").exists() {
            return plan;
        }
        std::thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_still_come_is_waited_for_and_what_cannot_is_not() {
        use Verdict::{Hopeless, Met, Wait};
        for (aim, state, want, ran, expected) in [
            (Aim::Up, State::Starting, Want::Up, true, Met),
            (Aim::Ready, State::Starting, Want::Up, true, Wait),
            (Aim::Ready, State::Backoff, Want::Up, false, Wait),
            (Aim::Ready, State::Down, Want::Down, false, Wait),
            (Aim::Ready, State::Failed, Want::Up, false, Hopeless),
            (Aim::Ready, State::Invalid, Want::Up, false, Hopeless),
            (Aim::Down, State::Down, Want::Up, false, Wait),
            (Aim::Down, State::Down, Want::Down, false, Met),
            (Aim::Down, State::Backoff, Want::Up, false, Wait),
            (Aim::Down, State::Done, Want::Up, false, Wait),
            (Aim::Done, State::Done, Want::Up, false, Met),
            (Aim::Done, State::Down, Want::Down, false, Wait),
            (Aim::Done, State::Down, Want::Down, true, Met),
            (Aim::Done, State::Up, Want::Once, true, Wait),
        ] {
            assert_eq!(judge(aim, state, want, ran), expected, "{aim:?} {state:?} {want:?} {ran}");
        }
    }
}
