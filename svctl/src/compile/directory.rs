//! Reading one service directory: `service.toml`, or a bare directory with an executable `run`.

use super::diagnostic::{Lines, Severity};
use super::keys::{self, File};
use super::program::{Programs, is_executable};
use super::reader::Reader;
use super::{Compiled, Diagnostic, Options, Place, Service};
use crate::exit::cause;
use service::definition::{Definition, Kind, ReadyMethod, valid_name};
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use toml::de::DeTable;

/// No definition is as long as this; what is, is something else.
const FILE_MAX: u64 = 1 << 20;

const BAD_NAME: &str = "this cannot be the name of a service: letters, digits and _-.@+: only, beginning with a \
                        letter, a digit or _, at most 200";

/// Reads every service directory of the tree.
pub(super) fn read_tree(options: &Options) -> io::Result<Compiled> {
    let mut names: Vec<_> = fs::read_dir(&options.services)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<_>>()?;
    names.sort();
    let mut compiled = Compiled { services: Vec::new(), stray: Vec::new() };
    for name in names {
        let directory = options.services.join(&name);
        // Hidden directories are those of editors and version control, or somebody's way to disable one.
        if name.as_encoded_bytes().starts_with(b".") || !directory.is_dir() {
            continue;
        }
        match name.to_str().filter(|name| valid_name(name)) {
            Some(name) => compiled.services.push(read(name, &directory, options)),
            None => {
                let path = directory.display().to_string();
                compiled.stray.push(Diagnostic::new(&path, None, Severity::Error, BAD_NAME, None));
            }
        }
    }
    Ok(compiled)
}

fn read(name: &str, directory: &Path, options: &Options) -> Service {
    let file = directory.join("service.toml");
    let absolute = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
    let absolute = absolute.display().to_string();
    let mut service = match read_text(&file) {
        Ok(None) => bare(name, directory, &absolute),
        Ok(Some(text)) => read_toml(name, &absolute, &file.display().to_string(), &text, &options.prober),
        Err((place, message)) => {
            let mut service = Service {
                definition: Definition::new(name, &absolute),
                edges: Vec::new(),
                path: file.display().to_string(),
                program: None,
                diagnostics: Vec::new(),
                invalid: true,
            };
            service.note(Severity::Error, place, &message, None);
            service
        }
    };
    complete(&mut service, directory);
    if let (Some(root), false) = (&options.root, service.invalid) {
        check_programs(&mut service, directory, root);
    }
    service.invalid |= service.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    service
}

/// The file's text; none if there is no file.
fn read_text(file: &Path) -> Result<Option<String>, (Option<Place>, String)> {
    let problem = |error: &io::Error| (None, format!("unable to read: {}", cause(error)));
    match fs::metadata(file) {
        Ok(metadata) if !metadata.is_file() => return Err((None, "not a regular file".to_owned())),
        Ok(metadata) if metadata.len() > FILE_MAX => return Err((None, "longer than 1 MiB".to_owned())),
        Ok(_) => {}
        // A link to nowhere is a mistake, not an absence.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => return Ok(None),
        Err(error) => return Err(problem(&error)),
    }
    let bytes = fs::read(file).map_err(|error| problem(&error))?;
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default());
        (Some(Lines::new(&text).place(good)), "not UTF-8".to_owned())
    })
}

/// Reads the text of a `service.toml`, without looking at the directory it stands in.
#[must_use]
pub fn read_toml(name: &str, directory: &str, path: &str, text: &str, prober: &str) -> Service {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(path, text);
    for error in &errors {
        reader.syntax(error.span(), &error.message().replace('\n', " "));
    }
    let file = keys::read(&mut reader, table.get_ref(), name, directory, prober);
    let invalid = !reader.is_whole();
    if !invalid {
        check_whole(&mut reader, &file);
    }
    let File { definition, edges, program, .. } = file;
    let program = program.map(|span| reader.place(&span));
    let diagnostics = reader.diagnostics;
    let invalid = invalid || diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
    Service { definition, edges, path: path.to_owned(), program, diagnostics, invalid }
}

/// What a file must have for its kind, apart from its directory.
fn check_whole(reader: &mut Reader<'_>, file: &File) {
    let start: Range<usize> = 0..0;
    let kind = file.spans.get("type").unwrap_or(&start);
    if file.definition.kind == Kind::Bundle && !file.spans.contains_key("contents") {
        reader.error(kind, "a bundle needs contents");
    }
}

/// A directory with no more than a `run`, as for s6 and runit.
fn bare(name: &str, directory: &Path, absolute: &str) -> Service {
    let mut service = Service {
        definition: Definition::new(name, absolute),
        edges: Vec::new(),
        path: directory.display().to_string(),
        program: None,
        diagnostics: Vec::new(),
        invalid: false,
    };
    let file = directory.join("notification-fd");
    if let Ok(text) = fs::read_to_string(&file) {
        match text.trim().parse() {
            Ok(number @ 3..=63) => service.definition.ready.method = ReadyMethod::Descriptor(number),
            Ok(_) | Err(_) => {
                let found = text.trim().escape_debug().to_string();
                let message = format!("notification-fd: expected a number from 3 to 63, found \"{found}\"");
                service.note(Severity::Error, None, &message, None);
            }
        }
    }
    service
}

/// What the files beside `service.toml` say.
fn complete(service: &mut Service, directory: &Path) {
    let run = directory.join("run");
    let bundle = service.definition.kind == Kind::Bundle;
    service.definition.finish = !bundle && is_executable(&directory.join("finish"));
    if directory.join("down").exists() {
        service.definition.autostart = false;
    }
    if service.invalid && service.definition.command.is_empty() {
        // Whatever it was to run may stand in what could not be read.
        return;
    }
    match (is_executable(&run), service.definition.command.is_empty()) {
        (true, _) if bundle => {
            service.note(Severity::Error, None, "a bundle runs nothing, and has an executable run", None);
        }
        (true, true) => {
            service.definition.command = vec!["./run".to_owned()];
            service.definition.working_directory.clone_from(&service.definition.directory);
        }
        (true, false) => {
            let message = "there are a command and an executable run: which one is meant?";
            service.note(Severity::Error, None, message, None);
        }
        (false, true) if !bundle => {
            let message = if run.exists() {
                "nothing to run: run is not executable"
            } else {
                "nothing to run: no command and no executable run"
            };
            service.note(Severity::Error, None, message, None);
        }
        (false, _) => {}
    }
}

/// Looks for what the service is going to execute.
fn check_programs(service: &mut Service, directory: &Path, root: &Path) {
    let programs = Programs::new(root, &service.definition.environment);
    if programs.excused(&service.definition) {
        return;
    }
    let missing = match service.definition.command.first().map(String::as_str) {
        None => None,
        Some("./run") => programs.missing_interpreter(&directory.join("run")),
        Some(program) => programs.missing(program),
    };
    if let Some(message) = missing {
        service.note(Severity::Error, service.program, &message, None);
    }
}
