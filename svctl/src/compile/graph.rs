//! Joins the services by the names in them: unknown ones are reported, `before` becomes the other's `after`.

use super::{EdgeKind, Service, Severity};
use crate::suggest::nearest;
use service::definition::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// Fills in the edges of every definition.
pub(super) fn join(services: &mut [Service]) {
    let names: Vec<String> = services.iter().map(|service| service.definition.name.clone()).collect();
    let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    for service in services.iter_mut() {
        check_names(service, &known);
    }
    for service in services.iter_mut() {
        fill(service);
    }
    let members = Members::new(services);
    let mut waits: Vec<(String, String)> = Vec::new();
    for service in services.iter().filter(|service| !service.invalid) {
        for other in &service.definition.before {
            for member in members.of(other) {
                waits.push((member, service.definition.name.clone()));
            }
        }
    }
    let index: BTreeMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    for (waiter, first) in waits {
        let Some(service) = index.get(waiter.as_str()).and_then(|at| services.get_mut(*at)) else { continue };
        if waiter != first && !service.definition.after.contains(&first) {
            service.definition.after.push(first);
        }
    }
}

/// Reports names that nobody has, and a service's own; those that can be done without are dropped.
fn check_names(service: &mut Service, known: &BTreeSet<&str>) {
    let own = service.definition.name.clone();
    let mut kept = Vec::new();
    for edge in std::mem::take(&mut service.edges) {
        let (word, place) = (edge.kind.word(), Some(edge.place));
        if edge.to == own {
            let (severity, message) = match edge.kind {
                EdgeKind::Requires | EdgeKind::Contains => {
                    service.invalid = true;
                    (Severity::Error, format!("\"{own}\" names itself in {word}"))
                }
                EdgeKind::Wants | EdgeKind::After | EdgeKind::Before => {
                    (Severity::Warning, format!("\"{own}\" names itself in {word}, which is ignored"))
                }
            };
            service.note(severity, place, &message, None);
        } else if known.contains(edge.to.as_str()) {
            kept.push(edge);
        } else {
            let suggestion = nearest(&edge.to, known.iter().copied().filter(|name| *name != own));
            let (severity, end) = match edge.kind {
                EdgeKind::Requires => {
                    service.invalid = true;
                    (Severity::Error, "")
                }
                // A mistake, but one member less is better than none at all.
                EdgeKind::Contains => (Severity::Error, ", left out"),
                EdgeKind::Wants | EdgeKind::After | EdgeKind::Before => (Severity::Warning, ", ignored"),
            };
            let message = format!("unknown service \"{}\" in {word}{end}", edge.to);
            service.note(severity, place, &message, suggestion);
        }
    }
    service.edges = kept;
}

/// Copies the edges into the definition.
fn fill(service: &mut Service) {
    let names = |kind: EdgeKind| -> Vec<String> {
        service.edges.iter().filter(|edge| edge.kind == kind).map(|edge| edge.to.clone()).collect()
    };
    let (requires, wants) = (names(EdgeKind::Requires), names(EdgeKind::Wants));
    let (after, before, contents) =
        (names(EdgeKind::After), names(EdgeKind::Before), names(EdgeKind::Contains));
    let definition = &mut service.definition;
    definition.requires = requires;
    definition.wants = wants;
    definition.after = after;
    definition.before = before;
    definition.contents = contents;
}

/// What each bundle contains.
struct Members {
    contents: BTreeMap<String, Vec<String>>,
}

impl Members {
    fn new(services: &[Service]) -> Members {
        let bundles = services.iter().filter(|service| service.definition.kind == Kind::Bundle);
        let contents = bundles
            .map(|bundle| (bundle.definition.name.clone(), bundle.definition.contents.clone()))
            .collect();
        Members { contents }
    }

    /// The services that `name` stands for: itself, or all that a bundle contains at any depth.
    fn of(&self, name: &str) -> Vec<String> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut rest = vec![name];
        while let Some(name) = rest.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.contents.get(name) {
                Some(contents) => rest.extend(contents.iter().map(String::as_str)),
                None => found.push(name.to_owned()),
            }
        }
        found
    }
}
