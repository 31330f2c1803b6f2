//! The texts that make up one definition: `service.toml` and what is dropped in over it.
//!
//! Each text is parsed as if it stood after all those before it, so that an offset names a place in one of
//! them, and a value still knows where it came from when the tables have been merged.

use super::diagnostic::{Lines, Location, Place};
use crate::exit::cause;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// No definition is as long as this; what is, is something else.
const FILE_MAX: usize = 1 << 20;

/// One text.
#[derive(Debug)]
struct Source {
    path: Rc<str>,
    /// The offset of its first byte.
    base: usize,
    /// The text after `base` newlines.
    padded: String,
}

/// All texts of a definition, in the order in which they are laid over each other.
#[derive(Debug)]
pub(super) struct Sources {
    /// What is named when nothing else can be.
    directory: Rc<str>,
    list: Vec<Source>,
}

impl Sources {
    /// No texts yet; `directory` stands for them.
    pub(super) fn new(directory: &str) -> Sources {
        Sources { directory: Rc::from(directory), list: Vec::new() }
    }

    /// Adds a text.
    pub(super) fn push(&mut self, path: &str, text: &str) -> Result<(), Problem> {
        let base = self.list.last().map_or(0, |source| source.padded.len() + 1);
        if base + text.len() > FILE_MAX {
            return Err(Problem { at: Location::whole(path), message: "longer than 1 MiB".to_owned() });
        }
        let padded = "\n".repeat(base) + text;
        self.list.push(Source { path: Rc::from(path), base, padded });
        Ok(())
    }

    /// Adds the text of a file; false if there is no such file.
    pub(super) fn read(&mut self, file: &Path) -> Result<bool, Problem> {
        let Some(text) = read_text(file)? else { return Ok(false) };
        self.push(&file.display().to_string(), &text).map(|()| true)
    }

    /// The texts as they are to be parsed.
    pub(super) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.list.iter().map(|source| (source.base, source.padded.as_str()))
    }

    /// The file, and the place in it, of an offset.
    pub(super) fn location(&self, offset: usize) -> Location {
        let Some(source) = self.source(offset) else {
            return Location { path: Rc::clone(&self.directory), place: None };
        };
        let text = source.padded.get(source.base..).unwrap_or_default();
        let place = Lines::new(text).place(offset.saturating_sub(source.base));
        Location { path: Rc::clone(&source.path), place: Some(place) }
    }

    /// Where the text ends that this offset is in.
    pub(super) fn end(&self, offset: usize) -> usize {
        self.source(offset).map_or(usize::MAX, |source| source.padded.len() + 1)
    }

    fn source(&self, offset: usize) -> Option<&Source> {
        self.list.iter().rev().find(|source| source.base <= offset)
    }
}

/// Why a file cannot be read.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: Location,
    pub(super) message: String,
}

/// A file's text; none if there is no file.
pub(super) fn read_text(file: &Path) -> Result<Option<String>, Problem> {
    let path = file.display().to_string();
    let problem = |place: Option<Place>, message: String| Problem {
        at: Location { path: Rc::from(path.as_str()), place },
        message,
    };
    let unable = |error: &io::Error| problem(None, format!("unable to read: {}", cause(error)));
    match fs::metadata(file) {
        // Opening a pipe would wait for its writer.
        Ok(metadata) if !metadata.is_file() => return Err(problem(None, "not a regular file".to_owned())),
        Ok(metadata) if metadata.len() > FILE_MAX as u64 => {
            return Err(problem(None, "longer than 1 MiB".to_owned()));
        }
        Ok(_) => {}
        // A link to nowhere is a mistake, not an absence.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !file.is_symlink() => return Ok(None),
        Err(error) => return Err(unable(&error)),
    }
    let bytes = fs::read(file).map_err(|error| unable(&error))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default());
        problem(Some(Lines::new(&text).place(good)), "not UTF-8".to_owned())
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(Some(text))
}

/// The `*.toml` files of a directory in the order of their names; none if there is no directory.
pub(super) fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, Problem> {
    let names = match fs::read_dir(directory) {
        Ok(entries) => entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => Err(error),
    };
    let mut files = names.map_err(|error| Problem {
        at: Location::whole(&directory.display().to_string()),
        message: format!("unable to read: {}", cause(&error)),
    })?;
    files.retain(|file| {
        let hidden = file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        !hidden && file.extension().is_some_and(|extension| extension == "toml")
    });
    files.sort();
    Ok(files)
}
