//! From the names in the entries to edges between nodes, and an order without cycles.

use super::{Graph, Index, Presence};
use crate::definition::Kind;
use std::collections::{BTreeMap, BTreeSet};

type Names = BTreeMap<String, Index>;

impl Graph {
    /// Makes all edges anew from the names in the entries, and looks at everything again.
    pub(super) fn connect(&mut self) {
        let listed = self.nodes.iter().enumerate().filter(|(_, node)| node.presence != Presence::Gone);
        let names: Names = listed.map(|(index, node)| (node.entry.name.clone(), index)).collect();
        let all = |list: &[String]| -> Vec<Index> {
            list.iter().filter_map(|name| names.get(name)).copied().collect()
        };
        let pairs = self.conflicting_pairs(&names);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            // A bundle stands for its members: it is up when they are.
            node.requires = all(&node.entry.requires);
            node.requires.extend(all(&node.entry.contents));
            node.wants = all(&node.entry.wants);
            node.after = unique(node.requires.iter().chain(&all(&node.entry.after)), index);
            node.requires = unique(node.requires.iter(), index);
            node.followers.clear();
            let own = pairs.range((index, 0)..=(index, Index::MAX));
            node.conflicts = own.map(|(_, other)| *other).collect();
        }
        self.sort();
        self.follow();
        self.follow_pipes(&names);
        self.touch_all();
    }

    /// What cannot run together, both ways round. A bundle that is named stands for its members.
    fn conflicting_pairs(&self, names: &Names) -> BTreeSet<(Index, Index)> {
        let mut pairs = BTreeSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let mut rest: Vec<&str> = node.entry.conflicts.iter().map(String::as_str).collect();
            let mut seen = BTreeSet::new();
            while let Some(name) = rest.pop() {
                let Some(other) = names.get(name).copied().filter(|_| seen.insert(name)) else { continue };
                if other != index {
                    pairs.extend([(index, other), (other, index)]);
                }
                if let Some(bundle) = self.nodes.get(other).filter(|other| other.entry.kind == Kind::Bundle) {
                    rest.extend(bundle.entry.contents.iter().map(String::as_str));
                }
            }
        }
        pairs
    }

    /// Orders the nodes. Where only cycles and what follows them are left, one edge of a cycle is dropped.
    fn sort(&mut self) {
        self.order.clear();
        let mut placed = vec![false; self.nodes.len()];
        loop {
            let before = self.order.len();
            for (index, node) in self.nodes.iter_mut().enumerate() {
                let ready = node.after.iter().all(|other| placed.get(*other) == Some(&true));
                if let Some(slot) = placed.get_mut(index).filter(|slot| ready && !**slot) {
                    *slot = true;
                    node.place = self.order.len();
                    self.order.push(index);
                }
            }
            if self.order.len() == self.nodes.len() {
                break;
            }
            if self.order.len() == before {
                self.cut_a_cycle(&placed);
            }
        }
    }

    /// Walks from what waits to what it waits for until it comes to where it has been, and drops that edge.
    fn cut_a_cycle(&mut self, placed: &[bool]) {
        let Some(mut at) = placed.iter().position(|done| !done) else { return };
        let mut path = BTreeSet::new();
        loop {
            path.insert(at);
            let Some(node) = self.nodes.get_mut(at) else { return };
            let Some(next) = node.after.iter().copied().find(|other| placed.get(*other) != Some(&true))
            else {
                return;
            };
            if path.contains(&next) {
                node.after.retain(|other| *other != next);
                node.requires.retain(|other| *other != next);
                return;
            }
            at = next;
        }
    }

    fn follow(&mut self) {
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

    /// Who writes into a pipe stops before who reads from it, though neither waits for the other to start; unless
    /// the order says that the reader stops first.
    fn follow_pipes(&mut self, names: &Names) {
        for index in 0..self.nodes.len() {
            let reader =
                self.nodes.get(index).and_then(|node| names.get(node.entry.output_to.as_ref()?)).copied();
            let reader = reader.filter(|reader| !self.leads_to(index, *reader));
            if let Some(node) = self.nodes.get_mut(index) {
                node.reader = reader;
            }
            if let Some(node) = reader.and_then(|reader| self.nodes.get_mut(reader)) {
                node.followers.push(index);
            }
        }
    }

    /// Whether `to` is `from` or follows it, directly or through others.
    fn leads_to(&self, from: Index, to: Index) -> bool {
        let mut pending = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(index) = pending.pop() {
            if index == to {
                return true;
            }
            if let Some(node) = self.nodes.get(index).filter(|_| seen.insert(index)) {
                pending.extend(&node.followers);
            }
        }
        false
    }

    /// What an index and everything that it names, directly or through others, comes to: what a start wants.
    pub(super) fn closure(&self, roots: &[Index]) -> BTreeSet<Index> {
        let mut pending = roots.to_vec();
        let mut found = BTreeSet::new();
        while let Some(index) = pending.pop() {
            if let Some(node) = self.nodes.get(index)
                && found.insert(index)
            {
                pending.extend(node.requires.iter().chain(&node.wants));
            }
        }
        found
    }
}

/// Each once, in order, without `own`.
fn unique<'a>(list: impl Iterator<Item = &'a Index>, own: Index) -> Vec<Index> {
    let mut seen = BTreeSet::new();
    list.copied().filter(|index| *index != own && seen.insert(*index)).collect()
}
