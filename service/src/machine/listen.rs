//! Starting when somebody connects: the sockets are open, and nothing runs until one of them can be read.
//!
//! A service that ends with success goes back to listening, whatever its restart policy: it has nothing to do. If it
//! has left somebody waiting, that counts as a death, so that one which takes no connections is not started again and
//! again; the first in a row may have come just as it ended, and waits for nothing.

use super::phase::{Opening, Phase};
use super::{Action, Actions, Machine, Reason};
use crate::backoff::Backoff;
use crate::status::Want;
use crate::tick::Tick;

impl Machine {
    /// A start that somebody asked for, in the way in which the service is to run.
    pub(super) fn begin_as_wanted(&mut self, now: Tick, actions: &mut Actions) {
        self.backoff = Backoff::new();
        self.begin_again(now, actions);
    }

    /// The same after a failure.
    pub(super) fn begin_again(&mut self, now: Tick, actions: &mut Actions) {
        if self.policy.on_connection && self.want == Want::Up {
            self.listen(Opening::First, actions);
        } else {
            self.begin(now, actions);
        }
    }

    pub(super) fn listen(&mut self, opening: Opening, actions: &mut Actions) {
        self.start_again = false;
        self.phase = Phase::Listening(Some(opening));
        actions.push(Action::Listen);
    }

    /// Its sockets are open, and watched.
    pub(super) fn listening(&mut self, now: Tick, pending: bool, actions: &mut Actions) {
        let Phase::Listening(Some(opening)) = self.phase else { return };
        match (opening, pending) {
            (_, false) if planted!(machine::StartedUnasked) => self.begin(now, actions),
            (_, false) => {
                if opening == Opening::Idle {
                    self.backoff.set_in_a_row(0);
                }
                self.rest(Phase::Listening(None), Reason::None);
            }
            (Opening::Idle, true) if !planted!(machine::WaitingUnseen) => self.put_off(now, actions),
            (Opening::First | Opening::Idle | Opening::Again, true) => self.begin(now, actions),
        }
    }

    /// Somebody waits at one of them.
    pub(super) fn connected(&mut self, now: Tick, actions: &mut Actions) {
        if self.phase == Phase::Listening(None) {
            self.begin(now, actions);
        }
    }

    /// Whether its sockets are to be watched for connections.
    #[must_use]
    pub fn listens(&self) -> bool {
        matches!(self.phase, Phase::Listening(_))
    }

    /// Whether the sockets are of no use to it any more: it is at rest.
    #[must_use]
    pub fn rests(&self) -> bool {
        matches!(self.phase, Phase::Down | Phase::Done | Phase::Failed)
    }
}
