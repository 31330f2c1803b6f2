//! The life of the main process, and what follows its death.

use super::care::Care;
use super::phase::{Opening, Phase, Readiness, StopStep};
use super::{Action, Actions, Machine, Reason};
use crate::backoff::{Backoff, Verdict};
use crate::definition::RestartWhen;
use crate::exit::{Pid, WaitStatus};
use crate::status::Want;
use crate::tick::Tick;

/// The exit code by which a finish script declares that restarting is of no use (s6's servicedir contract).
const PERMANENT_FAILURE: WaitStatus = WaitStatus::Exited(125);

impl Machine {
    /// A service whose main process runs already: a supervisor before this one started it at `started`.
    /// `ready_since` tells whether it is known to be ready.
    pub fn adopt(
        &mut self,
        now: Tick,
        pid: Pid,
        want: Want,
        started: Tick,
        ready_since: Option<Tick>,
        starts: u32,
    ) {
        let readiness = if ready_since.is_some() { Readiness::Ready } else { self.first_readiness(now) };
        self.want = want;
        self.phase = Phase::Running { pid, readiness };
        self.since = ready_since.unwrap_or(now);
        self.started = started;
        self.ready_since = ready_since;
        self.starts = starts;
        self.care = Care::default();
        if ready_since.is_some() {
            self.begin_care(now);
        }
    }

    /// A start that somebody asked for: what went wrong before is forgotten.
    pub(super) fn begin_anew(&mut self, now: Tick, actions: &mut Actions) {
        self.backoff = Backoff::new();
        self.begin(now, actions);
    }

    pub(super) fn begin(&mut self, now: Tick, actions: &mut Actions) {
        self.start_again = false;
        if self.policy.prepares {
            self.begin_prepare(now, actions);
        } else {
            self.spawn(actions);
        }
    }

    pub(super) fn spawn(&mut self, actions: &mut Actions) {
        self.phase = Phase::Spawning;
        actions.push(Action::Spawn);
    }

    pub(super) fn spawned(&mut self, now: Tick, pid: Pid) {
        if self.phase != Phase::Spawning {
            return;
        }
        self.starts = self.starts.saturating_add(1);
        self.started = now;
        self.reason = Reason::None;
        self.care = Care::default();
        let readiness = self.first_readiness(now);
        self.phase = Phase::Running { pid, readiness };
        self.ready_since = None;
        if readiness == Readiness::Ready && !self.policy.oneshot {
            self.ready_since = Some(now);
            self.begin_care(now);
        }
    }

    pub(super) fn spawn_failed(&mut self, now: Tick, actions: &mut Actions) {
        if planted!(machine::SpawnForgotten) {
            self.phase = Phase::Running { pid: Pid::INIT, readiness: Readiness::Ready };
        }
        if matches!(self.phase, Phase::Spawning | Phase::Listening(Some(_))) {
            self.reason = Reason::SpawnFailed;
            self.started = now;
            self.after_failure(now, actions);
        }
    }

    pub(super) fn died(&mut self, now: Tick, pid: Pid, status: WaitStatus, actions: &mut Actions) {
        match self.phase {
            Phase::Running { pid: main, .. } | Phase::Stopping { pid: main, .. } if main == pid => {
                self.main_died(now, pid, status, actions);
            }
            Phase::Finishing { died, pid: Some(finish), .. } if finish == pid => {
                self.finished(now, died, status, actions);
            }
            Phase::Undoing { pid: Some(command), .. } if command == pid => {
                self.undone(now, status.success(), actions);
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. }
            | Phase::Done
            | Phase::Failed => {}
        }
    }

    fn main_died(&mut self, now: Tick, pid: Pid, status: WaitStatus, actions: &mut Actions) {
        self.end_tasks(actions);
        self.last_exit = Some((status, now));
        if !planted!(machine::ReadyAfterDeath) {
            self.ready_since = None;
        }
        if matches!(self.phase, Phase::Running { .. } | Phase::Stopping { step: StopStep::Own, .. }) {
            self.reason = Reason::Died;
        }
        self.care = Care::default();
        if planted!(machine::DeadSignalled) {
            actions.push(Action::Signal(pid, crate::signal::Signal::KILL, crate::definition::Scope::Group));
        }
        if self.policy.sweeps() {
            actions.push(Action::Sweep);
        }
        if self.policy.finish {
            self.begin_finish(now, status, actions);
        } else {
            self.after_death(now, status, actions);
        }
    }

    fn begin_finish(&mut self, now: Tick, status: WaitStatus, actions: &mut Actions) {
        let deadline = self.policy.finish_timeout.map(|wait| now.after(wait));
        self.phase = Phase::Finishing { died: status, pid: None, deadline };
        actions.push(Action::SpawnFinish(status));
    }

    pub(super) fn finish_spawned(&mut self, now: Tick, pid: Option<Pid>, actions: &mut Actions) {
        if let Phase::Finishing { died, pid: current @ None, .. } = &mut self.phase {
            *current = pid;
            let died = *died;
            if pid.is_none() && !planted!(machine::FinishAwaitedForEver) {
                self.after_death(now, died, actions);
            }
        }
    }

    fn finished(&mut self, now: Tick, died: WaitStatus, finish: WaitStatus, actions: &mut Actions) {
        if planted!(machine::FinishRunTwice) && finish != WaitStatus::Exited(0) {
            return self.begin_finish(now, died, actions);
        }
        let asked = self.start_again || self.want == Want::Down;
        let gives_up = finish == PERMANENT_FAILURE && self.policy.finish_gives_up;
        if gives_up && !asked && !planted!(machine::PermanentFailureForgotten) {
            self.rest(Phase::Failed, Reason::Permanent);
        } else {
            self.after_death(now, died, actions);
        }
    }

    /// Nothing of the service runs any more: what now?
    fn after_death(&mut self, now: Tick, status: WaitStatus, actions: &mut Actions) {
        // What was stopped since it did not work has not succeeded, however well it took its leave.
        let condemned = matches!(self.reason, Reason::TimedOut | Reason::Unhealthy | Reason::Watchdog);
        let success = status.success() && !condemned;
        match self.want {
            Want::Down if !planted!(machine::StopForgotten) => self.rest(Phase::Down, Reason::None),
            _ if self.start_again => self.begin_anew(now, actions),
            Want::Once => {
                self.want = Want::Down;
                self.rest_by(success);
            }
            Want::Up if self.policy.oneshot && success => self.rest(Phase::Done, Reason::None),
            Want::Up if self.policy.on_connection && success => self.listen(Opening::Idle, actions),
            Want::Up | Want::Down => match (self.policy.restart.when, success) {
                (RestartWhen::Never, _) | (RestartWhen::OnFailure, true) => self.rest_by(success),
                (RestartWhen::Always, _) | (RestartWhen::OnFailure, false) => {
                    self.after_failure(now, actions);
                }
            },
        }
    }

    pub(super) fn after_failure(&mut self, now: Tick, actions: &mut Actions) {
        if self.policy.restart.when == RestartWhen::Never || self.want == Want::Once {
            return self.rest(Phase::Failed, self.reason);
        }
        self.put_off(now, actions);
    }

    /// Has it started again after as long as that takes by now.
    pub(super) fn put_off(&mut self, now: Tick, actions: &mut Actions) {
        let failed_to_start =
            matches!(self.reason, Reason::SpawnFailed | Reason::PrepareFailed | Reason::PrepareTimedOut);
        let uptime = now.since(self.started);
        if planted!(machine::DeathCountedTwice) {
            self.backoff.died(now, uptime, &self.policy.restart);
        }
        match self.backoff.died(now, uptime, &self.policy.restart) {
            Verdict::GiveUp => self.rest(Phase::Failed, Reason::GaveUp),
            // A failing start is answered at once: beginning again here would recurse for ever.
            Verdict::Wait(wait) if wait.is_zero() && !failed_to_start => {
                self.begin_again(now, actions);
            }
            Verdict::Wait(wait) => {
                let wait = if planted!(machine::ShortDelay) { wait / 2 } else { wait };
                self.phase = Phase::Waiting { until: now.after(wait) };
            }
        }
    }

    fn rest_by(&mut self, success: bool) {
        if success {
            self.rest(Phase::Done, Reason::None);
        } else {
            self.rest(Phase::Failed, self.reason);
        }
    }
}
