//! The namespaces of a service's own, made ready for one start: which, and who is who among its users.

use crate::launch::reason;
use service::Definition;
use service::setup::Namespace;
use sys::spawn::Maps;

/// What a main process gets of its own.
#[derive(Debug, Default)]
pub(crate) struct Apart {
    pub(crate) kinds: Vec<Namespace>,
    pub(crate) maps: Option<Maps>,
}

/// Makes the namespaces of a definition ready.
pub(crate) fn ready(definition: &Definition) -> Result<Apart, String> {
    let process = &definition.process;
    let kinds: Vec<Namespace> = process.namespaces.iter().map(|apart| apart.kind).collect();
    let maps = if kinds.contains(&Namespace::User) { Some(maps(&process.user_map)?) } else { None };
    Ok(Apart { kinds, maps })
}

/// The maps of a user namespace: those of the definition, or everybody who there is as they are.
fn maps(lines: &[String]) -> Result<Maps, String> {
    let (user, group) = sys::process::identity();
    let mut maps = Maps { keep_groups: user != 0, ..Maps::default() };
    if lines.is_empty() && user == 0 {
        let read = |file: &str| {
            std::fs::read_to_string(file)
                .map_err(|error| format!("unable to read {file}: {}", reason(&error)))
        };
        (maps.users, maps.groups) = (same(&read("/proc/self/uid_map")?), same(&read("/proc/self/gid_map")?));
    } else if lines.is_empty() {
        (maps.users, maps.groups) = (format!("{user} {user} 1\n"), format!("{group} {group} 1\n"));
    }
    for line in lines {
        let (map, rest) = match line.split_once(' ') {
            Some(("u", rest)) => (&mut maps.users, rest),
            Some(("g", rest)) => (&mut maps.groups, rest),
            _ => return Err(format!("unable to read the map of its users: {line}")),
        };
        map.push_str(rest);
        map.push('\n');
    }
    (maps.strange_user, maps.strange_group) = (!covers(&maps.users, user), !covers(&maps.groups, group));
    Ok(maps)
}

/// A map in which whoever is in this one is the same.
fn same(map: &str) -> String {
    let numbers = map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.nth(1)?))
    });
    numbers.map(|(inside, count)| format!("{inside} {inside} {count}\n")).collect()
}

/// Whether the number outside has one inside.
fn covers(map: &str, number: u32) -> bool {
    map.lines().any(|line| {
        let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        matches!(numbers[..], [_, outside, count] if (outside..outside + count).contains(&u64::from(number)))
    })
}
