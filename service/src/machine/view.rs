//! What others can see of a machine.

use super::phase::{Phase, Readiness};
use super::{Machine, Reason};
use crate::exit::{Pid, WaitStatus};
use crate::status::{State, Want};
use crate::tick::Tick;

/// All that is published of a machine, and what it must not forget: when it changes, the status is written
/// anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visible {
    pub(super) state: State,
    want: Want,
    pid: Option<Pid>,
    awaited: Option<Pid>,
    overdue: bool,
    paused: bool,
    reloading: bool,
    preparing: bool,
    unhealthy: u32,
    reason: Reason,
    next_start: Option<Tick>,
    extended: Option<Tick>,
}

impl Machine {
    /// A supervisor is of no more use when it was told to exit, or its oneshot has been run.
    pub(super) fn may_exit(&self) -> bool {
        match self.phase {
            Phase::Failed if planted!(machine::FailedNeverExits) => false,
            Phase::Down => self.exiting,
            Phase::Failed | Phase::Done => self.exiting || self.policy.oneshot,
            Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. } => false,
        }
    }

    pub(super) fn visible(&self) -> Visible {
        Visible {
            state: self.state(),
            want: self.want,
            pid: self.pid(),
            awaited: self.awaited(),
            overdue: self.overdue(),
            paused: self.paused(),
            reloading: self.reloading(),
            preparing: self.preparing(),
            unhealthy: self.unhealthy(),
            reason: self.reason,
            next_start: self.next_start(),
            extended: self.care.extended,
        }
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Down => State::Down,
            Phase::Waiting { .. } => State::Backoff,
            Phase::Preparing { .. } | Phase::Spawning => State::Starting,
            Phase::Listening(_) => State::Listening,
            Phase::Running { readiness, .. } => self.running_state(readiness),
            Phase::Stopping { .. } | Phase::Undoing { .. } => State::Stopping,
            Phase::Finishing { .. } => State::Finishing,
            Phase::Done => State::Done,
            Phase::Failed => State::Failed,
        }
    }

    fn running_state(&self, readiness: Readiness) -> State {
        match readiness {
            Readiness::Ready if !self.policy.oneshot => State::Up,
            Readiness::Ready | Readiness::Pending { .. } => State::Starting,
        }
    }

    /// What is wanted of it.
    #[must_use]
    pub fn want(&self) -> Want {
        self.want
    }

    /// The main process, if it lives.
    #[must_use]
    pub fn pid(&self) -> Option<Pid> {
        match self.phase {
            Phase::Running { pid, .. } | Phase::Stopping { pid, .. } => Some(pid),
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Finishing { .. }
            | Phase::Undoing { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }

    /// The script whose end is awaited after the main process's: the finish script or the down command.
    #[must_use]
    pub fn script(&self) -> Option<Pid> {
        match self.phase {
            Phase::Finishing { pid, .. } | Phase::Undoing { pid, .. } => pid,
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }

    /// The process whose end is awaited: the main one, or a script.
    #[must_use]
    pub fn awaited(&self) -> Option<Pid> {
        self.pid().or_else(|| self.script())
    }

    /// Whether its end was asked for, so that nobody need be told of it.
    #[must_use]
    pub fn end_is_wanted(&self) -> bool {
        self.want == Want::Down || self.start_again
    }

    /// Whether its down command runs.
    #[must_use]
    pub fn undoing(&self) -> bool {
        matches!(self.phase, Phase::Undoing { .. })
    }

    /// Whether it has taken longer to become ready than it should.
    #[must_use]
    pub fn overdue(&self) -> bool {
        matches!(self.phase, Phase::Running { readiness: Readiness::Pending { overdue: true, .. }, .. })
    }

    /// Whether it reloads its configuration.
    #[must_use]
    pub fn reloading(&self) -> bool {
        self.care.reload.is_some()
    }

    /// How many health checks in a row have failed.
    #[must_use]
    pub fn unhealthy(&self) -> u32 {
        self.care.failures
    }

    /// Why it is where it is.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Since when it is in its state.
    #[must_use]
    pub fn since(&self) -> Tick {
        self.since
    }

    /// When the main process was started last.
    #[must_use]
    pub fn started(&self) -> Option<Tick> {
        (self.starts > 0).then_some(self.started)
    }

    /// When it became ready, if it is.
    #[must_use]
    pub fn ready_since(&self) -> Option<Tick> {
        self.ready_since
    }

    /// How many main processes have been started.
    #[must_use]
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// How and when the main process ended last.
    #[must_use]
    pub fn last_exit(&self) -> Option<(WaitStatus, Tick)> {
        self.last_exit
    }

    /// When it will be started again, while it waits for that.
    #[must_use]
    pub fn next_start(&self) -> Option<Tick> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Down
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }
}
