//! The keys of `[sandbox]` about system calls.

use super::super::keys::set;
use super::super::reader::{Item, Reader, Value};
use crate::calls::{Filter, Otherwise, Rule, table};
use crate::suggest::nearest;
use std::collections::BTreeSet;

/// What a program is started with, and ends with: allowed whatever is listed.
const ALWAYS: [&str; 5] = ["execve", "rt_sigprocmask", "rt_sigreturn", "exit", "exit_group"];

/// Address families by the names that people know (address_families(7)), and their numbers (`AF_…`).
const FAMILIES: [(&str, u32); 12] = [
    ("unix", 1),
    ("inet", 2),
    ("inet6", 10),
    ("netlink", 16),
    ("packet", 17),
    ("can", 29),
    ("tipc", 30),
    ("bluetooth", 31),
    ("alg", 38),
    ("vsock", 40),
    ("qipcrtr", 42),
    ("xdp", 44),
];

/// What may be denied.
const DENIALS: [&str; 5] = ["setuid-files", "namespaces", "write-execute", "real-time", "personality"];

pub(super) fn read(reader: &mut Reader<'_>, item: &Item<'_>, filter: &mut Filter) {
    match item.key {
        "deny" => {
            for (word, span) in reader.one_or_more(item.value).unwrap_or_default() {
                filter.rules.extend(reader.choice(word, &span, &DENIALS, denial));
            }
        }
        "address-families" => {
            let names = FAMILIES.map(|(name, _)| name);
            let number =
                |word: &str| FAMILIES.iter().find(|(name, _)| *name == word).map(|(_, number)| *number);
            let words = reader.strings(item.value);
            let families =
                words.iter().flatten().filter_map(|(word, span)| reader.choice(word, span, &names, number));
            let families: Vec<u32> = families.collect();
            if words.is_some() {
                filter.rules.push(Rule::Families(families));
            }
        }
        "system-calls" => list(reader, item.value, filter),
        _ => set(&mut filter.otherwise, reader.word(item.value, &Otherwise::WORDS, Otherwise::parse)),
    }
}

fn denial(word: &str) -> Option<Rule> {
    Some(match word {
        "setuid-files" => Rule::SetIdFiles,
        "namespaces" => Rule::Namespaces,
        "write-execute" => Rule::WriteExecute,
        "real-time" => Rule::RealTime,
        "personality" => Rule::Personality,
        _ => return None,
    })
}

/// Calls and sets of calls, some of them after `-`: all but those. A list of nothing else begins with everything.
fn list(reader: &mut Reader<'_>, value: Value<'_>, filter: &mut Filter) {
    let words = reader.strings(value).unwrap_or_default();
    let mut allowed = BTreeSet::new();
    let mut denied = BTreeSet::new();
    for (word, span) in &words {
        let (name, target) = match word.strip_prefix('-') {
            Some(name) => (name, &mut denied),
            None => (*word, &mut allowed),
        };
        match numbers(name) {
            Some(numbers) => target.extend(numbers),
            None => unknown(reader, name, span),
        }
    }
    let only_denied = !words.is_empty() && words.iter().all(|(word, _)| word.starts_with('-'));
    for call in ALWAYS.iter().filter_map(|call| table::number(call)) {
        allowed.insert(call);
        denied.remove(&call);
    }
    if only_denied {
        filter.rules.push(Rule::Calls(denied.into_iter().collect()));
    } else {
        filter.allowed = Some(&allowed - &denied);
    }
}

/// The calls that a name stands for: those that this processor has.
fn numbers(name: &str) -> Option<Vec<u32>> {
    match name.strip_prefix('@') {
        Some(name) => Some(table::set(name)?.into_iter().filter_map(table::number).collect()),
        None => table::number(name).map(|number| vec![number]),
    }
}

fn unknown(reader: &mut Reader<'_>, name: &str, span: &std::ops::Range<usize>) {
    let shown = name.escape_debug();
    if let Some(set) = name.strip_prefix('@') {
        let guess = nearest(set, table::set_names()).map(|name| format!("@{name}"));
        reader.suggest(span, format!("unknown set of system calls \"{shown}\""), guess.as_deref());
        return;
    }
    let set = table::set_names().find(|set| *set == name).map(|name| format!("@{name}"));
    let guess = set.or_else(|| nearest(name, table::names()).map(str::to_owned));
    reader.suggest(span, format!("unknown system call \"{shown}\""), guess.as_deref());
}
