//! What is shown.

use crate::error::{Error, Result};
use crate::progress::Progress;
use serde::Serialize;
use std::io::Write;

/// Says something to people. Whoever closed it does not want to know.
pub(super) fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "svctl image: {message}");
}

/// Shows a line. A reader that goes away has read enough.
pub(super) fn say(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        said => said.map_err(|error| Error::from(error).during("unable to write to standard output")),
    }
}

/// Shows something to programs.
pub(super) fn json(value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Error::refused(error.to_string()))?;
    say(&text)
}

/// Columns that are as wide as they have to be.
pub(super) fn table(rows: &[Vec<String>]) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        say(cells.collect::<Vec<String>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A number of bytes, for people.
pub(super) fn size(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes, 0);
    let mut tenths = 0;
    while value >= 1024 && unit + 1 < units.len() {
        tenths = value % 1024 * 10 / 1024;
        value /= 1024;
        unit += 1;
    }
    let word = units.get(unit).copied().unwrap_or_default();
    if unit == 0 { format!("{value} {word}") } else { format!("{value}.{tenths} {word}") }
}

/// Tells of each layer when it is done.
pub(super) struct Told {
    /// Nothing is told.
    pub(super) quiet: bool,
    name: String,
    bytes: u64,
}

impl Told {
    pub(super) fn new(quiet: bool) -> Told {
        Told { quiet, name: String::new(), bytes: 0 }
    }
}

impl Progress for Told {
    fn start(&mut self, name: &str, _: Option<u64>) {
        name.clone_into(&mut self.name);
        self.bytes = 0;
    }

    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn done(&mut self) {
        if !self.quiet {
            complain(&format!("unpacked {} ({})", self.name, size(self.bytes)));
        }
    }

    fn warn(&mut self, message: &str) {
        complain(&format!("warning: {message}"));
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_have_a_digit_after_the_point() {
        assert_eq!([0, 1023, 1536, 5 << 30].map(size), ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]);
    }
}
