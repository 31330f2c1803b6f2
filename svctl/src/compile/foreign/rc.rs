//! Source definitions of s6-rc (s6-rc-compile, "Source format"): `type` says what a directory is.

use super::super::diagnostic::{Lines, Location, Severity};
use super::super::{EdgeKind, Service};
use super::files::Files;
use super::{Foreign, execline, link, supervised};
use crate::suggest::nearest;
use service::definition::{Definition, EnvironmentLayer, Kind, RestartWhen, Style, valid_name};
use std::path::Path;
use std::time::Duration;

pub(super) fn read(name: &str, directory: &Path, absolute: &str) -> Foreign {
    let definition = Definition { style: Style::S6, ..Definition::new(name, absolute) };
    let mut foreign = Foreign { definition, edges: Vec::new(), diagnostics: Vec::new(), others: Vec::new() };
    let mut files = Files::new(directory);
    let text = files.text("type").unwrap_or_default();
    match Kind::parse(text.trim_end_matches('\n')) {
        Some(Kind::Bundle) => {
            foreign.definition.kind = Kind::Bundle;
            let contents = files.names("contents");
            if contents.is_none() {
                files.error("contents.d", "a bundle needs contents");
            }
            link(&mut foreign, EdgeKind::Contains, contents.unwrap_or_default());
        }
        Some(Kind::Oneshot) => {
            oneshot(&mut foreign.definition, &mut files);
            atomic(&mut foreign, &mut files);
        }
        Some(Kind::Longrun) => {
            supervised::read(&mut foreign, directory, name);
            atomic(&mut foreign, &mut files);
            longrun(&mut foreign, &mut files, directory);
        }
        None => {
            let words = ["longrun", "oneshot", "bundle"];
            let message = "expected \"longrun\", \"oneshot\" or \"bundle\"";
            files.note(Severity::Error, "type", message, nearest(text.trim(), words));
        }
    }
    foreign.diagnostics.append(&mut files.diagnostics);
    foreign
}

/// What oneshots and longruns have in common.
fn atomic(foreign: &mut Foreign, files: &mut Files<'_>) {
    let dependencies = files.names("dependencies").unwrap_or_default();
    link(foreign, EdgeKind::Requires, dependencies);
    let up = timeout(files, "timeout-up");
    let definition = &mut foreign.definition;
    if definition.kind == Kind::Longrun && up.is_some() && files.exists("notification-fd") {
        definition.ready.timeout = up;
    }
    definition.start_timeout = up;
    let down = timeout(files, "timeout-down");
    let killed = files.exists("timeout-kill");
    if let (Some(down), false) = (down, killed) {
        definition.stop.timeout = Some(down);
    }
}

fn timeout(files: &mut Files<'_>, file: &str) -> Option<Duration> {
    files.number(file).filter(|number| *number > 0).map(|number| Duration::from_millis(number.into()))
}

fn oneshot(definition: &mut Definition, files: &mut Files<'_>) {
    definition.kind = Kind::Oneshot;
    definition.restart.when = RestartWhen::Never;
    definition.stop.timeout = Some(supervised::STOP_TIMEOUT);
    if !files.exists("up") {
        files.error("up", "a oneshot needs an up");
    }
    // A script of no words succeeds.
    definition.command = script(files, "up").unwrap_or_default();
    if definition.command.is_empty() {
        definition.command.push("true".to_owned());
    }
    definition.down_command = script(files, "down").unwrap_or_default();
    definition.reload_command = script(files, "reload").unwrap_or_default();
    let (key, value) = ("RC_NAME".to_owned(), definition.name.clone());
    definition.environment.push(EnvironmentLayer::Set { key, value });
}

/// The command line in a file.
fn script(files: &mut Files<'_>, file: &str) -> Option<Vec<String>> {
    let text = files.text(file)?;
    match execline::words(&text) {
        Ok(words) => Some(words),
        Err((offset, message)) => {
            let at = Location { place: Some(Lines::new(&text).place(offset)), ..files.location(file) };
            let diagnostic = super::Diagnostic::new(&at, Severity::Error, &message, None);
            files.diagnostics.push(diagnostic);
            None
        }
    }
}

fn longrun(foreign: &mut Foreign, files: &mut Files<'_>, directory: &Path) {
    let name = foreign.definition.name.clone();
    foreign.definition.start_timeout = None;
    if foreign.definition.command.is_empty() && directory.join("run").is_file() {
        // s6-rc makes its own copy, and makes that executable.
        match interpreter(files) {
            Some(mut command) => {
                command.extend(["./run".to_owned(), name.clone()]);
                foreign.definition.command = command;
            }
            None => files.error("run", "neither executable nor a script that names its interpreter"),
        }
    }
    let consumer = files.names("producer-for").unwrap_or_default();
    if consumer.len() > 1 {
        files.error("producer-for", "it must name one service");
    }
    // Whoever writes needs who reads.
    link(foreign, EdgeKind::Requires, consumer.clone());
    let last = consumer.is_empty();
    link(foreign, EdgeKind::WritesTo, consumer);
    let producers = files.names("consumer-for").unwrap_or_default();
    if producers.is_empty() {
        return;
    }
    foreign.definition.reads_pipe = true;
    foreign.definition.stop.halt_by_end_of_input = true;
    foreign.definition.stop.halt_timeout = supervised::DRAIN_TIMEOUT;
    link(foreign, EdgeKind::ReadsFrom, producers);
    pipeline(foreign, files, &name, last);
}

/// The bundle of all that write, through any number of others, to this service.
fn pipeline(foreign: &mut Foreign, files: &mut Files<'_>, name: &str, last: bool) {
    let Some((bundle, at)) = files.names("pipeline-name").unwrap_or_default().pop() else { return };
    if !last {
        files.warning("pipeline-name", "only the last of a pipeline names it: it is ignored");
    } else if !valid_name(&bundle) || bundle.ends_with('@') {
        files.error(
            "pipeline-name",
            &format!("\"{}\" cannot be the name of a service", bundle.escape_debug()),
        );
    } else {
        let definition =
            Definition { kind: Kind::Bundle, ..Definition::new(&bundle, &foreign.definition.directory) };
        let mut service = Service::new(definition, &at.path);
        service.pipeline = true;
        service.edges.push(super::Edge { kind: EdgeKind::Contains, to: name.to_owned(), at });
        foreign.others.push(service);
    }
}

/// The words after `#!`: the kernel takes all after the first as one (execve(2)).
fn interpreter(files: &mut Files<'_>) -> Option<Vec<String>> {
    let text = files.text("run")?;
    let line = text.strip_prefix("#!")?.lines().next()?.trim();
    let (program, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = Some(argument.trim()).filter(|argument| !argument.is_empty());
    let words = std::iter::once(program).chain(argument).map(str::to_owned);
    (!program.is_empty()).then(|| words.collect())
}
