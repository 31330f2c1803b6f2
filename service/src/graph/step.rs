//! The next thing to do.

use super::{Graph, Index, Node, Obstacle, Presence, Step};
use crate::definition::Kind;
use crate::status::{State, Want};

impl Graph {
    /// The next thing to do; none when everything is as it can be for now. A step that launches or stops a
    /// service takes its effect for granted until a report says otherwise.
    pub fn step(&mut self) -> Option<Step> {
        loop {
            self.decide_all();
            let place = self.pending.pop_first()?;
            let Some(index) = self.order.get(place).copied() else { continue };
            if let Some(step) = self.step_for(index) {
                // There may be more to do about it.
                self.pending.insert(place);
                return Some(step);
            }
        }
    }

    fn step_for(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if node.presence == Presence::Gone {
            return None;
        }
        if node.entry.kind == Kind::Bundle && !node.leaving() {
            return self.step_for_bundle(index);
        }
        if node.runs() {
            return if node.should_run { self.step_to_renew(index) } else { self.step_to_stop(index) };
        }
        if node.should_run {
            return self.step_for_waiting(index);
        }
        if node.may_yet_start() && !self.going_down {
            // It came to an end by itself, and its supervisor has yet to hear that it is not wanted any more.
            return self.step_to_stop(index);
        }
        let (state, obstacle) = if !node.wanted || self.going_down || node.leaving() {
            // Done and failed are what became of it, and stay visible until somebody stops it.
            let keep = self.going_down && node.state.settled();
            let barred = node.barred.map_or(Obstacle::None, Obstacle::Conflicts);
            (if keep { node.state } else { State::Down }, if keep { node.obstacle } else { barred })
        } else if node.problem().is_some() {
            (State::Invalid, Obstacle::None)
        } else {
            let broken = self.broken_requirement(node);
            (State::Failed, broken.map_or(Obstacle::None, Obstacle::Requires))
        };
        self.put(index, state, obstacle).or_else(|| self.step_to_forget(index))
    }

    fn step_for_waiting(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        let came_back = node.state == State::Failed && matches!(node.obstacle, Obstacle::Requires(_));
        let came_back = came_back && !planted!(graph::NothingComesBack);
        if !matches!(node.state, State::Down | State::Blocked | State::Invalid) && !came_back {
            return None;
        }
        if let Some(other) = self.waits_for(node) {
            return self.put(index, State::Blocked, Obstacle::Waits(other));
        }
        Some(self.launch(index))
    }

    fn launch(&mut self, index: Index) -> Step {
        if let Some(node) = self.nodes.get_mut(index) {
            node.told = Some(node.way());
            node.obstacle = Obstacle::None;
            node.overdue = false;
            node.hurry = false;
            node.restart = false;
        }
        self.put_state(index, State::Starting);
        Step::Launch(index)
    }

    /// What this one still has to wait for: the same as before, if that still holds.
    fn waits_for(&self, node: &Node) -> Option<Index> {
        if let Obstacle::Waits(other) = node.obstacle
            && self.holds_up(node, other)
        {
            return Some(other);
        }
        let mut all = node.requires.iter().chain(&node.after).chain(&node.conflicts).copied();
        all.find(|other| self.holds_up(node, *other))
    }

    fn holds_up(&self, node: &Node, index: Index) -> bool {
        let Some(other) = self.nodes.get(index) else { return false };
        match () {
            () if planted!(graph::RivalsAreNotWaitedFor) && node.conflicts.contains(&index) => return false,
            () if planted!(graph::RequirementsAreNotWaitedFor) => {
                return node.conflicts.contains(&index) && other.runs();
            }
            () if planted!(graph::FailuresAreWaitedFor) && other.state == State::Failed => {
                return !node.runs();
            }
            () => {}
        }
        (node.requires.contains(&index) && !other.state.good())
            || (node.after.contains(&index) && other.should_run && !other.passed())
            || (node.conflicts.contains(&index) && (other.runs() || other.may_yet_start()))
    }

    /// A service that runs and may go on is started again if somebody has asked for that.
    fn step_to_renew(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if node.told == Some(Want::Down) {
            // It is started again once it is down.
            self.nodes.get_mut(index)?.restart = false;
            return None;
        }
        if !(node.restart || node.hurry) || self.waits_for(node).is_some() {
            return None;
        }
        let node = self.nodes.get_mut(index)?;
        if !node.restart {
            node.hurry = false;
            let way = node.way();
            if node.heard != way {
                node.told = Some(way);
            }
            return Some(Step::Launch(index));
        }
        node.hurry = false;
        node.restart = false;
        node.overdue = false;
        if node.state == State::Done {
            // What was done is undone first.
            node.tell_to_stop();
            return Some(Step::Stop(index));
        }
        self.put_state(index, State::Starting);
        Some(Step::Restart(index))
    }

    fn step_to_stop(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if planted!(graph::NothingIsUndone) && self.going_down && node.state == State::Done {
            return None;
        }
        if planted!(graph::AFailureTakesNothingDown) && !self.going_down && node.wanted {
            return None;
        }
        if !self.may_stop(node) {
            return None;
        }
        let again = node.told != Some(Want::Down) || node.repeat;
        let (halted, going_down) = (node.halted, self.going_down);
        if !again && (halted || !going_down) {
            return None;
        }
        let node = self.nodes.get_mut(index)?;
        node.tell_to_stop();
        node.halted = going_down;
        Some(if going_down { Step::Halt(index) } else { Step::Stop(index) })
    }

    fn may_stop(&self, node: &Node) -> bool {
        if planted!(graph::StopsInAnyOrder) {
            return true;
        }
        let draining = |other: &Node| self.going_down && other.entry.drains && other.runs();
        if self.going_down && self.draining > 0 && !draining(node) {
            return false;
        }
        // What drains goes first, even before what follows it and does not drain.
        !node
            .followers
            .iter()
            .filter_map(|index| self.nodes.get(*index))
            .any(|other| other.runs() && !other.should_run && (draining(other) || !draining(node)))
    }

    /// A bundle has no process: it stands where its members do.
    fn step_for_bundle(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if node.problem().is_some() && node.wanted {
            return self.put(index, State::Invalid, Obstacle::None);
        }
        let wrong = |other: &Index, wrong: fn(&Node) -> bool| self.nodes.get(*other).is_some_and(wrong);
        // The same as before, if that still holds.
        let first = |is: fn(&Node) -> bool| {
            let before = match node.obstacle {
                Obstacle::Waits(other) | Obstacle::Requires(other) => Some(other),
                Obstacle::None | Obstacle::Conflicts(_) => None,
            };
            before
                .filter(|other| wrong(other, is))
                .or_else(|| node.requires.iter().copied().find(|other| wrong(other, is)))
        };
        let (state, obstacle) = if !node.wanted || self.going_down {
            (State::Down, Obstacle::None)
        } else if let Some(failed) = first(|other| !other.should_run || other.state == State::Failed) {
            (State::Failed, Obstacle::Requires(failed))
        } else if let Some(waiting) = first(|other| !other.state.good()) {
            (State::Blocked, Obstacle::Waits(waiting))
        } else {
            (State::Done, Obstacle::None)
        };
        self.put(index, state, obstacle)
    }

    /// Sets a state that is decided here, and publishes it if it is another.
    fn put(&mut self, index: Index, state: State, obstacle: Obstacle) -> Option<Step> {
        let node = self.nodes.get_mut(index)?;
        if (node.state, node.obstacle) == (state, obstacle) {
            return None;
        }
        node.obstacle = obstacle;
        self.put_state(index, state);
        Some(Step::Publish(index))
    }

    fn step_to_forget(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get_mut(index).filter(|node| node.presence == Presence::Leaving)?;
        node.presence = Presence::Forgotten;
        Some(Step::Forget(index))
    }
}
