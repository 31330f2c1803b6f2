//! The files of a control group, version 2 (cgroups(7); the kernel's cgroup-v2.rst): which controller they are of, what
//! takes a setting back, and what is read of them.

use std::fmt::Write;

/// The files that a definition may set something in.
pub const FILES: [&str; 13] = [
    "memory.max",
    "memory.high",
    "memory.low",
    "memory.min",
    "memory.swap.max",
    "memory.oom.group",
    "cpu.weight",
    "cpu.max",
    "cpuset.cpus",
    "cpuset.mems",
    "io.weight",
    "io.max",
    "pids.max",
];

/// The settings that a file's text tells of, but for those that are as if nothing had been written.
#[must_use]
pub fn settings(file: &str, text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let set = lines.filter(|line| {
        let plain = reset(file, line);
        *line != plain && !(file == "cpu.max" && line.starts_with("max "))
    });
    set.map(|line| (file.to_owned(), line.to_owned())).collect()
}

/// The controller that a file is of: what stands before the first dot.
#[must_use]
pub fn controller(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// What is written to a file so that it is as if nothing had ever been written; `value` is what was.
#[must_use]
pub fn reset(file: &str, value: &str) -> String {
    match file {
        "memory.low" | "memory.min" | "memory.oom.group" => "0".to_owned(),
        "cpu.weight" => "100".to_owned(),
        "io.weight" => "default 100".to_owned(),
        "cpuset.cpus" | "cpuset.mems" => "\n".to_owned(),
        "io.max" => {
            let device = value.split(' ').next().unwrap_or_default();
            format!("{device} rbps=max wbps=max riops=max wiops=max")
        }
        _ => "max".to_owned(),
    }
}

/// What leads from one set of settings to another: those that are gone are taken back first.
#[must_use]
pub fn change(old: &[(String, String)], new: &[(String, String)]) -> Vec<(String, String)> {
    let target = |file: &str, value: &str| match file {
        // A setting for each device.
        "io.max" => format!("{file} {}", value.split(' ').next().unwrap_or_default()),
        _ => file.to_owned(),
    };
    let kept = |(file, value): &(String, String)| {
        new.iter().any(|(other, with)| target(other, with) == target(file, value))
    };
    let gone = old.iter().filter(|one| !kept(one)).map(|(file, value)| (file.clone(), reset(file, value)));
    gone.chain(new.iter().filter(|one| !old.contains(one)).cloned()).collect()
}

/// A number of a file of `KEY NUMBER` lines, such as `memory.events` and `cpu.stat`.
#[must_use]
pub fn number(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The share of the last ten seconds in which some process waited, of a file such as `memory.pressure` (psi(7)): `0.00`.
#[must_use]
pub fn pressure(text: &str) -> Option<&str> {
    let line = text.lines().find(|line| line.starts_with("some "))?;
    let share = line.split(' ').find_map(|word| word.strip_prefix("avg10="))?;
    share.parse::<f64>().ok().map(|_| share)
}

/// A size as people read it: `512 B`, `1.5 MiB`.
#[must_use]
pub fn show(bytes: u64) -> String {
    let mut text = String::new();
    let (mut unit, mut scale) = ("B", 1_u64);
    for next in ["KiB", "MiB", "GiB", "TiB"] {
        if bytes < scale.saturating_mul(1024) {
            break;
        }
        (unit, scale) = (next, scale.saturating_mul(1024));
    }
    let (whole, rest) = (bytes / scale, bytes % scale);
    let tenths = rest.saturating_mul(10) / scale;
    let _ = if scale == 1 || tenths == 0 {
        write!(text, "{whole} {unit}")
    } else {
        write!(text, "{whole}.{tenths} {unit}")
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_change_takes_back_what_is_gone_and_sets_what_is_new() {
        let old =
            pairs(&[("memory.max", "10"), ("cpu.weight", "9"), ("io.max", "8:0 rbps=1"), ("pids.max", "3")]);
        let new = pairs(&[("memory.max", "20"), ("pids.max", "3"), ("io.max", "8:16 rbps=1")]);
        let expected = pairs(&[
            ("cpu.weight", "100"),
            ("io.max", "8:0 rbps=max wbps=max riops=max wiops=max"),
            ("memory.max", "20"),
            ("io.max", "8:16 rbps=1"),
        ]);
        assert_eq!(change(&old, &new), expected);
        assert_eq!(change(&new, &new), []);
        assert_eq!(change(&old, &[]).len(), 4);
    }

    #[test]
    fn what_the_kernel_shows_is_told_from_what_nobody_has_set() {
        for (file, text) in [
            ("memory.max", "max\n"),
            ("cpu.max", "max 100000\n"),
            ("cpu.weight", "100\n"),
            ("io.weight", "default 100\n"),
            ("io.max", ""),
            ("cpuset.cpus", "\n"),
            ("memory.oom.group", "0\n"),
        ] {
            assert_eq!(settings(file, text), [], "{file}");
        }
        assert_eq!(settings("cpu.max", "50000 100000\n"), pairs(&[("cpu.max", "50000 100000")]));
        let devices = settings("io.max", "8:0 rbps=1 wbps=max\n8:16 rbps=2\n");
        assert_eq!(devices, pairs(&[("io.max", "8:0 rbps=1 wbps=max"), ("io.max", "8:16 rbps=2")]));
    }

    #[test]
    fn numbers_are_read_as_the_kernel_writes_them() {
        let text = "low 0\noom 3\noom_kill 2\noom_group_kill 0\n";
        assert_eq!(
            (number(text, "oom_kill"), number(text, "oom"), number(text, "max")),
            (Some(2), Some(3), None)
        );
        let text = "some avg10=1.25 avg60=0.00 avg300=0.00 total=12\nfull avg10=0.10 avg60=0.00 avg300=0.00 total=1\n";
        assert_eq!((pressure(text), pressure(""), pressure("some avg10=x")), (Some("1.25"), None, None));
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1 << 20, "1 MiB"),
            (1_600_000, "1.5 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ] {
            assert_eq!(show(bytes), text);
        }
    }
}
