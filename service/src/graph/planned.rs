//! What a request would do, found out by doing it to a copy.

use super::{Graph, Index, Refusal, Request, Step};
use crate::definition::Kind;
use crate::status::{State, Want};
use std::collections::VecDeque;
use std::fmt;

/// What is done about a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// It becomes known.
    Add,
    /// Its definition is another, and what runs goes on.
    Change,
    /// Its new definition is broken, and what runs goes on with the old one.
    Break,
    /// It is known no longer.
    Remove,
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped and started.
    Restart,
}

impl Verb {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Change => "change",
            Verb::Break => "break",
            Verb::Remove => "remove",
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
        }
    }

    /// The verb called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Verb> {
        [Verb::Add, Verb::Change, Verb::Break, Verb::Remove, Verb::Start, Verb::Stop, Verb::Restart]
            .into_iter()
            .find(|verb| verb.word() == word)
    }
}

/// One step of a plan. Displays as `plan VERB NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlannedStep {
    /// What is done.
    pub verb: Verb,
    /// The service.
    pub name: String,
}

impl PlannedStep {
    /// Reads a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<PlannedStep> {
        let (verb, name) = line.strip_prefix("plan ")?.split_once(' ')?;
        Some(PlannedStep { verb: Verb::parse(verb)?, name: name.to_owned() })
    }
}

impl fmt::Display for PlannedStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "plan {} {}", self.verb.word(), self.name)
    }
}

impl Graph {
    /// What a request would do, in an order in which it may be done, if every start succeeds and every stop
    /// ends.
    ///
    /// # Errors
    /// Why the request would be refused.
    pub fn plan(&self, request: Request) -> Result<Vec<PlannedStep>, Refusal> {
        let mut copy = self.clone();
        copy.request(request)?;
        Ok(copy.rehearse())
    }

    /// Does everything that is to be done as if every start succeeded and every stop ended, and tells it.
    pub fn rehearse(&mut self) -> Vec<PlannedStep> {
        let mut steps = Vec::new();
        // What is under way already comes to its end like the rest.
        let mut told: VecDeque<Index> =
            (0..self.nodes.len()).filter(|index| self.under_way(*index)).collect();
        loop {
            while let Some(step) = self.step() {
                let (verb, index) = match step {
                    Step::Launch(index) => (Verb::Start, index),
                    Step::Restart(index) => (Verb::Restart, index),
                    Step::Stop(index) | Step::Halt(index) => (Verb::Stop, index),
                    Step::Publish(_) => continue,
                    Step::Forget(index) => {
                        self.forgotten(index);
                        continue;
                    }
                };
                steps.push(PlannedStep { verb, name: self.name(index).to_owned() });
                told.push_back(index);
            }
            if planted!(graph::PlansEndEarly) {
                return steps;
            }
            let Some(index) = told.pop_front() else { return steps };
            self.succeed(index);
        }
    }

    fn under_way(&self, index: Index) -> bool {
        self.nodes.get(index).is_some_and(|node| {
            let moves =
                matches!(node.state, State::Starting | State::Stopping | State::Finishing | State::Backoff);
            moves || node.told == Some(Want::Down)
        })
    }

    /// What a supervisor would report that has done what it was told.
    fn succeed(&mut self, index: Index) {
        let Some(node) = self.nodes.get(index) else { return };
        if node.told == Some(Want::Down) {
            self.report(index, State::Down, Want::Down, false);
        } else if node.runs() {
            let state = if node.entry.kind == Kind::Oneshot { State::Done } else { State::Up };
            self.report(index, state, Want::Up, false);
        }
    }
}
