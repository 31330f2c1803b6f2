//! All services and their edges: what is to be started or stopped now, and what has to wait.
//!
//! Init feeds in what is wanted (`request`) and what the supervisors report (`report`), then calls
//! [`Graph::step`] until nothing is left to do. The rules, of which every step is a consequence:
//!
//! - A service *should run* if it is wanted and nothing that it requires is broken: failed, invalid, not
//!   wanted itself, or not to run for the same reason. It follows that what a stop or a failure takes down
//!   comes back when its cause does.
//! - It is *started* once what it requires is up, done or skipped, what it is ordered after, if that is
//!   wanted at all, has settled, and nothing that it conflicts with runs any more, or may come to.
//! - It is *stopped* once nothing that is ordered after it, and has to stop too, still runs. A oneshot that is
//!   done and has a command that undoes it is stopped in the same way.
//! - What conflicts is not wanted at the same time: to want one is to want the other no longer.
//! - When the machine goes down nothing should run, and what has to be drained is drained first.
//!
//! A command and a report may cross on their way: what is told to start may begin although what it requires has failed
//! in that moment. That cannot be avoided by who decides here, since it was up when this was decided; the stop follows
//! the start in the same queue as soon as the failure is heard. Reports that have come together are all taken before
//! anything is decided.
//!
//! Only what a change may concern is looked at again: a step costs as much as the service has edges.

mod decide;
mod edges;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod invariants;
mod planned;
#[cfg(test)]
mod planted;
mod report;
mod request;
mod saved;
mod step;
#[cfg(test)]
mod tests;
mod update;
#[cfg(test)]
mod world;

pub use planned::{PlannedStep, Verb};
pub use request::{Refusal, Request};
pub use saved::Saved;
pub use update::Changes;

use crate::plan::Entry;
use crate::status::{State, Want};
use std::collections::BTreeSet;
use std::rc::Rc;

/// The number of a service in the graph. It stays the same as long as the service is known.
pub type Index = usize;

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start it: have a supervisor, and tell it so.
    Launch(Index),
    /// Have its supervisor stop it and start it again.
    Restart(Index),
    /// Tell its supervisor to stop it.
    Stop(Index),
    /// Tell its supervisor that the machine goes down.
    Halt(Index),
    /// Its state was changed here: write the status, then tell whoever listens.
    Publish(Index),
    /// It is in no plan any more, and is down: let go of everything that belongs to it.
    Forget(Index),
}

/// Why a service is not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Obstacle {
    /// None.
    None,
    /// It waits for this one.
    Waits(Index),
    /// It requires this one, which cannot be had.
    Requires(Index),
    /// It conflicts with this one, which was wanted before it.
    Conflicts(Index),
}

/// What was asked for as a whole, last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// Nothing yet.
    None,
    /// Every service that starts by itself.
    Everything,
    /// This bundle.
    Bundle(Index),
}

/// A service in the graph.
#[derive(Clone, Debug)]
pub struct Node {
    /// What the plan says of it.
    pub entry: Rc<Entry>,
    /// Where it stands.
    pub state: State,
    /// Why it is not started.
    pub obstacle: Obstacle,
    /// Somebody asked for it, or for something that needs it.
    wanted: bool,
    /// It is to be left down once it has ended.
    once: bool,
    /// It has taken too long to become ready.
    overdue: bool,
    should_run: bool,
    /// Told to start or to stop, and not yet heard of since.
    told: Option<Want>,
    /// It has said that it is to be down since it was told to stop.
    obeyed: bool,
    /// It may not have heard that it is to stop.
    repeat: bool,
    /// What its supervisor last said that it wants.
    heard: Want,
    halted: bool,
    /// It is to be started again, once that may be.
    restart: bool,
    /// Its supervisor has to be told again that it is wanted: now, or in another way.
    hurry: bool,
    /// It was not started with all the others, since it conflicts with this one.
    barred: Option<Index>,
    presence: Presence,
    requires: Vec<Index>,
    wants: Vec<Index>,
    /// What it is ordered after, which includes what it requires.
    after: Vec<Index>,
    /// What is ordered after it.
    followers: Vec<Index>,
    /// What reads what it writes, and so is stopped after it.
    reader: Option<Index>,
    /// What it cannot run with.
    conflicts: Vec<Index>,
    /// Its place in the order.
    place: usize,
}

/// Whether a service is in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Presence {
    Listed,
    /// It was: it is stopped.
    Leaving,
    /// It has been stopped, and init lets go of what belongs to it.
    Forgotten,
    /// All that was its has been let go of.
    Gone,
}

/// All services and their edges.
#[derive(Clone, Debug)]
pub struct Graph {
    nodes: Vec<Node>,
    /// Every index, what is waited for before what waits.
    order: Vec<Index>,
    goal: Goal,
    going_down: bool,
    /// How many have to be drained before others may stop.
    draining: usize,
    /// The places of those of which it may have changed whether they should run.
    undecided: BTreeSet<usize>,
    /// The places of those for which there may be something to do.
    pending: BTreeSet<usize>,
}

impl Default for Graph {
    fn default() -> Graph {
        Graph::new(Vec::new())
    }
}

impl Graph {
    /// The graph of a plan. Edges to names that the plan does not have are left out, as are those that
    /// would close a cycle: the compiler has reported both.
    #[must_use]
    pub fn new(entries: Vec<Entry>) -> Graph {
        let mut graph = Graph {
            nodes: entries.into_iter().map(Node::new).collect(),
            order: Vec::new(),
            goal: Goal::None,
            going_down: false,
            draining: 0,
            undecided: BTreeSet::new(),
            pending: BTreeSet::new(),
        };
        graph.connect();
        graph
    }

    /// Every service by its index, those included that are in no plan any more.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The service called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Index> {
        let known = |node: &Node| node.presence == Presence::Listed && node.entry.name == name;
        self.nodes.iter().position(known)
    }

    /// The name of a service.
    #[must_use]
    pub fn name(&self, index: Index) -> &str {
        self.nodes.get(index).map_or("?", |node| node.entry.name.as_str())
    }

    /// Whether the machine goes down.
    #[must_use]
    pub fn going_down(&self) -> bool {
        self.going_down
    }

    /// What was asked for as a whole, last: the whole tree, or a bundle.
    #[must_use]
    pub fn goal(&self) -> Goal {
        self.goal
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

    /// Whether a service is wanted and runs, or will, by what was heard of it last. It may have ended since.
    #[must_use]
    pub fn runs_as_wanted(&self, index: Index) -> bool {
        let runs = |node: &Node| has_process(node.state) && node.told != Some(Want::Down);
        self.wanted(index) && self.nodes.get(index).is_some_and(runs)
    }

    /// Whether a service that is wanted shall be left down once it has ended.
    #[must_use]
    pub fn once(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(|node| node.once)
    }

    /// Whether it runs and has been told to stop.
    #[must_use]
    pub fn stopping(&self, index: Index) -> bool {
        self.told_to_stop(index) && self.nodes.get(index).is_some_and(Node::runs)
    }

    /// Whether its supervisor has been told to stop it, and has not said yet that it is down.
    #[must_use]
    pub fn told_to_stop(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(|node| node.told == Some(Want::Down))
    }

    /// Whether a service was taken out of the plan, and is still stopped or to be forgotten.
    #[must_use]
    pub fn leaving(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(Node::leaving)
    }

    /// Whether nothing is known of the service with this index any more.
    #[must_use]
    pub fn gone(&self, index: Index) -> bool {
        self.nodes.get(index).is_none_or(|node| node.presence == Presence::Gone)
    }
}

impl Node {
    fn new(entry: Entry) -> Node {
        Node {
            entry: Rc::new(entry),
            state: State::Down,
            obstacle: Obstacle::None,
            wanted: false,
            once: false,
            overdue: false,
            should_run: false,
            told: None,
            obeyed: false,
            repeat: false,
            heard: Want::Down,
            halted: false,
            restart: false,
            hurry: false,
            barred: None,
            presence: Presence::Listed,
            requires: Vec::new(),
            wants: Vec::new(),
            after: Vec::new(),
            followers: Vec::new(),
            reader: None,
            conflicts: Vec::new(),
            place: 0,
        }
    }

    /// Whether there is something to stop: a process, one that will be there without anybody's doing, or what
    /// a oneshot has done and can undo. Who was told to stop, and has not answered, may have been started by
    /// what it was told before.
    #[must_use]
    pub fn runs(&self) -> bool {
        has_process(self.state) || self.can_be_undone() || self.told == Some(Want::Down)
    }

    /// Whether it came to an end while it was to run, and its supervisor has yet to say that it will not: a command to
    /// start it may have crossed the report of its end. It is told to stop, so it will say so.
    fn may_yet_start(&self) -> bool {
        !self.wanted && self.heard != Want::Down
    }

    /// Whether it is a oneshot that is done, and would be undone by a stop.
    #[must_use]
    pub fn can_be_undone(&self) -> bool {
        self.state == State::Done && self.entry.undo
    }

    fn tell_to_stop(&mut self) {
        self.told = Some(Want::Down);
        self.obeyed = false;
        self.repeat = false;
    }

    /// In which way it is wanted to run.
    fn way(&self) -> Want {
        if self.once { Want::Once } else { Want::Up }
    }

    fn leaving(&self) -> bool {
        matches!(self.presence, Presence::Leaving | Presence::Forgotten)
    }

    /// Why it cannot be started at all. A definition that is found to be broken while the one before it runs
    /// hurts nobody until that ends.
    fn problem(&self) -> Option<&str> {
        self.entry.problem.as_deref().filter(|_| !self.stands())
    }

    /// Whether others may count on it now.
    fn stands(&self) -> bool {
        self.runs() || self.state.good()
    }

    /// Whether what is ordered after it need wait no longer.
    fn passed(&self) -> bool {
        match self.state {
            State::Up
            | State::Listening
            | State::Done
            | State::Failed
            | State::Skipped
            | State::Invalid
            | State::Backoff => true,
            State::Starting => self.overdue,
            State::Down | State::Blocked | State::Stopping | State::Finishing => false,
        }
    }
}

/// Whether there is a process in this state, or will be without anybody's doing.
fn has_process(state: State) -> bool {
    match state {
        State::Starting
        | State::Listening
        | State::Up
        | State::Stopping
        | State::Finishing
        | State::Backoff => true,
        State::Down | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid => false,
    }
}
