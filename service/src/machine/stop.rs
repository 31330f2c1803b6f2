//! Stopping a service, step by step; and undoing a oneshot that is done.

use super::care::Care;
use super::phase::{Phase, StopStep};
use super::{Action, Actions, Machine, Reason};
use crate::definition::{Scope, Stop};
use crate::exit::Pid;
use crate::signal::Signal;
use crate::tick::Tick;
use std::time::Duration;

/// How often KILL is repeated for a process that does not die of it: one that hangs in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) fn begin_stop(&mut self, now: Tick, pid: Pid, step: StopStep, actions: &mut Actions) {
        self.end_tasks(actions);
        self.ready_since = None;
        let paused = self.paused();
        self.care = Care::default();
        let Stop { signal, timeout, scope, kill_scope, halt_signal, halt_timeout, .. } = self.policy.stop;
        let (sent, scope, wait) = match step {
            StopStep::Own => (None, scope, timeout),
            StopStep::Abort => (Some((Signal::ABRT, Scope::Main)), scope, timeout),
            // Without a signal it is the end of its input that it is to go by.
            StopStep::Halt => (halt_signal.map(|signal| (signal, Scope::Main)), scope, Some(halt_timeout)),
            StopStep::Stop if planted!(machine::EndlessStop) => (Some((signal, scope)), scope, None),
            StopStep::Stop => (Some((signal, scope)), scope, timeout),
            StopStep::Kill => (Some((Signal::KILL, kill_scope)), kill_scope, Some(KILL_AGAIN)),
        };
        if let Some((signal, scope)) = sent {
            actions.push(Action::Signal(pid, signal, scope));
        }
        // A stopped process hears nothing until it is continued.
        if (sent.is_some() || paused) && !planted!(machine::StopWithoutContinue) {
            actions.push(Action::Signal(pid, Signal::CONT, scope));
        }
        self.phase = Phase::Stopping { pid, step, deadline: wait.map(|wait| now.after(wait)) };
    }

    /// A stop that is asked for while one goes on. Its deadline stays. Only what was sent nothing yet, since it
    /// stops by itself, now hears that this is wanted.
    pub(super) fn stop_already(
        &mut self,
        now: Tick,
        pid: Pid,
        step: StopStep,
        deadline: Option<Tick>,
        actions: &mut Actions,
    ) {
        if planted!(machine::StopPutOff) {
            return self.begin_stop(now, pid, StopStep::Stop, actions);
        }
        if step == StopStep::Own {
            let extended = self.care.extended;
            self.begin_stop(now, pid, StopStep::Stop, actions);
            self.care.extended = extended;
            self.phase = Phase::Stopping { pid, step: StopStep::Stop, deadline };
        }
    }

    /// The service has begun to stop without being asked.
    pub(super) fn told_stopping(&mut self, now: Tick, actions: &mut Actions) {
        if let Phase::Running { pid, .. } = self.phase {
            self.begin_stop(now, pid, StopStep::Own, actions);
        }
    }

    // --- the down command of a oneshot ---

    pub(super) fn begin_undo(&mut self, now: Tick, actions: &mut Actions) {
        let deadline = self.policy.stop.timeout.map(|wait| now.after(wait));
        self.reason = Reason::None;
        self.phase = Phase::Undoing { pid: None, deadline };
        actions.push(Action::SpawnDown);
    }

    pub(super) fn down_spawned(&mut self, now: Tick, pid: Option<Pid>, actions: &mut Actions) {
        if let Phase::Undoing { pid: current @ None, .. } = &mut self.phase {
            *current = pid;
            if pid.is_none() {
                self.undone(now, false, actions);
            }
        }
    }

    /// The down command has ended.
    pub(super) fn undone(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        if self.start_again {
            self.begin_anew(now, actions);
        } else if success {
            self.rest(Phase::Down, Reason::None);
        } else {
            self.rest(Phase::Failed, Reason::DownFailed);
        }
    }

    // --- deadlines ---

    /// When the next step comes, of whatever is being brought to its end.
    pub(super) fn stop_deadline(&self) -> Option<Tick> {
        match self.phase {
            // It has had its time.
            Phase::Stopping { step: StopStep::Kill, deadline, .. }
            | Phase::Finishing { deadline, .. }
            | Phase::Undoing { deadline, .. } => deadline,
            Phase::Stopping { deadline, .. } => deadline.map(|deadline| self.extended(deadline)),
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }

    pub(super) fn stop_due(&mut self, now: Tick, actions: &mut Actions) {
        if self.stop_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        let again = Some(now.after(KILL_AGAIN));
        match self.phase {
            Phase::Stopping { pid, step, .. } => self.begin_stop(now, pid, step.next(), actions),
            Phase::Finishing { died, pid: Some(pid), .. } => {
                actions.push(Action::Signal(pid, Signal::KILL, Scope::Group));
                self.phase = Phase::Finishing { died, pid: Some(pid), deadline: again };
            }
            Phase::Undoing { pid: Some(pid), .. } => {
                actions.push(Action::Signal(pid, Signal::KILL, Scope::Group));
                self.phase = Phase::Undoing { pid: Some(pid), deadline: again };
            }
            // Asked for by a supervisor before this one, which had no answer.
            Phase::Finishing { died, pid: None, .. } => {
                let deadline = self.policy.finish_timeout.map(|wait| now.after(wait));
                self.phase = Phase::Finishing { died, pid: None, deadline };
                actions.push(Action::SpawnFinish(died));
            }
            Phase::Undoing { pid: None, .. } => self.begin_undo(now, actions),
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
}
