//! What the supervisors say.

use super::{Graph, Index, Obstacle, has_process};
use crate::status::{State, Want};

impl Graph {
    /// Whether a supervisor said this before it heard that the service is wanted: that it is down, by a stop that
    /// was asked for before, is no news then, since it is about to be started again.
    #[must_use]
    pub fn crosses_a_start(&self, index: Index, state: State, want: Want) -> bool {
        let expected = self.nodes.get(index).is_some_and(|node| node.wanted && node.told.is_some());
        expected && !self.going_down && want == Want::Down && state == State::Down
    }

    /// What the supervisor of a service says.
    pub fn report(&mut self, index: Index, state: State, want: Want, overdue: bool) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let heard = std::mem::replace(&mut node.heard, want);
        let told = node.told;
        node.overdue = overdue;
        node.obstacle = Obstacle::None;
        match told {
            // That it is down was said before it heard of the start, or somebody has stopped it since: it is
            // started again.
            Some(Want::Up | Want::Once) if want != Want::Down || !has_process(state) => node.told = None,
            // A oneshot may have come to its end before it heard that it is to stop: it is told again.
            Some(Want::Down) if want == Want::Down && !has_process(state) => node.told = None,
            Some(Want::Down) if want == Want::Down => node.obeyed = true,
            // Somebody has started it since.
            Some(Want::Down) if node.obeyed => node.told = None,
            // This was said before it heard that it is to stop; or somebody has started it at the same time.
            Some(Want::Down) => node.repeat = true,
            Some(_) | None => {}
        }
        let drains = node.entry.drains;
        self.put_state(index, state);
        self.touch_before(index);
        if drains && self.going_down {
            self.count_draining();
        }
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
