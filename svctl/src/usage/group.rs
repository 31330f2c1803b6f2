//! What control groups count (cgroups(7); the kernel's cgroup-v2.rst, and for version 1 cpuacct.rst, memory.rst, pids.rst
//! and blkio-controller.rst).

use super::{From, PRESSURES, Usage};
use service::Pid;
use service::limits::{number, pressure};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where version 1 is.
const FIRST: &str = "/sys/fs/cgroup";

fn read(place: &Path, file: &str) -> Option<String> {
    fs::read_to_string(place.join(file)).ok()
}

fn value(place: &Path, file: &str) -> Option<u64> {
    read(place, file)?.trim().parse().ok()
}

/// A group of version 2, and the processes that are in it and below it.
pub(super) fn second_version(place: &Path, usage: &mut Usage) -> Vec<Pid> {
    processor(place, usage);
    memory(place, usage);
    if let Some(count) = value(place, "pids.current") {
        usage.from.processes = Some(From::Cgroup2);
        // It counts threads.
        usage.threads = Some(count);
    }
    usage.processes_max = value(place, "pids.max");
    if let Some(text) = read(place, "io.stat").filter(|text| !text.is_empty()) {
        usage.from.io = Some(From::Cgroup2);
        let sum = |key: &str| Some(sum(&text, key));
        (usage.read_bytes, usage.written_bytes) = (sum("rbytes"), sum("wbytes"));
        (usage.reads, usage.writes) = (sum("rios"), sum("wios"));
    }
    for (what, share) in PRESSURES.iter().zip(&mut usage.pressure) {
        *share = read(place, &format!("{what}.pressure")).and_then(|text| pressure(&text)?.parse().ok());
    }
    members(place)
}

fn processor(place: &Path, usage: &mut Usage) {
    let Some(text) = read(place, "cpu.stat") else { return };
    let time = |key: &str| number(&text, key).map(Duration::from_micros);
    if let Some(total) = time("usage_usec") {
        usage.from.cpu = Some(From::Cgroup2);
        usage.total = Some(total);
    }
    (usage.user, usage.system) = (time("user_usec"), time("system_usec"));
    (usage.periods, usage.throttled_periods) = (number(&text, "nr_periods"), number(&text, "nr_throttled"));
    usage.throttled = time("throttled_usec");
    usage.weight = value(place, "cpu.weight");
    usage.cpus = read(place, "cpu.max").and_then(|text| processors(&text));
}

/// `MAX PERIOD`; none if there is no limit.
fn processors(text: &str) -> Option<f64> {
    let (most, period) = text.trim().split_once(' ')?;
    let (most, period): (f64, f64) = (most.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(most / period)
}

fn memory(place: &Path, usage: &mut Usage) {
    usage.memory = value(place, "memory.current");
    if usage.memory.is_some() {
        usage.from.memory = Some(From::Cgroup2);
    }
    usage.peak = value(place, "memory.peak");
    usage.memory_max = value(place, "memory.max");
    (usage.high, usage.low) = (value(place, "memory.high"), value(place, "memory.low"));
    usage.swap = value(place, "memory.swap.current");
    if let Some(text) = read(place, "memory.stat") {
        (usage.anon, usage.file) = (number(&text, "anon"), number(&text, "file"));
        usage.mapped = number(&text, "file_mapped");
    }
    usage.oom_kills = read(place, "memory.events").and_then(|text| number(&text, "oom_kill"));
}

/// The sum over all devices: `8:0 rbytes=1 wbytes=2 …`.
fn sum(text: &str, key: &str) -> u64 {
    let pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.filter(|(found, _)| *found == key).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
}

/// The processes of a group and of all that are below it.
fn members(place: &Path) -> Vec<Pid> {
    let (mut found, mut rest) = (Vec::new(), vec![place.to_owned()]);
    while let Some(group) = rest.pop() {
        let text = read(&group, "cgroup.procs").unwrap_or_default();
        found.extend(text.lines().filter_map(|line| Pid::new(line.parse().ok()?)));
        let below = fs::read_dir(&group).into_iter().flatten().flatten();
        let groups = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        rest.extend(groups.map(|entry| entry.path()));
    }
    found
}

/// Groups of version 1 that the main process is in, and whoever started it is not: then they are its own.
pub(super) fn first_version(main: Pid, usage: &mut Usage) {
    let own = fs::read_to_string(format!("/proc/{main}/cgroup")).unwrap_or_default();
    let parent = super::tree::parent(main).map(|parent| format!("/proc/{parent}/cgroup"));
    let others = parent.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let place = |controller: &str| -> Option<PathBuf> {
        let (line, path) = hierarchy(&own, controller)?;
        let shared = path == "/" || hierarchy(&others, controller).is_none_or(|(_, other)| other == path);
        (!shared).then(|| Path::new(FIRST).join(line).join(path.trim_start_matches('/')))
    };
    if let Some(place) = place("cpuacct") {
        usage.total = value(&place, "cpuacct.usage").map(Duration::from_nanos);
        if usage.total.is_some() {
            usage.from.cpu = Some(From::Cgroup1);
        }
        // In hundredths of a second, as for all of user space (sysconf(3), _SC_CLK_TCK).
        let text = read(&place, "cpuacct.stat").unwrap_or_default();
        let time = |key: &str| number(&text, key).map(|ticks| Duration::from_millis(ticks * 10));
        (usage.user, usage.system) = (time("user"), time("system"));
    }
    if let Some(place) = place("memory") {
        usage.memory = value(&place, "memory.usage_in_bytes");
        if usage.memory.is_some() {
            usage.from.memory = Some(From::Cgroup1);
        }
        usage.peak = value(&place, "memory.max_usage_in_bytes");
        // No limit is a number that is larger than any memory.
        usage.memory_max = value(&place, "memory.limit_in_bytes").filter(|most| *most < 1 << 62);
        let text = read(&place, "memory.stat").unwrap_or_default();
        (usage.anon, usage.file) = (number(&text, "total_rss"), number(&text, "total_cache"));
        (usage.mapped, usage.swap) = (number(&text, "total_mapped_file"), number(&text, "total_swap"));
        usage.oom_kills = read(&place, "memory.oom_control").and_then(|text| number(&text, "oom_kill"));
    }
    if let Some(place) = place("pids") {
        usage.threads = value(&place, "pids.current");
        usage.processes_max = value(&place, "pids.max");
    }
}

/// The hierarchy of a controller, by the name of its directory, and the group in it: `4:cpu,cpuacct:/a`.
fn hierarchy<'a>(text: &'a str, controller: &str) -> Option<(&'a str, &'a str)> {
    text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        controllers.split(',').any(|one| one == controller).then_some((controllers, path))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_as_far_as_the_kernel_counts() {
        let place = std::env::temp_dir().join(format!("usage-group-{}", std::process::id()));
        fs::create_dir_all(place.join("below")).unwrap();
        for (file, text) in [
            (
                "cpu.stat",
                "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\nnr_periods 9\nnr_throttled 2\nthrottled_usec 500\n",
            ),
            ("cpu.max", "150000 100000\n"),
            ("cpu.weight", "100\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1000\nfile 2000\nfile_mapped 5\n"),
            ("memory.events", "low 0\noom 1\noom_kill 3\n"),
            ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n8:16 rbytes=10 wbytes=20 rios=30 wios=40\n"),
            ("cpu.pressure", "some avg10=1.25 avg60=0.00 avg300=0.00 total=9\n"),
            ("cgroup.procs", "7\n8\n"),
            ("below/cgroup.procs", "9\n"),
        ] {
            fs::write(place.join(file), text).unwrap();
        }
        let mut usage = Usage::default();
        let mut processes: Vec<i32> =
            second_version(&place, &mut usage).into_iter().map(Pid::number).collect();
        processes.sort_unstable();
        fs::remove_dir_all(&place).unwrap();
        assert_eq!(processes, [7, 8, 9]);
        let from = usage.from;
        assert_eq!(
            (from.cpu, from.memory, from.io),
            (Some(From::Cgroup2), Some(From::Cgroup2), Some(From::Cgroup2))
        );
        assert_eq!(from.processes, None, "there is no pids.current");
        assert_eq!(usage.total, Some(Duration::from_secs(3)));
        assert_eq!((usage.cpus, usage.throttled_periods), (Some(1.5), Some(2)));
        assert_eq!((usage.memory, usage.memory_max, usage.anon), (Some(4096), None, Some(1000)));
        assert_eq!((usage.read_bytes, usage.writes), (Some(11), Some(44)));
        assert_eq!((usage.oom_kills, usage.pressure[0], usage.pressure[2]), (Some(3), Some(1.25), None));
    }

    #[test]
    fn a_hierarchy_of_version_1_is_found_by_its_controller() {
        let text = "5:cpu,cpuacct:/a/b\n4:memory:/c:d\n0::/e\n";
        assert_eq!(hierarchy(text, "cpuacct"), Some(("cpu,cpuacct", "/a/b")));
        assert_eq!(hierarchy(text, "memory"), Some(("memory", "/c:d")));
        assert_eq!(hierarchy(text, "pids"), None);
    }

    #[test]
    fn no_limit_on_processors_is_none() {
        assert_eq!((processors("max 100000\n"), processors("50000 100000\n")), (None, Some(0.5)));
    }
}
