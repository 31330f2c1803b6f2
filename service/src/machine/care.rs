//! What goes on beside a main process that runs: health checks, the watchdog, and what a service asks of the
//! deadlines that it is under.

use super::phase::{Phase, Probe, Readiness, StopStep};
use super::reload::Reload;
use super::{Action, Actions, Machine, Reason, Task};
use crate::exit::Pid;
use crate::tick::Tick;
use std::time::Duration;

/// All of that. It begins with a run and ends with it, so that a new run inherits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Care {
    /// Since when its processes are stopped where they are.
    pub(super) paused: Option<Tick>,
    /// How long they were before: deadlines that count from the start come as much later.
    pub(super) rested: Duration,
    /// The time that the service has asked for; no deadline of its own comes before.
    pub(super) extended: Option<Tick>,
    pub(super) reload: Option<Reload>,
    pub(super) check: Check,
    /// How many checks in a row have failed.
    pub(super) failures: u32,
    /// When the watchdog must have been heard of again.
    pub(super) watchdog: Option<Tick>,
}

/// The command that finds out whether a service still does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Check {
    /// There is none.
    #[default]
    None,
    /// It runs, and is killed at a deadline.
    Running(Tick),
    /// It is run then.
    Again(Tick),
}

impl Machine {
    /// The service is ready: from now on it is looked after.
    pub(super) fn begin_care(&mut self, now: Tick) {
        self.care.check = self.next_check(now);
        self.care.watchdog = self.policy.watchdog.map(|period| now.after(period));
    }

    pub(super) fn next_check(&self, now: Tick) -> Check {
        self.policy.health.map_or(Check::None, |checks| Check::Again(now.after(checks.interval)))
    }

    /// The commands beside the service end with it.
    pub(super) fn end_tasks(&mut self, actions: &mut Actions) {
        let probing = matches!(
            self.phase,
            Phase::Running { readiness: Readiness::Pending { probe: Probe::Running(_), .. }, .. }
        );
        let checking = matches!(self.care.check, Check::Running(_));
        let reloading = matches!(self.care.reload, Some(Reload::ByCommand { .. }));
        let tasks = [(probing, Task::Probe), (checking, Task::Health), (reloading, Task::Reload)];
        for (_, task) in tasks.into_iter().filter(|(runs, _)| *runs && !planted!(machine::TaskLeftBehind)) {
            actions.push(Action::EndTask(task));
        }
    }

    // --- health ---

    pub(super) fn check_due(&mut self, now: Tick, actions: &mut Actions) {
        let Some(checks) = self.policy.health else { return };
        match self.care.check {
            Check::Again(at) if at <= now => {
                self.care.check = Check::Running(now.after(checks.timeout));
                actions.push(Action::StartTask(Task::Health));
            }
            Check::Running(until) if until <= now => {
                actions.push(Action::EndTask(Task::Health));
                self.checked(now, false, actions);
            }
            Check::None | Check::Again(_) | Check::Running(_) => {}
        }
    }

    pub(super) fn check_ended(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        if matches!(self.care.check, Check::Running(_)) {
            self.checked(now, success, actions);
        }
    }

    fn checked(&mut self, now: Tick, success: bool, actions: &mut Actions) {
        let (Some(checks), Phase::Running { pid, .. }) = (self.policy.health, self.phase) else { return };
        self.care.check = self.next_check(now);
        if success {
            self.care.failures = 0;
            self.explained(Reason::Unhealthy);
            return;
        }
        self.care.failures = self.care.failures.saturating_add(1);
        if self.care.failures < checks.threshold {
            return;
        }
        self.reason = Reason::Unhealthy;
        if checks.restart {
            self.begin_stop(now, pid, StopStep::Stop, actions);
        }
    }

    /// What `reason` explained is over.
    pub(super) fn explained(&mut self, reason: Reason) {
        if self.reason == reason {
            self.reason = Reason::None;
        }
    }

    // --- the watchdog ---

    pub(super) fn watchdog_heard(&mut self, now: Tick) {
        if self.care.watchdog.is_some() {
            self.care.watchdog = self.policy.watchdog.map(|period| now.after(period));
        }
    }

    /// ABRT, so that it leaves a core that tells what it was doing.
    pub(super) fn watchdog_missed(&mut self, now: Tick, actions: &mut Actions) {
        if let Phase::Running { pid, .. } = self.phase {
            self.condemn(now, pid, Reason::Watchdog, StopStep::Abort, actions);
        }
    }

    /// It has to go, whatever is wanted; its death counts as a failure, whatever its status.
    pub(super) fn condemn(
        &mut self,
        now: Tick,
        pid: Pid,
        reason: Reason,
        step: StopStep,
        actions: &mut Actions,
    ) {
        self.reason = reason;
        self.begin_stop(now, pid, step, actions);
    }

    // --- deadlines ---

    /// The service needs more time for what it is doing. The deadline that it has stays if that is later
    /// (sd_notify(3)).
    pub(super) fn extend(&mut self, now: Tick, by: Duration) {
        // One that has been sent KILL has had its time.
        let killed = matches!(self.phase, Phase::Stopping { step: StopStep::Kill, .. });
        if self.pid().is_some() && !killed {
            self.care.extended = Some(now.after(by));
        }
    }

    /// A deadline of the service's own, with the time that it has asked for.
    pub(super) fn extended(&self, deadline: Tick) -> Tick {
        self.care.extended.map_or(deadline, |extended| extended.max(deadline))
    }
}
