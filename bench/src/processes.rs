//! What runs, as `/proc` has it (proc(5)).

use service::Pid;
use std::fs;

/// A process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) name: String,
    parent: i32,
}

/// The process `root`, and all below it that are called by one of `names`.
pub(crate) fn tree(root: Pid, names: &[&str]) -> Vec<Process> {
    let all = all();
    let mut found: Vec<Process> = all.iter().filter(|process| process.pid == root).cloned().collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|process| process.pid.number()) {
        found.extend(all.iter().filter(|process| process.parent == parent).cloned());
        next += 1;
    }
    found.retain(|process| names.contains(&process.name.as_str()));
    found
}

/// All processes called `name`.
pub(crate) fn named(name: &str) -> Vec<Process> {
    all().into_iter().filter(|process| process.name == name).collect()
}

fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::new(entry.file_name().to_str()?.parse().ok()?)).filter_map(read).collect()
}

fn read(pid: Pid) -> Option<Process> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = text.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    let parent = after.split(' ').nth(1)?.parse().ok()?;
    Some(Process { pid, name: name.to_owned(), parent })
}

/// The sum of the lines of a file in a process's directory whose keys are `keys`.
pub(crate) fn sum(pid: Pid, file: &str, keys: &[&str]) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let values = text.lines().filter_map(|line| {
        let (key, value) = line.split_once(':')?;
        keys.contains(&key).then(|| value.split_whitespace().next()?.parse::<u64>().ok())?
    });
    Some(values.sum())
}
