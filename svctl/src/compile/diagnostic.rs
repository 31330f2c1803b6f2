//! What is wrong with a definition, and where.

use std::fmt;
use std::rc::Rc;

/// A place in a file: line and column from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// A place in one of the files that make up a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file or directory, as a person would name it.
    pub path: Rc<str>,
    /// Where in the file; none if the whole of it is meant.
    pub place: Option<Place>,
}

impl Location {
    /// The whole of a file.
    #[must_use]
    pub fn whole(path: &str) -> Location {
        Location { path: Rc::from(path), place: None }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some(place) => write!(f, "{}:{place}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Worth knowing; the service is used as it stands.
    Warning,
    /// A mistake that must be corrected.
    Error,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The file or directory, as a person would name it.
    pub path: String,
    /// Where in the file; none if the whole of it is meant.
    pub place: Option<Place>,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// A mistake. What it quotes may be anything: control characters are escaped, so that it stays one line
    /// and cannot command a terminal.
    #[must_use]
    pub fn new(at: &Location, severity: Severity, message: &str, suggestion: Option<&str>) -> Diagnostic {
        let suggestion = suggestion.map(clean);
        Diagnostic { path: clean(&at.path), place: at.place, severity, message: clean(message), suggestion }
    }
}

fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            cleaned.extend(character.escape_default());
        } else {
            cleaned.push(character);
        }
    }
    cleaned
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(place) = self.place {
            write!(f, "{place}:")?;
        }
        if self.severity == Severity::Warning {
            f.write_str(" warning:")?;
        }
        write!(f, " {}", self.message)?;
        match &self.suggestion {
            Some(suggestion) => write!(f, " (did you mean \"{suggestion}\"?)"),
            None => Ok(()),
        }
    }
}

/// Finds the line and column of an offset.
#[derive(Debug)]
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    /// The lines of `text`.
    #[must_use]
    pub fn new(text: &'a str) -> Lines<'a> {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(newlines.map(|(offset, _)| offset + 1)).collect();
        Lines { text, starts }
    }

    /// The place of the byte at `offset`; one beyond the end is the end.
    #[must_use]
    pub fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let before = self.text.as_bytes().get(start..offset).unwrap_or_default();
        // A character is counted at its first byte.
        let column = before.iter().filter(|byte| **byte & 0xc0 != 0x80).count() + 1;
        Place { line, column }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let lines = Lines::new("ab\nçd\n");
        let places: Vec<String> = [0, 2, 3, 5, 7, 99].map(|offset| lines.place(offset).to_string()).into();
        assert_eq!(places, ["1:1", "1:3", "2:1", "2:2", "3:1", "3:1"]);
    }
}
