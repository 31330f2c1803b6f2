//! What processes use by themselves (proc(5)): where no group counts it.

use super::{From, Usage};
use service::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

/// What one process uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct One {
    user: Duration,
    system: Duration,
    threads: u64,
    anon: u64,
    file: u64,
    swap: u64,
    /// Bytes read and written, which only its own user and root may know.
    io: Option<(u64, u64)>,
}

/// The fields of `/proc/PID/stat` after the name, which may have anything in it.
fn stat(pid: Pid) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.to_owned())
}

/// Who started a process, or has adopted it.
pub(super) fn parent(pid: Pid) -> Option<Pid> {
    Pid::new(stat(pid)?.split(' ').nth(1)?.parse().ok()?)
}

/// A process, and all that it and they have started. What is in its session is its too, whoever has adopted it.
pub(super) fn below(main: Pid) -> Vec<Pid> {
    let mut children: BTreeMap<i32, Vec<Pid>> = BTreeMap::new();
    let mut session = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = number.and_then(Pid::new) else { continue };
        let Some(stat) = stat(pid) else { continue };
        let mut fields = stat.split(' ').skip(1).map(|field| field.parse::<i32>().unwrap_or(0));
        let (parent, _group, its) = (fields.next(), fields.next(), fields.next());
        children.entry(parent.unwrap_or(0)).or_default().push(pid);
        if its == Some(main.number()) {
            session.push(pid);
        }
    }
    let mut found = BTreeSet::from([main]);
    let mut rest = vec![main];
    rest.extend(session);
    while let Some(pid) = rest.pop() {
        found.insert(pid);
        let new = children.remove(&pid.number()).unwrap_or_default();
        rest.extend(new);
    }
    found.into_iter().collect()
}

fn look(pid: Pid) -> Option<One> {
    let stat = stat(pid)?;
    let field = |at: usize| stat.split(' ').nth(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    // In hundredths of a second, as for all of user space (sysconf(3), _SC_CLK_TCK).
    let time = |ticks: u64| Duration::from_millis(ticks.saturating_mul(10));
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kilobytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or(0) * 1024
    };
    Some(One {
        user: time(field(11)),
        system: time(field(12)),
        threads: field(17),
        anon: kilobytes("RssAnon"),
        file: kilobytes("RssFile") + kilobytes("RssShmem"),
        swap: kilobytes("VmSwap"),
        io: fs::read_to_string(format!("/proc/{pid}/io")).ok().map(|text| read_and_written(&text)),
    })
}

fn read_and_written(text: &str) -> (u64, u64) {
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        line.and_then(|line| line.parse().ok()).unwrap_or(0)
    };
    (bytes("read_bytes"), bytes("write_bytes"))
}

/// Adds what no group has told.
pub(super) fn fill_in(processes: &[Pid], usage: &mut Usage) {
    let all: Vec<One> = processes.iter().filter_map(|pid| look(*pid)).collect();
    if all.is_empty() {
        return;
    }
    usage.processes = u64::try_from(all.len()).ok();
    usage.from.processes = usage.from.processes.or(Some(From::Proc));
    let sum = |what: fn(&One) -> u64| Some(all.iter().map(what).sum::<u64>());
    usage.threads = usage.threads.or(sum(|one| one.threads));
    if usage.from.cpu.is_none() {
        usage.from.cpu = Some(From::Proc);
        let (user, system) = (all.iter().map(|one| one.user).sum(), all.iter().map(|one| one.system).sum());
        (usage.user, usage.system, usage.total) = (Some(user), Some(system), Some(user + system));
    }
    if usage.from.memory.is_none() {
        usage.from.memory = Some(From::Proc);
        (usage.anon, usage.file) = (sum(|one| one.anon), sum(|one| one.file));
        // Pages that several of them have are counted for each.
        usage.memory = sum(|one| one.anon + one.file);
        usage.swap = sum(|one| one.swap);
    }
    if usage.from.io.is_none() {
        fill_in_io(&all, usage);
    }
}

/// A sum without one of them would be a lie.
fn fill_in_io(all: &[One], usage: &mut Usage) {
    let Some(io) = all.iter().map(|one| one.io).collect::<Option<Vec<(u64, u64)>>>() else { return };
    usage.from.io = Some(From::Proc);
    usage.read_bytes = Some(io.iter().map(|(read, _)| read).sum());
    usage.written_bytes = Some(io.iter().map(|(_, written)| written).sum());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_below_itself_and_uses_something() {
        let own = Pid::new(sys::process::own()).unwrap();
        assert!(below(own).contains(&own));
        let mut usage = Usage::default();
        fill_in(&[own], &mut usage);
        assert_eq!((usage.processes, usage.from.memory), (Some(1), Some(From::Proc)));
        assert!(usage.memory.unwrap() > 0 && usage.threads.unwrap() > 0);
    }

    #[test]
    fn what_may_not_be_read_is_not_known_and_not_nothing() {
        assert_eq!(read_and_written("rchar: 7\nread_bytes: 4096\nwrite_bytes: 8192\n"), (4096, 8192));
        let mut usage = Usage::default();
        let one = |io| One { io, ..One::default() };
        fill_in_io(&[one(Some((1, 2))), one(None)], &mut usage);
        assert_eq!((usage.from.io, usage.read_bytes, usage.written_bytes), (None, None, None));
        fill_in_io(&[one(Some((1, 2))), one(Some((3, 4)))], &mut usage);
        assert_eq!(
            (usage.from.io, usage.read_bytes, usage.written_bytes),
            (Some(From::Proc), Some(4), Some(6))
        );
    }

    #[test]
    fn what_a_group_counts_is_left_as_it_is() {
        let own = Pid::new(sys::process::own()).unwrap();
        let mut usage = Usage { total: Some(Duration::from_secs(1000)), ..Usage::default() };
        usage.from.cpu = Some(From::Cgroup2);
        fill_in(&[own], &mut usage);
        assert_eq!((usage.total, usage.from.cpu), (Some(Duration::from_secs(1000)), Some(From::Cgroup2)));
    }
}
