//! Readiness, and everything else that time brings.

use super::phase::{Phase, Probe, Readiness, StopStep};
use super::{Action, Actions, KILL_AGAIN, Machine, Reason};
use crate::definition::Scope;
use crate::exit::Pid;
use crate::signal::Signal;
use crate::tick::Tick;

impl Machine {
    pub(super) fn became_ready(&mut self, now: Tick, actions: &mut Actions) {
        if let Phase::Running { pid, readiness: Readiness::Pending { .. } } = self.phase {
            self.end_probe(actions);
            self.phase = Phase::Running { pid, readiness: Readiness::Ready };
            self.reason = Reason::None;
            self.ready_since = Some(now);
        }
    }

    pub(super) fn probe_ended(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        if let Phase::Running {
            readiness: Readiness::Pending { probe: probe @ Probe::Running, .. }, ..
        } = &mut self.phase
        {
            *probe = Probe::Again(now.after(self.policy.probe_interval));
            if success {
                self.became_ready(now, actions);
            }
        }
    }

    pub(super) fn end_probe(&mut self, actions: &mut Actions) {
        if self.awaits_probe() {
            actions.push(Action::StopProbe);
        }
    }

    pub(super) fn tick(&mut self, now: Tick, actions: &mut Actions) {
        match self.phase {
            Phase::Waiting { until } if until <= now => self.begin(actions),
            Phase::Stopping { pid, step, deadline } if deadline <= now => {
                self.begin_stop(now, pid, step.next(), actions);
            }
            // Asked for by a supervisor before this one, which had no answer.
            Phase::Finishing { died, pid: None, deadline } if deadline <= now => {
                actions.push(Action::SpawnFinish(died));
            }
            Phase::Finishing { died, pid: Some(pid), deadline } if deadline <= now => {
                actions.push(Action::Signal(pid, Signal::KILL, Scope::Group));
                self.phase = Phase::Finishing { died, pid: Some(pid), deadline: now.after(KILL_AGAIN) };
            }
            Phase::Running { pid, readiness } => self.tick_running(now, pid, readiness, actions),
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Spawning
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Done
            | Phase::Failed => {}
        }
    }

    fn tick_running(&mut self, now: Tick, pid: Pid, readiness: Readiness, actions: &mut Actions) {
        if self.run_deadline().is_some_and(|deadline| deadline <= now) {
            self.reason = Reason::TimedOut;
            return self.begin_stop(now, pid, StopStep::Stop, actions);
        }
        let Readiness::Pending { overdue, probe } = readiness else { return };
        if !overdue && self.ready_deadline().is_some_and(|deadline| deadline <= now) {
            if self.policy.restart_when_overdue {
                self.reason = Reason::TimedOut;
                return self.begin_stop(now, pid, StopStep::Stop, actions);
            }
            self.reason = Reason::Overdue;
            self.phase = Phase::Running { pid, readiness: Readiness::Pending { overdue: true, probe } };
        }
        if let Probe::Again(at) = probe
            && at <= now
        {
            let overdue = self.reason == Reason::Overdue;
            self.phase =
                Phase::Running { pid, readiness: Readiness::Pending { overdue, probe: Probe::Running } };
            actions.push(Action::StartProbe);
        }
    }

    fn run_deadline(&self) -> Option<Tick> {
        self.policy.start_timeout.filter(|_| self.policy.oneshot).map(|wait| self.started.after(wait))
    }

    fn ready_deadline(&self) -> Option<Tick> {
        self.policy.ready_timeout.map(|wait| self.started.after(wait))
    }

    /// When [`Event::Tick`] is due; none if nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Waiting { until: deadline }
            | Phase::Stopping { deadline, .. }
            | Phase::Finishing { deadline, .. } => Some(deadline),
            Phase::Running { readiness: Readiness::Pending { overdue, probe }, .. } => {
                let ready = self.ready_deadline().filter(|_| !overdue);
                let again = match probe {
                    Probe::Again(at) => Some(at),
                    Probe::None | Probe::Running => None,
                };
                [ready, again, self.run_deadline()].into_iter().flatten().min()
            }
            Phase::Running { readiness: Readiness::Immediate | Readiness::Ready, .. } => self.run_deadline(),
            Phase::Down | Phase::Spawning | Phase::Done | Phase::Failed => None,
        }
    }
}
