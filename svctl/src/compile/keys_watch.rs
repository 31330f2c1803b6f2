//! The section `[health]`: how a service that is ready is looked after.

use super::keys::set;
use super::keys_ready::{http, tcp};
use super::reader::{Item, Reader};
use service::definition::Health;
use std::time::Duration;

/// Asking more often would be a load, not a check.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// A check that may take less always fails.
const TIMEOUT_MIN: Duration = Duration::from_millis(10);
/// As many failures in a row may be asked for.
const THRESHOLD_MAX: u32 = 1000;

const KNOWN: [&str; 7] = ["command", "tcp", "http", "interval", "timeout", "threshold", "action"];

/// Reads the section; none if it does not say how to check.
pub(super) fn health(reader: &mut Reader<'_>, section: &Item<'_>, prober: &str) -> Option<Health> {
    let mut health = Health::default();
    let mut chosen: Option<&str> = None;
    let items = reader.table(section.value, "a section");
    for item in &items {
        match item.key {
            "interval" => set(&mut health.interval, reader.period(item.value, INTERVAL_MIN)),
            "timeout" => set(&mut health.timeout, reader.period(item.value, TIMEOUT_MIN)),
            "threshold" => set(&mut health.threshold, reader.integer(item.value, 1..=THRESHOLD_MAX)),
            "action" => {
                let action = |word: &str| match word {
                    "restart" => Some(true),
                    "report" => Some(false),
                    _ => None,
                };
                set(&mut health.restart, reader.word(item.value, &["restart", "report"], action));
            }
            "command" | "tcp" | "http" => {
                if let Some(other) = chosen.replace(item.key) {
                    reader.error(&item.span, format!("the check is declared already, by \"{other}\""));
                }
                set(&mut health.command, command(reader, item, prober));
            }
            _ => reader.unknown(item, "health", &KNOWN),
        }
    }
    if chosen.is_none() {
        if section.value.get_ref().is_table() && items.iter().all(|item| KNOWN.contains(&item.key)) {
            reader.error(&section.span, "[health] says not by what: command, tcp or http");
        }
        return None;
    }
    Some(health)
}

fn command(reader: &mut Reader<'_>, item: &Item<'_>, prober: &str) -> Option<Vec<String>> {
    let mut command = match item.key {
        "tcp" => tcp(reader, item.value, prober)?,
        "http" => http(reader, item.value, "health.http", prober)?,
        _ => return reader.command(item.value),
    };
    // A prober waits for a good answer; here a bad one is what is asked for.
    command.push("--once".to_owned());
    Some(command)
}
