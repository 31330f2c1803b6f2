//! Having a service reload its configuration: by a signal, by a command, or when it says so itself.

use super::phase::{Phase, Readiness};
use super::{Action, Actions, Machine, Reason, Task};
use crate::definition::Scope;
use crate::tick::Tick;

/// A reload that goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reload {
    /// The command runs, and is killed at the deadline.
    ByCommand { deadline: Tick },
    /// The service said so, and is to say when it is ready again. None once it is known to take too long.
    BySelf { deadline: Option<Tick> },
}

impl Machine {
    /// Whether it can be asked to reload: it is ready, and does not do so already.
    #[must_use]
    pub fn may_reload(&self) -> bool {
        self.ready_to_reload() && !matches!(self.care.reload, Some(Reload::ByCommand { .. }))
    }

    fn ready_to_reload(&self) -> bool {
        matches!(self.phase, Phase::Running { readiness: Readiness::Ready, .. })
    }

    pub(super) fn reload(&mut self, now: Tick, actions: &mut Actions) {
        let Phase::Running { pid, .. } = self.phase else { return };
        if !self.may_reload() {
            return;
        }
        if self.policy.reload_by_command {
            self.care.reload = Some(Reload::ByCommand { deadline: now.after(self.policy.reload_timeout) });
            self.care.extended = None;
            actions.push(Action::StartTask(Task::Reload));
        } else {
            actions.push(Action::Signal(pid, self.policy.stop.reload_signal, Scope::Main));
        }
    }

    pub(super) fn told_reloading(&mut self, now: Tick) {
        if self.may_reload() {
            let deadline = Some(now.after(self.policy.reload_timeout));
            self.care.reload = Some(Reload::BySelf { deadline });
            self.care.extended = None;
        }
    }

    pub(super) fn reload_ended(&mut self, success: bool) {
        if let Some(Reload::ByCommand { .. }) = self.care.reload {
            self.end_reload();
            self.reason = if success { Reason::None } else { Reason::ReloadFailed };
        }
    }

    /// The service says that it is ready again.
    pub(super) fn reloaded(&mut self) {
        if let Some(Reload::BySelf { .. }) = self.care.reload {
            self.end_reload();
            self.explained(Reason::ReloadOverdue);
            self.explained(Reason::ReloadFailed);
        }
    }

    fn end_reload(&mut self) {
        self.care.reload = None;
        self.care.extended = None;
    }

    pub(super) fn reload_deadline(&self) -> Option<Tick> {
        match self.care.reload? {
            Reload::ByCommand { deadline } | Reload::BySelf { deadline: Some(deadline) } => {
                Some(self.extended(deadline))
            }
            Reload::BySelf { deadline: None } => None,
        }
    }

    pub(super) fn reload_due(&mut self, now: Tick, actions: &mut Actions) {
        if self.reload_deadline().is_none_or(|deadline| deadline > now) {
            return;
        }
        if let Some(Reload::ByCommand { .. }) = self.care.reload {
            actions.push(Action::EndTask(Task::Reload));
            self.end_reload();
            self.reason = Reason::ReloadFailed;
        } else {
            self.care.reload = Some(Reload::BySelf { deadline: None });
            self.reason = Reason::ReloadOverdue;
        }
    }
}
