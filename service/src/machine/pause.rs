//! Stopping a service's processes where they are, and letting them go on. Time stands still for them: no
//! deadline of theirs comes meanwhile.

use super::care::Check;
use super::phase::{Phase, Probe, Readiness};
use super::reload::Reload;
use super::{Action, Actions, Machine, Task};
use crate::signal::Signal;
use crate::tick::Tick;

impl Machine {
    /// Whether its processes were stopped where they are.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.care.paused.is_some()
    }

    pub(super) fn pause(&mut self, now: Tick, actions: &mut Actions) {
        let Phase::Running { pid, readiness } = self.phase else { return };
        if self.paused() {
            return;
        }
        // What asks a service that cannot answer would only fail.
        if let Readiness::Pending { overdue, probe: Probe::Running(_) } = readiness {
            actions.push(Action::EndTask(Task::Probe));
            let probe = Probe::Again(now);
            self.phase = Phase::Running { pid, readiness: Readiness::Pending { overdue, probe } };
        }
        if let Check::Running(_) = self.care.check {
            actions.push(Action::EndTask(Task::Health));
        }
        self.care.check = self.paused_check(now);
        self.care.paused = Some(now);
        actions.push(Action::Signal(pid, Signal::STOP, self.policy.stop.scope));
    }

    fn paused_check(&self, now: Tick) -> Check {
        match self.care.check {
            Check::None => Check::None,
            Check::Running(_) | Check::Again(_) => self.next_check(now),
        }
    }

    pub(super) fn go_on(&mut self, now: Tick, actions: &mut Actions) {
        let (Phase::Running { pid, .. } | Phase::Stopping { pid, .. }) = self.phase else { return };
        // Somebody else may have stopped it: CONT does no harm to what runs.
        actions.push(Action::Signal(pid, Signal::CONT, self.policy.stop.scope));
        let Some(since) = self.care.paused.take() else { return };
        let rest = now.since(since);
        self.care.rested = self.care.rested.saturating_add(rest);
        self.care.extended = self.care.extended.map(|tick| tick.after(rest));
        match &mut self.care.reload {
            Some(Reload::ByCommand { deadline } | Reload::BySelf { deadline: Some(deadline) }) => {
                *deadline = deadline.after(rest);
            }
            Some(Reload::BySelf { deadline: None }) | None => {}
        }
        self.care.check = self.paused_check(now);
        self.watchdog_heard(now);
    }
}
