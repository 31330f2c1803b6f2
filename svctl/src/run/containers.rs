//! `svctl containers`: the services that were made by `svctl run`, and those that run from images.

use super::directory;
use crate::args::Places;
use crate::exit::{Exit, Failure};
use crate::output;
use crate::plan::Plan;
use crate::status::Files;
use serde_json::{Map, Value, json};
use service::definition::{Definition, Prepared};
use service::status::Status;
use service::{Tick, WaitStatus};
use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

/// One of them.
struct Container {
    transient: bool,
    /// Whether it is ready, if that means something for it.
    ready: Option<bool>,
    status: Status,
    definition: Option<Definition>,
    prepared: Option<Prepared>,
    labels: Vec<(String, String)>,
}

/// Shows them.
///
/// # Errors
/// No init is or was there; standard output cannot be written.
pub fn run(places: &Places, json: bool) -> Result<Exit, Failure> {
    let all = all(places)?;
    if json {
        let now = sys::clock::now();
        let objects: Vec<Value> = all.iter().map(|one| one.json(now)).collect();
        output::print(&format!("{}\n", Value::from(objects)))?;
        return Ok(Exit::Ok);
    }
    let heads = ["NAME", "STATE", "PID", "IMAGE", "ROOT"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(heads).chain(all.iter().map(Container::row)).collect();
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    output::print(&rows.iter().map(line).collect::<String>())?;
    Ok(Exit::Ok)
}

fn all(places: &Places) -> Result<Vec<Container>, Failure> {
    let plan = Plan::found(&places.run)?;
    // One that is about to go runs as long as init knows it.
    let transient = directory::there(places);
    let names: BTreeSet<String> =
        plan.entries.iter().map(|entry| entry.name.clone()).chain(directory::all(places)).collect();
    let mut files = Files::new();
    let mut found = Vec::new();
    for name in names {
        let read = |file: &str| fs::read_to_string(places.run.join("service").join(&name).join(file)).ok();
        let definition = read("definition").and_then(|text| Definition::decode(&text).ok());
        let is_transient = transient.contains(&name);
        if !is_transient && definition.as_ref().is_none_or(|definition| definition.image.is_none()) {
            continue;
        }
        let row = files.row(&places.run, &plan, &name);
        found.push(Container {
            transient: is_transient,
            ready: row.ready(),
            status: row.status,
            definition,
            prepared: read("prepared").and_then(|text| Prepared::decode(&text)),
            labels: directory::labels(places, &name),
        });
    }
    Ok(found)
}

impl Container {
    /// The image that it is to run from.
    fn image(&self) -> Option<&str> {
        let image = self.definition.as_ref()?.image.as_ref()?;
        Some(&image.reference)
    }

    fn row(&self) -> [String; 5] {
        let status = &self.status;
        let pid = status.pid.map(|pid| pid.to_string());
        let root = self.prepared.as_ref().map(|prepared| prepared.root.clone());
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        [
            status.name.clone(),
            status.state.word().to_owned(),
            or_dash(pid),
            or_dash(self.image().map(str::to_owned)),
            or_dash(root),
        ]
    }

    fn json(&self, now: Tick) -> Value {
        let status = &self.status;
        let exit = status.last_exit.map(|exit| match exit {
            WaitStatus::Exited(code) => json!({"code": code, "signal": null}),
            WaitStatus::Signalled { signal, .. } => json!({"code": null, "signal": signal.to_string()}),
            WaitStatus::Unknown => json!({"code": null, "signal": null}),
        });
        let labels: Map<String, Value> =
            self.labels.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(str::to_owned);
        // The reference, and after a blank the id.
        let id =
            self.prepared.as_ref().and_then(|prepared| Some(prepared.origin.split_once(' ')?.1.to_owned()));
        json!({
            "name": status.name,
            "transient": self.transient,
            "state": status.state.word(),
            "want": status.want.word(),
            "ready": self.ready,
            "pid": status.pid.map(service::Pid::number),
            "started": status.started.and_then(|tick| since_epoch(now, tick)),
            "restarts": status.restarts,
            "last_exit": exit,
            "reason": status.reason,
            "image": self.image(),
            "image_id": id,
            "root": self.prepared.as_ref().map(|prepared| prepared.root.clone()),
            "group": text(&status.group),
            "directory": self.definition.as_ref().map(|definition| definition.directory.clone()),
            "labels": labels,
        })
    }
}

/// A time since the boot as one of day, in seconds.
fn since_epoch(now: Tick, at: Tick) -> Option<f64> {
    let ago: Duration = now.since(at);
    let time = SystemTime::now().checked_sub(ago)?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(time.as_secs_f64())
}
