//! What the supervisor after another has to know of a machine, and to set right in it.

use super::phase::Phase;
use super::{Machine, Reason};
use crate::status::Want;

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
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Undoing { .. } => {}
        }
    }
}
