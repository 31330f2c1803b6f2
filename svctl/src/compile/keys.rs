//! The keys at the top of `service.toml`, and what they become.

use super::contradictions;
use super::keys_environment::{condition, environment};
use super::keys_image;
use super::keys_life::{log, reload, restart, start, stop};
use super::keys_limits;
use super::keys_process;
use super::keys_ready;
use super::keys_sockets;
use super::keys_user;
use super::keys_watch;
use super::reader::{Item, Reader, Value, items};
use super::sandbox::sandbox;
use super::{Edge, EdgeKind};
use service::definition::{Definition, Kind, RestartWhen, Style, valid_name};
use service::setup::order;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;

/// How long a oneshot may take unless it says otherwise.
const ONESHOT_TIMEOUT: Duration = Duration::from_secs(300);
/// How seldom a watchdog may be fed at the least: below this it would bite a machine that is merely busy.
const WATCHDOG_MIN: Duration = Duration::from_millis(100);

const KEYS: [&str; 30] = [
    "description",
    "type",
    "style",
    "command",
    "down-command",
    "working-directory",
    "requires",
    "wants",
    "after",
    "before",
    "conflicts",
    "contents",
    "autostart",
    "condition",
    "environment",
    "ready",
    "restart",
    "reload",
    "start",
    "stop",
    "health",
    "watchdog",
    "sandbox",
    "log",
    "user",
    "limits",
    "process",
    "prepare",
    "image",
    "sockets",
];
/// As above, but for the one that would be suggested for `timeout`.
const FINISH_TIMEOUT: &str = "finish-timeout";
/// Sections whose names are kept for later.
const RESERVED: [&str; 1] = ["schedule"];
/// What means something for a bundle.
const BUNDLE_KEYS: [&str; 4] = ["description", "type", "contents", "autostart"];

/// Where keys stand: those at the top by their name, others after their section and a dot.
pub(super) type Spans = BTreeMap<String, Range<usize>>;

/// Everything that a definition says.
pub(super) struct File {
    pub(super) definition: Definition,
    pub(super) edges: Vec<Edge>,
    pub(super) spans: Spans,
    /// Where programs stand, by the keys of their commands, and users, groups and sockets, by theirs.
    pub(super) programs: Spans,
}

impl File {
    /// Notes where a key stands, and the program that it names, if it does.
    fn note(&mut self, key: String, item: &Item<'_>) {
        let first = item.value.get_ref().as_array().and_then(|words| words.first());
        if let Some(first) = first.filter(|_| key.ends_with("command")) {
            self.programs.insert(key.clone(), first.span());
        }
        if matches!(key.as_str(), "user" | "user.name" | "user.group" | "user.groups") {
            self.programs.insert(key.clone(), item.value.span());
        }
        if key.starts_with("sockets.") {
            self.programs.insert(key.clone(), item.span.clone());
        }
        self.spans.insert(key, item.span.clone());
    }
}

/// Reads the keys over what the directory says by itself.
pub(super) fn read(
    reader: &mut Reader<'_>,
    table: &DeTable<'_>,
    base: (Definition, Vec<Edge>),
    prober: &str,
) -> File {
    let (definition, edges) = base;
    let mut file = File { definition, edges, spans: Spans::new(), programs: Spans::new() };
    let all = items(table);
    // The kind comes first: it decides the defaults.
    if let Some(item) = all.iter().find(|item| item.key == "type") {
        let kind = reader.word(item.value, &["longrun", "oneshot", "bundle"], Kind::parse);
        if let Some(kind) = kind.filter(|kind| *kind != file.definition.kind) {
            be(&mut file.definition, kind);
        }
    }
    for item in &all {
        file.note(item.key.to_owned(), item);
        if item.value.get_ref().is_table() {
            for inner in items_of(item) {
                file.note(format!("{}.{}", item.key, inner.key), &inner);
            }
        }
        top(reader, item, &mut file, prober);
    }
    order(&mut file.definition.process.setup);
    contradictions::misplaced(reader, &file);
    contradictions::find(reader, &file);
    file
}

fn items_of<'v>(item: &Item<'v>) -> Vec<Item<'v>> {
    item.value.get_ref().as_table().map(items).unwrap_or_default()
}

/// The defaults of a kind.
pub(super) fn be(definition: &mut Definition, kind: Kind) {
    definition.kind = kind;
    if kind == Kind::Oneshot {
        definition.restart.when = RestartWhen::Never;
        definition.start_timeout = Some(ONESHOT_TIMEOUT);
    }
}

fn top(reader: &mut Reader<'_>, item: &Item<'_>, file: &mut File, prober: &str) {
    let definition = &mut file.definition;
    let value = item.value;
    match item.key {
        "type" => {}
        "style" => {
            let words = [Style::Mainstay, Style::S6, Style::Runit].map(Style::word);
            set(&mut definition.style, reader.word(value, &words, Style::parse));
        }
        "description" => set(&mut definition.description, reader.string(value).map(str::to_owned)),
        "command" => set(&mut definition.command, reader.command(value)),
        "down-command" => set(&mut definition.down_command, reader.command(value)),
        "working-directory" => set(&mut definition.working_directory, absolute(reader, value)),
        "requires" => edges(reader, value, EdgeKind::Requires, file),
        "wants" => edges(reader, value, EdgeKind::Wants, file),
        "after" => edges(reader, value, EdgeKind::After, file),
        "before" => edges(reader, value, EdgeKind::Before, file),
        "conflicts" => edges(reader, value, EdgeKind::Conflicts, file),
        "contents" => edges(reader, value, EdgeKind::Contains, file),
        "autostart" => set(&mut definition.autostart, reader.boolean(value)),
        "condition" => definition.conditions = condition(reader, value),
        "environment" => definition.environment.extend(environment(reader, value)),
        "ready" => keys_ready::ready(reader, item, &mut definition.ready, prober),
        "restart" => restart(reader, value, &mut definition.restart),
        "reload" => reload(reader, value, definition),
        "start" => start(reader, value, definition),
        "stop" => stop(reader, value, &mut definition.stop),
        FINISH_TIMEOUT => set(&mut definition.finish_timeout, reader.limit(value)),
        "health" => set(&mut definition.health, keys_watch::health(reader, item, prober).map(Some)),
        "watchdog" => set(&mut definition.watchdog, reader.period(value, WATCHDOG_MIN).map(Some)),
        "sandbox" => sandbox(reader, item, file),
        "log" => log(reader, value, file),
        "user" => keys_user::user(reader, item, definition),
        "limits" => keys_limits::limits(reader, item, definition),
        "process" => keys_process::process(reader, item, definition),
        "prepare" => keys_image::prepare(reader, item, file),
        "image" => keys_image::image(reader, item, file, prober),
        "sockets" => keys_sockets::sockets(reader, value, definition),
        key if RESERVED.contains(&key) => {
            reader.error(&item.span, format!("section [{key}] is not supported by this version"));
        }
        _ => reader.unknown(item, "", &known().collect::<Vec<_>>()),
    }
}

/// Every key that may stand at the top.
fn known() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().chain([FINISH_TIMEOUT]).chain(RESERVED)
}

/// Whether `key` means something for some kind, but nothing for a bundle.
pub(super) fn not_for_bundles(key: &str) -> bool {
    (KEYS.contains(&key) || key == FINISH_TIMEOUT) && !BUNDLE_KEYS.contains(&key)
}

/// Takes a value that could be read.
pub(super) fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

pub(super) fn absolute(reader: &mut Reader<'_>, value: Value<'_>) -> Option<String> {
    let text = reader.string(value)?;
    if !text.starts_with('/') {
        reader.error(&value.span(), "expected an absolute path");
        return None;
    }
    Some(text.to_owned())
}

fn edges(reader: &mut Reader<'_>, value: Value<'_>, kind: EdgeKind, file: &mut File) {
    // They take the place of what is said below them.
    file.edges.retain(|edge| edge.kind != kind);
    for (name, span) in reader.strings(value).unwrap_or_default() {
        add_edge(reader, kind, name, &span, file);
    }
}

/// Notes that the service refers to `name`.
pub(super) fn add_edge(
    reader: &mut Reader<'_>,
    kind: EdgeKind,
    name: &str,
    span: &Range<usize>,
    file: &mut File,
) {
    if !valid_name(name) {
        reader.error(span, format!("\"{}\" cannot be the name of a service", name.escape_debug()));
    } else if name.ends_with('@') {
        reader.error(span, format!("\"{name}\" is a template: name an instance of it, such as \"{name}1\""));
    } else if file.edges.iter().any(|edge| edge.kind == kind && edge.to == name) {
        reader.warning(span, format!("\"{name}\" is listed twice"));
    } else {
        file.edges.push(Edge { kind, to: name.to_owned(), at: reader.location(span) });
    }
}
