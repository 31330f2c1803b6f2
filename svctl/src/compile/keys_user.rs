//! The section `[user]`: whose a process is, and what it may do.

use super::reader::{Item, Reader, Value};
use crate::suggest::nearest;
use service::definition::Definition;
use service::setup::{Credentials, Setup, Step, capability};
use toml::de::DeInteger;

const KNOWN: [&str; 7] =
    ["name", "group", "groups", "umask", "capabilities", "ambient-capabilities", "no-new-privileges"];

/// A step that must succeed.
pub(super) fn strict(setup: Setup) -> Step {
    Step { setup, lenient: false }
}

/// Reads the section, or the name alone: `user = "nobody"`.
pub(super) fn user(reader: &mut Reader<'_>, section: &Item<'_>, definition: &mut Definition) {
    if section.value.get_ref().is_str() {
        let name = reader.filled(section.value).map(str::to_owned);
        let credentials = name.map(|user| Credentials { user, group: None, groups: None });
        definition.process.setup.extend(credentials.map(|who| strict(Setup::Credentials(who))));
        return;
    }
    let mut who = Credentials { user: String::new(), group: None, groups: None };
    let mut ambient = None;
    let mut steps = Vec::new();
    for item in reader.table(section.value, "a name, or a section") {
        match item.key {
            "name" => who.user = account(reader, item.value).unwrap_or_default(),
            "group" => who.group = account(reader, item.value),
            "groups" => {
                let names = reader.strings(item.value);
                who.groups = names.map(|names| names.into_iter().map(|(name, _)| name.to_owned()).collect());
            }
            "umask" => steps.extend(umask(reader, item.value).map(Setup::Umask)),
            "capabilities" => steps.extend(capabilities(reader, item.value).map(Setup::Bounding)),
            "ambient-capabilities" => {
                ambient = Some(item.span.clone());
                steps.extend(capabilities(reader, item.value).map(Setup::Ambient));
            }
            "no-new-privileges" => {
                let wanted = reader.boolean(item.value).unwrap_or_default();
                steps.extend(wanted.then_some(Setup::NoNewPrivileges));
            }
            _ => reader.unknown(&item, "user", &KNOWN),
        }
    }
    if !who.user.is_empty() {
        steps.push(Setup::Credentials(who));
    } else if who.group.is_some() || who.groups.is_some() {
        reader.error(&section.span, "a group is that of a user: name = \"…\"");
    } else if let Some(span) = ambient {
        reader.warning(
            &span,
            "ambient-capabilities has no effect for root, who has all capabilities: name = \"…\"",
        );
    }
    definition.process.setup.extend(steps.into_iter().map(strict));
}

/// A name, or a number.
fn account(reader: &mut Reader<'_>, value: Value<'_>) -> Option<String> {
    if value.get_ref().is_integer() {
        return reader.integer(value, 0..=u32::MAX - 1).map(|id| id.to_string());
    }
    reader.filled(value).map(str::to_owned)
}

/// A mask, in octal as everywhere.
fn umask(reader: &mut Reader<'_>, value: Value<'_>) -> Option<u32> {
    let octal = value.get_ref().as_integer().filter(|number| number.radix() == 8);
    let text = octal.map(DeInteger::as_str).or_else(|| value.get_ref().as_str());
    let mask = text.and_then(|text| u32::from_str_radix(text, 8).ok()).filter(|mask| *mask <= 0o777);
    if mask.is_none() {
        reader.error(&value.span(), "expected a mask in octal such as \"027\"");
    }
    mask
}

fn capabilities(reader: &mut Reader<'_>, value: Value<'_>) -> Option<u64> {
    let mut set = Some(0);
    for (name, span) in reader.strings(value)? {
        let bit = capability::bit(name);
        if bit.is_none() {
            let plain = capability::plain(name);
            let guess = nearest(&plain, capability::names().iter().copied());
            reader.suggest(&span, format!("unknown capability \"{}\"", name.escape_debug()), guess);
        }
        set = set.zip(bit).map(|(set, bit)| set | bit);
    }
    set
}
