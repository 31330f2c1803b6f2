//! What a control group has used and waited for since it was made, as the kernel counts it (cgroups(7), version 2; psi(7)).

use service::limits::number;
use std::fs;
use std::path::Path;

/// What can be waited for.
pub(super) const RESOURCES: [&str; 3] = ["cpu", "memory", "io"];

/// What the files of a group say; none of what this kernel does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) memory: Option<u64>,
    pub(super) memory_peak: Option<u64>,
    pub(super) memory_max: Option<u64>,
    pub(super) processes: Option<u64>,
    pub(super) processes_max: Option<u64>,
    /// In microseconds: in programs, and in the kernel.
    pub(super) cpu_user: Option<u64>,
    pub(super) cpu_system: Option<u64>,
    /// Bytes that were read from devices, and written.
    pub(super) read: Option<u64>,
    pub(super) written: Option<u64>,
    /// By resource, in microseconds: in which some process waited, and in which all did.
    pub(super) waited: Vec<(&'static str, u64)>,
    pub(super) stalled: Vec<(&'static str, u64)>,
}

impl Group {
    /// Reads the files of a group; nothing if there is none.
    pub(super) fn read(group: &str) -> Group {
        let place = Path::new(group);
        if group.is_empty() || !place.is_dir() {
            return Group::default();
        }
        let text = |file: &str| fs::read_to_string(place.join(file)).unwrap_or_default();
        let value = |file: &str| text(file).trim().parse().ok();
        let (cpu, io) = (text("cpu.stat"), fs::read_to_string(place.join("io.stat")).ok());
        let pressures = RESOURCES.map(|resource| (resource, text(&format!("{resource}.pressure"))));
        let totals = |kind: &str| {
            let total = |(resource, text): &(&'static str, String)| Some((*resource, total(text, kind)?));
            pressures.iter().filter_map(total).collect()
        };
        Group {
            memory: value("memory.current"),
            memory_peak: value("memory.peak"),
            memory_max: value("memory.max"),
            processes: value("pids.current"),
            processes_max: value("pids.max"),
            cpu_user: number(&cpu, "user_usec"),
            cpu_system: number(&cpu, "system_usec"),
            read: io.as_deref().map(|text| sum(text, "rbytes=")),
            written: io.as_deref().map(|text| sum(text, "wbytes=")),
            waited: totals("some "),
            stalled: totals("full "),
        }
    }
}

/// The sum of a key over the lines of all devices.
fn sum(text: &str, key: &str) -> u64 {
    let numbers = text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok());
    numbers.fold(0, u64::saturating_add)
}

/// The total of a line of a file such as `memory.pressure`.
fn total(text: &str, kind: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
    line.split(' ').find_map(|word| word.strip_prefix("total="))?.parse().ok()
}
