//! What is done before each start: a command that makes what the process runs in. It is nobody's but this machine's: a
//! supervisor that is killed takes it along, and the one after it begins anew.

use super::phase::Phase;
use super::{Action, Actions, Machine, Reason, Task};
use crate::signal::Signal;
use crate::tick::Tick;

impl Machine {
    /// Whether what the process runs in is being made.
    #[must_use]
    pub fn preparing(&self) -> bool {
        matches!(self.phase, Phase::Preparing { .. })
    }

    /// What was prepared says by which signal the service is stopped.
    pub fn stop_by(&mut self, signal: Signal) {
        self.policy.stop.signal = signal;
    }

    pub(super) fn begin_prepare(&mut self, now: Tick, actions: &mut Actions) {
        let deadline = self.policy.prepare_timeout.map(|wait| now.after(wait));
        self.phase = Phase::Preparing { deadline };
        actions.push(Action::StartTask(Task::Prepare));
    }

    pub(super) fn prepare_ended(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        if !self.preparing() {
            return;
        }
        if success || planted!(machine::UnpreparedStart) {
            self.spawn(actions);
        } else {
            self.not_prepared(now, Reason::PrepareFailed, actions);
        }
    }

    /// It has taken too long.
    pub(super) fn prepare_due(&mut self, now: Tick, actions: &mut Actions) {
        actions.push(Action::EndTask(Task::Prepare));
        self.not_prepared(now, Reason::PrepareTimedOut, actions);
    }

    /// A start that has failed before there was a process.
    fn not_prepared(&mut self, now: Tick, reason: Reason, actions: &mut Actions) {
        self.reason = reason;
        self.started = now;
        self.after_failure(now, actions);
    }

    /// Nothing is to be started after all.
    pub(super) fn stop_preparing(&mut self, actions: &mut Actions) {
        if !planted!(machine::PrepareLeftBehind) {
            actions.push(Action::EndTask(Task::Prepare));
        }
        self.rest(Phase::Down, Reason::None);
    }
}
