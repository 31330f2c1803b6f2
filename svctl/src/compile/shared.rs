//! Addresses that more than one service has: only one of them can be open at a time.

use super::{EdgeKind, Service, Severity, keys_sockets};
use service::definition::Socket;

/// Warns of them, unless the services exclude each other anyway.
pub(super) fn find(services: &mut [Service]) {
    let all: Vec<(usize, Socket)> = services
        .iter()
        .enumerate()
        .filter(|(_, service)| !service.invalid)
        .flat_map(|(index, service)| {
            service.definition.sockets.iter().map(move |socket| (index, socket.clone()))
        })
        .collect();
    let mut warnings: Vec<(usize, String, String)> = Vec::new();
    for (place, (index, socket)) in all.iter().enumerate() {
        let before = all.iter().take(place);
        let mut same =
            before.filter(|(other, before)| other != index && keys_sockets::overlap(before, socket));
        if let Some((other, _)) = same.find(|(other, _)| !exclude(services, *index, *other)) {
            let name =
                services.get(*other).map(|service| service.definition.name.clone()).unwrap_or_default();
            let text =
                format!("{} is an address of {name} too: only one of them can have it", socket.address);
            warnings.push((*index, format!("sockets.{}", socket.name), text));
        }
    }
    for (index, key, text) in warnings {
        if let Some(service) = services.get_mut(index) {
            let at = service.programs.get(&key).cloned();
            service.note(Severity::Warning, at.as_ref(), &text, None);
        }
    }
}

fn exclude(services: &[Service], one: usize, two: usize) -> bool {
    let (Some(one), Some(two)) = (services.get(one), services.get(two)) else { return false };
    let names = |service: &Service, other: &Service| {
        let mut edges = service.edges.iter().filter(|edge| edge.kind == EdgeKind::Conflicts);
        edges.any(|edge| edge.to == other.definition.name)
    };
    names(one, two) || names(two, one)
}
