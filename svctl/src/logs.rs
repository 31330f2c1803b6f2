//! The verb `logs`: reads what the logger has written, several services interleaved by their stamps.

mod follow;
mod source;

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use service::definition::valid_name;
use source::{Line, Source};
use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::path::Path;

/// How many lines precede what is followed.
const FOLLOW_LINES: usize = 10;

/// The last lines of a service's log, for people; none if there is none.
#[must_use]
pub fn tail(logs: &Path, name: &str, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if let Ok(mut source) = Source::open(logs, name)
        && source.seek_last(count).is_ok()
    {
        while let Ok(Some(line)) = source.next_line() {
            lines.push(String::from_utf8_lossy(&line.text).into_owned());
        }
    }
    lines
}

/// Shows logs.
///
/// # Errors
/// If a name is unknown, or something cannot be read or written.
pub fn run(places: &Places, names: &[String], follow: bool, lines: Option<usize>) -> Result<Exit, Failure> {
    let all = names.is_empty();
    let selected = if all { list(&places.logs)? } else { known(places, names)? };
    let mut printer = Printer::new(all || selected.len() > 1);
    let lines = lines.or(follow.then_some(FOLLOW_LINES));
    // What is written while the files are read must not be missed: watching begins before reading.
    let watch = if follow { Some(follow::Watch::new(&places.logs, &selected, all)?) } else { None };
    let mut sources = Vec::new();
    for name in &selected {
        let mut source = Source::open(&places.logs, name).map_err(|error| unreadable(name, &error))?;
        if let Some(count) = lines {
            source.seek_last(count).map_err(|error| unreadable(name, &error))?;
        }
        sources.push(source);
    }
    merge(&mut sources, lines, &mut printer)?;
    match watch {
        Some(watch) => watch.run(sources, &mut printer),
        None => {
            for source in &mut sources {
                printer.line(&source.unfinished())?;
            }
            printer.flush()?;
            Ok(Exit::Ok)
        }
    }
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::system(&format!("unable to read the log of {name}"), error)
}

/// The services that have a log.
fn list(logs: &Path) -> Result<Vec<String>, Failure> {
    let entries = fs::read_dir(logs)
        .map_err(|error| Failure::system(&format!("unable to list {}", logs.display()), &error))?;
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| valid_name(name) && is_log(&logs.join(name)))
        .collect();
    names.sort();
    Ok(names)
}

/// Whether this is a directory that the logger keeps: others put theirs in the same place.
fn is_log(directory: &Path) -> bool {
    directory.join("current").is_file()
}

fn known(places: &Places, names: &[String]) -> Result<Vec<String>, Failure> {
    let plan = Plan::read(&places.run);
    let mut selected: Vec<String> = Vec::new();
    for name in names {
        let has_log = valid_name(name) && places.logs.join(name).is_dir();
        if !has_log && !plan.knows(&places.run, name) {
            return Err(plan.no_such(name));
        }
        for member in plan.members(name) {
            if !selected.contains(&member) {
                selected.push(member);
            }
        }
    }
    Ok(selected)
}

/// Prints everything that the sources hold, by stamp; only so many of the last lines if `last` says so.
fn merge(sources: &mut [Source], last: Option<usize>, printer: &mut Printer) -> Result<(), Failure> {
    let mut heads: Vec<Option<Line>> = Vec::new();
    for source in sources.iter_mut() {
        heads.push(next(source)?);
    }
    let mut kept: VecDeque<Line> = VecDeque::new();
    // A tie goes to the name that comes first.
    while let Some((at, _)) = heads
        .iter()
        .enumerate()
        .filter_map(|(at, head)| head.as_ref().map(|line| (at, line)))
        .min_by(|(_, a), (_, b)| a.stamp.cmp(&b.stamp))
    {
        let following = match sources.get_mut(at) {
            Some(source) => next(source)?,
            None => None,
        };
        let Some(line) = heads.get_mut(at).and_then(|head| std::mem::replace(head, following)) else { break };
        match last {
            None => printer.line(&line)?,
            Some(count) => {
                kept.push_back(line);
                if kept.len() > count {
                    kept.pop_front();
                }
            }
        }
    }
    kept.iter().try_for_each(|line| printer.line(line))?;
    printer.flush()
}

fn next(source: &mut Source) -> Result<Option<Line>, Failure> {
    source.next_line().map_err(|error| unreadable(&source.name, &error))
}

/// Standard output, buffered, with the services' names where there are several.
pub(crate) struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    named: bool,
}

impl Printer {
    fn new(named: bool) -> Printer {
        Printer { out: BufWriter::with_capacity(64 << 10, io::stdout().lock()), named }
    }

    fn line(&mut self, line: &Line) -> Result<(), Failure> {
        if line.text.is_empty() && line.stamp.is_empty() {
            return Ok(());
        }
        let (stamp, rest) = if self.named { line.split() } else { (&[][..], line.text.as_slice()) };
        let mut write = || -> io::Result<()> {
            if self.named {
                self.out.write_all(stamp)?;
                self.out.write_all(line.name.as_bytes())?;
                self.out.write_all(b": ")?;
            }
            self.out.write_all(rest)?;
            self.out.write_all(b"\n")
        };
        write().map_err(|error| unwritable(&error))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| unwritable(&error))
    }
}

/// A reader that has seen enough is no failure.
fn unwritable(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Ok, "");
    }
    Failure::system("unable to write to standard output", error)
}

/// Tells of a service that came later, which is not worth ending for.
fn warn(name: &str, error: &io::Error) {
    output::complain(&format!("svctl: warning: {}", unreadable(name, error)));
}
