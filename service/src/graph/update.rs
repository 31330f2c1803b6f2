//! A new plan in the place of the old one: what is the same goes on as if nothing had happened.

use super::{Goal, Graph, Index, Node, Obstacle, PlannedStep, Presence, Verb, has_process};
use crate::definition::Kind;
use crate::plan::Entry;
use crate::status::State;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// What a new plan has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Services that are new, or known again.
    pub added: Vec<Index>,
    /// Services whose definition is another.
    pub changed: Vec<Index>,
    /// Services that are in the plan no more.
    pub removed: Vec<Index>,
    /// Services whose new definition is broken, and which go on with the old one.
    pub broken: Vec<Index>,
}

impl Changes {
    /// Whether nothing is different.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.changed.is_empty() && self.removed.is_empty() && self.broken.is_empty()
    }
}

impl Graph {
    /// Takes a new plan. A service that is in both keeps its index and its state; a longrun whose process
    /// would have to be another is restarted; what a wanted service names now, and did not before, is wanted;
    /// one that is new is started if a boot of the whole tree would; one that is gone is stopped, and then to
    /// be forgotten.
    pub fn update(&mut self, entries: Vec<Entry>) -> Changes {
        let mut changes = Changes::default();
        let mut known: BTreeMap<String, Index> = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if node.presence != Presence::Gone {
                known.insert(node.entry.name.clone(), index);
            }
        }
        // Only what nothing refers to any more may be taken by another.
        let mut free: Vec<Index> = self.unreferred();
        let mut pulled = BTreeSet::new();
        for entry in entries {
            match known.remove(&entry.name) {
                Some(index) => {
                    pulled.extend(self.newly_named(index, &entry));
                    self.replace(index, entry, &mut changes);
                }
                None => {
                    let index = free.pop().unwrap_or(self.nodes.len());
                    match self.nodes.get_mut(index) {
                        Some(slot) => *slot = Node::new(entry),
                        None => self.nodes.push(Node::new(entry)),
                    }
                    changes.added.push(index);
                }
            }
        }
        for index in known.into_values() {
            self.remove(index, &mut changes);
        }
        if !changes.is_empty() {
            self.connect();
        }
        for name in pulled {
            if let Some(index) = self.find(&name) {
                self.want_more(index);
            }
        }
        self.want_what_starts_by_itself(&changes.added);
        changes
    }

    /// What a new plan would do.
    #[must_use]
    pub fn plan_update(&self, entries: Vec<Entry>) -> Vec<PlannedStep> {
        let mut copy = self.clone();
        let changes = copy.update(entries);
        let rehearsed = copy.rehearse();
        let all = |verb, list: &[Index]| -> Vec<PlannedStep> {
            list.iter().map(|index| PlannedStep { verb, name: copy.name(*index).to_owned() }).collect()
        };
        let mut steps = all(Verb::Add, &changes.added);
        steps.extend(all(Verb::Change, &changes.changed));
        steps.extend(all(Verb::Break, &changes.broken));
        steps.extend(rehearsed);
        steps.extend(all(Verb::Remove, &changes.removed));
        steps
    }

    /// Everything that belonged to a service that left has been let go of.
    pub fn forgotten(&mut self, index: Index) {
        if let Some(node) = self.nodes.get_mut(index).filter(|node| node.leaving()) {
            node.presence = Presence::Gone;
        }
    }

    fn unreferred(&self) -> Vec<Index> {
        let mut free: Vec<bool> = self.nodes.iter().map(|node| node.presence == Presence::Gone).collect();
        if let Goal::Bundle(index) = self.goal
            && let Some(slot) = free.get_mut(index)
        {
            *slot = false;
        }
        free.iter().enumerate().filter(|(_, free)| **free).map(|(index, _)| index).rev().collect()
    }

    fn replace(&mut self, index: Index, entry: Entry, changes: &mut Changes) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        let returns = node.leaving();
        if returns {
            // It comes back before it was gone.
            node.presence = Presence::Listed;
            changes.added.push(index);
        }
        if planted!(graph::AReloadRestartsEverything) {
            node.restart = node.runs();
            changes.changed.push(index);
        }
        if *node.entry == entry {
            return;
        }
        if entry.problem.is_some() && node.wanted && node.stands() && !returns {
            // What runs goes on as it began; its edges too, which a broken definition does not tell.
            if node.entry.problem != entry.problem {
                Rc::make_mut(&mut node.entry).problem = entry.problem;
                changes.broken.push(index);
            }
            return;
        }
        let another = node.entry.kind != entry.kind || node.entry.run_digest != entry.run_digest;
        // What a oneshot has done stays done: the new definition is for its next run.
        if another && has_process(node.state) && node.entry.kind == Kind::Longrun {
            node.restart = true;
        }
        // What could not be had may be now.
        let tried =
            matches!(node.state, State::Invalid | State::Skipped) || (node.state == State::Failed && another);
        if tried {
            node.state = State::Down;
            node.obstacle = Obstacle::None;
        }
        let same = node.entry.digest == entry.digest && node.entry.problem == entry.problem;
        node.entry = Rc::new(entry);
        if !returns && !same {
            changes.changed.push(index);
        }
    }

    /// What a service that is wanted will have started with it, and has not so far.
    fn newly_named(&self, index: Index, entry: &Entry) -> Vec<String> {
        let Some(node) = self.nodes.get(index).filter(|node| node.wanted && entry.problem.is_none()) else {
            return Vec::new();
        };
        let all =
            |entry: &Entry| [entry.requires.clone(), entry.wants.clone(), entry.contents.clone()].concat();
        let before = all(&node.entry);
        all(entry).into_iter().filter(|name| !before.contains(name)).collect()
    }

    fn remove(&mut self, index: Index, changes: &mut Changes) {
        let Some(node) = self.nodes.get_mut(index).filter(|node| node.presence == Presence::Listed) else {
            return;
        };
        node.presence = Presence::Leaving;
        changes.removed.push(index);
        self.unwant(index);
    }

    fn want_what_starts_by_itself(&mut self, added: &[Index]) {
        if self.goal != Goal::Everything {
            return;
        }
        for index in added {
            if self.nodes.get(*index).is_some_and(Node::starts_by_itself) {
                self.want_more(*index);
            }
        }
    }
}
