//! Joins the services by the names in them: unknown ones are reported, `before` becomes the other's `after`.

use super::{Edge, EdgeKind, Service, Severity};
use crate::suggest::nearest;
use service::definition::Kind;
use std::collections::{BTreeMap, BTreeSet};

/// For so many unknown names of a tree it is guessed what was meant: each guess looks at all services.
const GUESSES_MAX: usize = 100;

/// What takes away the roots that an earlier boot has left: no new ones are made before that.
const IMAGES: &str = "images";

/// Fills in the edges of every definition.
pub(super) fn join(services: &mut [Service]) {
    let names: Vec<String> = services.iter().map(|service| service.definition.name.clone()).collect();
    let known: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let mut guesses = GUESSES_MAX;
    for service in services.iter_mut() {
        check_names(service, &known, &mut guesses);
    }
    for service in services.iter_mut() {
        fill(service);
    }
    if known.contains(IMAGES) {
        let run_from_images = services.iter_mut().filter(|service| service.definition.image.is_some());
        for after in run_from_images.map(|service| &mut service.definition.after) {
            after.extend((!after.iter().any(|name| name == IMAGES)).then(|| IMAGES.to_owned()));
        }
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
fn check_names(service: &mut Service, known: &BTreeSet<&str>, guesses: &mut usize) {
    let own = service.definition.name.clone();
    let mut kept: Vec<Edge> = Vec::new();
    for edge in std::mem::take(&mut service.edges) {
        let (word, at) = (edge.kind.word(), Some(&edge.at));
        if edge.to == own {
            let fatal = matches!(
                edge.kind,
                EdgeKind::Requires | EdgeKind::Contains | EdgeKind::Conflicts | EdgeKind::WritesTo
            );
            let (severity, end) =
                if fatal { (Severity::Error, "") } else { (Severity::Warning, ", which is ignored") };
            service.note(severity, at, &format!("\"{own}\" names itself in {word}{end}"), None);
        } else if known.contains(edge.to.as_str()) {
            kept.push(edge);
        } else {
            let candidates = known.iter().copied().filter(|name| *name != own && *guesses > 0);
            let suggestion = nearest(&edge.to, candidates);
            *guesses = guesses.saturating_sub(1);
            let message = |end: &str| format!("unknown service \"{}\" in {word}{end}", edge.to);
            match edge.kind {
                EdgeKind::Requires | EdgeKind::WritesTo => {
                    service.note(Severity::Error, at, &message(""), suggestion);
                }
                // A mistake, but one member less is better than none at all.
                EdgeKind::Contains => service.complain(&edge.at, &message(", left out"), suggestion),
                EdgeKind::Wants
                | EdgeKind::After
                | EdgeKind::Before
                | EdgeKind::Conflicts
                | EdgeKind::ReadsFrom => {
                    service.note(Severity::Warning, at, &message(", ignored"), suggestion);
                }
            }
        }
    }
    check_conflicts(service, &kept);
    service.edges = kept;
}

/// What is needed cannot be what is shut out.
fn check_conflicts(service: &mut Service, edges: &[Edge]) {
    for conflict in edges.iter().filter(|edge| edge.kind == EdgeKind::Conflicts) {
        let needs =
            |edge: &&Edge| matches!(edge.kind, EdgeKind::Requires | EdgeKind::Wants | EdgeKind::WritesTo);
        if let Some(other) = edges.iter().filter(needs).find(|edge| edge.to == conflict.to) {
            let message = format!("\"{}\" is in {} as well as in conflicts", other.to, other.kind.word());
            service.note(Severity::Error, Some(&conflict.at), &message, None);
        }
    }
}

/// Copies the edges into the definition.
fn fill(service: &mut Service) {
    let edges = &service.edges;
    let names = |kind: EdgeKind| -> Vec<String> {
        edges.iter().filter(|edge| edge.kind == kind).map(|edge| edge.to.clone()).collect()
    };
    let definition = &mut service.definition;
    definition.requires = names(EdgeKind::Requires);
    definition.wants = names(EdgeKind::Wants);
    definition.after = names(EdgeKind::After);
    definition.before = names(EdgeKind::Before);
    definition.conflicts = names(EdgeKind::Conflicts);
    definition.contents = names(EdgeKind::Contains);
    definition.output_to = names(EdgeKind::WritesTo).pop();
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
