//! The verb `wait --boot`: returns when every service of the boot has settled.

use crate::args::Places;
use crate::compile::units::show;
use crate::control::{Connection, Line};
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use service::definition::Kind;
use service::status::{State, Want};
use service::wire::{InitCommand, Report};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where a service stands, as far as the boot is concerned.
struct Standing {
    settled: bool,
    good: bool,
    text: String,
}

impl Standing {
    fn new(report: &Report<'_>) -> Standing {
        let at_rest = report.state == State::Down && report.want == Want::Down;
        // What is overdue, or dies again and again, holds nobody up any more. What is to be up, and is down, has
        // yet to begin.
        let hopeless = report.overdue || report.state == State::Backoff;
        let settled = hopeless || (report.state.settled() && (report.state != State::Down || at_rest));
        let overdue = if report.overdue { ", overdue" } else { "" };
        let reason = if report.reason.is_empty() { String::new() } else { format!(": {}", report.reason) };
        let text = format!("{}: {}{overdue}{reason}", report.name, report.state.word());
        Standing { settled, good: report.state.good() || at_rest, text }
    }
}

/// Waits.
///
/// # Errors
/// If init cannot be asked.
pub fn boot(places: &Places, timeout: Duration) -> Result<Exit, Failure> {
    let begun = Instant::now();
    let path = places.run.join("init/control");
    let nobody = || format!("unable to reach init: nobody listens at {}", path.display());
    let mut connection =
        Connection::open(&path)?.ok_or_else(|| Failure::new(Exit::NotSupervised, nobody()))?;
    connection.send(InitCommand::Events)?;
    if !places.run.join("init/plan").exists() {
        let problem = "init knows no services: their definitions have not been compiled, or could not be";
        return Err(Failure::new(Exit::Failed, problem));
    }
    // Those that have not been heard of.
    let plan = Plan::read(&places.run);
    let bundle = |kind: Kind| kind == Kind::Bundle;
    let mut services: BTreeMap<String, Option<Standing>> = plan
        .entries
        .iter()
        .filter(|entry| !bundle(entry.kind))
        .map(|entry| (entry.name.clone(), None))
        .collect();
    let mut taken = false;
    loop {
        match connection.line(Some(begun + timeout))? {
            Line::Text(line) => match Report::parse(&line) {
                Some(report) => {
                    let is_bundle = plan.get(report.name).is_some_and(|entry| bundle(entry.kind));
                    if !is_bundle {
                        services.insert(report.name.to_owned(), Some(Standing::new(&report)));
                    }
                }
                None if line == "ok" => taken = true,
                None => {
                    if let Some(reason) = line.strip_prefix("error ") {
                        return Err(Failure::new(Exit::Failed, reason));
                    }
                }
            },
            Line::End if connection.reopen()? => connection.send(InitCommand::Events)?,
            Line::End => return Err(Failure::new(Exit::NotSupervised, "init closed the connection")),
            Line::TimedOut => {
                output::complain(&format!("svctl: timed out after {}", show(begun.elapsed())));
                list(&services, |standing| standing.is_none_or(|standing| !standing.settled));
                return Ok(Exit::TimedOut);
            }
        }
        let settled = services.values().all(|standing| standing.as_ref().is_some_and(|s| s.settled));
        if taken && settled {
            let good = services.values().flatten().filter(|standing| standing.good).count();
            output::print(&format!("{good} of {} services are as they should be\n", services.len()))?;
            list(&services, |standing| standing.is_some_and(|standing| !standing.good));
            return Ok(if good == services.len() { Exit::Ok } else { Exit::Failed });
        }
    }
}

fn list(services: &BTreeMap<String, Option<Standing>>, which: impl Fn(Option<&Standing>) -> bool) {
    for (name, standing) in services.iter().filter(|(_, standing)| which(standing.as_ref())) {
        match standing {
            Some(standing) => output::complain(&standing.text),
            None => output::complain(&format!("{name}: nothing has been heard of it")),
        }
    }
}
