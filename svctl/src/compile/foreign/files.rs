//! The small files of a foreign service directory: a number, a signal, a list of names, or nothing but being
//! there. What cannot be understood is a warning and counts as absent, as it does for their own supervisors.

use super::super::diagnostic::{Diagnostic, Location, Severity};
use super::super::program::is_executable;
use super::super::sources::{Problem, read_text};
use crate::exit::cause;
use crate::suggest::nearest;
use service::Signal;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory, and what is wrong with it.
pub(super) struct Files<'a> {
    pub(super) directory: &'a Path,
    pub(super) diagnostics: Vec<Diagnostic>,
}

impl<'a> Files<'a> {
    pub(super) fn new(directory: &'a Path) -> Files<'a> {
        Files { directory, diagnostics: Vec::new() }
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.directory.join(file)
    }

    pub(super) fn location(&self, file: &str) -> Location {
        Location::whole(&self.path(file).display().to_string())
    }

    pub(super) fn note(&mut self, severity: Severity, file: &str, message: &str, suggestion: Option<&str>) {
        self.diagnostics.push(Diagnostic::new(&self.location(file), severity, message, suggestion));
    }

    pub(super) fn error(&mut self, file: &str, message: &str) {
        self.note(Severity::Error, file, message, None);
    }

    pub(super) fn warning(&mut self, file: &str, message: &str) {
        self.note(Severity::Warning, file, message, None);
    }

    pub(super) fn exists(&self, file: &str) -> bool {
        self.path(file).exists()
    }

    /// Whether it is there and can be executed; if it is there and cannot, that is told.
    pub(super) fn executable(&mut self, file: &str) -> bool {
        let found = is_executable(&self.path(file));
        if !found && self.exists(file) {
            self.warning(file, "not executable: it is not run");
        }
        found
    }

    /// The text of a file; none if it is absent or cannot be read, which is told.
    pub(super) fn text(&mut self, file: &str) -> Option<String> {
        match read_text(&self.path(file)) {
            Ok(text) => text,
            Err(Problem { at, message }) => {
                self.diagnostics.push(Diagnostic::new(&at, Severity::Error, &message, None));
                None
            }
        }
    }

    fn line(&mut self, file: &str) -> Option<String> {
        self.text(file).map(|text| text.lines().next().unwrap_or_default().to_owned())
    }

    /// A decimal number; none if the file is absent, or holds something else.
    pub(super) fn number(&mut self, file: &str) -> Option<u32> {
        let line = self.line(file)?;
        let digits = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        let number = line.parse().ok().filter(|_| digits);
        if number.is_none() {
            let found = line.escape_debug();
            self.warning(file, &format!("expected a number, found \"{found}\": it is ignored"));
        }
        number
    }

    /// A signal; none if the file is absent, or holds something else.
    pub(super) fn signal(&mut self, file: &str) -> Option<Signal> {
        let line = self.line(file)?;
        let signal = Signal::parse(&line);
        if signal.is_none() {
            let bare = line.strip_prefix("SIG").unwrap_or(&line);
            let guess = nearest(bare, Signal::names().iter().copied());
            let message = format!("unknown signal \"{}\": it is ignored", line.escape_debug());
            self.note(Severity::Warning, file, &message, guess);
        }
        signal
    }

    /// The names of a directory `NAME.d`, or the lines of a file `NAME`, each with where it stands. None if
    /// there is neither.
    pub(super) fn names(&mut self, list: &str) -> Option<Vec<(String, Location)>> {
        let directory = format!("{list}.d");
        match fs::read_dir(self.path(&directory)) {
            Ok(entries) => Some(self.entries(&directory, entries)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = self.text(list)?;
                let at = self.location(list);
                let lines =
                    text.lines().map(str::trim_start).filter(|l| !l.is_empty() && !l.starts_with('#'));
                Some(lines.map(|line| (line.to_owned(), at.clone())).collect())
            }
            Err(error) => {
                self.error(&directory, &format!("unable to read: {}", cause(&error)));
                None
            }
        }
    }

    fn entries(&mut self, directory: &str, entries: fs::ReadDir) -> Vec<(String, Location)> {
        let mut names = Vec::new();
        for entry in entries {
            match entry.map(|entry| entry.file_name().into_string()) {
                Ok(Ok(name)) if name.starts_with('.') => {}
                Ok(Ok(name)) => names.push(name),
                Ok(Err(name)) => {
                    self.error(directory, &format!("\"{}\" cannot be the name of a service", name.display()));
                }
                Err(error) => self.error(directory, &format!("unable to read: {}", cause(&error))),
            }
        }
        names.sort();
        names.into_iter().map(|name| (name.clone(), self.location(&format!("{directory}/{name}")))).collect()
    }
}
