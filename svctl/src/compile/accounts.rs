//! Whether the users and groups that a service names are there, in this machine's root or in an image's.

use super::Service;
use super::diagnostic::{Location, Severity};
use crate::suggest::nearest;
use service::accounts::{group, user};
use service::setup::Setup;
use std::fs;
use std::path::Path;

/// Warns of who is not known: an account may be made after the check, and is looked up at each start.
pub(super) fn look(service: &mut Service, root: &Path) {
    let mut steps = service.definition.process.setup.iter();
    let who = steps.find_map(|step| {
        let Setup::Credentials(who) = &step.setup else { return None };
        Some(who.clone())
    });
    let Some(who) = who else { return };
    let read = |path| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (passwd, groups) = (read("etc/passwd"), read("etc/group"));
    let numeric = who.user.bytes().all(|byte| byte.is_ascii_digit());
    let key = if service.programs.contains_key("user.name") { "user.name" } else { "user" };
    let known = user(&passwd, &who.user).is_some();
    if !known && !numeric {
        warn(service, key, "user", &who.user, &passwd);
    } else if !known && who.group.is_none() {
        let at = location(service, key);
        let message = format!("user {} has no account: its group has to be said", who.user);
        service.note(Severity::Warning, Some(&at), &message, None);
    }
    let named = who.group.iter().map(|name| ("user.group", name));
    for (key, name) in named.chain(who.groups.iter().flatten().map(|name| ("user.groups", name))) {
        if group(&groups, name).is_none() {
            warn(service, key, "group", name, &groups);
        }
    }
}

fn location(service: &Service, key: &str) -> Location {
    service.programs.get(key).cloned().unwrap_or_else(|| Location::whole(&service.path))
}

fn warn(service: &mut Service, key: &str, kind: &str, name: &str, file: &str) {
    let names = file.lines().filter_map(|line| line.split(':').next()).filter(|name| !name.is_empty());
    let guess = nearest(name, names).map(str::to_owned);
    let message = format!("unknown {kind} \"{}\"", name.escape_debug());
    let at = location(service, key);
    service.note(Severity::Warning, Some(&at), &message, guess.as_deref());
}
