//! What time brings.

use super::care::Check;
use super::phase::{Opening, Phase, Readiness, StopStep};
use super::{Actions, Machine, Reason};
use crate::exit::Pid;
use crate::tick::Tick;

impl Machine {
    /// When [`super::Event::Tick`] is due; none if nothing is waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Preparing { deadline } => deadline,
            // Asked for by a supervisor before this one.
            Phase::Listening(Some(Opening::Again)) => Some(self.since),
            Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Undoing { .. } => self.stop_deadline(),
            // Time stands still for it.
            Phase::Running { .. } if self.paused() => None,
            Phase::Running { .. } => {
                let check = match self.care.check {
                    Check::Again(tick) | Check::Running(tick) => Some(tick),
                    Check::None => None,
                };
                let of_its_start = [self.run_deadline(), self.ready_deadline(), self.probe_deadline()];
                let of_its_run = [self.reload_deadline(), self.care.watchdog, check];
                of_its_start.into_iter().chain(of_its_run).flatten().min()
            }
            Phase::Down | Phase::Listening(_) | Phase::Spawning | Phase::Done | Phase::Failed => None,
        }
    }

    pub(super) fn tick(&mut self, now: Tick, actions: &mut Actions) {
        match self.phase {
            Phase::Preparing { deadline: Some(deadline) } if deadline <= now => {
                self.prepare_due(now, actions);
            }
            Phase::Waiting { until } if until <= now => self.begin_again(now, actions),
            Phase::Listening(Some(Opening::Again)) => self.listen(Opening::Again, actions),
            Phase::Running { pid, .. } if !self.paused() => self.tick_running(now, pid, actions),
            Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Undoing { .. } => {
                self.stop_due(now, actions);
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Done
            | Phase::Failed => {}
        }
    }

    /// The first thing that ends the run ends what else there would be to do.
    fn tick_running(&mut self, now: Tick, pid: Pid, actions: &mut Actions) {
        let due = |deadline: Option<Tick>| deadline.is_some_and(|deadline| deadline <= now);
        if due(self.run_deadline()) {
            return self.condemn(now, pid, Reason::TimedOut, StopStep::Stop, actions);
        }
        if due(self.ready_deadline()) {
            if self.policy.restart_when_overdue {
                return self.condemn(now, pid, Reason::TimedOut, StopStep::Stop, actions);
            }
            self.call_overdue();
        }
        if due(self.care.watchdog) {
            return self.watchdog_missed(now, actions);
        }
        self.probe_due(now, actions);
        self.reload_due(now, actions);
        self.check_due(now, actions);
    }

    fn call_overdue(&mut self) {
        if let Phase::Running { readiness: Readiness::Pending { overdue, .. }, .. } = &mut self.phase {
            *overdue = true;
            self.reason = Reason::Overdue;
        }
    }

    /// Until when a oneshot must have ended.
    fn run_deadline(&self) -> Option<Tick> {
        let wait = self.policy.start_timeout?;
        Some(self.extended(self.started.after(wait).after(self.care.rested)))
    }

    /// Until when it must be ready, unless it is known to take longer.
    fn ready_deadline(&self) -> Option<Tick> {
        let Phase::Running { readiness: Readiness::Pending { overdue: false, .. }, .. } = self.phase else {
            return None;
        };
        let wait = self.policy.ready_timeout?;
        Some(self.extended(self.started.after(wait).after(self.care.rested)))
    }
}
