//! `svctl usage`: what services use, as far as the kernel counts it. A control group of a service's own counts all that
//! ever ran in it; without one its processes are looked at, and what those used that are gone is not known.

mod group;
mod tree;

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::status::Files;
use serde_json::{Value, json};
use service::limits::show;
use service::status::Status;
use std::time::{Duration, SystemTime};

/// Where a number comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    /// A control group, version 2.
    Cgroup2,
    /// One of version 1, in which the service is alone.
    Cgroup1,
    /// `/proc`, of the processes that there are.
    Proc,
}

impl From {
    fn word(self) -> &'static str {
        match self {
            From::Cgroup2 => "cgroup2",
            From::Cgroup1 => "cgroup1",
            From::Proc => "proc",
        }
    }
}

/// Where the numbers of each kind come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Origins {
    cpu: Option<From>,
    memory: Option<From>,
    processes: Option<From>,
    io: Option<From>,
}

/// What is known; times in seconds, sizes in bytes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Usage {
    from: Origins,
    processes: Option<u64>,
    processes_max: Option<u64>,
    threads: Option<u64>,
    user: Option<Duration>,
    system: Option<Duration>,
    total: Option<Duration>,
    /// How many processors it may use.
    cpus: Option<f64>,
    weight: Option<u64>,
    periods: Option<u64>,
    throttled_periods: Option<u64>,
    throttled: Option<Duration>,
    memory: Option<u64>,
    peak: Option<u64>,
    memory_max: Option<u64>,
    high: Option<u64>,
    low: Option<u64>,
    anon: Option<u64>,
    file: Option<u64>,
    mapped: Option<u64>,
    swap: Option<u64>,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    reads: Option<u64>,
    writes: Option<u64>,
    oom_kills: Option<u64>,
    /// Percent of the last ten seconds in which some process waited for it.
    pressure: [Option<f64>; 3],
}

/// What can be waited for (psi(7)).
const PRESSURES: [&str; 3] = ["cpu", "memory", "io"];

/// Shows what services use.
///
/// # Errors
/// A name is unknown, or standard output cannot be written.
pub fn run(places: &Places, names: &[String], json: bool) -> Result<Exit, Failure> {
    let plan = Plan::read(&places.run);
    let (mut exit, mut text, mut objects) = (Exit::Ok, String::new(), Vec::new());
    let mut files = Files::new();
    for name in names.iter() {
        if !plan.knows(&places.run, name) {
            let failure = plan.no_such(name);
            output::complain(&format!("svctl: {failure}"));
            exit = failure.exit;
            continue;
        }
        for member in plan.members(name) {
            let status = files.row(&places.run, &plan, &member).status;
            let usage = look(&status);
            if status.pid.is_none() && exit == Exit::Ok {
                exit = Exit::Failed;
            }
            text.push_str(&usage.text(&status));
            objects.push(usage.json(&status));
        }
    }
    output::print(&if json { format!("{}\n", Value::from(objects)) } else { text })?;
    Ok(exit)
}

/// Everything that can be known of a service now.
fn look(status: &Status) -> Usage {
    let mut usage = Usage::default();
    // A number alone may be another process's, or one of another namespace.
    let ours = |pid: &service::Pid| {
        sys::process::start_time(*pid).is_some_and(|(start, _)| start == status.pid_start)
    };
    let main = status.pid.filter(ours);
    let processes = if status.group.is_empty() {
        if let Some(main) = main {
            group::first_version(main, &mut usage);
        }
        main.map(tree::below).unwrap_or_default()
    } else {
        group::second_version(status.group.as_ref(), &mut usage)
    };
    if status.pid.is_some() {
        tree::fill_in(&processes, &mut usage);
    }
    if status.oom_kills > 0 {
        usage.oom_kills = Some(status.oom_kills.max(usage.oom_kills.unwrap_or(0)));
    }
    usage
}

impl Usage {
    fn json(&self, status: &Status) -> Value {
        let origin = |from: Option<From>| from.map(From::word);
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let group = Some(status.group.as_str()).filter(|group| !group.is_empty());
        let [cpu, memory, io] = self.pressure;
        json!({
            "name": status.name,
            "state": status.state.word(),
            "pid": status.pid.map(service::Pid::number),
            "group": group,
            "from": {
                "cpu": origin(self.from.cpu),
                "memory": origin(self.from.memory),
                "processes": origin(self.from.processes),
                "io": origin(self.from.io),
            },
            "timestamp": now.as_secs_f64(),
            "processes": self.processes,
            "processes_max": self.processes_max,
            "threads": self.threads,
            "cpu": {
                "user": seconds(self.user),
                "system": seconds(self.system),
                "total": seconds(self.total),
                "limit": self.cpus,
                "weight": self.weight,
                "periods": self.periods,
                "throttled_periods": self.throttled_periods,
                "throttled": seconds(self.throttled),
            },
            "memory": {
                "current": self.memory,
                "peak": self.peak,
                "max": self.memory_max,
                "high": self.high,
                "low": self.low,
                "anon": self.anon,
                "file": self.file,
                "mapped": self.mapped,
                "swap": self.swap,
            },
            "io": {
                "read_bytes": self.read_bytes,
                "written_bytes": self.written_bytes,
                "reads": self.reads,
                "writes": self.writes,
            },
            "oom_kills": self.oom_kills,
            "pressure": {"cpu": cpu, "memory": memory, "io": io},
        })
    }

    fn text(&self, status: &Status) -> String {
        let mut lines = vec![format!("{}: {}", status.name, status.state.word())];
        let mut line = |key: &str, from: Option<From>, parts: Vec<Option<String>>| {
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            if let Some(from) = from.filter(|_| !parts.is_empty()) {
                let origin = match from {
                    From::Cgroup2 => "",
                    From::Cgroup1 => " (version 1)",
                    From::Proc => " (of the processes there are)",
                };
                lines.push(format!("  {key:<10} {}{origin}", parts.join(", ")));
            }
        };
        let time = |what: &str, time: Option<Duration>| {
            time.map(|time| format!("{:.2} s {what}", time.as_secs_f64()))
        };
        let size = |what: &str, bytes: Option<u64>| bytes.map(|bytes| format!("{}{what}", show(bytes)));
        let count = |what: &str, count: Option<u64>| count.map(|count| format!("{count} {what}"));
        line(
            "processor",
            self.from.cpu,
            vec![
                time("", self.total).map(|text| text.trim_end().to_owned()),
                time("user", self.user),
                time("system", self.system),
                self.cpus.map(|cpus| format!("at most {cpus:.2} processors")),
                time("throttled", self.throttled.filter(|time| !time.is_zero())),
            ],
        );
        line(
            "memory",
            self.from.memory,
            vec![
                size("", self.memory),
                size(" at most", self.peak),
                size(" allowed", self.memory_max),
                size(" anonymous", self.anon),
                size(" of files", self.file),
            ],
        );
        line(
            "processes",
            self.from.processes,
            vec![
                count("processes", self.processes),
                count("threads", self.threads),
                count("allowed", self.processes_max),
            ],
        );
        line("io", self.from.io, vec![size(" read", self.read_bytes), size(" written", self.written_bytes)]);
        line(
            "killed",
            self.from.memory,
            vec![count("for want of memory", self.oom_kills.filter(|kills| *kills > 0))],
        );
        let waits = PRESSURES.iter().zip(self.pressure);
        let waits = waits.map(|(what, share)| share.map(|share| format!("{what} {share:.2}%"))).collect();
        line("waits for", Some(From::Cgroup2), waits);
        lines.join("\n") + "\n"
    }
}
