//! The verb `events`: every change of state, as it happens.

use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::reports::{Next, Reports};
use service::wire::Report;
use std::collections::{BTreeMap, BTreeSet};

/// What has to differ for a change to be one.
type Standing = (String, String, Option<i32>, u32);

/// Shows changes until it is ended.
///
/// # Errors
/// If init cannot be reached or goes away for good, or a name is unknown.
pub fn run(places: &Places, names: &[String], json: bool) -> Result<Exit, Failure> {
    let plan = Plan::read(&places.run);
    let mut wanted = BTreeSet::new();
    for name in names {
        if !plan.knows(&places.run, name) {
            return Err(plan.no_such(name));
        }
        wanted.extend(plan.members(name));
        wanted.insert(name.clone());
    }
    let mut reports = Reports::open(&places.run)?;
    // How each was when we came is no change; what is not in the plan yet has come since.
    let mut known: BTreeMap<String, Option<Standing>> =
        plan.entries.iter().map(|entry| (entry.name.clone(), None)).collect();
    loop {
        let Next::Report(line) = reports.next(None)? else { continue };
        let Some(report) = Report::parse(&line) else { continue };
        let standing = standing(&report);
        let before = known.insert(report.name.to_owned(), Some(standing.clone()));
        let news = before.is_none_or(|before| before.is_some_and(|before| before != standing));
        if news && (wanted.is_empty() || wanted.contains(report.name)) {
            output::print(&if json { object(&report) } else { text(&report) })?;
        }
    }
}

fn standing(report: &Report<'_>) -> Standing {
    let overdue = if report.overdue { " overdue" } else { "" };
    let state = format!("{}{overdue}: {}", report.state.word(), report.reason);
    (state, report.want.word().to_owned(), report.pid.map(service::Pid::number), report.starts)
}

/// Now, to the microsecond.
fn now() -> String {
    let wall = sys::clock::wall();
    let seconds = output::time_of_day(wall);
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), wall.subsec_micros())
}

fn text(report: &Report<'_>) -> String {
    let overdue = if report.overdue { ", overdue" } else { "" };
    let pid = report.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    let reason = if report.reason.is_empty() { String::new() } else { format!(": {}", report.reason) };
    let (name, state, want) = (report.name, report.state.word(), report.want.word());
    format!("{} {name} {state}, want {want}{pid}{overdue}{reason}\n", now())
}

fn object(report: &Report<'_>) -> String {
    let line = serde_json::json!({
        "time": now(),
        "name": report.name,
        "state": report.state.word(),
        "want": report.want.word(),
        "overdue": report.overdue,
        "pid": report.pid.map(service::Pid::number),
        "starts": report.starts,
        "reason": report.reason,
    });
    format!("{line}\n")
}
