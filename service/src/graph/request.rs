//! What people ask for: each is refused before anything has changed, or taken as a whole.

use super::{Goal, Graph, Index, Node, Obstacle, Presence, has_process};
use crate::definition::Kind;
use crate::status::State;
use std::collections::BTreeSet;
use std::fmt;

/// Something that is asked of the services together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Want it, and what it requires and wants.
    Start(Index),
    /// The same, and leave it down once it has ended.
    Once(Index),
    /// Want it no longer. What requires it stops as well, and comes back with it.
    Stop(Index),
    /// Start it, again if it runs or is done. What requires it stays.
    Restart(Index),
    /// Want the bundle with what it requires and wants, and nothing else.
    Switch(Index),
    /// Take everything down.
    PowerOff,
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The machine is going down.
    GoingDown,
    /// There is no such service any more.
    Unknown,
    /// Only a bundle can be switched to.
    NoBundle(String),
    /// It would take both of these, which cannot run at the same time.
    Conflict(String, String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::GoingDown => f.write_str("the machine is going down"),
            Refusal::Unknown => f.write_str("no such service"),
            Refusal::NoBundle(name) => write!(f, "{name} is no bundle"),
            Refusal::Conflict(one, other) => {
                write!(f, "it needs both {one} and {other}, which conflict with each other")
            }
        }
    }
}

impl Graph {
    /// Why a request would not be taken.
    ///
    /// # Errors
    /// That.
    pub fn may(&self, request: Request) -> Result<(), Refusal> {
        let (Request::Start(index)
        | Request::Once(index)
        | Request::Stop(index)
        | Request::Restart(index)
        | Request::Switch(index)) = request
        else {
            return Ok(());
        };
        if self.going_down {
            return Err(Refusal::GoingDown);
        }
        let Some(node) = self.nodes.get(index).filter(|node| node.presence == Presence::Listed) else {
            return Err(Refusal::Unknown);
        };
        match request {
            Request::Stop(_) => Ok(()),
            Request::Switch(_) if node.entry.kind != Kind::Bundle => {
                Err(Refusal::NoBundle(node.entry.name.clone()))
            }
            Request::Start(_)
            | Request::Once(_)
            | Request::Restart(_)
            | Request::Switch(_)
            | Request::PowerOff => self.fits(&self.closure(&[index])),
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// Why it is not taken; then nothing has changed.
    pub fn request(&mut self, request: Request) -> Result<(), Refusal> {
        self.may(request)?;
        match request {
            Request::Start(index) => self.want(index, false),
            Request::Once(index) => self.want(index, true),
            Request::Stop(index) => self.stop(index),
            Request::Restart(index) => self.want_again(index),
            Request::Switch(index) => self.switch(index),
            Request::PowerOff => self.shut_down(),
        }
        Ok(())
    }

    /// The machine goes down: nothing is wanted, and nothing will be.
    pub fn shut_down(&mut self) {
        self.going_down = true;
        self.count_draining();
        self.touch_all();
    }

    /// Wants every service that starts by itself. Of those that conflict the first one is wanted.
    pub fn start_everything(&mut self) {
        self.goal = Goal::Everything;
        let all = self.nodes.iter().enumerate();
        let chosen = all.filter(|(_, node)| node.starts_by_itself()).map(|(index, _)| index);
        let chosen: Vec<Index> = chosen.collect();
        self.want_those_that_fit(&self.closure(&chosen));
    }

    /// Wants a bundle, or a service, with everything that it requires and wants. Of those that conflict the
    /// first one is wanted: a machine boots whatever its definitions say.
    pub fn start_bundle(&mut self, index: Index) {
        self.goal = Goal::Bundle(index);
        self.want_those_that_fit(&self.closure(&[index]));
    }

    /// No longer wants a service, or the members of a bundle.
    pub fn stop(&mut self, index: Index) {
        let mut pending = vec![index];
        let mut seen = BTreeSet::new();
        while let Some(index) = pending.pop() {
            let Some(node) = self.nodes.get_mut(index).filter(|_| seen.insert(index)) else { continue };
            if node.entry.kind == Kind::Bundle {
                pending.extend(&node.requires);
            }
            self.unwant(index);
        }
    }

    pub(super) fn unwant(&mut self, index: Index) {
        if planted!(graph::StopsAreForgotten) {
            return;
        }
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.wanted = false;
        node.once = false;
        node.restart = false;
        node.hurry = false;
        node.barred = None;
        self.touch(index);
    }

    /// Wants a service without what it needs, as somebody has started it past us.
    pub(super) fn want_alone(&mut self, index: Index) {
        self.unwant_rivals(&BTreeSet::from([index]));
        self.put_wanted(index);
    }

    fn want(&mut self, index: Index, once: bool) {
        let closure = self.closure(&[index]);
        self.unwant_rivals(&closure);
        for member in &closure {
            self.put_wanted(*member);
            self.forgive(*member);
        }
        let Some(node) = self.nodes.get_mut(index) else { return };
        let otherwise = has_process(node.state) && node.once != once;
        node.once = once;
        // It would come by itself, but somebody wants it now; or what runs is wanted in another way.
        node.hurry = node.state == State::Backoff || otherwise;
        if node.state == State::Done && node.entry.kind == Kind::Longrun {
            self.put_state(index, State::Down);
        }
    }

    fn want_again(&mut self, index: Index) {
        self.want(index, false);
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.entry.kind != Kind::Bundle) else {
            return;
        };
        node.hurry = false;
        if node.runs() {
            node.restart = true;
            self.touch(index);
        } else if node.state == State::Done {
            self.put_state(index, State::Down);
        }
    }

    fn switch(&mut self, index: Index) {
        let closure = self.closure(&[index]);
        for other in 0..self.nodes.len() {
            if !closure.contains(&other) {
                self.unwant(other);
            }
        }
        self.goal = Goal::Bundle(index);
        self.want(index, false);
    }

    /// Whether all of these can be had together.
    fn fits(&self, closure: &BTreeSet<Index>) -> Result<(), Refusal> {
        for (member, node) in closure.iter().filter_map(|index| Some((index, self.nodes.get(*index)?))) {
            if let Some(rival) = node.conflicts.iter().find(|rival| closure.contains(rival)) {
                return Err(Refusal::Conflict(self.name(*member).to_owned(), self.name(*rival).to_owned()));
            }
        }
        Ok(())
    }

    /// Wants no longer what conflicts with one of these.
    fn unwant_rivals(&mut self, closure: &BTreeSet<Index>) {
        let rivals: BTreeSet<Index> = closure
            .iter()
            .filter_map(|index| self.nodes.get(*index))
            .flat_map(|node| node.conflicts.iter().copied())
            .collect();
        for rival in rivals {
            self.unwant(rival);
        }
    }

    fn want_those_that_fit(&mut self, chosen: &BTreeSet<Index>) {
        for index in chosen {
            let Some(node) = self.nodes.get(*index) else { continue };
            let wanted = |rival: &Index| self.nodes.get(*rival).is_some_and(|rival| rival.wanted);
            let rival = node.conflicts.iter().copied().find(wanted);
            if rival.is_none() {
                self.put_wanted(*index);
                self.forgive(*index);
            } else if let Some(node) = self.nodes.get_mut(*index) {
                node.barred = rival;
                self.touch(*index);
            }
        }
    }

    fn put_wanted(&mut self, index: Index) {
        if let Some(node) = self.nodes.get_mut(index) {
            node.wanted = true;
            node.barred = None;
            self.touch(index);
        }
    }

    /// What failed before is tried again.
    fn forgive(&mut self, index: Index) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if matches!(node.state, State::Failed | State::Skipped) {
            node.obstacle = Obstacle::None;
            self.put_state(index, State::Down);
        }
    }

    /// Wants what has come into the reach of what is wanted: by a new edge, or as a new service.
    pub(super) fn want_more(&mut self, index: Index) {
        let closure = self.closure(&[index]);
        let fresh: BTreeSet<Index> = closure
            .into_iter()
            .filter(|index| self.nodes.get(*index).is_some_and(|node| !node.wanted))
            .collect();
        self.want_those_that_fit(&fresh);
    }
}

impl Node {
    /// Whether it is started when the whole tree is.
    pub(super) fn starts_by_itself(&self) -> bool {
        self.entry.autostart && self.entry.kind != Kind::Bundle && self.presence == Presence::Listed
    }
}
