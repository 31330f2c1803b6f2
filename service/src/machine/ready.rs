//! Readiness: told by the service, or found out by a command.

use super::phase::{Phase, Probe, Readiness};
use super::policy::ReadyBy;
use super::{Action, Actions, Machine, Reason, Task};
use crate::tick::Tick;
use std::time::Duration;

impl Machine {
    /// How ready a process is that has just been started. The first probe is due at once.
    pub(super) fn first_readiness(&self, now: Tick) -> Readiness {
        match self.policy.ready_by {
            ReadyBy::Running => Readiness::Ready,
            ReadyBy::Message => Readiness::Pending { overdue: false, probe: Probe::None },
            ReadyBy::Probe { .. } => Readiness::Pending { overdue: false, probe: Probe::Again(now) },
        }
    }

    pub(super) fn told_ready(&mut self, now: Tick, actions: &mut Actions) {
        self.became_ready(now, actions);
        self.reloaded();
    }

    fn became_ready(&mut self, now: Tick, actions: &mut Actions) {
        if let Phase::Running { pid, readiness: Readiness::Pending { .. } } = self.phase {
            self.end_tasks(actions);
            self.phase = Phase::Running { pid, readiness: Readiness::Ready };
            self.reason = Reason::None;
            self.care.extended = None;
            if !self.policy.oneshot {
                self.ready_since = Some(now);
                self.begin_care(now);
            }
        }
    }

    pub(super) fn probe_ended(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        let ReadyBy::Probe { interval, .. } = self.policy.ready_by else { return };
        if let Phase::Running {
            readiness: Readiness::Pending { probe: probe @ Probe::Running(_), .. }, ..
        } = &mut self.phase
        {
            *probe = Probe::Again(now.after(interval));
            if success {
                self.became_ready(now, actions);
            }
        }
    }

    /// Starts the readiness command, or ends one that hangs, if it is time.
    pub(super) fn probe_due(&mut self, now: Tick, actions: &mut Actions) {
        let (
            Phase::Running { readiness: Readiness::Pending { probe, .. }, .. },
            ReadyBy::Probe { interval, timeout },
        ) = (&mut self.phase, self.policy.ready_by)
        else {
            return;
        };
        match *probe {
            Probe::Again(at) if at <= now => {
                *probe = Probe::Running(timeout.map(|wait| now.after(wait)));
                actions.push(Action::StartTask(Task::Probe));
            }
            Probe::Running(Some(until)) if until <= now => {
                // Not at once, or a command that always hangs would be a loop.
                *probe = Probe::Again(now.after(interval.max(Duration::from_millis(1))));
                actions.push(Action::EndTask(Task::Probe));
            }
            Probe::None | Probe::Again(_) | Probe::Running(_) => {}
        }
    }

    pub(super) fn probe_deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Running { readiness: Readiness::Pending { probe, .. }, .. } => match probe {
                Probe::Again(at) => Some(at),
                Probe::Running(until) => until,
                Probe::None => None,
            },
            Phase::Running { readiness: Readiness::Ready, .. }
            | Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }
}
