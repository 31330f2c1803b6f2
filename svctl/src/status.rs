//! The verb `status`: reads what the supervisors have written. No process is asked, so that it answers
//! whatever state they are in.

mod detail;
mod json;
mod sockets;
mod table;
mod usage;

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::loaded::Loaded;
use crate::output;
use crate::plan::Plan;
use service::Tick;
use service::definition::Kind;
use service::status::{State, Status, Want};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use sys::fs::Directory;

/// As many names of services that have changed are told.
const CHANGED_MAX: usize = 8;

/// The longest status file that is read.
const FILE_MAX: usize = 64 << 10;

/// One service as it is shown.
#[derive(Clone, Debug)]
pub struct Row {
    /// What its status file says, or what follows from there being none.
    pub status: Status,
    /// Whether a process runs or should run that nobody looks after.
    pub unsupervised: bool,
    /// Whether its definition has changed on disk since it was loaded.
    pub changed: bool,
    /// The sockets that are held for it, if they are to be shown.
    sockets: Vec<sockets::Shown>,
}

impl Row {
    /// A service with this status that is looked after.
    #[cfg(test)]
    pub(crate) fn of(status: Status) -> Row {
        Row { status, unsupervised: false, changed: false, sockets: Vec::new() }
    }

    /// Whether it is as it should be: up, done, skipped, or down as wanted; and looked after.
    #[must_use]
    pub fn good(&self) -> bool {
        let at_rest = self.status.state == State::Down && self.status.want == Want::Down;
        (self.status.state.good() || at_rest) && !self.unsupervised
    }

    /// Whether it is ready, if that means something for it.
    #[must_use]
    pub fn ready(&self) -> Option<bool> {
        match self.status.state {
            // Whoever needs it can connect.
            State::Up | State::Listening => Some(true),
            State::Starting if self.status.kind == Kind::Longrun => Some(false),
            State::Starting
            | State::Down
            | State::Blocked
            | State::Stopping
            | State::Finishing
            | State::Backoff
            | State::Done
            | State::Failed
            | State::Skipped
            | State::Invalid => None,
        }
    }
}

/// Reads small files one after the other into the same buffer.
#[derive(Debug)]
pub struct Files {
    buffer: Vec<u8>,
    /// Where the services' directories are, once one was looked at.
    services: Option<Directory>,
}

impl Files {
    /// A reader, for one run directory.
    #[must_use]
    pub fn new() -> Files {
        Files { buffer: vec![0; FILE_MAX], services: None }
    }

    /// A file of a service.
    fn open(&self, service: &str, name: &str) -> io::Result<File> {
        let services = self.services.as_ref().ok_or(io::ErrorKind::NotFound)?;
        services.file(&format!("{service}/{name}"))
    }

    /// The text of one. One open, one read and one close for a file that is replaced and never appended to.
    fn read(&mut self, service: &str, name: &str) -> io::Result<&str> {
        let mut file = self.open(service, name)?;
        let mut length = 0;
        loop {
            let free = self.buffer.get_mut(length..).unwrap_or_default();
            let room = free.len();
            let count = file.read(free)?;
            length += count;
            // A regular file gives less than was asked for only at its end.
            if count < room || count == 0 {
                break;
            }
        }
        let bytes = self.buffer.get(..length).unwrap_or_default();
        std::str::from_utf8(bytes).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// The status of a service, by its file, or else by the plan.
    pub fn row(&mut self, run: &Path, plan: &Plan, name: &str) -> Row {
        if self.services.is_none() {
            self.services = Directory::open(&run.join("service")).ok();
        }
        let status = match self.read(name, "status") {
            Ok(text) => Status::decode(text).unwrap_or_else(|| unreadable(name, "of another version")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => planned(plan, name),
            Err(error) => unreadable(name, &crate::exit::cause(&error)),
        };
        let status = with_problem(status, plan);
        let unsupervised = needs_supervisor(&status) && !self.looked_after(&status);
        Row { status, unsupervised, changed: false, sockets: Vec::new() }
    }

    /// Whether a supervisor lives. Its number may mean another process here, or none: ours may be another PID namespace.
    /// The lock does not depend on that; but only root and the supervisor's user can look at it.
    fn looked_after(&self, status: &Status) -> bool {
        match self.open(&status.name, "lock").and_then(|lock| sys::fs::is_locked(&lock)) {
            Ok(locked) => locked,
            Err(_) => status.supervisor.is_some_and(sys::process::exists),
        }
    }
}

impl Default for Files {
    fn default() -> Files {
        Files::new()
    }
}

/// Whether something runs, or will without anybody's doing. At rest a supervisor may go: a oneshot's does.
fn needs_supervisor(status: &Status) -> bool {
    match status.state {
        State::Starting
        | State::Listening
        | State::Up
        | State::Stopping
        | State::Finishing
        | State::Backoff => true,
        State::Down | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid => {
            status.pid.is_some()
        }
    }
}

fn unreadable(name: &str, why: &str) -> Status {
    let mut status = Status::new(name, Kind::Longrun);
    status.state = State::Invalid;
    status.reason = format!("unable to read the status file: {why}");
    status
}

/// What runs goes on when its new definition is broken, and its supervisor knows nothing of that one.
fn with_problem(mut status: Status, plan: &Plan) -> Status {
    let problem = plan.get(&status.name).and_then(|entry| entry.problem.as_ref());
    if let Some(problem) = problem.filter(|_| status.state != State::Invalid) {
        let before = if status.reason.is_empty() { String::new() } else { format!("{}; ", status.reason) };
        status.reason = format!("{before}its definition is broken now: {problem}");
    }
    status
}

/// A service that nothing has been done for has no file.
fn planned(plan: &Plan, name: &str) -> Status {
    let entry = plan.get(name);
    let mut status = Status::new(name, entry.map_or(Kind::Longrun, |entry| entry.kind));
    if let Some(problem) = entry.and_then(|entry| entry.problem.clone()) {
        status.state = State::Invalid;
        status.reason = problem;
    }
    status
}

/// The names of all services: those in the plan, and those that have a directory below `run`.
#[must_use]
pub fn names(run: &Path, plan: &Plan) -> Vec<String> {
    let bundles: BTreeSet<&str> = plan
        .entries
        .iter()
        .filter(|entry| entry.kind == Kind::Bundle && entry.problem.is_none())
        .map(|entry| entry.name.as_str())
        .collect();
    let mut names: Vec<String> = plan.entries.iter().map(|entry| entry.name.clone()).collect();
    let directory = fs::read_dir(run.join("service")).into_iter().flatten().flatten();
    names.extend(directory.filter_map(|entry| entry.file_name().into_string().ok()));
    names.retain(|name| !bundles.contains(name.as_str()) && service::definition::valid_name(name));
    names.sort();
    names.dedup();
    names
}

/// Shows how services are.
///
/// # Errors
/// If nothing is known of any service, or standard output cannot be written.
pub fn run(places: &Places, wanted: &[String], json: bool) -> Result<Exit, Failure> {
    let plan = Plan::read(&places.run);
    let (selected, mut exit) = select(places, &plan, wanted)?;
    let mut files = Files::new();
    let mut rows: Vec<Row> = selected.iter().map(|name| files.row(&places.run, &plan, name)).collect();
    let loaded = Loaded::read(&places.run);
    for row in &mut rows {
        row.changed = loaded.has_changed(&row.status.name);
        if json || !wanted.is_empty() {
            row.sockets = sockets::of(&places.run, row);
        }
    }
    let now = sys::clock::now();
    let mut text = String::with_capacity(rows.len() * 96 + 96);
    if json {
        json::write(&mut text, &rows, now);
    } else if !rows.is_empty() {
        table::write(&mut text, &rows, now, output::colours());
        if let Some(line) = changes(&rows, wanted.is_empty() && loaded.tree_has_changed()) {
            text.push_str(&line);
        }
        if !wanted.is_empty() {
            for row in &rows {
                detail::write(&mut text, row, files.looked_after(&row.status), places, now);
            }
        } else if let Some(line) = of_init(&places.run, now) {
            text.push_str(&line);
        }
    }
    output::print(&text)?;
    if exit == Exit::Ok && !rows.iter().all(Row::good) {
        exit = Exit::Failed;
    }
    Ok(exit)
}

/// That a reload would find other definitions than those that were loaded.
fn changes(rows: &[Row], tree: bool) -> Option<String> {
    let changed: Vec<&str> =
        rows.iter().filter(|row| row.changed).map(|row| row.status.name.as_str()).collect();
    let more = changed.len().saturating_sub(CHANGED_MAX);
    let names = changed.iter().take(CHANGED_MAX).copied().collect::<Vec<_>>().join(", ");
    let what = match (changed.is_empty(), tree) {
        (true, false) => return None,
        (true, true) => "services were added or removed".to_owned(),
        (false, _) if more > 0 => format!("{names} and {more} more"),
        (false, _) => names,
    };
    Some(format!("changed on disk since the last reload: {what} (svctl reload takes it over)\n"))
}

/// What there is to know of init, if anything has happened to it.
fn of_init(run: &Path, now: Tick) -> Option<String> {
    let status = crate::reexec::read(run)?;
    let (signal, when) = status.last_fault?;
    let (times, at) = (status.recovered, at(now, when));
    let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
    Some(format!("init recovered from a fault {times}, the last signal {signal} at {at}\n"))
}

/// The services that are meant, and the exit code for names that mean none.
fn select(places: &Places, plan: &Plan, wanted: &[String]) -> Result<(Vec<String>, Exit), Failure> {
    if wanted.is_empty() {
        Plan::found(&places.run)?;
        return Ok((names(&places.run, plan), Exit::Ok));
    }
    let (mut selected, mut exit) = (Vec::new(), Exit::Ok);
    for name in wanted {
        if plan.knows(&places.run, name) {
            selected.extend(plan.members(name));
        } else {
            output::complain(&format!("svctl: {}", plan.no_such(name)));
            exit = Exit::NoSuchService;
        }
    }
    let mut seen = BTreeSet::new();
    selected.retain(|name| seen.insert(name.clone()));
    Ok((selected, exit))
}

/// When something was, as a time of day.
fn at(now: Tick, tick: Tick) -> String {
    output::time_of_day(sys::clock::wall().saturating_sub(now.since(tick)))
}
