//! The sections about a service's life: `[start]`, `[restart]`, `[reload]`, `[stop]` and `[log]`.

use super::EdgeKind;
use super::keys::{File, add_edge, set};
use super::reader::{Reader, Value};
use service::backoff::DEATHS_MAX;
use service::definition::{Definition, Restart, RestartWhen, Scope, Stop};
use std::time::Duration;

/// Below this a log would be rotated with nearly every write.
const LOG_SIZE_MIN: u64 = 4096;
/// A reload that may take less is always late.
const RELOAD_MIN: Duration = Duration::from_millis(1);

pub(super) fn restart(reader: &mut Reader<'_>, value: Value<'_>, restart: &mut Restart) {
    const KNOWN: [&str; 5] = ["when", "delay", "max-delay", "reset-after", "give-up"];
    const WHEN: [&str; 3] = ["always", "on-failure", "never"];
    let mut longest = None;
    for item in reader.table(value, "a section") {
        match item.key {
            "when" => set(&mut restart.when, reader.word(item.value, &WHEN, RestartWhen::parse)),
            "delay" => set(&mut restart.delay, reader.duration(item.value)),
            "max-delay" => {
                longest = Some(item.value.span());
                set(&mut restart.max_delay, reader.duration(item.value));
            }
            "reset-after" => set(&mut restart.reset_after, reader.duration(item.value)),
            "give-up" => give_up(reader, item.value, restart),
            _ => reader.unknown(&item, "restart", &KNOWN),
        }
    }
    if restart.delay > restart.max_delay {
        match longest {
            Some(span) => reader.error(&span, "max-delay is shorter than delay"),
            None => restart.max_delay = restart.delay,
        }
    }
}

fn give_up(reader: &mut Reader<'_>, value: Value<'_>, restart: &mut Restart) {
    let most = u32::try_from(DEATHS_MAX).unwrap_or(u32::MAX);
    for item in reader.table(value, "a table such as { deaths = 5, within = \"1m\" }") {
        match item.key {
            "deaths" => set(&mut restart.give_up_deaths, reader.integer(item.value, 0..=most)),
            "within" => set(&mut restart.give_up_within, reader.duration(item.value)),
            _ => reader.unknown(&item, "restart.give-up", &["deaths", "within"]),
        }
    }
    // One death is always within any time.
    if restart.give_up_deaths > 1 && restart.give_up_within.is_zero() {
        reader.error(&value.span(), "give-up needs the time within which the deaths count: within = \"1m\"");
    }
}

pub(super) fn reload(reader: &mut Reader<'_>, value: Value<'_>, definition: &mut Definition) {
    let mut chosen: Option<&str> = None;
    for item in reader.table(value, "a section") {
        match item.key {
            "signal" => set(&mut definition.stop.reload_signal, reader.signal(item.value)),
            "command" => set(&mut definition.reload_command, reader.command(item.value)),
            "timeout" => {
                set(&mut definition.reload_timeout, reader.period(item.value, RELOAD_MIN));
                continue;
            }
            _ => {
                reader.unknown(&item, "reload", &["signal", "command", "timeout"]);
                continue;
            }
        }
        if let Some(other) = chosen.replace(item.key) {
            reader.error(&item.span, format!("how to reload is declared already, by \"{other}\""));
        }
    }
}

pub(super) fn start(reader: &mut Reader<'_>, value: Value<'_>, definition: &mut Definition) {
    for item in reader.table(value, "a section") {
        match item.key {
            "timeout" => set(&mut definition.start_timeout, reader.limit(item.value)),
            _ => reader.unknown(&item, "start", &["timeout"]),
        }
    }
}

pub(super) fn stop(reader: &mut Reader<'_>, value: Value<'_>, stop: &mut Stop) {
    const KNOWN: [&str; 6] = ["signal", "timeout", "scope", "kill-scope", "halt-signal", "halt-timeout"];
    let mut halt_timeout = None;
    let mut kill_scope = None;
    for item in reader.table(value, "a section") {
        match item.key {
            "signal" => set(&mut stop.signal, reader.signal(item.value)),
            "timeout" => set(&mut stop.timeout, reader.limit(item.value)),
            "scope" => {
                if let Some(scope) = scope(reader, item.value) {
                    // What is killed is what was stopped, unless more is said.
                    (stop.scope, stop.kill_scope) = (scope, scope);
                }
            }
            "kill-scope" => kill_scope = scope(reader, item.value),
            "halt-signal" => set(&mut stop.halt_signal, reader.signal(item.value).map(Some)),
            "halt-timeout" => {
                halt_timeout = Some(item.span.clone());
                set(&mut stop.halt_timeout, reader.duration(item.value));
            }
            _ => reader.unknown(&item, "stop", &KNOWN),
        }
    }
    set(&mut stop.kill_scope, kill_scope);
    if let (Some(span), None) = (halt_timeout, stop.halt_signal) {
        reader.warning(&span, "halt-timeout has no effect without halt-signal");
    }
}

fn scope(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Scope> {
    reader.word(value, &["main", "group", "cgroup"], Scope::parse)
}

pub(super) fn log(reader: &mut Reader<'_>, value: Value<'_>, file: &mut File) {
    for item in reader.table(value, "a section") {
        match item.key {
            "rotate" => rotate(reader, item.value, file),
            "to" => {
                file.edges.retain(|edge| edge.kind != EdgeKind::WritesTo);
                if let Some(name) = reader.string(item.value) {
                    add_edge(reader, EdgeKind::WritesTo, name, &item.value.span(), file);
                }
            }
            _ => reader.unknown(&item, "log", &["rotate", "to"]),
        }
    }
}

fn rotate(reader: &mut Reader<'_>, value: Value<'_>, file: &mut File) {
    let log = &mut file.definition.log;
    for item in reader.table(value, "a table such as { size = \"1MiB\", keep = 10 }") {
        match item.key {
            "size" => match reader.size(item.value) {
                Some(size) if size < LOG_SIZE_MIN => {
                    reader.error(&item.value.span(), "a log must be allowed at least 4096 bytes");
                }
                size => set(&mut log.size, size),
            },
            "keep" => set(&mut log.keep, reader.integer(item.value, 0..=100_000)),
            _ => reader.unknown(&item, "log.rotate", &["size", "keep"]),
        }
    }
}
