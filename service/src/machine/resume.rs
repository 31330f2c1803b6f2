//! What the supervisor after another has to know of a machine, and to set right in it.

use super::phase::{Phase, StopStep};
use super::{Action, Actions, Machine, Reason, Task};
use crate::exit::Pid;
use crate::status::Want;
use crate::tick::Tick;

/// The version of what [`Machine::save`] writes: a program that has another cannot go on with it.
pub const STATE_VERSION: &str = super::save::VERSION;

impl Machine {
    /// A new supervisor has been given a service that one before it had done with: what became of it is history.
    /// That a oneshot is done is not, if it can be undone.
    pub fn renew(&mut self) {
        self.exiting = false;
        match self.phase {
            Phase::Done if self.policy.undo => {}
            Phase::Done | Phase::Failed | Phase::Down => {
                self.want = Want::Down;
                self.rest(Phase::Down, Reason::None);
            }
            Phase::Waiting { .. }
            | Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. } => {}
        }
    }

    /// A start that was not told of is a start: it is counted, and so will its end be. If it is not wanted any
    /// more, that end is brought about.
    pub(super) fn found(&mut self, now: Tick, pid: Pid, actions: &mut Actions) {
        match self.phase {
            Phase::Down | Phase::Waiting { .. } | Phase::Listening(_) | Phase::Done | Phase::Failed => {}
            // It runs already: nothing has to be made for it.
            Phase::Preparing { .. } => actions.push(Action::EndTask(Task::Prepare)),
            Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. } => return,
        }
        self.phase = Phase::Spawning;
        self.spawned(now, pid);
        if self.exiting {
            self.want = Want::Down;
        }
        if self.want == Want::Down {
            self.begin_stop(now, pid, StopStep::Stop, actions);
        }
    }
}
