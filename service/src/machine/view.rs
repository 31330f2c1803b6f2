//! What others can see of a machine.

use super::phase::{Phase, Readiness};
use super::{Machine, Reason};
use crate::exit::{Pid, WaitStatus};
use crate::status::{State, Want};
use crate::tick::Tick;

/// All that is published of a machine: when it changes, the status is written anew.
pub(super) type Visible = (State, Want, Option<Pid>, bool, Reason, Option<Tick>);

impl Machine {
    /// A supervisor is of no more use when it was told to exit, or its oneshot has been run.
    pub(super) fn may_exit(&self) -> bool {
        match self.phase {
            Phase::Down | Phase::Failed | Phase::Done => {
                self.exiting || (self.policy.oneshot && self.phase != Phase::Down)
            }
            Phase::Waiting { .. }
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. } => false,
        }
    }

    pub(super) fn visible(&self) -> Visible {
        let next = self.next_start();
        (self.state(), self.want, self.pid(), self.overdue(), self.reason, next)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> State {
        match self.phase {
            Phase::Down => State::Down,
            Phase::Waiting { .. } => State::Backoff,
            Phase::Spawning => State::Starting,
            Phase::Running { readiness, .. } => self.running_state(readiness),
            Phase::Stopping { .. } => State::Stopping,
            Phase::Finishing { .. } => State::Finishing,
            Phase::Done => State::Done,
            Phase::Failed => State::Failed,
        }
    }

    fn running_state(&self, readiness: Readiness) -> State {
        match readiness {
            Readiness::Immediate | Readiness::Ready if !self.policy.oneshot => State::Up,
            Readiness::Immediate | Readiness::Ready | Readiness::Pending { .. } => State::Starting,
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
            | Phase::Spawning
            | Phase::Finishing { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }

    /// Whether it has taken longer to become ready than it should.
    #[must_use]
    pub fn overdue(&self) -> bool {
        matches!(self.phase, Phase::Running { readiness: Readiness::Pending { overdue: true, .. }, .. })
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
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Done
            | Phase::Failed => None,
        }
    }
}
