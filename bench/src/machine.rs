//! What it was measured on.

use std::fs;

/// How many processes wanted a processor in the last minute, and how many processors there are.
fn load() -> (f64, usize) {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    (load, std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// Whether so much else goes on that times mean little.
pub(crate) fn is_busy() -> bool {
    let (load, processors) = load();
    load > processors as f64 / 2.0
}

/// Kernel, processors, memory, and how busy they were with other things.
pub(crate) fn describe() -> String {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let (load, processors) = load();
    let memory = read("/proc/meminfo");
    let memory = memory.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    format!(
        "Linux {}, {processors} x {}, {} GiB; load before {load:.2}",
        read("/proc/sys/kernel/osrelease").trim(),
        model.map_or("unknown processor", |(_, model)| model),
        memory.div_ceil(1 << 20),
    )
}
