//! All services and their edges: what is to be started or stopped now, and what has to wait.
//!
//! Init feeds in what is wanted and what the supervisors report, then calls [`Graph::step`] until nothing
//! is left to do. The rules, of which every step is a consequence:
//!
//! - A service *should run* if it is wanted and nothing that it requires is broken: failed, invalid, not
//!   wanted itself, or not to run for the same reason. It follows that what a stop or a failure takes down
//!   comes back when its cause does.
//! - It is *started* once what it requires is up, done or skipped, and what it is ordered after, if that is
//!   wanted at all, has settled.
//! - It is *stopped* once nothing that is ordered after it, and has to stop too, still runs.
//! - When the machine goes down nothing should run, and what has to be drained is drained first.

#[cfg(test)]
mod tests;

use crate::definition::Kind;
use crate::plan::Entry;
use crate::status::{State, Want};

/// The number of a service in the graph: its place in the plan.
pub type Index = usize;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start it: have a supervisor, and tell it so.
    Launch(Index),
    /// Tell its supervisor to stop it.
    Stop(Index),
    /// Tell its supervisor that the machine goes down.
    Halt(Index),
    /// Its state was changed here: write the status, then tell whoever listens.
    Publish(Index),
}

/// Why a service is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// None.
    None,
    /// It waits for this one.
    Waits(Index),
    /// It requires this one, which cannot be had.
    Requires(Index),
}

/// A service in the graph.
#[derive(Debug)]
pub struct Node {
    /// What the plan says of it.
    pub entry: Entry,
    /// Where it stands.
    pub state: State,
    /// Why it is not started.
    pub obstacle: Obstacle,
    /// Somebody asked for it, or for something that needs it.
    wanted: bool,
    /// It has taken too long to become ready.
    overdue: bool,
    should_run: bool,
    /// Told to stop, and not yet heard of again.
    told_to_stop: bool,
    halted: bool,
    requires: Vec<Index>,
    wants: Vec<Index>,
    /// What it is ordered after, which includes what it requires.
    after: Vec<Index>,
    /// What is ordered after it.
    followers: Vec<Index>,
}

/// All services and their edges.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Every index, what is waited for before what waits.
    order: Vec<Index>,
    going_down: bool,
}

impl Graph {
    /// The graph of a plan. Edges to names that the plan does not have are left out, as are those that
    /// would close a cycle: the compiler has reported both.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Graph {
        let find = |name: &String| entries.iter().position(|entry| entry.name == *name);
        let all = |names: &[String]| -> Vec<Index> { names.iter().filter_map(find).collect() };
        let edges: Vec<[Vec<Index>; 3]> = entries
            .iter()
            .map(|entry| {
                // A bundle stands for its members: it is up when they are.
                let mut requires = all(&entry.requires);
                requires.extend(all(&entry.contents));
                [requires, all(&entry.wants), all(&entry.after)]
            })
            .collect();
        let nodes = entries
            .into_iter()
            .zip(edges)
            .map(|(entry, [requires, wants, after])| {
                let after = [requires.as_slice(), &after].concat();
                Node::new(entry, requires, wants, after)
            })
            .collect();
        let mut graph = Graph { nodes, order: Vec::new(), going_down: false };
        graph.sort();
        graph
    }

    /// Orders the nodes and drops what is left in cycles from the edges of their members.
    fn sort(&mut self) {
        let mut placed = vec![false; self.nodes.len()];
        loop {
            let before = self.order.len();
            for (index, node) in self.nodes.iter().enumerate() {
                let ready = node.after.iter().all(|other| placed.get(*other) == Some(&true));
                if ready && placed.get(index) == Some(&false) {
                    self.order.push(index);
                    if let Some(slot) = placed.get_mut(index) {
                        *slot = true;
                    }
                }
            }
            if self.order.len() == self.nodes.len() {
                break;
            }
            if self.order.len() == before {
                // Only members of cycles and what follows them are left: cut at the first.
                if let Some(first) = placed.iter().position(|done| !done)
                    && let Some(node) = self.nodes.get_mut(first)
                {
                    let keep = |other: &Index| placed.get(*other) == Some(&true);
                    node.after.retain(keep);
                    node.requires.retain(keep);
                }
            }
        }
        let edges: Vec<(Index, Index)> = self
            .nodes
            .iter()
            .enumerate()
            .flat_map(|(index, node)| node.after.iter().map(move |other| (*other, index)))
            .collect();
        for (leader, follower) in edges {
            if let Some(node) = self.nodes.get_mut(leader) {
                node.followers.push(follower);
            }
        }
    }

    /// Every service in the order of the plan.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The service called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Index> {
        self.nodes.iter().position(|node| node.entry.name == name)
    }

    /// Whether the machine goes down.
    #[must_use]
    pub fn going_down(&self) -> bool {
        self.going_down
    }

    /// Wants a service, and what it requires and wants. What failed before is tried again.
    pub fn start(&mut self, index: Index) {
        if self.going_down {
            return;
        }
        let first = index;
        let mut pending = vec![index];
        let mut seen = vec![false; self.nodes.len()];
        while let Some(index) = pending.pop() {
            let (Some(node), Some(seen)) = (self.nodes.get_mut(index), seen.get_mut(index)) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            node.wanted = true;
            let ended = index == first && node.state == State::Done && node.entry.kind == Kind::Longrun;
            if ended || matches!(node.state, State::Failed | State::Skipped) {
                node.state = State::Down;
                node.obstacle = Obstacle::None;
            }
            pending.extend(&node.requires);
            pending.extend(&node.wants);
        }
    }

    /// As [`Graph::start`], and a oneshot that is done is run again.
    pub fn start_again(&mut self, index: Index) {
        self.start(index);
        if let Some(node) = self.nodes.get_mut(index).filter(|node| node.wanted && node.state == State::Done)
        {
            node.state = State::Down;
        }
    }

    /// No longer wants a service. What requires it stops as well, and comes back with it.
    pub fn stop(&mut self, index: Index) {
        let members = match self.nodes.get_mut(index) {
            Some(node) => {
                node.wanted = false;
                if node.entry.kind == Kind::Bundle { node.requires.clone() } else { Vec::new() }
            }
            None => return,
        };
        for member in members {
            self.stop(member);
        }
    }

    /// The machine goes down: nothing is wanted, and nothing will be.
    pub fn shut_down(&mut self) {
        self.going_down = true;
    }

    /// What the supervisor of a service says.
    pub fn report(&mut self, index: Index, state: State, want: Want, overdue: bool) {
        let going_down = self.going_down;
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.state = state;
        node.overdue = overdue;
        node.obstacle = Obstacle::None;
        let by_us = node.told_to_stop || going_down;
        if !node.runs() {
            node.told_to_stop = false;
        }
        // Somebody spoke to the supervisor past us.
        let stops = matches!(state, State::Down | State::Stopping | State::Finishing);
        match want {
            Want::Down if !by_us && node.wanted && stops => self.stop(index),
            Want::Up if !going_down && !node.wanted && !by_us => node.wanted = true,
            Want::Up | Want::Down | Want::Once => {}
        }
    }

    /// The next thing to do; none when everything is as it can be for now. A step that launches or stops a
    /// service takes its effect for granted until a report says otherwise.
    pub fn step(&mut self) -> Option<Step> {
        self.decide();
        let order = std::mem::take(&mut self.order);
        let step = order.iter().find_map(|index| self.step_for(*index));
        self.order = order;
        step
    }

    /// Whether everything that is wanted has settled: what booting waits for. What dies again and again
    /// has too: it may never come up.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.nodes.iter().all(|node| !node.wanted || node.passed())
    }

    /// Whether nothing runs any more: what going down waits for.
    #[must_use]
    pub fn all_down(&self) -> bool {
        self.nodes.iter().all(|node| !node.runs())
    }

    /// Whether a service is wanted.
    #[must_use]
    pub fn wanted(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(|node| node.wanted && !self.going_down)
    }

    /// Whether it runs and has been told to stop.
    #[must_use]
    pub fn stopping(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(|node| node.told_to_stop && node.runs())
    }

    /// Recomputes what should run, from what is waited for to what waits.
    fn decide(&mut self) {
        for place in 0..self.order.len() {
            let Some(index) = self.order.get(place).copied() else { break };
            let should = !self.going_down
                && self.nodes.get(index).is_some_and(|node| {
                    node.wanted && node.entry.problem.is_none() && self.broken_requirement(node).is_none()
                });
            if let Some(node) = self.nodes.get_mut(index) {
                node.should_run = should;
            }
        }
    }

    fn broken_requirement(&self, node: &Node) -> Option<Index> {
        node.requires.iter().copied().find(|index| {
            self.nodes.get(*index).is_some_and(|other| !other.should_run || other.state == State::Failed)
        })
    }

    fn step_for(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if node.entry.kind == Kind::Bundle {
            return self.step_for_bundle(index);
        }
        if node.runs() {
            return self.step_for_running(index);
        }
        if node.should_run {
            return self.step_for_waiting(index);
        }
        let (state, obstacle) = if !node.wanted || self.going_down {
            // Done and failed are what became of it, and stay visible until somebody stops it.
            let keep = self.going_down && node.state.settled();
            (if keep { node.state } else { State::Down }, Obstacle::None)
        } else if node.entry.problem.is_some() {
            (State::Invalid, Obstacle::None)
        } else {
            let broken = self.broken_requirement(node);
            (State::Failed, broken.map_or(Obstacle::None, Obstacle::Requires))
        };
        self.put(index, state, obstacle)
    }

    fn step_for_waiting(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        let came_back = node.state == State::Failed && matches!(node.obstacle, Obstacle::Requires(_));
        if !matches!(node.state, State::Down | State::Blocked) && !came_back {
            return None;
        }
        if let Some(other) = self.waits_for(node) {
            return self.put(index, State::Blocked, Obstacle::Waits(other));
        }
        let node = self.nodes.get_mut(index)?;
        node.state = State::Starting;
        node.obstacle = Obstacle::None;
        Some(Step::Launch(index))
    }

    /// What this one still has to wait for.
    fn waits_for(&self, node: &Node) -> Option<Index> {
        let required = node
            .requires
            .iter()
            .find(|index| self.nodes.get(**index).is_some_and(|other| !other.state.good()));
        required
            .or_else(|| {
                node.after.iter().find(|index| {
                    self.nodes.get(**index).is_some_and(|other| other.should_run && !other.passed())
                })
            })
            .copied()
    }

    fn step_for_running(&mut self, index: Index) -> Option<Step> {
        let node = self.nodes.get(index)?;
        if node.should_run || !self.may_stop(node) {
            return None;
        }
        let (told, halted, going_down) = (node.told_to_stop, node.halted, self.going_down);
        let node = self.nodes.get_mut(index)?;
        node.told_to_stop = true;
        if going_down {
            node.halted = true;
            return (!halted).then_some(Step::Halt(index));
        }
        (!told).then_some(Step::Stop(index))
    }

    fn may_stop(&self, node: &Node) -> bool {
        let draining = |other: &Node| self.going_down && other.entry.drains && other.runs();
        if !draining(node) && self.nodes.iter().any(draining) {
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
        if node.entry.problem.is_some() && node.wanted {
            return self.put(index, State::Invalid, Obstacle::None);
        }
        let first = |wrong: fn(&Node) -> bool| {
            node.requires.iter().copied().find(|index| self.nodes.get(*index).is_some_and(wrong))
        };
        let (state, obstacle) = if !node.wanted || self.going_down {
            (State::Down, Obstacle::None)
        } else if let Some(failed) = first(|other| matches!(other.state, State::Failed | State::Invalid)) {
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
        node.state = state;
        node.obstacle = obstacle;
        Some(Step::Publish(index))
    }
}

impl Node {
    fn new(entry: Entry, requires: Vec<Index>, wants: Vec<Index>, after: Vec<Index>) -> Node {
        Node {
            entry,
            state: State::Down,
            obstacle: Obstacle::None,
            wanted: false,
            overdue: false,
            should_run: false,
            told_to_stop: false,
            halted: false,
            requires,
            wants,
            after,
            followers: Vec::new(),
        }
    }

    /// Whether there is a process, or will be without anybody's doing.
    fn runs(&self) -> bool {
        match self.state {
            State::Starting | State::Up | State::Stopping | State::Finishing | State::Backoff => true,
            State::Down | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid => {
                false
            }
        }
    }

    /// Whether what is ordered after it need wait no longer.
    fn passed(&self) -> bool {
        match self.state {
            State::Up | State::Done | State::Failed | State::Skipped | State::Invalid | State::Backoff => {
                true
            }
            State::Starting => self.overdue,
            State::Down | State::Blocked | State::Stopping | State::Finishing => false,
        }
    }
}
