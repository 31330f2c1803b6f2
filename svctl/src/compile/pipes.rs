//! Pipes between services: who reads what another one writes.

use super::{Edge, EdgeKind, Service, Severity};
use service::definition::{Kind, Style};
use std::collections::{BTreeMap, BTreeSet};

/// The bundle of a pipeline contains its last reader; this adds all who write to it, directly or through others.
pub(super) fn fill_bundles(services: &mut [Service]) {
    let writers: Vec<(String, String)> = services
        .iter()
        .flat_map(|service| service.edges.iter().map(move |edge| (service, edge)))
        .filter(|(_, edge)| edge.kind == EdgeKind::WritesTo)
        .map(|(service, edge)| (service.definition.name.clone(), edge.to.clone()))
        .collect();
    for bundle in services.iter_mut().filter(|service| service.pipeline) {
        let Some(last) = bundle.edges.first().cloned() else { continue };
        let mut seen = BTreeSet::from([last.to.clone()]);
        let mut rest = vec![last.to];
        while let Some(reader) = rest.pop() {
            for (writer, _) in writers.iter().filter(|(_, to)| *to == reader) {
                if seen.insert(writer.clone()) {
                    rest.push(writer.clone());
                    bundle.edges.push(Edge {
                        kind: EdgeKind::Contains,
                        to: writer.clone(),
                        at: last.at.clone(),
                    });
                }
            }
        }
    }
}

/// What a reader of pipes is.
struct Reader {
    longrun: bool,
    usable: bool,
    autostart: bool,
    output_to: Option<String>,
}

/// Tells the readers that they are, and has whoever writes want its reader.
pub(super) fn link(services: &mut [Service]) {
    let readers: BTreeMap<String, Reader> = services
        .iter()
        .map(|service| {
            let definition = &service.definition;
            let (longrun, usable) = (definition.kind == Kind::Longrun, !service.invalid);
            let (autostart, output_to) = (definition.autostart, definition.output_to.clone());
            (definition.name.clone(), Reader { longrun, usable, autostart, output_to })
        })
        .collect();
    let mut read: BTreeSet<String> = BTreeSet::new();
    for service in services.iter_mut() {
        check_producers(service, &readers);
        let Some(edge) = service.edges.iter().find(|edge| edge.kind == EdgeKind::WritesTo).cloned() else {
            continue;
        };
        let Some(reader) = readers.get(&edge.to) else { continue };
        if let Some(problem) = problem(&service.definition.name, &edge.to, &readers) {
            service.note(Severity::Error, Some(&edge.at), &problem, None);
        } else if !reader.usable {
            let message =
                format!("\"{}\" cannot be started, and what this writes is kept as any other's", edge.to);
            service.note(Severity::Warning, Some(&edge.at), &message, None);
            service.definition.output_to = None;
        } else {
            read.insert(edge.to.clone());
            let definition = &mut service.definition;
            let known = definition.requires.contains(&edge.to) || definition.wants.contains(&edge.to);
            // The logger of a foreign directory can be down by itself, as it can be with them.
            if !known && (reader.autostart || definition.style == Style::Mainstay) {
                definition.wants.push(edge.to);
            }
        }
    }
    for service in services.iter_mut().filter(|service| read.contains(&service.definition.name)) {
        service.definition.reads_pipe = true;
    }
}

/// Why `name` cannot write to `to`.
fn problem(name: &str, to: &str, readers: &BTreeMap<String, Reader>) -> Option<String> {
    if readers.get(to).is_some_and(|reader| !reader.longrun) {
        return Some(format!("\"{to}\" is no longrun, and reads nothing"));
    }
    let mut path = vec![name];
    let mut next = Some(to);
    while let Some(at) = next {
        if at == name {
            return Some(format!("a circle of pipes: {} to {name}", path.join(" to ")));
        }
        // A circle further on is the trouble of those in it.
        if path.contains(&at) {
            break;
        }
        path.push(at);
        next = readers.get(at).and_then(|reader| reader.output_to.as_deref());
    }
    None
}

/// A reader that names its writers names those that know of it.
fn check_producers(service: &mut Service, readers: &BTreeMap<String, Reader>) {
    let name = service.definition.name.clone();
    let edges: Vec<Edge> =
        service.edges.iter().filter(|edge| edge.kind == EdgeKind::ReadsFrom).cloned().collect();
    for edge in edges {
        let writes = readers.get(&edge.to).and_then(|writer| writer.output_to.as_deref());
        if writes != Some(name.as_str()) {
            let message = format!("\"{}\" does not say that it is a producer for \"{name}\"", edge.to);
            service.note(Severity::Warning, Some(&edge.at), &message, None);
        }
    }
}
