//! The table: a line a service, columns as wide as they have to be.

use super::Row;
use crate::compile::units::show;
use service::Tick;
use service::status::State;
use std::fmt::Write;

const TITLES: [&str; 7] = ["SERVICE", "STATE", "READY", "PID", "FOR", "RESTARTS", "DETAIL"];
/// Which columns hold numbers, and are set to the right.
const RIGHT: [bool; 7] = [false, false, false, true, true, true, false];

/// Appends the table.
pub(super) fn write(text: &mut String, rows: &[Row], now: Tick, colours: bool) {
    let lines: Vec<[String; 7]> = rows.iter().map(|row| cells(row, now)).collect();
    let mut widths = TITLES.map(str::len);
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    write_line(text, &TITLES, &widths, None);
    for (line, row) in lines.iter().zip(rows) {
        let colour = colours.then(|| colour(row));
        write_line(text, &line.each_ref().map(String::as_str), &widths, colour);
    }
}

fn write_line(text: &mut String, cells: &[&str; 7], widths: &[usize; 7], colour: Option<&str>) {
    let start = text.len();
    for (column, ((cell, width), right)) in cells.iter().zip(widths).zip(RIGHT).enumerate() {
        let fill = width - cell.chars().count().min(*width);
        if right {
            text.extend(std::iter::repeat_n(' ', fill));
        }
        match colour.filter(|_| column == 1) {
            // Writing to a String cannot fail.
            Some(colour) => drop(write!(text, "\x1b[{colour}m{cell}\x1b[0m")),
            None => text.push_str(cell),
        }
        if !right {
            text.extend(std::iter::repeat_n(' ', fill));
        }
        text.push_str("  ");
    }
    let end = text.get(start..).map_or(text.len(), |line| start + line.trim_end().len());
    text.truncate(end);
    text.push('\n');
}

/// Green is good, red is bad, yellow may become either, and what is at rest has no colour.
fn colour(row: &Row) -> &'static str {
    if row.unsupervised {
        return "31";
    }
    match row.status.state {
        State::Up | State::Listening | State::Done => "32",
        State::Failed | State::Invalid => "31",
        State::Blocked | State::Starting | State::Stopping | State::Finishing | State::Backoff => "33",
        State::Down | State::Skipped => "0",
    }
}

fn cells(row: &Row, now: Tick) -> [String; 7] {
    let status = &row.status;
    let ready = match row.ready() {
        Some(true) => "yes",
        Some(false) => "no",
        None => "-",
    };
    let dash = || "-".to_owned();
    [
        status.name.clone(),
        status.state.word().to_owned(),
        ready.to_owned(),
        status.pid.map_or_else(dash, |pid| pid.to_string()),
        if status.since.0 == 0 { dash() } else { show(now.since(status.since)) },
        status.restarts.to_string(),
        detail(row, now),
    ]
}

/// What a person should know about it, in one line.
fn detail(row: &Row, now: Tick) -> String {
    let status = &row.status;
    let mut parts: Vec<String> = Vec::new();
    if row.unsupervised {
        parts.push("unsupervised".to_owned());
    }
    for (holds, word) in
        [(status.paused, "paused"), (status.reloading, "reloading"), (status.preparing, "preparing")]
    {
        parts.extend(holds.then(|| word.to_owned()));
    }
    if status.unhealthy > 0 {
        parts.push(format!("unhealthy ({})", status.unhealthy));
    }
    if !status.reason.is_empty() {
        parts.push(status.reason.lines().next().unwrap_or_default().to_owned());
    }
    parts.extend(status.text.lines().next().map(str::to_owned));
    let bad = matches!(status.state, State::Backoff | State::Failed | State::Finishing);
    if let Some(exit) = status.last_exit.filter(|_| bad || status.restarts > 0) {
        parts.push(format!("last {exit}"));
    }
    if let Some(next) = status.next_start {
        parts.push(format!("next start in {}", show(next.since(now))));
    }
    parts.join("; ")
}
