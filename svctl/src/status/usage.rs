//! What a service uses by its control group, as the kernel counts it now, and how long its processes wait for it.

use service::limits::{number, pressure, show};
use std::fmt::Display;
use std::fs;
use std::path::Path;

/// What can be waited for (psi(7)).
const PRESSURES: [&str; 3] = ["cpu", "memory", "io"];

/// What the files of a group say; none of what this kernel does not count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    memory: Option<u64>,
    memory_peak: Option<u64>,
    memory_max: Option<u64>,
    processes: Option<u64>,
    processes_max: Option<u64>,
    cpu_microseconds: Option<u64>,
    /// Percent of the last ten seconds, as the kernel has it.
    pressures: Vec<(&'static str, String)>,
}

/// Reads the files of a group, if there is one.
pub(super) fn read(group: &str) -> Option<Usage> {
    let place = Path::new(group);
    if group.is_empty() || !place.is_dir() {
        return None;
    }
    let text = |file: &str| fs::read_to_string(place.join(file)).unwrap_or_default();
    let value = |file: &str| text(file).trim().parse().ok();
    let pressures = PRESSURES.into_iter().filter_map(|what| {
        let text = text(&format!("{what}.pressure"));
        pressure(&text).map(|share| (what, share.to_owned()))
    });
    Some(Usage {
        memory: value("memory.current"),
        memory_peak: value("memory.peak"),
        memory_max: value("memory.max"),
        processes: value("pids.current"),
        processes_max: value("pids.max"),
        cpu_microseconds: number(&text("cpu.stat"), "usage_usec"),
        pressures: pressures.collect(),
    })
}

impl Usage {
    /// For people: what it is of, and the text.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        if let Some(memory) = self.memory {
            let peak = self.memory_peak.map(|peak| format!(", at most {}", show(peak))).unwrap_or_default();
            let most = self.memory_max.map(|most| format!(" of {}", show(most))).unwrap_or_default();
            lines.push(("memory", format!("{}{most}{peak}", show(memory))));
        }
        if let Some(processes) = self.processes {
            let most = self.processes_max.map(|most| format!(" of {most}")).unwrap_or_default();
            lines.push(("processes", format!("{processes}{most}")));
        }
        if let Some(time) = self.cpu_microseconds {
            lines.push(("processor", format!("{}.{:03} s", time / 1_000_000, time / 1000 % 1000)));
        }
        let pressures: Vec<String> =
            self.pressures.iter().map(|(what, share)| format!("{what} {share}%")).collect();
        if !pressures.is_empty() {
            lines.push(("waits for", format!("{} (10 s)", pressures.join(", "))));
        }
        lines
    }

    /// For programs: an object.
    pub(super) fn json(&self) -> String {
        let mut keys: Vec<String> = [
            ("memory", self.memory),
            ("memory_peak", self.memory_peak),
            ("memory_max", self.memory_max),
            ("processes", self.processes),
            ("processes_max", self.processes_max),
            ("cpu_microseconds", self.cpu_microseconds),
        ]
        .map(|(key, value)| format!("\"{key}\": {}", or_null(value)))
        .into();
        for what in PRESSURES {
            let share = self.pressures.iter().find(|(other, _)| *other == what).map(|(_, share)| share);
            keys.push(format!("\"{what}_pressure\": {}", or_null(share)));
        }
        format!("{{{}}}", keys.join(", "))
    }
}

fn or_null(value: Option<impl Display>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_what_the_files_say_and_nothing_where_there_is_none() {
        assert_eq!(read(""), None);
        assert_eq!(read("/nonexistent/group"), None);
        let place = std::env::temp_dir().join(format!("usage-{}", std::process::id()));
        fs::create_dir(&place).unwrap();
        for (file, text) in [
            ("memory.current", "2097152\n"),
            ("memory.max", "max\n"),
            ("pids.current", "3\n"),
            ("pids.max", "9\n"),
            ("cpu.stat", "usage_usec 1234567\nuser_usec 1\n"),
            ("memory.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n"),
        ] {
            fs::write(place.join(file), text).unwrap();
        }
        let usage = read(place.to_str().unwrap()).unwrap();
        let lines: Vec<String> = usage.lines().iter().map(|(key, text)| format!("{key}: {text}")).collect();
        let expected =
            ["memory: 2 MiB", "processes: 3 of 9", "processor: 1.234 s", "waits for: memory 1.50% (10 s)"];
        assert_eq!(lines, expected);
        let json: serde_json::Value = serde_json::from_str(&usage.json()).unwrap();
        assert_eq!(json["memory"], 2_097_152);
        assert_eq!((&json["memory_max"], &json["memory_pressure"]), (&serde_json::Value::Null, &1.5.into()));
        fs::remove_dir_all(&place).unwrap();
    }
}
