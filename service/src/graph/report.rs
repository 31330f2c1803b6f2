//! What the supervisors say.

use super::{Graph, Index, Obstacle, has_process};
use crate::status::{State, Want};

impl Graph {
    /// What the supervisor of a service says.
    pub fn report(&mut self, index: Index, state: State, want: Want, overdue: bool) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let heard = std::mem::replace(&mut node.heard, want);
        let told = node.told;
        if node.overdue != overdue {
            node.overdue = overdue;
            self.touch(index);
        }
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.obstacle = Obstacle::None;
        let answered = match told {
            // That it is down was said before it heard of the start, or somebody has stopped it since: it is
            // started again.
            Some(Want::Up | Want::Once) => want != Want::Down || !has_process(state),
            // A oneshot may have come to its end before it heard that it is to stop: it is told again.
            Some(Want::Down) => !has_process(state),
            None => false,
        };
        if answered {
            node.told = None;
        }
        self.put_state(index, state);
        if !self.going_down && told.is_none() {
            self.heed_strangers(index, state, heard, want);
        }
    }

    /// Somebody may have spoken to the supervisor past us.
    fn heed_strangers(&mut self, index: Index, state: State, heard: Want, want: Want) {
        let Some(node) = self.nodes.get(index) else { return };
        let stops = matches!(state, State::Down | State::Stopping | State::Finishing);
        match want {
            Want::Down if node.wanted && stops => self.unwant(index),
            Want::Up | Want::Once if heard == Want::Down && !node.wanted => self.want_alone(index),
            Want::Up | Want::Down | Want::Once => {}
        }
    }
}
