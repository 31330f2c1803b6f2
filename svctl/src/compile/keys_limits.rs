//! The section `[limits]`: what a process may use (setrlimit(2)), and what a service with all its processes may
//! (cgroups(7), version 2). The latter are called as the kernel's files are.

use super::keys::set;
use super::keys_user::strict;
use super::reader::{Item, Reader, Value};
use super::units;
use crate::suggest::nearest;
use service::definition::{ControlGroup, Definition};
use service::limits::FILES;
use service::setup::{Resource, Setup};
use toml::de::DeInteger;

/// What is limited in bytes.
const BYTES: [Resource; 8] = [
    Resource::As,
    Resource::Core,
    Resource::Data,
    Resource::Fsize,
    Resource::Memlock,
    Resource::Msgqueue,
    Resource::Rss,
    Resource::Stack,
];
/// The limit on processor time, which is not the share of it.
const CPU_TIME: &str = "cpu-time";
pub(super) fn limits(reader: &mut Reader<'_>, section: &Item<'_>, definition: &mut Definition) {
    for item in reader.table(section.value, "a section") {
        let group = &mut definition.process.group;
        match item.key {
            "delegate" => set(&mut group.delegate, reader.boolean(item.value)),
            "strict" => set(&mut group.strict, reader.boolean(item.value)),
            "memory" | "cpu" | "cpuset" | "io" | "pids" => controller(reader, &item, item.key, group),
            key => {
                let limit = resource(key).map(|resource| rlimit(reader, item.value, resource));
                match limit {
                    Some(limit) => definition.process.setup.extend(limit.map(strict)),
                    None => reader.unknown(&item, "limits", &known()),
                }
            }
        }
    }
    let group = &mut definition.process.group;
    group.wanted |= group.delegate || !group.files.is_empty();
    if group.strict && !group.wanted {
        reader.warning(&section.span, "strict has no effect without a limit of the control group");
    }
}

fn known() -> Vec<&'static str> {
    let limits = Resource::ALL.iter().filter(|one| **one != Resource::Cpu).map(|resource| resource.word());
    limits.chain([CPU_TIME, "memory", "cpu", "cpuset", "io", "pids", "delegate", "strict"]).collect()
}

fn resource(key: &str) -> Option<Resource> {
    if key == CPU_TIME {
        Some(Resource::Cpu)
    } else {
        Resource::parse(key).filter(|one| *one != Resource::Cpu)
    }
}

/// `1024`, `"1024:4096"`, `"unlimited"`, `"64MiB"`, `"64MiB:unlimited"`.
fn rlimit(reader: &mut Reader<'_>, value: Value<'_>, resource: Resource) -> Option<Setup> {
    let whole = value.get_ref().as_integer().map(DeInteger::as_str);
    let Some(text) = whole.or_else(|| value.get_ref().as_str()) else {
        reader.error(&value.span(), "expected a number, or text such as \"1024:4096\" or \"unlimited\"");
        return None;
    };
    let (soft, hard) = text.split_once(':').unwrap_or((text, text));
    let mut one = |text: &str| {
        let read = amount(text.trim(), resource);
        let guess = units::size_unit(text.trim()).filter(|_| BYTES.contains(&resource));
        read.map_err(|message| reader.suggest(&value.span(), message, guess.as_deref())).ok()
    };
    let soft = one(soft)?;
    let hard = if text.contains(':') { one(hard)? } else { soft };
    if soft > hard {
        reader.error(&value.span(), "the soft limit is above the hard one: SOFT:HARD");
        return None;
    }
    Some(Setup::Limit { resource, soft, hard })
}

fn amount(text: &str, resource: Resource) -> Result<u64, String> {
    if matches!(text, "unlimited" | "infinity") {
        return Ok(u64::MAX);
    }
    if BYTES.contains(&resource) {
        return units::size(text);
    }
    let number = text.parse::<u64>().ok();
    let time = units::duration(text).ok();
    let read = if resource == Resource::Cpu {
        number.or_else(|| Some(time?.as_secs()))
    } else if resource == Resource::Rttime {
        number.or_else(|| u64::try_from(time?.as_micros()).ok())
    } else {
        number
    };
    let example = if matches!(resource, Resource::Cpu | Resource::Rttime) { ", \"10s\"" } else { "" };
    read.ok_or_else(|| {
        format!("\"{text}\" is not a limit such as 1024{example}, \"1024:4096\" or \"unlimited\"")
    })
}

/// The keys of one controller: `memory.max`, `memory.swap.max`.
fn controller(reader: &mut Reader<'_>, item: &Item<'_>, prefix: &str, group: &mut ControlGroup) {
    for inner in reader.table(item.value, "keys such as memory.max or cpu.weight") {
        let file = format!("{prefix}.{}", inner.key);
        if matches!(file.as_str(), "memory.swap" | "memory.oom") {
            controller(reader, &inner, &file, group);
        } else if !FILES.contains(&file.as_str()) {
            let guess = nearest(&file, FILES.iter().copied());
            reader.suggest(
                &inner.span,
                format!("unknown limit \"{}\" in [limits]", file.escape_debug()),
                guess,
            );
        } else if file == "io.max" {
            group.files.extend(devices(reader, inner.value));
        } else {
            let text = setting(reader, inner.value, &file);
            group.files.extend(text.map(|text| (file, text)));
        }
    }
}

/// The text that is written to a file.
fn setting(reader: &mut Reader<'_>, value: Value<'_>, file: &str) -> Option<String> {
    let none = value.get_ref().as_str().is_some_and(|text| matches!(text, "max" | "unlimited"));
    let limitable =
        !matches!(file, "cpu.weight" | "io.weight" | "memory.oom.group" | "cpuset.cpus" | "cpuset.mems");
    if none && limitable {
        return Some("max".to_owned());
    }
    match file {
        "cpu.weight" => reader.integer(value, 1..=10_000).map(|weight| weight.to_string()),
        "io.weight" => reader.integer(value, 1..=10_000).map(|weight| format!("default {weight}")),
        "pids.max" => reader.integer(value, 1..=u32::MAX).map(|count| count.to_string()),
        "memory.oom.group" => reader.boolean(value).map(|whole| u8::from(whole).to_string()),
        "cpuset.cpus" | "cpuset.mems" => {
            let text = reader.filled(value)?;
            let read = units::processors(text, u16::MAX).map(|_| text.to_owned());
            read.map_err(|message| reader.error(&value.span(), message)).ok()
        }
        "cpu.max" => {
            let read = units::share(reader.string(value)?);
            read.map_err(|message| reader.error(&value.span(), message)).ok()
        }
        _ => reader.size(value).map(|bytes| bytes.to_string()),
    }
}

/// `{ "/dev/vda" = { rbps = "10MiB", wiops = 100 } }`: a line for each device.
fn devices(reader: &mut Reader<'_>, value: Value<'_>) -> Vec<(String, String)> {
    const KNOWN: [&str; 4] = ["rbps", "wbps", "riops", "wiops"];
    let mut lines = Vec::new();
    for device in reader.table(value, "a table such as { \"/dev/vda\" = { rbps = \"10MiB\" } }") {
        let mut line = device.key.to_owned();
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty();
        let numbers = device.key.split_once(':').is_some_and(|(major, minor)| number(major) && number(minor));
        if !numbers && !device.key.starts_with("/dev/") {
            reader.error(&device.span, "expected a device such as \"/dev/vda\" or \"8:0\"");
        }
        for item in reader.table(device.value, "a table such as { rbps = \"10MiB\", wiops = 100 }") {
            match item.key {
                key if KNOWN.contains(&key) => {
                    let amount = if item.value.get_ref().as_str() == Some("max") {
                        Some("max".to_owned())
                    } else {
                        reader.size(item.value).map(|amount| amount.to_string())
                    };
                    line.extend(amount.map(|amount| format!(" {key}={amount}")));
                }
                _ => reader.unknown(&item, "limits.io.max", &KNOWN),
            }
        }
        lines.push(("io.max".to_owned(), line));
    }
    lines
}
