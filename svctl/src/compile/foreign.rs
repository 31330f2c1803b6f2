//! Service directories written for others: s6 (servicedir), s6-rc (source definitions) and runit (runsv(8)).
//! `docs/foreign.md` has a table of their files. What a directory of theirs says becomes a definition here;
//! keys that are dropped in are laid over it.

mod detect;
mod execline;
mod files;
mod rc;
mod supervised;

use super::diagnostic::{Diagnostic, Location, Severity};
use super::{Edge, EdgeKind, Service};
use service::definition::{Definition, Style, valid_name};
use std::path::Path;

/// What a foreign directory says.
pub(super) struct Foreign {
    pub(super) definition: Definition,
    pub(super) edges: Vec<Edge>,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Services that come with it: its logger, the bundle of its pipeline.
    pub(super) others: Vec<Service>,
}

/// Reads a directory as that of `style`, or of the one that its files are of.
pub(super) fn read(name: &str, directory: &Path, absolute: &str, style: Option<Style>) -> Foreign {
    if style.is_none() && directory.join("type").exists() {
        return rc::read(name, directory, absolute);
    }
    let mut definition = Definition::new(name, absolute);
    let mut diagnostics = Vec::new();
    definition.style = style.unwrap_or_else(|| detect::style(directory, &mut diagnostics));
    let mut foreign = Foreign { definition, edges: Vec::new(), diagnostics, others: Vec::new() };
    supervised::read(&mut foreign, directory, name);
    if directory.join("down").exists() {
        foreign.definition.autostart = false;
    }
    if directory.join("log").is_dir() {
        logger(&mut foreign, name, directory, absolute);
    }
    foreign
}

/// `log/`, the directory of a service that reads the other's output.
fn logger(foreign: &mut Foreign, name: &str, directory: &Path, absolute: &str) {
    let directory = directory.join("log");
    let path = directory.display().to_string();
    if !directory.join("run").exists() {
        let message = "there is no log/run: what the service writes is kept as any other's";
        foreign.diagnostics.push(Diagnostic::new(&Location::whole(&path), Severity::Warning, message, None));
        return;
    }
    let logger_name = format!("{name}-log");
    let mut diagnostics = Vec::new();
    let style = match detect::evidence(&directory) {
        detect::Evidence::None => foreign.definition.style,
        detect::Evidence::S6 | detect::Evidence::Runit | detect::Evidence::Both => {
            detect::style(&directory, &mut diagnostics)
        }
    };
    let mut definition = Definition::new(&logger_name, &format!("{absolute}/log"));
    definition.style = style;
    definition.reads_pipe = true;
    let mut logger = Foreign { definition, edges: Vec::new(), diagnostics, others: Vec::new() };
    supervised::read(&mut logger, &directory, &format!("{name}/log"));
    logger.definition.stop.halt_by_end_of_input = true;
    logger.definition.stop.halt_timeout = supervised::DRAIN_TIMEOUT;
    logger.definition.autostart = !directory.join("down").exists();
    let mut service = Service::new(logger.definition, &path);
    service.invalid = logger.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    service.diagnostics = logger.diagnostics;
    let at = Location::whole(&path);
    foreign.edges.push(Edge { kind: EdgeKind::WritesTo, to: logger_name, at });
    foreign.others.push(service);
}

/// Notes an edge to each of these names.
fn link(foreign: &mut Foreign, kind: EdgeKind, names: Vec<(String, Location)>) {
    for (to, at) in names {
        if !valid_name(&to) || to.ends_with('@') {
            let message = format!("\"{}\" cannot be the name of a service", to.escape_debug());
            foreign.diagnostics.push(Diagnostic::new(&at, Severity::Error, &message, None));
        } else if !foreign.edges.iter().any(|edge| edge.kind == kind && edge.to == to) {
            foreign.edges.push(Edge { kind, to, at });
        }
    }
}
