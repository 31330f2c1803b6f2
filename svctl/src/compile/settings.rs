//! `/etc/init.toml`, the settings of the machine: who may ask init for what, how long going down may take, and
//! the hardware watchdog. Whatever is wrong with it is told, and the rest holds: a rule that cannot be read
//! allows nobody anything, and a time that cannot be read is what it is without the file.

use super::diagnostic::{Diagnostic, Severity};
use super::keys::set;
use super::merge;
use super::reader::{Item, Reader, Value, items};
use super::sources::{Problem, Sources};
use crate::suggest::nearest;
use service::settings::{Rule, Settings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::{DeTable, DeValue};

/// What a rule may allow: [`service::wire::InitCommand::verb`].
const VERBS: [&str; 18] = [
    "*", "start", "once", "stop", "restart", "switch", "reload", "refresh", "kill", "pause", "continue",
    "reexec", "plan", "poweroff", "reboot", "halt", "kexec", "events",
];
/// Going down may take long, but not for ever.
const LIMIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// What a watchdog can be set to (linux/watchdog.h counts whole seconds).
const WATCHDOG_MIN: Duration = Duration::from_secs(1);

/// Users and groups by their names.
struct Accounts {
    users: BTreeMap<String, u32>,
    groups: BTreeMap<String, u32>,
}

/// Reads the settings, with the users and groups of the system below `root`; the defaults if there is no file.
pub(super) fn read(file: &Path, root: &Path) -> (Settings, Vec<Diagnostic>) {
    let mut sources = Sources::new(&file.display().to_string());
    if let Err(Problem { at, message }) = sources.read(file) {
        return (Settings::default(), vec![Diagnostic::new(&at, Severity::Error, &message, None)]);
    }
    let mut reader = Reader::new(&sources);
    let table = merge::parse(&sources, &mut reader);
    if !reader.is_whole() {
        // Half a rule might allow more than the whole.
        return (Settings::default(), reader.diagnostics);
    }
    let accounts = Accounts { users: ids(&root.join("etc/passwd")), groups: ids(&root.join("etc/group")) };
    let settings = settings(&mut reader, &table, &accounts);
    (settings, reader.diagnostics)
}

/// The first and third field of each line (passwd(5), group(5)).
fn ids(file: &Path) -> BTreeMap<String, u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let pair = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn settings(reader: &mut Reader<'_>, table: &DeTable<'_>, accounts: &Accounts) -> Settings {
    let mut settings = Settings::default();
    for item in items(table) {
        match item.key {
            "machine" => machine(reader, item.value, &mut settings),
            "shutdown" => shutdown(reader, item.value, &mut settings),
            "allow" => settings.rules = rules(reader, item.value, accounts),
            _ => reader.unknown(&item, "", &["machine", "shutdown", "allow"]),
        }
    }
    settings
}

fn machine(reader: &mut Reader<'_>, value: Value<'_>, settings: &mut Settings) {
    for item in reader.table(value, "a section") {
        match item.key {
            "watchdog" => set(&mut settings.watchdog, reader.period(item.value, WATCHDOG_MIN).map(Some)),
            _ => reader.unknown(&item, "machine", &["watchdog"]),
        }
    }
}

fn shutdown(reader: &mut Reader<'_>, value: Value<'_>, settings: &mut Settings) {
    const KNOWN: [&str; 5] = ["services", "terminate", "kill", "logger", "unmount"];
    let limits = &mut settings.limits;
    for item in reader.table(value, "a section") {
        let limit = match item.key {
            "services" => &mut limits.services,
            "terminate" => &mut limits.terminate,
            "kill" => &mut limits.kill,
            "logger" => &mut limits.logger,
            "unmount" => &mut limits.unmount,
            _ => {
                reader.unknown(&item, "shutdown", &KNOWN);
                continue;
            }
        };
        match reader.duration(item.value) {
            Some(duration) if duration > LIMIT_MAX => reader.error(&item.value.span(), "longer than a day"),
            duration => set(limit, duration),
        }
    }
}

fn rules(reader: &mut Reader<'_>, value: Value<'_>, accounts: &Accounts) -> Vec<Rule> {
    let DeValue::Array(tables) = value.get_ref() else {
        reader.error(&value.span(), "expected rules: write [[allow]]");
        return Vec::new();
    };
    tables.iter().filter_map(|table| rule(reader, table, accounts)).collect()
}

/// One rule; none if any of it cannot be read.
fn rule(reader: &mut Reader<'_>, value: Value<'_>, accounts: &Accounts) -> Option<Rule> {
    const KNOWN: [&str; 4] = ["users", "groups", "verbs", "services"];
    let before = reader.diagnostics.len();
    let mut rule = Rule::default();
    for item in reader.table(value, "a rule: write [[allow]]") {
        match item.key {
            "users" => rule.users = who(reader, &item, &accounts.users, "user"),
            "groups" => rule.groups = who(reader, &item, &accounts.groups, "group"),
            "verbs" => rule.verbs = verbs(reader, item.value),
            "services" => {
                let names = reader.strings(item.value).unwrap_or_default();
                rule.services = names.into_iter().map(|(name, _)| name.to_owned()).collect();
            }
            _ => reader.unknown(&item, "[allow]", &KNOWN),
        }
    }
    if reader.diagnostics.len() > before {
        return None;
    }
    let nobody = rule.users.is_empty() && rule.groups.is_empty();
    for (missing, message) in [
        (nobody, "a rule for nobody: users or groups"),
        (rule.verbs.is_empty(), "a rule that allows nothing: verbs (\"*\" is all)"),
        (rule.services.is_empty(), "a rule for no service: services (\"*\" is all, and the machine)"),
    ] {
        if missing {
            reader.error(&value.span(), message);
            return None;
        }
    }
    Some(rule)
}

/// Users or groups, by name or number.
fn who(reader: &mut Reader<'_>, item: &Item<'_>, known: &BTreeMap<String, u32>, what: &str) -> Vec<u32> {
    let DeValue::Array(values) = item.value.get_ref() else {
        reader.error(&item.value.span(), format!("expected an array of names or numbers of {what}s"));
        return Vec::new();
    };
    let mut ids = Vec::new();
    for value in values {
        if value.get_ref().is_integer() {
            // The last number means nobody in particular (chown(2)).
            ids.extend(reader.integer(value, 0..=u32::MAX - 1));
            continue;
        }
        let Some(name) = reader.string(value) else { continue };
        let id = known.get(name).copied();
        if id.is_none() {
            let guess = nearest(name, known.keys().map(String::as_str));
            reader.suggest(&value.span(), format!("unknown {what} \"{}\"", name.escape_debug()), guess);
        }
        ids.extend(id);
    }
    ids
}

fn verbs(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<String> {
    let mut verbs = Vec::new();
    for (verb, span) in reader.strings(value).unwrap_or_default() {
        if VERBS.contains(&verb) {
            verbs.push(verb.to_owned());
        } else {
            let guess = nearest(verb, VERBS);
            reader.suggest(&span, format!("unknown verb \"{}\"", verb.escape_debug()), guess);
        }
    }
    verbs
}

/// The file beside a tree of service directories: `/etc/init.toml` for `/etc/services.d`.
pub(super) fn beside(services: &Path) -> Option<PathBuf> {
    let services = std::path::absolute(services).ok()?;
    services.parent().map(|parent| parent.join("init.toml"))
}
