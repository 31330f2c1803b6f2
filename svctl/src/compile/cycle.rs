//! Services that wait for each other in a circle. Each member is invalid, and told the circle it stands in,
//! edge by edge; whoever is outside stays as it is, even if it requires a member.

use super::{EdgeKind, Location, Service, Severity};
use service::definition::Kind;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;

/// One service waits for another.
struct Wait {
    to: usize,
    /// The service in whose definition this stands.
    owner: usize,
    at: Location,
    kind: EdgeKind,
}

/// How many edges of a cycle are spelled out.
const EDGES_MAX: usize = 12;

/// A cycle: each service with what it waits for.
struct Cycle<'a> {
    edges: Vec<(usize, &'a Wait)>,
    text: String,
}

/// Marks the members of every cycle.
pub(super) fn find(services: &mut [Service], tree: &Path) {
    let waits = waits(services);
    let components = components(&waits);
    let mut found: Vec<(usize, Option<Location>, String)> = Vec::new();
    // The cycle that a service is known to be in: one is enough for each, and is told to all its members.
    let mut known: Vec<Option<Rc<Cycle<'_>>>> = vec![None; services.len()];
    for member in 0..services.len() {
        if known.get(member).is_some_and(Option::is_none)
            && let Some(edges) = shortest(&waits, &components, member)
        {
            let cycle = Rc::new(Cycle { text: spell(services, &edges, tree), edges });
            for (from, _) in &cycle.edges {
                if let Some(slot @ None) = known.get_mut(*from) {
                    *slot = Some(Rc::clone(&cycle));
                }
            }
        }
        let Some(Some(cycle)) = known.get(member) else { continue };
        // A bundle whose members wait in a circle is not to blame; one that contains itself is.
        let is_bundle = |at: usize| services.get(at).is_some_and(|s| s.definition.kind == Kind::Bundle);
        if is_bundle(member) && !cycle.edges.iter().all(|(from, _)| is_bundle(*from)) {
            continue;
        }
        let own = cycle.edges.iter().find(|(_, wait)| wait.owner == member).map(|(_, wait)| wait.at.clone());
        found.push((member, own, cycle.text.clone()));
    }
    for (member, at, text) in found {
        if let Some(service) = services.get_mut(member) {
            service.note(Severity::Error, at.as_ref(), &format!("dependency cycle: {text}"), None);
        }
    }
}

/// Who waits for whom: a bundle waits for its members.
fn waits(services: &[Service]) -> Vec<Vec<Wait>> {
    let index: BTreeMap<&str, usize> =
        services.iter().enumerate().map(|(at, service)| (service.definition.name.as_str(), at)).collect();
    let mut waits: Vec<Vec<Wait>> = services.iter().map(|_| Vec::new()).collect();
    for (owner, service) in services.iter().enumerate() {
        for edge in &service.edges {
            let Some(other) = index.get(edge.to.as_str()).copied() else { continue };
            let (from, to) = match edge.kind {
                EdgeKind::Requires | EdgeKind::After | EdgeKind::Contains => (owner, other),
                EdgeKind::Before => (other, owner),
                EdgeKind::Wants | EdgeKind::Conflicts | EdgeKind::WritesTo | EdgeKind::ReadsFrom => continue,
            };
            let kind = edge.kind;
            if edge.kind != EdgeKind::Before {
                push(&mut waits, from, Wait { to, owner, at: edge.at.clone(), kind });
                continue;
            }
            // To be before a bundle is to be before each of its members, but for oneself.
            for from in leaves(services, &index, other) {
                if from != owner {
                    push(&mut waits, from, Wait { to, owner, at: edge.at.clone(), kind });
                }
            }
        }
    }
    waits
}

fn push(waits: &mut [Vec<Wait>], from: usize, wait: Wait) {
    if let Some(list) = waits.get_mut(from) {
        list.push(wait);
    }
}

/// The service itself, or the members of a bundle at any depth.
fn leaves(services: &[Service], index: &BTreeMap<&str, usize>, start: usize) -> Vec<usize> {
    let (mut found, mut seen, mut rest) = (Vec::new(), vec![false; services.len()], vec![start]);
    while let Some(at) = rest.pop() {
        let (Some(service), Some(seen)) = (services.get(at), seen.get_mut(at)) else { continue };
        if std::mem::replace(seen, true) {
            continue;
        }
        if service.definition.kind == Kind::Bundle {
            let contents = service.edges.iter().filter(|edge| edge.kind == EdgeKind::Contains);
            rest.extend(contents.filter_map(|edge| index.get(edge.to.as_str())));
        } else {
            found.push(at);
        }
    }
    found
}

/// The strongly connected component that each service is in (Tarjan, with a stack of our own: a chain of
/// any length must not overflow that of the process).
fn components(waits: &[Vec<Wait>]) -> Vec<usize> {
    const NONE: usize = usize::MAX;
    let count = waits.len();
    let (mut order, mut low, mut component) = (vec![NONE; count], vec![NONE; count], vec![NONE; count]);
    let (mut next, mut components) = (0, 0);
    let mut open: Vec<usize> = Vec::new();
    for root in 0..count {
        if get(&order, root) != NONE {
            continue;
        }
        let mut calls: Vec<(usize, usize)> = vec![(root, 0)];
        while let Some((node, edge)) = calls.pop() {
            if edge == 0 {
                put(&mut order, node, next);
                put(&mut low, node, next);
                next += 1;
                open.push(node);
            }
            if let Some(to) = waits.get(node).and_then(|list| list.get(edge)).map(|wait| wait.to) {
                calls.push((node, edge + 1));
                if get(&order, to) == NONE {
                    calls.push((to, 0));
                } else if get(&component, to) == NONE {
                    let lower = get(&low, node).min(get(&order, to));
                    put(&mut low, node, lower);
                }
                continue;
            }
            if get(&low, node) == get(&order, node) {
                while let Some(member) = open.pop() {
                    put(&mut component, member, components);
                    if member == node {
                        break;
                    }
                }
                components += 1;
            }
            if let Some((parent, _)) = calls.last() {
                let lower = get(&low, *parent).min(get(&low, node));
                put(&mut low, *parent, lower);
            }
        }
    }
    component
}

fn get(list: &[usize], index: usize) -> usize {
    list.get(index).copied().unwrap_or(usize::MAX)
}

fn put(list: &mut [usize], index: usize, value: usize) {
    if let Some(slot) = list.get_mut(index) {
        *slot = value;
    }
}

/// The shortest way from `start` back to itself inside its component, beginning with the least of its
/// members so that all of them tell the same; none if it is in no cycle.
fn shortest<'a>(
    waits: &'a [Vec<Wait>],
    components: &[usize],
    start: usize,
) -> Option<Vec<(usize, &'a Wait)>> {
    let mut came: BTreeMap<usize, (usize, &'a Wait)> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for wait in waits.get(node)? {
            if get(components, wait.to) != get(components, start) || came.contains_key(&wait.to) {
                continue;
            }
            came.insert(wait.to, (node, wait));
            queue.push_back(wait.to);
        }
        if came.contains_key(&start) {
            break;
        }
    }
    let mut cycle = Vec::new();
    let mut at = start;
    loop {
        let (from, wait) = came.get(&at).copied()?;
        cycle.push((from, wait));
        at = from;
        if at == start {
            break;
        }
    }
    cycle.reverse();
    let least = cycle.iter().enumerate().min_by_key(|(_, (from, _))| *from).map_or(0, |(at, _)| at);
    cycle.rotate_left(least);
    Some(cycle)
}

fn spell(services: &[Service], cycle: &[(usize, &Wait)], tree: &Path) -> String {
    let tree = format!("{}/", tree.display());
    let name = |at: usize| services.get(at).map_or("?", |service| service.definition.name.as_str());
    let mut edges: Vec<String> = cycle
        .iter()
        .take(EDGES_MAX)
        .map(|(from, wait)| {
            let (from, to) = (name(*from), name(wait.to));
            let edge = match wait.kind {
                EdgeKind::Before => format!("{to} is before {from}"),
                EdgeKind::After => format!("{from} is after {to}"),
                EdgeKind::Contains => format!("{from} contains {to}"),
                EdgeKind::Requires
                | EdgeKind::Wants
                | EdgeKind::Conflicts
                | EdgeKind::WritesTo
                | EdgeKind::ReadsFrom => format!("{from} requires {to}"),
            };
            let at = wait.at.to_string();
            format!("{edge} ({})", at.strip_prefix(&tree).unwrap_or(&at))
        })
        .collect();
    if let Some(more) = cycle.len().checked_sub(EDGES_MAX).filter(|more| *more > 0) {
        edges.push(format!("and {more} more"));
    }
    edges.join(", ")
}
