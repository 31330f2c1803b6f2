//! The section `[sandbox]`: what a service may see and do, in words, and the steps that these become.

mod calls;
mod landlock;
mod steps;

use super::keys::{File, absolute, set};
use super::reader::{Item, Reader, Value};
use crate::calls::Filter;
use service::definition::valid_name;
use service::setup::Landlock;
use std::collections::BTreeSet;

/// How much of the system is read-only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum System {
    /// What packages and administrators put there.
    Full,
    /// Everything but devices and the kernel's own trees.
    Strict,
}

/// What is seen of people's home directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Home {
    Hidden,
    ReadOnly,
}

/// The network that it is in.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Network {
    /// One with nothing but a loopback interface.
    Private,
    /// The one that a file stands for.
    Of(String),
}

/// What is protected from the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protect {
    Tunables,
    Modules,
    Logs,
    ControlGroups,
    Clock,
    Hostname,
}

impl Protect {
    const WORDS: [&'static str; 7] =
        ["all", "tunables", "modules", "logs", "control-groups", "clock", "hostname"];

    const ALL: [Protect; 6] = [
        Protect::Tunables,
        Protect::Modules,
        Protect::Logs,
        Protect::ControlGroups,
        Protect::Clock,
        Protect::Hostname,
    ];

    fn parse(word: &str) -> Option<Vec<Protect>> {
        Some(match word {
            "all" => Protect::ALL.to_vec(),
            "tunables" => vec![Protect::Tunables],
            "modules" => vec![Protect::Modules],
            "logs" => vec![Protect::Logs],
            "control-groups" => vec![Protect::ControlGroups],
            "clock" => vec![Protect::Clock],
            "hostname" => vec![Protect::Hostname],
            _ => return None,
        })
    }
}

/// Everything that the section says.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
struct Sandbox {
    system: Option<System>,
    home: Option<Home>,
    /// Paths; one after `-` may be missing.
    read_only: Vec<String>,
    writable: Vec<String>,
    hidden: Vec<String>,
    temporary: Vec<String>,
    private_tmp: bool,
    private_devices: bool,
    private_pids: bool,
    private_ipc: bool,
    private_control_groups: bool,
    private_users: bool,
    /// `INSIDE OUTSIDE COUNT`.
    user_map: Vec<String>,
    group_map: Vec<String>,
    network: Option<Network>,
    hostname: Option<String>,
    protect: BTreeSet<Protect>,
    filter: Filter,
    landlock: Option<Landlock>,
    /// Whether a step that the kernel cannot do is left out.
    lenient: bool,
}

pub(super) const KEYS: [&str; 23] = [
    "system",
    "home",
    "read-only",
    "writable",
    "hidden",
    "temporary",
    "private-tmp",
    "private-devices",
    "private-pids",
    "private-ipc",
    "private-control-groups",
    "private-users",
    "user-map",
    "group-map",
    "network",
    "hostname",
    "protect",
    "deny",
    "address-families",
    "system-calls",
    "denied-calls",
    "landlock",
    "kernel-lacks",
];

/// Reads the section into the steps of the definition.
pub(super) fn sandbox(reader: &mut Reader<'_>, section: &Item<'_>, file: &mut File) {
    let mut sandbox = Sandbox::default();
    let items = reader.table(section.value, "a section");
    for item in &items {
        key(reader, item, &mut sandbox);
    }
    contradictions(reader, &items, &sandbox);
    steps::apply(&sandbox, &mut file.definition.process);
}

fn key(reader: &mut Reader<'_>, item: &Item<'_>, sandbox: &mut Sandbox) {
    let value = item.value;
    match item.key {
        "system" => {
            let parse = |word: &str| match word {
                "full" => Some(System::Full),
                "strict" => Some(System::Strict),
                _ => None,
            };
            sandbox.system = reader.word(value, &["full", "strict"], parse);
        }
        "home" => {
            let parse = |word: &str| match word {
                "hidden" => Some(Home::Hidden),
                "read-only" => Some(Home::ReadOnly),
                _ => None,
            };
            sandbox.home = reader.word(value, &["hidden", "read-only"], parse);
        }
        "read-only" => sandbox.read_only = paths(reader, value),
        "writable" => sandbox.writable = paths(reader, value),
        "hidden" => sandbox.hidden = paths(reader, value),
        "temporary" => sandbox.temporary = temporary(reader, value),
        "private-tmp" => set(&mut sandbox.private_tmp, reader.boolean(value)),
        "private-devices" => set(&mut sandbox.private_devices, reader.boolean(value)),
        "private-pids" => set(&mut sandbox.private_pids, reader.boolean(value)),
        "private-ipc" => set(&mut sandbox.private_ipc, reader.boolean(value)),
        "private-control-groups" => set(&mut sandbox.private_control_groups, reader.boolean(value)),
        "private-users" => set(&mut sandbox.private_users, reader.boolean(value)),
        "user-map" => sandbox.user_map = map(reader, value),
        "group-map" => sandbox.group_map = map(reader, value),
        "network" => sandbox.network = network(reader, value),
        "hostname" => sandbox.hostname = hostname(reader, value),
        "protect" => {
            for (word, span) in reader.one_or_more(value).unwrap_or_default() {
                let found = reader.choice(word, &span, &Protect::WORDS, Protect::parse);
                sandbox.protect.extend(found.unwrap_or_default());
            }
        }
        "landlock" => sandbox.landlock = landlock::read(reader, value),
        "kernel-lacks" => {
            let parse = |word: &str| match word {
                "error" => Some(false),
                "warning" => Some(true),
                _ => None,
            };
            set(&mut sandbox.lenient, reader.word(value, &["error", "warning"], parse));
        }
        "deny" | "address-families" | "system-calls" | "denied-calls" => {
            calls::read(reader, item, &mut sandbox.filter);
        }
        _ => reader.unknown(item, "sandbox", &KEYS),
    }
}

/// Absolute paths, each of which may be missing if it stands after `-`.
fn paths(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    for (text, span) in reader.strings(value).unwrap_or_default() {
        let path = text.strip_prefix('-').unwrap_or(text);
        let walks = path.split('/').any(|step| step == "..");
        if !path.starts_with('/') {
            reader.error(&span, "expected an absolute path, or one after \"-\" if it may be absent");
        } else if walks {
            reader.error(&span, "expected a path without \"..\"");
        } else {
            let trimmed = path.trim_end_matches('/');
            let mark = if text.starts_with('-') { "-" } else { "" };
            paths.push(format!("{mark}{}", if trimmed.is_empty() { "/" } else { trimmed }));
        }
    }
    paths
}

/// Places that are there, and are mounted over.
fn temporary(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<String> {
    let paths = paths(reader, value);
    if paths.iter().any(|path| path == "/" || path.starts_with('-')) {
        reader.error(&value.span(), "expected directories that are there, and are not the root");
    }
    paths
}

/// Lines of a map of users or groups.
fn map(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for (text, span) in reader.one_or_more(value).unwrap_or_default() {
        let numbers: Option<Vec<u32>> = text.split_whitespace().map(|word| word.parse().ok()).collect();
        match numbers.as_deref() {
            Some([inside, outside, count]) if *count > 0 => lines.push(format!("{inside} {outside} {count}")),
            _ => reader
                .error(&span, "expected three numbers, inside, outside and how many: \"0 100000 65536\""),
        }
    }
    lines
}

fn network(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Network> {
    let text = reader.filled(value)?;
    if text == "private" {
        return Some(Network::Private);
    }
    if text.starts_with('/') {
        return absolute(reader, value).map(Network::Of);
    }
    let guess = crate::suggest::nearest(text, ["private"]);
    let message = "expected \"private\", or the file of a network namespace such as \"/run/netns/blue\"";
    reader.suggest(&value.span(), message, guess);
    None
}

fn hostname(reader: &mut Reader<'_>, value: Value<'_>) -> Option<String> {
    let name = reader.filled(value)?;
    // As long as the kernel takes (gethostname(2)).
    if name.len() > 64 || !valid_name(name) {
        reader.error(&value.span(), "expected a host name");
        return None;
    }
    Some(name.to_owned())
}

/// What cannot both be meant, and what is without effect.
fn contradictions(reader: &mut Reader<'_>, items: &[Item<'_>], sandbox: &Sandbox) {
    let find = |key: &str| items.iter().find(|item| item.key == key);
    let read_only = sandbox.system.is_some() || sandbox.home.is_some() || !sandbox.read_only.is_empty();
    if let Some(item) = find("writable").filter(|_| !read_only) {
        reader.warning(&item.span, "writable has no effect: nothing is read-only (system, home, read-only)");
    }
    if let Some(item) = find("denied-calls").filter(|_| sandbox.filter.allowed.is_none()) {
        reader.warning(&item.span, "denied-calls has no effect without system-calls");
    }
    let mapped = find("user-map").or_else(|| find("group-map"));
    if let Some(item) = mapped.filter(|_| !sandbox.private_users) {
        reader.error(&item.span, "a map needs users of its own: private-users = true");
    }
    if let (Some(item), true) = (find("group-map"), sandbox.user_map.is_empty()) {
        reader.error(&item.span, "group-map needs a user-map");
    }
    let mut hidden: Vec<&str> = sandbox.hidden.iter().map(|path| plain(path)).collect();
    if sandbox.home == Some(Home::Hidden) {
        hidden.extend(steps::HOMES);
    }
    let Some(item) = find("writable") else { return };
    for path in &sandbox.writable {
        if let Some(over) = hidden.iter().find(|over| below(plain(path), over)) {
            reader.error(&item.value.span(), format!("\"{}\" is hidden with \"{over}\"", plain(path)));
        }
    }
}

/// A path without its mark.
fn plain(path: &str) -> &str {
    path.strip_prefix('-').unwrap_or(path)
}

/// Whether a path is another one, or below it.
fn below(path: &str, over: &str) -> bool {
    over == "/" || path.strip_prefix(over).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
