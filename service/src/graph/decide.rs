//! What should run, and who has to be looked at when something has changed.

use super::{Graph, Index, Node, Presence};
use crate::status::State;

impl Graph {
    /// Looks at everything again.
    pub(super) fn touch_all(&mut self) {
        self.undecided = (0..self.order.len()).collect();
        self.pending = (0..self.order.len()).collect();
    }

    /// Something has changed of a service: it and everything that goes by it are looked at again.
    pub(super) fn touch(&mut self, index: Index) {
        let Some(node) = self.nodes.get(index) else { return };
        let place = |other: &Index| self.nodes.get(*other).map(|node| node.place);
        self.undecided.insert(node.place);
        self.undecided.extend(node.followers.iter().filter_map(place));
        self.pending.insert(node.place);
        self.pending.extend(node.followers.iter().filter_map(place));
    }

    /// The same, and those too that wait for it to be down.
    pub(super) fn touch_before(&mut self, index: Index) {
        self.touch(index);
        let Some(node) = self.nodes.get(index) else { return };
        let place = |other: &Index| self.nodes.get(*other).map(|node| node.place);
        self.pending.extend(node.after.iter().chain(&node.conflicts).chain(&node.reader).filter_map(place));
    }

    /// Sets where a service stands.
    pub(super) fn put_state(&mut self, index: Index, state: State) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if node.state == state {
            return;
        }
        let ran = node.runs();
        node.state = state;
        if ran == node.runs() {
            return self.touch(index);
        }
        self.touch_before(index);
        let drains = self.nodes.get(index).is_some_and(|node| node.entry.drains);
        if drains && self.going_down {
            self.count_draining();
        }
    }

    /// When the last has been drained the others may stop.
    pub(super) fn count_draining(&mut self) {
        self.draining = self.nodes.iter().filter(|node| node.entry.drains && node.runs()).count();
        if self.draining == 0 {
            self.touch_all();
        }
    }

    /// Recomputes what should run, from what is waited for to what waits.
    pub(super) fn decide_all(&mut self) {
        while let Some(place) = self.undecided.pop_first() {
            let Some(index) = self.order.get(place).copied() else { continue };
            let should = self.nodes.get(index).is_some_and(|node| self.should(node));
            let Some(node) = self.nodes.get_mut(index) else { continue };
            if node.should_run != should {
                node.should_run = should;
                // Only what comes later in the order becomes undecided by it.
                self.touch_before(index);
                self.undecided.remove(&place);
            }
        }
    }

    fn should(&self, node: &Node) -> bool {
        node.wanted
            && !self.going_down
            && node.presence == Presence::Listed
            && node.problem().is_none()
            && self.broken_requirement(node).is_none()
    }

    pub(super) fn broken_requirement(&self, node: &Node) -> Option<Index> {
        let broken = |other: &Node| {
            if other.state == State::Backoff && planted!(graph::ARestartTakesDependentsDown) {
                return true;
            }
            !other.should_run || other.state == State::Failed
        };
        node.requires.iter().copied().find(|index| self.nodes.get(*index).is_some_and(broken))
    }
}
