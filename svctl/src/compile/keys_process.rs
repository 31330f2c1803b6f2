//! The section `[process]`: how a process is scheduled, what the kernel holds against it, and its standard descriptors.

use super::keys::set;
use super::reader::{Item, Reader, Value};
use super::units;
use service::definition::Definition;
use service::setup::{IoClass, Policy, Setup, Step};
use std::collections::BTreeSet;

const KNOWN: [&str; 10] =
    ["nice", "io", "scheduler", "affinity", "oom-score", "stdin", "stdout", "stderr", "terminal", "lenient"];
/// The kernel knows no more processors (`CONFIG_NR_CPUS`).
const PROCESSORS: u16 = 8192;

pub(super) fn process(reader: &mut Reader<'_>, section: &Item<'_>, definition: &mut Definition) {
    let (mut steps, mut lenient) = (Vec::new(), false);
    for item in reader.table(section.value, "a section") {
        let value = item.value;
        match item.key {
            "nice" => steps.extend(reader.signed(value, -20..=19).map(Setup::Nice)),
            "io" => steps.extend(io(reader, value)),
            "scheduler" => steps.extend(scheduler(reader, value)),
            "affinity" => steps.extend(affinity(reader, value).map(Setup::Affinity)),
            "oom-score" => steps.extend(reader.signed(value, -1000..=1000).map(Setup::OomScore)),
            "stdin" => definition.process.input = file(reader, value),
            "stdout" => definition.process.output = file(reader, value),
            "stderr" => definition.process.error = file(reader, value),
            "terminal" => {
                definition.process.terminal = file(reader, value);
                steps.push(Setup::Terminal);
            }
            "lenient" => set(&mut lenient, reader.boolean(value)),
            _ => reader.unknown(&item, "process", &KNOWN),
        }
    }
    let process = &mut definition.process;
    let files = [&process.input, &process.output, &process.error];
    if process.terminal.is_some() && files.iter().any(|file| file.is_some()) {
        reader.error(&section.span, "a terminal is both input and output: no stdin, no stdout, no stderr");
    }
    process.setup.extend(steps.into_iter().map(|setup| Step { setup, lenient }));
}

fn file(reader: &mut Reader<'_>, value: Value<'_>) -> Option<String> {
    let path = reader.filled(value)?;
    if !path.starts_with('/') {
        reader.error(&value.span(), "expected an absolute path");
        return None;
    }
    Some(path.to_owned())
}

/// `"idle"`, or `{ class = "best-effort", level = 7 }`.
fn io(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Setup> {
    let words: Vec<&str> = IoClass::ALL.iter().map(|class| class.word()).collect();
    let (mut class, mut level) = (None, None);
    if value.get_ref().is_str() {
        class = reader.word(value, &words, IoClass::parse);
    } else {
        for item in reader.table(value, "a class such as \"idle\", or { class = \"best-effort\", level = 7 }")
        {
            match item.key {
                "class" => class = reader.word(item.value, &words, IoClass::parse),
                "level" => level = reader.integer(item.value, 0..=7),
                _ => reader.unknown(&item, "process.io", &["class", "level"]),
            }
        }
        class = class.or(level.map(|_| IoClass::BestEffort));
    }
    let level = level.and_then(|level| u8::try_from(level).ok());
    // In the middle, as for a process that has said nothing; idle has no levels.
    class.map(|class| Setup::IoPriority {
        class,
        level: level.unwrap_or(if class == IoClass::Idle { 0 } else { 4 }),
    })
}

/// `"batch"`, or `{ policy = "fifo", priority = 10 }`.
fn scheduler(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Setup> {
    let words: Vec<&str> = Policy::ALL.iter().map(|policy| policy.word()).collect();
    let (mut policy, mut priority) = (None, 0);
    if value.get_ref().is_str() {
        policy = reader.word(value, &words, Policy::parse);
    } else {
        for item in reader.table(value, "a policy such as \"batch\", or { policy = \"fifo\", priority = 10 }")
        {
            match item.key {
                "policy" => policy = reader.word(item.value, &words, Policy::parse),
                "priority" => set(&mut priority, reader.integer(item.value, 0..=99)),
                _ => reader.unknown(&item, "process.scheduler", &["policy", "priority"]),
            }
        }
    }
    let policy = policy?;
    let priority = u8::try_from(priority).unwrap_or(0);
    if matches!(policy, Policy::Fifo | Policy::RoundRobin) != (priority > 0) {
        let word = policy.word();
        let message = if priority > 0 {
            format!("the policy \"{word}\" has no priority: it is for \"fifo\" and \"round-robin\"")
        } else {
            format!(
                "the policy \"{word}\" needs a priority from 1 to 99: {{ policy = \"{word}\", priority = 1 }}"
            )
        };
        reader.error(&value.span(), message);
        return None;
    }
    Some(Setup::Scheduler { policy, priority })
}

/// `"0-3,8"`, or `[0, 1]`.
fn affinity(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Vec<u16>> {
    let mut processors = BTreeSet::new();
    if let Some(items) = value.get_ref().as_array() {
        for item in items {
            processors.extend(u16::try_from(reader.integer(item, 0..=u32::from(PROCESSORS - 1))?).ok());
        }
    } else {
        let text = reader.string(value)?;
        match units::processors(text, PROCESSORS) {
            Ok(read) => processors = read,
            Err(message) => reader.error(&value.span(), message),
        }
    }
    (!processors.is_empty()).then(|| processors.into_iter().collect())
}
