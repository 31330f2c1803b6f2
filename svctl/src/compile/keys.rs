//! The keys of `service.toml`, and what they become.

use super::keys_ready;
use super::reader::{Item, Reader, Value, items};
use super::{Edge, EdgeKind};
use crate::suggest::nearest;
use service::backoff::DEATHS_MAX;
use service::definition::{
    Condition, Definition, EnvironmentLayer, Kind, Log, Restart, RestartWhen, Scope, Stop, valid_name,
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;

/// How long a oneshot may take unless it says otherwise.
const ONESHOT_TIMEOUT: Duration = Duration::from_secs(300);
/// Below this a log would be rotated with nearly every write.
const LOG_SIZE_MIN: u64 = 4096;

const KEYS: [&str; 17] = [
    "description",
    "type",
    "command",
    "requires",
    "wants",
    "after",
    "before",
    "contents",
    "autostart",
    "condition",
    "environment",
    "ready",
    "restart",
    "reload",
    "start",
    "stop",
    "log",
];
/// Sections whose names are kept for later.
const RESERVED: [&str; 6] = ["limits", "user", "sandbox", "sockets", "image", "schedule"];
/// What means something for a bundle.
const BUNDLE_KEYS: [&str; 4] = ["description", "type", "contents", "autostart"];

/// Where the keys at the top of the file stand.
pub(super) type Spans = BTreeMap<String, Range<usize>>;

/// Everything that a file says.
pub(super) struct File {
    pub(super) definition: Definition,
    pub(super) edges: Vec<Edge>,
    pub(super) spans: Spans,
    /// Where the program stands.
    pub(super) program: Option<Range<usize>>,
}

/// Reads the top of the file into a definition called `name`.
pub(super) fn read(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    name: &str,
    directory: &str,
    prober: &str,
) -> File {
    let mut file = File {
        definition: Definition::new(name, directory),
        edges: Vec::new(),
        spans: Spans::new(),
        program: None,
    };
    let all = items(table);
    // The kind comes first: it decides the defaults.
    if let Some(kind) = all.iter().find(|item| item.key == "type").and_then(|item| kind(reader, item.value)) {
        file.definition.kind = kind;
    }
    if file.definition.kind == Kind::Oneshot {
        file.definition.restart.when = RestartWhen::Never;
        file.definition.start_timeout = Some(ONESHOT_TIMEOUT);
    }
    for item in &all {
        file.spans.insert(item.key.to_owned(), item.span.clone());
        top(reader, item, &mut file, prober);
    }
    misplaced(reader, &file);
    file
}

fn kind(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Kind> {
    reader.word(value, &["longrun", "oneshot", "bundle"], Kind::parse)
}

fn top(reader: &mut Reader<'_>, item: &Item<'_>, file: &mut File, prober: &str) {
    let definition = &mut file.definition;
    let value = item.value;
    match item.key {
        "type" => {}
        "description" => set(&mut definition.description, reader.string(value).map(str::to_owned)),
        "command" => {
            set(&mut definition.command, reader.command(value));
            let first = value.get_ref().as_array().and_then(|words| words.first());
            file.program = first.map(toml::Spanned::span);
        }
        "requires" => edges(reader, value, EdgeKind::Requires, file),
        "wants" => edges(reader, value, EdgeKind::Wants, file),
        "after" => edges(reader, value, EdgeKind::After, file),
        "before" => edges(reader, value, EdgeKind::Before, file),
        "contents" => edges(reader, value, EdgeKind::Contains, file),
        "autostart" => set(&mut definition.autostart, reader.boolean(value)),
        "condition" => definition.conditions = condition(reader, value),
        "environment" => definition.environment = environment(reader, value),
        "ready" => keys_ready::ready(reader, item, &mut definition.ready, prober),
        "restart" => restart(reader, value, &mut definition.restart),
        "reload" => reload(reader, value, &mut definition.stop),
        "start" => start(reader, value, definition),
        "stop" => stop(reader, value, &mut definition.stop),
        "log" => log(reader, value, &mut definition.log),
        key if RESERVED.contains(&key) => {
            reader.error(&item.span, format!("section [{key}] is not supported by this version"));
        }
        _ => reader.unknown(item, "", &known()),
    }
}

/// Every key that may stand at the top.
fn known() -> Vec<&'static str> {
    KEYS.into_iter().chain(RESERVED).collect()
}

/// Takes a value that could be read.
pub(super) fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// Keys that have no meaning for the kind.
fn misplaced(reader: &mut Reader<'_>, file: &File) {
    let kind = file.definition.kind;
    for (key, span) in &file.spans {
        let known = KEYS.contains(&key.as_str());
        let message = match (kind, key.as_str()) {
            (Kind::Longrun | Kind::Oneshot, "contents") => "\"contents\" is for bundles: type = \"bundle\"",
            (Kind::Longrun, "start") => "[start] is for oneshots; for a longrun there is [ready] timeout",
            (Kind::Oneshot, "ready") => "[ready] is for longruns: a oneshot is ready when it has succeeded",
            (Kind::Bundle, other) if known && !BUNDLE_KEYS.contains(&other) => "has no meaning for a bundle",
            (_, _) => continue,
        };
        let message = if kind == Kind::Bundle { format!("\"{key}\" {message}") } else { message.to_owned() };
        reader.error(span, message);
    }
}

fn edges(reader: &mut Reader<'_>, value: Value<'_>, kind: EdgeKind, file: &mut File) {
    let names = reader.strings(value).unwrap_or_default();
    for (name, span) in names {
        if !valid_name(name) {
            reader.error(&span, format!("\"{}\" cannot be the name of a service", name.escape_debug()));
        } else if file.edges.iter().any(|edge| edge.kind == kind && edge.to == name) {
            reader.warning(&span, format!("\"{name}\" is listed twice"));
        } else {
            file.edges.push(Edge { kind, to: name.to_owned(), place: reader.place(&span) });
        }
    }
}

fn condition(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<Condition> {
    const KNOWN: [&str; 3] = ["executable", "path", "kernel-argument"];
    let mut conditions = Vec::new();
    for item in reader.table(value, "a table such as { executable = \"…\" }") {
        let make: fn(String) -> Condition = match item.key {
            "executable" => Condition::Executable,
            "path" => Condition::Path,
            "kernel-argument" => Condition::KernelArgument,
            _ => {
                reader.unknown(&item, "condition", &KNOWN);
                continue;
            }
        };
        for (text, span) in reader.one_or_more(item.value).unwrap_or_default() {
            match item.key {
                _ if text.is_empty() => reader.error(&span, "expected a string that is not empty"),
                "path" if !text.starts_with('/') => reader.error(&span, "expected an absolute path"),
                _ => conditions.push(make(text.to_owned())),
            }
        }
    }
    conditions
}

fn environment(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<EnvironmentLayer> {
    let mut layers = Vec::new();
    for item in reader.table(value, "a section") {
        if item.key == "files" {
            let files = reader.strings(item.value).unwrap_or_default();
            for (file, span) in files {
                let (path, optional) = file.strip_prefix('-').map_or((file, false), |path| (path, true));
                if path.starts_with('/') {
                    layers.push(EnvironmentLayer::File { path: path.to_owned(), optional });
                } else {
                    reader.error(&span, "expected an absolute path, or one after \"-\" if it may be absent");
                }
            }
        } else if !is_variable(item.key) {
            let message = format!("\"{}\" cannot be the name of a variable", item.key.escape_debug());
            reader.suggest(&item.span, message, nearest(item.key, ["files"]));
        } else if item.value.get_ref().is_array() {
            let message = format!("variable \"{}\" must be a string", item.key);
            reader.suggest(&item.span, message, nearest(item.key, ["files"]));
        } else if let Some(text) = reader.string(item.value) {
            layers.push(EnvironmentLayer::Set { key: item.key.to_owned(), value: text.to_owned() });
        }
    }
    layers
}

fn is_variable(key: &str) -> bool {
    key.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn restart(reader: &mut Reader<'_>, value: Value<'_>, restart: &mut Restart) {
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

fn reload(reader: &mut Reader<'_>, value: Value<'_>, stop: &mut Stop) {
    for item in reader.table(value, "a section") {
        match item.key {
            "signal" => set(&mut stop.reload_signal, reader.signal(item.value)),
            _ => reader.unknown(&item, "reload", &["signal"]),
        }
    }
}

fn start(reader: &mut Reader<'_>, value: Value<'_>, definition: &mut Definition) {
    for item in reader.table(value, "a section") {
        match item.key {
            "timeout" => {
                if let Some(timeout) = reader.duration(item.value) {
                    definition.start_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
                }
            }
            _ => reader.unknown(&item, "start", &["timeout"]),
        }
    }
}

fn stop(reader: &mut Reader<'_>, value: Value<'_>, stop: &mut Stop) {
    const KNOWN: [&str; 5] = ["signal", "timeout", "scope", "halt-signal", "halt-timeout"];
    let mut halt_timeout = None;
    for item in reader.table(value, "a section") {
        match item.key {
            "signal" => set(&mut stop.signal, reader.signal(item.value)),
            "timeout" => set(&mut stop.timeout, reader.duration(item.value).map(Some)),
            "scope" => set(&mut stop.scope, scope(reader, item.value)),
            "halt-signal" => stop.halt_signal = reader.signal(item.value),
            "halt-timeout" => {
                halt_timeout = Some(item.span.clone());
                set(&mut stop.halt_timeout, reader.duration(item.value));
            }
            _ => reader.unknown(&item, "stop", &KNOWN),
        }
    }
    if let (Some(span), None) = (halt_timeout, stop.halt_signal) {
        reader.warning(&span, "halt-timeout has no effect without halt-signal");
    }
}

fn scope(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Scope> {
    if value.get_ref().as_str() == Some("cgroup") {
        reader.error(&value.span(), "scope = \"cgroup\" is not supported by this version");
        return None;
    }
    reader.word(value, &["main", "group"], Scope::parse)
}

fn log(reader: &mut Reader<'_>, value: Value<'_>, log: &mut Log) {
    for item in reader.table(value, "a section") {
        if item.key != "rotate" {
            reader.unknown(&item, "log", &["rotate"]);
            continue;
        }
        for item in reader.table(item.value, "a table such as { size = \"1MiB\", keep = 10 }") {
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
}
