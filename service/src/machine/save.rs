//! What a machine has to remember over the death of its supervisor, as one line of words.
//!
//! Its policy is left out: that comes from the definition. Processes that nobody can watch any more are left
//! out too: what was asked for and not answered is asked for again, and so is a check that was under way.

use super::care::{Care, Check};
use super::phase::{Opening, Phase, Probe, Readiness, StopStep};
use super::policy::ReadyBy;
use super::reload::Reload;
use super::{Machine, Reason};
use crate::backoff::Backoff;
use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::status::Want;
use crate::tick::Tick;
use std::fmt::Write;
use std::str::SplitAsciiWhitespace;
use std::time::Duration;

/// The first word: the version of what follows.
pub(super) const VERSION: &str = "m3";
/// The word for what is not there.
const NONE: &str = "-";
/// The word for a command that ran.
const RUNNING: &str = "runs";

impl Machine {
    /// All that [`Machine::restore`] needs.
    #[must_use]
    pub fn save(&self) -> String {
        let mut out = Words(String::with_capacity(160));
        out.word(VERSION);
        out.word(self.want.word());
        out.phase(self.phase);
        out.word(self.reason.word());
        out.flag(self.start_again && !planted!(machine::SavedByHalves));
        out.flag(self.exiting);
        out.number(self.since.0);
        out.number(self.started.0);
        out.option(self.ready_since);
        out.number(self.starts.into());
        out.exit(self.last_exit);
        out.care(&self.care);
        out.backoff(&self.backoff);
        out.0
    }

    /// Becomes the machine that `text` was saved from. Ticks are of one boot, so `text` has to be, too. False,
    /// and nothing has changed, if it is not such a text. What has to happen at once is due at `now`: call
    /// with [`Event::Tick`](super::Event::Tick) when [`Machine::deadline`] says so, as ever.
    pub fn restore(&mut self, now: Tick, text: &str) -> bool {
        match self.restored(now, text) {
            Some(machine) => {
                *self = machine;
                true
            }
            None => false,
        }
    }

    fn restored(&self, now: Tick, text: &str) -> Option<Machine> {
        let mut words = Saved(text.split_ascii_whitespace());
        if words.next()? != VERSION {
            return None;
        }
        let machine = Machine {
            policy: self.policy,
            want: Want::parse(words.next()?)?,
            phase: words.phase()?,
            reason: Reason::parse(words.next()?)?,
            start_again: words.flag()?,
            exiting: words.flag()?,
            since: words.tick()?,
            started: words.tick()?,
            ready_since: words.option()?,
            starts: words.number()?,
            last_exit: words.exit()?,
            care: words.care()?,
            backoff: words.backoff()?,
        };
        words.0.next().is_none().then(|| machine.resumed(now))
    }

    /// What was asked of a supervisor that is gone is asked for again, by a deadline that is due; and where the
    /// definition has another kind of care now, that counts.
    fn resumed(mut self, now: Tick) -> Machine {
        match &mut self.phase {
            phase @ (Phase::Preparing { .. } | Phase::Spawning) => *phase = Phase::Waiting { until: now },
            Phase::Listening(opening) => *opening = Some(Opening::Again),
            Phase::Finishing { pid: None, deadline, .. } | Phase::Undoing { pid: None, deadline } => {
                *deadline = Some(now);
            }
            // Without a down command there is nothing left to do for a oneshot, but to run it again.
            phase @ Phase::Done if self.policy.oneshot && !self.policy.undo => *phase = Phase::Down,
            Phase::Running { readiness, .. } => {
                *readiness = resumed_readiness(now, self.policy.ready_by, *readiness);
                let ready = *readiness == Readiness::Ready && !self.policy.oneshot;
                self.resume_care(now, ready);
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. }
            | Phase::Done
            | Phase::Failed => {}
        }
        self
    }

    fn resume_care(&mut self, now: Tick, ready: bool) {
        if ready && self.ready_since.is_none() {
            self.ready_since = Some(now);
        }
        // Nobody noted when the watchdog was last heard of, nor hears a command's end that began before.
        self.care.watchdog = self.policy.watchdog.filter(|_| ready).map(|period| now.after(period));
        self.care.check = match (self.policy.health.filter(|_| ready), self.care.check) {
            (None, _) => Check::None,
            (Some(_), Check::None) => self.next_check(now),
            (Some(_), Check::Running(_)) => Check::Again(now),
            (Some(_), again @ Check::Again(_)) => again,
        };
        if let Some(Reload::ByCommand { .. }) = self.care.reload {
            self.care.reload = None;
            self.reason = Reason::ReloadFailed;
        }
    }
}

fn resumed_readiness(now: Tick, by: ReadyBy, saved: Readiness) -> Readiness {
    match (by, saved) {
        (ReadyBy::Running, _) | (_, Readiness::Ready) => Readiness::Ready,
        (ReadyBy::Message, Readiness::Pending { overdue, .. }) => {
            Readiness::Pending { overdue, probe: Probe::None }
        }
        (ReadyBy::Probe { .. }, Readiness::Pending { overdue, probe: probe @ Probe::Again(_) }) => {
            Readiness::Pending { overdue, probe }
        }
        (ReadyBy::Probe { .. }, Readiness::Pending { overdue, .. }) => {
            Readiness::Pending { overdue, probe: Probe::Again(now) }
        }
    }
}

/// Every reason, and the word for it.
const REASONS: [(Reason, &str); 14] = [
    (Reason::None, "none"),
    (Reason::SpawnFailed, "spawn-failed"),
    (Reason::PrepareFailed, "prepare-failed"),
    (Reason::PrepareTimedOut, "prepare-timed-out"),
    (Reason::Died, "died"),
    (Reason::GaveUp, "gave-up"),
    (Reason::Permanent, "permanent"),
    (Reason::TimedOut, "timed-out"),
    (Reason::Overdue, "overdue"),
    (Reason::Unhealthy, "unhealthy"),
    (Reason::Watchdog, "watchdog"),
    (Reason::ReloadFailed, "reload-failed"),
    (Reason::ReloadOverdue, "reload-overdue"),
    (Reason::DownFailed, "down-failed"),
];

/// Every step of a stop, and the word for it.
const STEPS: [(StopStep, &str); 5] = [
    (StopStep::Own, "own"),
    (StopStep::Abort, "abort"),
    (StopStep::Halt, "halt"),
    (StopStep::Stop, "stop"),
    (StopStep::Kill, "kill"),
];

impl Reason {
    fn word(self) -> &'static str {
        REASONS.iter().find(|(reason, _)| *reason == self).map_or(NONE, |(_, word)| word)
    }

    fn parse(word: &str) -> Option<Reason> {
        REASONS.iter().find(|(_, candidate)| *candidate == word).map(|(reason, _)| *reason)
    }
}

/// The line as it grows.
struct Words(String);

impl Words {
    fn word(&mut self, word: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(word);
    }

    fn number(&mut self, number: u64) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {number}");
    }

    fn flag(&mut self, holds: bool) {
        self.number(holds.into());
    }

    fn option(&mut self, tick: Option<Tick>) {
        match tick {
            Some(Tick(number)) => self.number(number),
            None => self.word(NONE),
        }
    }

    fn pid(&mut self, pid: Pid) {
        let _ = write!(self.0, " {pid}");
    }

    fn status(&mut self, status: WaitStatus) {
        let _ = match status {
            WaitStatus::Exited(code) => write!(self.0, " exit:{code}"),
            WaitStatus::Signalled { signal, core: false } => write!(self.0, " signal:{}", signal.number()),
            WaitStatus::Signalled { signal, core: true } => write!(self.0, " core:{}", signal.number()),
            WaitStatus::Unknown => write!(self.0, " unknown:0"),
        };
    }

    fn exit(&mut self, exit: Option<(WaitStatus, Tick)>) {
        match exit {
            Some((status, at)) => {
                self.status(status);
                self.number(at.0);
            }
            None => self.word(NONE),
        }
    }

    fn phase(&mut self, phase: Phase) {
        match phase {
            Phase::Down => self.word("down"),
            // What was being prepared is prepared again.
            Phase::Preparing { .. } | Phase::Spawning => self.word("spawning"),
            // What it was opened for is of no interest: it is opened again.
            Phase::Listening(_) => self.word("listening"),
            Phase::Done => self.word("done"),
            Phase::Failed => self.word("failed"),
            Phase::Waiting { until } => {
                self.word("waiting");
                self.number(until.0);
            }
            Phase::Running { pid, readiness } => {
                self.word("running");
                self.pid(pid);
                self.readiness(readiness);
            }
            Phase::Stopping { pid, step, deadline } => {
                self.word("stopping");
                self.pid(pid);
                self.word(STEPS.iter().find(|(known, _)| *known == step).map_or(NONE, |(_, word)| word));
                self.option(deadline);
            }
            Phase::Finishing { died, pid, deadline } => {
                self.word("finishing");
                self.status(died);
                self.script(pid, deadline);
            }
            Phase::Undoing { pid, deadline } => {
                self.word("undoing");
                self.script(pid, deadline);
            }
        }
    }

    fn script(&mut self, pid: Option<Pid>, deadline: Option<Tick>) {
        self.number(pid.map_or(0, |pid| pid.number().unsigned_abs()).into());
        self.option(deadline);
    }

    fn readiness(&mut self, readiness: Readiness) {
        match readiness {
            Readiness::Ready => self.word("ready"),
            Readiness::Pending { overdue, probe } => {
                self.word("pending");
                self.flag(overdue);
                match probe {
                    Probe::None => self.word(NONE),
                    // It will be run again.
                    Probe::Running(_) => self.word(RUNNING),
                    Probe::Again(at) => self.number(at.0),
                }
            }
        }
    }

    fn care(&mut self, care: &Care) {
        self.option(care.paused);
        self.number(u64::try_from(care.rested.as_nanos()).unwrap_or(u64::MAX));
        self.option(care.extended);
        match care.reload {
            None => self.word(NONE),
            Some(Reload::ByCommand { deadline }) => {
                self.word("command");
                self.number(deadline.0);
            }
            Some(Reload::BySelf { deadline }) => {
                self.word("self");
                self.option(deadline);
            }
        }
        match care.check {
            Check::None => self.word(NONE),
            Check::Running(_) => self.word(RUNNING),
            Check::Again(at) => self.number(at.0),
        }
        self.number(care.failures.into());
    }

    fn backoff(&mut self, backoff: &Backoff) {
        self.number(backoff.in_a_row().into());
        for death in backoff.deaths() {
            self.number(death.0);
        }
    }
}

/// The words as they are taken.
struct Saved<'a>(SplitAsciiWhitespace<'a>);

impl<'a> Saved<'a> {
    fn next(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    fn number<T: std::str::FromStr>(&mut self) -> Option<T> {
        self.next()?.parse().ok()
    }

    fn tick(&mut self) -> Option<Tick> {
        self.number().map(Tick)
    }

    fn flag(&mut self) -> Option<bool> {
        match self.next()? {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        }
    }

    fn option(&mut self) -> Option<Option<Tick>> {
        match self.next()? {
            NONE => Some(None),
            word => Some(Some(Tick(word.parse().ok()?))),
        }
    }

    fn pid(&mut self) -> Option<Pid> {
        Pid::new(self.number()?)
    }

    fn exit(&mut self) -> Option<Option<(WaitStatus, Tick)>> {
        match self.next()? {
            NONE => Some(None),
            word => Some(Some((status(word)?, self.tick()?))),
        }
    }

    fn phase(&mut self) -> Option<Phase> {
        Some(match self.next()? {
            "down" => Phase::Down,
            "spawning" => Phase::Spawning,
            "listening" => Phase::Listening(None),
            "done" => Phase::Done,
            "failed" => Phase::Failed,
            "waiting" => Phase::Waiting { until: self.tick()? },
            "running" => Phase::Running { pid: self.pid()?, readiness: self.readiness()? },
            "stopping" => Phase::Stopping { pid: self.pid()?, step: self.step()?, deadline: self.option()? },
            "finishing" => Phase::Finishing {
                died: status(self.next()?)?,
                pid: Pid::new(self.number()?),
                deadline: self.option()?,
            },
            "undoing" => Phase::Undoing { pid: Pid::new(self.number()?), deadline: self.option()? },
            _ => return None,
        })
    }

    fn step(&mut self) -> Option<StopStep> {
        let word = self.next()?;
        STEPS.iter().find(|(_, candidate)| *candidate == word).map(|(step, _)| *step)
    }

    fn readiness(&mut self) -> Option<Readiness> {
        Some(match self.next()? {
            "ready" => Readiness::Ready,
            "pending" => {
                let overdue = self.flag()?;
                let probe = match self.next()? {
                    NONE => Probe::None,
                    RUNNING => Probe::Running(None),
                    word => Probe::Again(Tick(word.parse().ok()?)),
                };
                Readiness::Pending { overdue, probe }
            }
            _ => return None,
        })
    }

    fn care(&mut self) -> Option<Care> {
        Some(Care {
            paused: self.option()?,
            rested: Duration::from_nanos(self.number()?),
            extended: self.option()?,
            reload: match self.next()? {
                NONE => None,
                "command" => Some(Reload::ByCommand { deadline: self.tick()? }),
                "self" => Some(Reload::BySelf { deadline: self.option()? }),
                _ => return None,
            },
            check: match self.next()? {
                NONE => Check::None,
                RUNNING => Check::Running(Tick(0)),
                word => Check::Again(Tick(word.parse().ok()?)),
            },
            failures: self.number()?,
            watchdog: None,
        })
    }

    /// All that is left: the number of deaths in a row, and the times of those that count.
    fn backoff(&mut self) -> Option<Backoff> {
        let in_a_row = self.number()?;
        let mut backoff = Backoff::new();
        backoff.set_in_a_row(in_a_row);
        for word in self.0.by_ref() {
            if !backoff.remember(Tick(word.parse().ok()?)) {
                return None;
            }
        }
        Some(backoff)
    }
}

fn status(word: &str) -> Option<WaitStatus> {
    let (kind, number) = word.split_once(':')?;
    let signal = |core| {
        let signal = Signal::from_number(number.parse().ok()?)?;
        Some(WaitStatus::Signalled { signal, core })
    };
    match kind {
        "exit" => number.parse().ok().map(WaitStatus::Exited),
        "signal" => signal(false),
        "core" => signal(true),
        "unknown" => Some(WaitStatus::Unknown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Definition;
    use crate::machine::Event;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_a_saved_machine_changes_nothing() {
        let definition = Definition::new("service", "/service");
        let mut machine = Machine::new(&definition, Tick(5));
        machine.handle(Tick(6), Event::Start);
        let saved = machine.save();
        for end in 0..saved.len() {
            let cut = saved.get(..end).unwrap();
            if saved.get(end..=end) != Some(" ") {
                let before = machine;
                // A number that was cut short is still one; all else is refused.
                if !machine.restore(Tick(7), cut) {
                    assert_eq!(machine, before);
                }
                machine = before;
            }
        }
        for text in
            ["", "m2", "m3", "m3 up", "m3 up down none 0 0 1 1 - 1 - - 0 - - - 0 0 x", &format!("m2 {saved}")]
        {
            let before = machine;
            assert!(!machine.restore(Tick(7), text), "{text}");
            assert_eq!(machine, before);
        }
    }

    proptest! {
        #[test]
        fn no_text_at_all_brings_a_machine_down(words in proptest::collection::vec("[a-z0-9:-]{0,9}", 0..30)) {
            let mut machine = Machine::new(&Definition::new("service", "/service"), Tick(5));
            let text = format!("m3 {}", words.join(" "));
            if machine.restore(Tick(9), &text) {
                machine.handle(Tick(10), Event::Tick);
            }
        }
    }
}
