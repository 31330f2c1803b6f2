//! What `/proc` says of processes (proc(5)).

use service::{Pid, Signal};
use std::fs::{read_dir, read_link, read_to_string};
use std::path::{Path, PathBuf};

/// A part of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// `R`, `S`, `Z` and so on.
    pub state: char,
    /// The parent.
    pub parent: i32,
    /// The process group.
    pub group: i32,
    /// The session.
    pub session: i32,
}

/// How a process stands; none if it is gone.
#[must_use]
pub fn stat(pid: Pid) -> Option<Stat> {
    let text = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    let mut number = || fields.next()?.parse().ok();
    Some(Stat { state, parent: number()?, group: number()?, session: number()? })
}

/// Whether it runs: neither gone nor a zombie.
#[must_use]
pub fn lives(pid: Pid) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Every process that there is.
#[must_use]
pub fn all() -> Vec<Pid> {
    let entries = read_dir("/proc").unwrap();
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::new))
        .collect()
}

/// The children of a process.
#[must_use]
pub fn children(pid: Pid) -> Vec<Pid> {
    let text = read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok().and_then(Pid::new)).collect()
}

/// The children of a process, theirs, and so on.
#[must_use]
pub fn descendants(pid: Pid) -> Vec<Pid> {
    let mut found = children(pid);
    let mut next = 0;
    while let Some(pid) = found.get(next).copied() {
        found.extend(children(pid));
        next += 1;
    }
    found
}

/// A line of `/proc/PID/status` without its key.
#[must_use]
pub fn field(pid: Pid, key: &str) -> Option<String> {
    let text = read_to_string(format!("/proc/{pid}/status")).ok()?;
    text.lines().find_map(|line| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned()))
}

/// Whether it has a handler for its own faults; that of Rust's runtime for the end of the stack is none.
#[must_use]
pub fn survives_faults(pid: Pid) -> bool {
    let caught = field(pid, "SigCgt").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
    let mut bits = ["SEGV", "ABRT"].into_iter().filter_map(Signal::parse);
    caught.is_some_and(|mask| bits.all(|signal| mask & (1 << (signal.number() - 1)) != 0))
}

/// How often it has gone to sleep, which it does once more after each time it is woken.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn sleeps(pid: Pid) -> u64 {
    field(pid, "voluntary_ctxt_switches").unwrap().parse().unwrap()
}

/// The memory that it has written to and shares with nobody, in kilobytes.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn private_memory(pid: Pid) -> u64 {
    let text = read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("Private_Dirty"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// The number that a process has in the innermost PID namespace it is in, and that namespace.
#[must_use]
pub fn inner(pid: Pid) -> Option<(Pid, PathBuf)> {
    let numbers = field(pid, "NSpid")?;
    let number = numbers.split_whitespace().last()?.parse().ok()?;
    Some((Pid::new(number)?, read_link(format!("/proc/{pid}/ns/pid")).ok()?))
}

/// Its open descriptors and what they are, without those that the tests themselves were started with.
///
/// # Panics
/// If it is gone.
#[must_use]
pub fn descriptors(pid: Pid) -> Vec<(i32, String)> {
    let ours = |number: i32| read_link(format!("/proc/self/fd/{number}")).ok();
    let numbers = read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let target = |number: i32| read_link(format!("/proc/{pid}/fd/{number}")).ok();
    let mut found: Vec<(i32, String)> = numbers
        .filter(|number| *number <= 2 || ours(*number) != target(*number))
        .filter_map(|number| Some((number, target(number)?.display().to_string())))
        .collect();
    found.sort();
    found
}

/// The user that the tests run as.
///
/// # Panics
/// If there is no `/proc`.
#[must_use]
pub fn own_user() -> u32 {
    std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap())
}

/// Sends a signal.
///
/// # Panics
/// If the process is gone.
#[track_caller]
pub fn send(pid: Pid, signal: Signal) {
    sys::process::signal(pid, signal).unwrap_or_else(|error| panic!("{signal} to {pid}: {error}"));
}

/// Kills every process that has its standard output or error, or its directory, below `place`.
pub fn kill_all_in(place: &Path) {
    loop {
        let found: Vec<Pid> = all().into_iter().filter(|pid| is_in(*pid, place)).collect();
        if found.is_empty() {
            return;
        }
        for pid in found {
            let _ = sys::process::signal(pid, Signal::KILL);
        }
    }
}

fn is_in(pid: Pid, place: &Path) -> bool {
    let links = ["fd/1", "fd/2", "cwd"];
    lives(pid)
        && pid.number() != sys::process::own()
        && links.iter().any(|link| {
            read_link(format!("/proc/{pid}/{link}")).is_ok_and(|target| target.starts_with(place))
        })
}
