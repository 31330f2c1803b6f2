//! What was measured, for people.

use crate::sample::Sample;
use std::io::Write;

/// A line. A reader that goes away is no failure.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A heading with the meaning of its columns.
pub(crate) fn heading(title: &str, columns: [&str; 4]) {
    let [a, b, c, d] = columns;
    line(&format!("\n{title:<44}{a:>9}{b:>9}{c:>9}{d:>9}"));
}

/// A row; an empty cell stays empty.
pub(crate) fn row(label: &str, cells: [String; 4]) {
    let [a, b, c, d] = cells;
    line(format!("  {label:<42}{a:>9}{b:>9}{c:>9}{d:>9}").trim_end());
}

/// A row of times in milliseconds, with the ratio to `limit` and the aim.
pub(crate) fn times(label: &str, sample: &Sample, limit: Option<f64>, aim: &str) {
    let ratio = limit.map(|limit| format!("{:.2}", sample.median() / limit)).unwrap_or_default();
    row(label, [format!("{:.3}", sample.median()), format!("{:.3}", sample.high()), ratio, aim.to_owned()]);
}

/// A row of a thing that is not there.
pub(crate) fn absent(label: &str) {
    line(&format!("  {label:<42}not installed"));
}

/// A remark below a row.
pub(crate) fn note(text: &str) {
    line(&format!("    {text}"));
}
