//! Which metrics there are: a table, a line for each family.

use super::group::Group;
use super::text::{Kind, Sample, family, seconds};
use super::{Moment, Seen};
use service::exit::WaitStatus;
use service::init_status::InitStatus;
use service::status::{State, Status, Want};
use std::time::Duration;

/// What there is of a service.
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    of: fn(&Seen, Moment) -> Vec<Sample>,
}

const fn gauge(name: &'static str, help: &'static str, of: fn(&Seen, Moment) -> Vec<Sample>) -> Family {
    Family { name, kind: Kind::Gauge, help, of }
}

const fn counter(name: &'static str, help: &'static str, of: fn(&Seen, Moment) -> Vec<Sample>) -> Family {
    Family { name, kind: Kind::Counter, help, of }
}

/// Those of services; `mainstay_service_` is before each name.
const FAMILIES: &[Family] = &[
    gauge("state", "Where a service stands: 1 for its state, 0 for the others.", |seen, _| {
        let is =
            |state: State| Sample::new(u8::from(state == status(seen).state)).with("state", state.word());
        State::all().map(is).collect()
    }),
    gauge("wanted", "Whether a service is wanted up.", |seen, _| holds(status(seen).want != Want::Down)),
    gauge("good", "Whether a service is as it should be, and looked after.", |seen, _| {
        holds(seen.row.good())
    }),
    gauge("ready", "Whether a service is ready, where that means something.", |seen, _| {
        seen.row.ready().map(holds).unwrap_or_default()
    }),
    counter(
        "restarts_total",
        "How often a service was started again since its supervisor began.",
        |seen, _| one(Some(status(seen).restarts)),
    ),
    gauge("start_time_seconds", "When the main process was started, since 1970.", |seen, moment| {
        one(status(seen).started.filter(|_| status(seen).pid.is_some()).map(|tick| time(moment.at(tick))))
    }),
    gauge("ready_seconds", "How long the last start took until the service was ready.", |seen, _| {
        let times = status(seen).started.zip(status(seen).ready_since).filter(|_| status(seen).has_readiness);
        one(times.map(|(from, to)| exact(to.since(from))))
    }),
    gauge("last_exit_code", "The exit code of the last run, if it was not ended by a signal.", |seen, _| {
        let Some(WaitStatus::Exited(code)) = status(seen).last_exit else { return Vec::new() };
        one(Some(code))
    }),
    gauge("last_exit_signal", "The signal that has ended the last run, or 0.", |seen, _| {
        one(match status(seen).last_exit {
            Some(WaitStatus::Signalled { signal, .. }) => Some(signal.number()),
            Some(WaitStatus::Exited(_)) => Some(0),
            Some(WaitStatus::Unknown) | None => None,
        })
    }),
    gauge("last_exit_time_seconds", "When the last run ended, since 1970.", |seen, moment| {
        one(status(seen).last_exit_at.map(|tick| time(moment.at(tick))))
    }),
    gauge("last_exit_oom", "Whether the last run was ended by the kernel for want of memory.", |seen, _| {
        status(seen).last_exit.map(|_| holds(status(seen).starved)).unwrap_or_default()
    }),
    gauge("health_failures", "How many health checks in a row have failed.", |seen, _| {
        one(Some(status(seen).unhealthy))
    }),
    counter("oom_kills_total", "Processes of its control group killed for want of memory.", |seen, _| {
        one(Some(status(seen).oom_kills).filter(|_| !status(seen).group.is_empty()))
    }),
    counter(
        "pressure_waiting_seconds_total",
        "Time in which some process of its control group waited for a resource.",
        |seen, _| pressure(&seen.group.waited),
    ),
    counter(
        "pressure_stalled_seconds_total",
        "Time in which all processes of its control group waited for a resource.",
        |seen, _| pressure(&seen.group.stalled),
    ),
    counter("cpu_seconds_total", "Processor time of its control group.", |seen, _| {
        let modes = [("user", seen.group.cpu_user), ("system", seen.group.cpu_system)];
        labelled("mode", modes, seconds)
    }),
    gauge("memory_bytes", "Memory of its control group.", |seen, _| one(seen.group.memory)),
    gauge("memory_peak_bytes", "The most memory that its control group had.", |seen, _| {
        one(seen.group.memory_peak)
    }),
    gauge("memory_limit_bytes", "The most memory that its control group may have.", |seen, _| {
        one(seen.group.memory_max)
    }),
    counter("io_bytes_total", "What its control group has read from devices and written.", |seen, _| {
        let Group { read, written, .. } = seen.group;
        labelled("direction", [("read", read), ("write", written)], |bytes| bytes.to_string())
    }),
    gauge("processes", "Processes and threads in its control group.", |seen, _| one(seen.group.processes)),
    gauge("processes_limit", "As many may be in its control group.", |seen, _| one(seen.group.processes_max)),
    gauge("log_bytes", "What its log takes on the disk, with what was rotated.", |seen, _| one(seen.log)),
];

/// Everything: of init, then of the services.
pub(super) fn write(init: Option<&InitStatus>, all: &[Seen], moment: Moment) -> String {
    let mut text = String::with_capacity(4096 * (all.len() + 1));
    if let Some(init) = init {
        let info = [Sample::new(1).with("version", &init.version)];
        family(&mut text, "mainstay_init_info", Kind::Gauge, "Which init there is.", &info);
        for (name, help, count) in [
            ("mainstay_init_faults_total", "Faults of its own that init has recovered from.", init.recovered),
            ("mainstay_init_replacements_total", "How often init was replaced in place.", init.replaced),
        ] {
            family(&mut text, name, Kind::Counter, help, &[Sample::new(count)]);
        }
    }
    let kinds = all.iter().map(|seen| {
        Sample::new(1).with("service", &status(seen).name).with("kind", status(seen).kind.word())
    });
    let help = "Which services there are, and of what type.";
    family(&mut text, "mainstay_service_info", Kind::Gauge, help, &kinds.collect::<Vec<_>>());
    for one in FAMILIES {
        let named = |seen: &Seen| -> Vec<Sample> {
            let name = &status(seen).name;
            (one.of)(seen, moment).into_iter().map(|sample| sample.of(name)).collect()
        };
        let samples: Vec<Sample> = all.iter().flat_map(named).collect();
        family(&mut text, &format!("mainstay_service_{}", one.name), one.kind, one.help, &samples);
    }
    text
}

fn status(seen: &Seen) -> &Status {
    &seen.row.status
}

fn one(value: Option<impl std::fmt::Display>) -> Vec<Sample> {
    value.map(Sample::new).into_iter().collect()
}

fn holds(value: bool) -> Vec<Sample> {
    one(Some(u8::from(value)))
}

fn pressure(totals: &[(&'static str, u64)]) -> Vec<Sample> {
    totals.iter().map(|(resource, total)| Sample::new(seconds(*total)).with("resource", resource)).collect()
}

fn labelled(
    label: &'static str,
    values: [(&'static str, Option<u64>); 2],
    show: impl Fn(u64) -> String,
) -> Vec<Sample> {
    let known = values.into_iter().filter_map(|(name, value)| Some((name, value?)));
    known.map(|(name, value)| Sample::new(show(value)).with(label, name)).collect()
}

/// A time of day: to the millisecond, since it is reckoned from two clocks that are not read at once.
fn time(since: Duration) -> String {
    format!("{}.{:03}", since.as_secs(), since.subsec_millis())
}

fn exact(duration: Duration) -> String {
    format!("{}.{:06}", duration.as_secs(), duration.subsec_micros())
}
