//! Reading one service directory: what its files say, `service.toml`, and what is dropped in over them.

use super::diagnostic::{Diagnostic, Location, Severity};
use super::foreign::{self, Foreign};
use super::keys::{self, File};
use super::merge::{self, Specifiers};
use super::program::is_executable;
use super::programs;
use super::reader::Reader;
use super::sources::{Problem, Sources, drop_ins};
use super::{Options, Service, accounts, transient};
use crate::loaded::Source;
use service::definition::{Definition, Kind, Style};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Files that mean something in a directory without a `service.toml`, and nothing beside one.
const FOREIGN: [&str; 14] = [
    "notification-fd",
    "lock-fd",
    "timeout-kill",
    "timeout-finish",
    "down-signal",
    "reload-signal",
    "flag-newpidns",
    "check",
    "control",
    "log",
    "type",
    "up",
    "dependencies.d",
    "contents.d",
];

/// Where a service comes from.
#[derive(Debug)]
pub(super) enum Origin {
    /// A directory of its own.
    Directory(PathBuf),
    /// A template.
    Template {
        /// The template's directory.
        template: PathBuf,
        /// The instance's own, for what is dropped in.
        own: Option<PathBuf>,
        /// Whether it is started with the machine, if the template says nothing else.
        autostart: bool,
    },
}

/// Reads the service called `name`, and those that come with it.
pub(super) fn read(name: &str, origin: &Origin, options: &Options) -> Vec<Service> {
    let (directory, own, by_name) = match origin {
        Origin::Directory(directory) => (directory, None, false),
        Origin::Template { template, own, autostart } => (template, own.as_deref(), !autostart),
    };
    let specifiers = match origin {
        Origin::Directory(_) => None,
        Origin::Template { .. } => name.split_once('@').map(|(_, instance)| Specifiers { name, instance }),
    };
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    // Before it is read: what changes from now on is news.
    let source = Source::of(std::iter::once(directory.as_path()).chain(own).map(absolute).collect());
    let path = directory.display().to_string();
    let mut sources = Sources::new(&path);
    let file = directory.join("service.toml");
    let mut problems = Vec::new();
    let has_toml = note(read_file(&mut sources, &file, options), &mut problems).unwrap_or(true);
    for layer in layers(name, directory, own, options) {
        for file in note(dropped_into(&layer, options), &mut problems).unwrap_or_default() {
            note(read_file(&mut sources, &file, options), &mut problems);
        }
    }
    let absolute = absolute(directory).display().to_string();
    let place = Place { name, directory, absolute: &absolute, has_toml, problems };
    let mut services = assemble(&place, &sources, specifiers, options);
    if let Some(service) = services.first_mut() {
        service.source = Some(source);
        service.definition.instance = specifiers.map(|specifiers| specifiers.instance.to_owned());
        service.definition.autostart &= !by_name && !own.is_some_and(|own| own.join("down").exists());
        // Whoever makes one starts it: after a boot there is none.
        service.definition.autostart &= !transient::is_one(directory, options);
    }
    for service in &mut services {
        finish(service, options);
    }
    services
}

fn note<T>(result: Result<T, Problem>, problems: &mut Vec<Problem>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// Adds what a file says, or is to say; false if there is no such file.
fn read_file(sources: &mut Sources, file: &Path, options: &Options) -> Result<bool, Problem> {
    match options.trial.as_ref().filter(|trial| trial.file == file) {
        Some(trial) => sources.push(&file.display().to_string(), &trial.text).map(|()| true),
        None => sources.read(file),
    }
}

/// The files of a directory of what is dropped in, with the one that is tried.
fn dropped_into(layer: &Path, options: &Options) -> Result<Vec<PathBuf>, Problem> {
    let mut files = drop_ins(layer)?;
    let tried = options.trial.as_ref().map(|trial| &trial.file).filter(|file| file.parent() == Some(layer));
    if let Some(file) = tried.filter(|file| !files.contains(file)) {
        files.push(file.clone());
        files.sort();
    }
    Ok(files)
}

/// The directories of what is dropped in, the last wins: with the definition, of the instance, and of the
/// machine, which may have its definitions on a medium that cannot be written to.
fn layers(name: &str, directory: &Path, own: Option<&Path>, options: &Options) -> Vec<PathBuf> {
    let mut layers = vec![directory.join("service.d")];
    layers.extend(own.map(|own| own.join("service.d")));
    if let Some(overrides) = &options.overrides {
        let template = name.find('@').and_then(|at| name.get(..=at));
        layers.extend(template.map(|template| overrides.join(template).join("service.d")));
        layers.push(overrides.join(name).join("service.d"));
    }
    // A transient service has its own there.
    layers.dedup();
    layers
}

/// A service directory.
struct Place<'a> {
    name: &'a str,
    directory: &'a Path,
    absolute: &'a str,
    /// Whether there is a `service.toml`.
    has_toml: bool,
    /// What could not be read.
    problems: Vec<Problem>,
}

fn assemble(
    place: &Place<'_>,
    sources: &Sources,
    specifiers: Option<Specifiers<'_>>,
    options: &Options,
) -> Vec<Service> {
    let mut reader = Reader::new(sources);
    let mut table = merge::parse(sources, &mut reader);
    if let Some(specifiers) = specifiers {
        merge::fill_in(&mut reader, &mut table, specifiers);
    }
    let style = table.get("style").and_then(|value| value.get_ref().as_str()).and_then(Style::parse);
    let ours = match style {
        Some(style) => style == Style::Mainstay,
        None => place.has_toml,
    };
    let mut foreign = if ours {
        let definition = Definition::new(place.name, place.absolute);
        Foreign { definition, edges: Vec::new(), diagnostics: Vec::new(), others: Vec::new() }
    } else {
        foreign::read(place.name, place.directory, place.absolute, style)
    };
    if ours && place.has_toml {
        foreign.diagnostics.extend(overlooked(place.directory));
    }
    let others = std::mem::take(&mut foreign.others);
    let noted = std::mem::take(&mut foreign.diagnostics);
    let mut service = read_keys(reader, &table, foreign, &options.prober);
    service.diagnostics.extend(noted);
    service.invalid |= has_error(&service);
    let file = if place.has_toml { place.directory.join("service.toml") } else { place.directory.to_owned() };
    service.path = file.display().to_string();
    for Problem { at, message } in &place.problems {
        service.note(Severity::Error, Some(at), message, None);
    }
    complete(&mut service, place.directory);
    let mut services = vec![service];
    services.extend(others);
    services
}

/// Warns of files that would mean something, were there no `service.toml`.
fn overlooked(directory: &Path) -> Option<Diagnostic> {
    let found: Vec<&str> = FOREIGN.into_iter().filter(|file| directory.join(file).exists()).collect();
    let message = format!(
        "beside a service.toml these mean nothing, unless it says style = \"s6\" or \"runit\": {}",
        found.join(", ")
    );
    let at = Location::whole(&directory.display().to_string());
    (!found.is_empty()).then(|| Diagnostic::new(&at, Severity::Warning, &message, None))
}

/// Reads the text of a `service.toml`, without looking at the directory it stands in.
#[must_use]
pub fn read_toml(name: &str, directory: &str, path: &str, text: &str, prober: &str) -> Service {
    let mut sources = Sources::new(path);
    let definition = Definition::new(name, directory);
    let problem = sources.push(path, text).err();
    let mut reader = Reader::new(&sources);
    let table = merge::parse(&sources, &mut reader);
    let base = Foreign { definition, edges: Vec::new(), diagnostics: Vec::new(), others: Vec::new() };
    let mut service = read_keys(reader, &table, base, prober);
    path.clone_into(&mut service.path);
    if let Some(Problem { at, message }) = problem {
        service.note(Severity::Error, Some(&at), &message, None);
    }
    service
}

fn read_keys(mut reader: Reader<'_>, table: &DeTable<'_>, base: Foreign, prober: &str) -> Service {
    let directory = base.definition.directory.clone();
    let bundle = base.definition.kind == Kind::Bundle;
    let file = keys::read(&mut reader, table, (base.definition, base.edges), prober);
    let whole = reader.is_whole();
    if whole && !bundle {
        check_whole(&mut reader, &file);
    }
    let File { definition, edges, programs, .. } = file;
    let mut service = Service::new(definition, &directory);
    service.edges = edges;
    service.programs = programs.into_iter().map(|(key, span)| (key, reader.location(&span))).collect();
    service.diagnostics = reader.diagnostics;
    service.invalid = !whole || has_error(&service);
    service
}

fn has_error(service: &Service) -> bool {
    service.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// What a definition must have for its kind, apart from its directory.
fn check_whole(reader: &mut Reader<'_>, file: &File) {
    let start: Range<usize> = 0..0;
    let kind = file.spans.get("type").unwrap_or(&start);
    if file.definition.kind == Kind::Bundle && !file.spans.contains_key("contents") {
        reader.error(kind, "a bundle needs contents");
    }
}
/// What the files `run`, `finish` and `down` say, for whoever's directory it is.
fn complete(service: &mut Service, directory: &Path) {
    let bundle = service.definition.kind == Kind::Bundle;
    let ours = service.definition.style == Style::Mainstay;
    if ours && !bundle {
        let finish = directory.join("finish");
        service.definition.finish = is_executable(&finish);
        if !service.definition.finish && finish.exists() {
            let at = Location::whole(&finish.display().to_string());
            service.note(Severity::Warning, Some(&at), "not executable: it is not run", None);
        }
    }
    if ours && directory.join("down").exists() {
        service.definition.autostart = false;
    }
    if service.invalid && service.definition.command.is_empty() {
        // Whatever it was to run may stand in what could not be read.
        return;
    }
    let run = directory.join("run");
    match (is_executable(&run), service.definition.command.is_empty()) {
        (true, _) if bundle => {
            service.note(Severity::Error, None, "a bundle runs nothing, and has an executable run", None);
        }
        (true, _) if service.definition.image.is_some() => {
            let message = "a service that runs from an image has no run: command, or what the image says";
            service.note(Severity::Error, None, message, None);
        }
        (true, true) => {
            service.definition.command = vec!["./run".to_owned()];
            service.definition.working_directory.clone_from(&service.definition.directory);
        }
        // With theirs, the command is what `run` is, or what somebody put in its place.
        (true, false) if ours => {
            let message = "there are a command and an executable run: which one is meant?";
            service.note(Severity::Error, None, message, None);
        }
        (false, true) if !bundle && service.definition.image.is_none() => {
            let message = if run.exists() {
                "nothing to run: run is not executable"
            } else {
                "nothing to run: no command and no executable run"
            };
            service.note(Severity::Error, None, message, None);
        }
        (true | false, _) => {}
    }
}

/// Looks for what the service is going to execute, and closes the case.
fn finish(service: &mut Service, options: &Options) {
    service.invalid |= has_error(service);
    if let (Some(root), false) = (&options.root, service.invalid) {
        programs::look(service, root);
        accounts::look(service, root);
    }
}
