//! What it was measured on.

use std::fs;

/// Kernel, processors, memory, and how busy they were with other things.
pub(crate) fn describe() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let processors = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let memory = read("/proc/meminfo");
    let memory = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let (release, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    format!(
        "Linux {}, {processors} x {}, {} GiB; load before {}",
        release.trim(),
        model.map_or("unknown processor", |(_, model)| model),
        memory.div_ceil(1 << 20),
        load.split(' ').next().unwrap_or("unknown")
    )
}
