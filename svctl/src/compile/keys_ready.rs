//! The section `[ready]`: by what readiness is learnt. Ports and web pages are asked by this program's own
//! verb `probe`, run as a readiness command.

use super::keys::set;
use super::reader::{Item, Reader, Value};
use crate::probe::{Address, Url};
use service::definition::{NotifyFrom, Ready, ReadyMethod};
use std::time::Duration;
use toml::de::DeValue;

/// The wait between two tries of a readiness command.
const INTERVAL: Duration = Duration::from_secs(1);
/// A command that is run more often is a load.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// Standard streams are below, and a child is given no descriptor above.
const DESCRIPTORS: std::ops::RangeInclusive<u32> = 3..=63;

const KNOWN: [&str; 8] =
    ["http", "tcp", "fd", "command", "interval", "timeout", "restart-when-overdue", "notify"];

/// Reads the section.
pub(super) fn ready(reader: &mut Reader<'_>, section: &Item<'_>, ready: &mut Ready, prober: &str) {
    let mut chosen: Option<&str> = None;
    let mut interval = None;
    let items = reader.table(section.value, "a section");
    for item in &items {
        match item.key {
            "timeout" => set(&mut ready.timeout, reader.limit(item.value)),
            "restart-when-overdue" => set(&mut ready.restart_when_overdue, reader.boolean(item.value)),
            "interval" => interval = reader.duration(item.value).map(|value| (value, item.span.clone())),
            "http" | "tcp" | "fd" | "notify" | "command" => {
                if let Some(other) = chosen.replace(item.key) {
                    reader.error(&item.span, format!("readiness is declared already, by \"{other}\""));
                }
                set(&mut ready.method, method(reader, item, prober));
                if matches!(item.key, "http" | "tcp") && ready.method != ReadyMethod::Immediate {
                    // The prober goes on until it is answered.
                    ready.probe_timeout = None;
                }
            }
            _ => reader.unknown(item, "ready", &KNOWN),
        }
    }
    match (&mut ready.method, interval) {
        (ReadyMethod::Command { interval, .. }, Some((value, span))) if chosen == Some("command") => {
            *interval = value;
            if value < INTERVAL_MIN {
                reader.error(&span, "expected a duration of at least 10ms");
            }
        }
        (_, Some((_, span))) => reader.error(&span, "interval is for a readiness command"),
        (_, None) => {}
    }
    // The directory may have said by what.
    let said = chosen.is_some() || ready.method != ReadyMethod::Immediate;
    if !said && items.iter().all(|item| KNOWN.contains(&item.key)) {
        reader.error(&section.span, "[ready] says not by what: http, tcp, fd, notify or command");
    }
}

fn method(reader: &mut Reader<'_>, item: &Item<'_>, prober: &str) -> Option<ReadyMethod> {
    let command = match item.key {
        "fd" => {
            let number = reader.integer(item.value, DESCRIPTORS)?;
            return i32::try_from(number).ok().map(ReadyMethod::Descriptor);
        }
        "notify" => return notify(reader, item.value).map(ReadyMethod::Notify),
        "tcp" => tcp(reader, item.value, prober)?,
        "http" => http(reader, item.value, "ready.http", prober)?,
        _ => reader.command(item.value)?,
    };
    Some(ReadyMethod::Command { command, interval: INTERVAL })
}

/// Whose messages count: `true` is those of the main process.
fn notify(reader: &mut Reader<'_>, value: Value<'_>) -> Option<NotifyFrom> {
    match value.get_ref() {
        DeValue::Boolean(true) => Some(NotifyFrom::Main),
        DeValue::String(_) => reader.word(value, &["main", "all"], NotifyFrom::parse),
        DeValue::Boolean(false)
        | DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => {
            reader.error(&value.span(), "expected true, \"main\" or \"all\"");
            None
        }
    }
}

fn probe(prober: &str, what: &str, target: &str) -> Vec<String> {
    [prober, "probe", what, target].map(str::to_owned).into()
}

pub(super) fn tcp(reader: &mut Reader<'_>, value: Value<'_>, prober: &str) -> Option<Vec<String>> {
    let text = reader.string(value)?;
    match Address::parse(text) {
        Ok(_) => Some(probe(prober, "tcp", text)),
        Err(message) => {
            reader.error(&value.span(), message);
            None
        }
    }
}

pub(super) fn http(
    reader: &mut Reader<'_>,
    value: Value<'_>,
    section: &str,
    prober: &str,
) -> Option<Vec<String>> {
    let mut url = None;
    let mut options: Vec<String> = Vec::new();
    if value.get_ref().is_str() {
        url = http_url(reader, value);
    } else {
        let mut named = false;
        for item in reader.table(value, "a URL, or a table such as { url = \"http://…\" }") {
            match item.key {
                "url" => {
                    named = true;
                    url = http_url(reader, item.value);
                }
                "status" => {
                    if let Some(status) = reader.integer(item.value, 100..=599) {
                        options.extend(["--status".to_owned(), status.to_string()]);
                    }
                }
                "json" => json(reader, item.value, &mut options),
                _ => reader.unknown(&item, section, &["url", "status", "json"]),
            }
        }
        if !named && value.get_ref().is_table() {
            reader.error(&value.span(), "http needs a url");
        }
    }
    let mut command = probe(prober, "http", url?);
    command.append(&mut options);
    Some(command)
}

fn http_url<'v>(reader: &mut Reader<'_>, value: Value<'v>) -> Option<&'v str> {
    let text = reader.filled(value)?;
    match Url::parse(text) {
        Ok(_) => Some(text),
        Err(message) => {
            reader.error(&value.span(), message);
            None
        }
    }
}

/// What the page's keys must be, as `--json KEY=VALUE` with the value in JSON.
fn json(reader: &mut Reader<'_>, value: Value<'_>, options: &mut Vec<String>) {
    for item in reader.table(value, "a table such as { \"slave/registered\" = 1 }") {
        let wanted = match item.value.get_ref() {
            DeValue::String(text) => Some(serde_json::Value::from(text.as_ref()).to_string()),
            DeValue::Integer(number) => {
                i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
            }
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(serde_json::Number::from_f64);
                number.map(|number| number.to_string())
            }
            DeValue::Boolean(truth) => Some(truth.to_string()),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        };
        let Some(wanted) = wanted else {
            reader.error(&item.value.span(), "expected a string, a number, true or false");
            continue;
        };
        if item.key.is_empty() || item.key.contains(['=', '\0']) || wanted.contains("\\u0000") {
            reader.error(&item.span, "a key of a page must not be empty, nor contain \"=\"");
            continue;
        }
        options.extend(["--json".to_owned(), format!("{}={wanted}", item.key)]);
    }
}
