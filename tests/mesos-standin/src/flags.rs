//! Flags by the rules of Mesos: the command line beats `MESOS_*`, an unknown flag is fatal, an unknown
//! variable is silently ignored, and a value that begins with `file://` stands for that file's content.

use std::time::Duration;

/// What a flag's value must look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `--name`, `--no-name`, or one of `true false 1 0`.
    Boolean,
    /// A whole number.
    Number,
    /// `500ms`, `5secs`, `15mins` ...
    Duration,
    /// A flag of Mesos that means nothing here: any form is accepted.
    Ignored,
}

/// One flag, as `--help` shows it.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// The flags that have a value.
#[derive(Debug)]
pub(crate) struct Flags(Vec<(&'static str, String)>);

impl Flags {
    /// Reads the environment and then the command line, against `tables` and the `ignored` names.
    pub(crate) fn load(
        tables: &[&'static [Flag]],
        ignored: &'static [&'static str],
        arguments: &[String],
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let mut known = Vec::new();
        let mut flags = Self(Vec::new());
        for flag in tables.iter().copied().flatten() {
            known.push((flag.name, flag.kind));
            if let Some(default) = flag.default {
                flags.set(flag.name, default.to_owned());
            }
        }
        known.extend(ignored.iter().map(|name| (*name, Kind::Ignored)));
        for (variable, value) in environment {
            let name = variable.strip_prefix("MESOS_").map(str::to_lowercase);
            let Some((name, kind)) = name.and_then(|name| find(&known, &name)) else { continue };
            flags.set(name, checked(name, kind, value)?);
        }
        let mut seen = Vec::new();
        for argument in arguments {
            if argument == "--" {
                break;
            }
            let Some(body) = argument.strip_prefix("--") else { continue };
            let (name, value) = on_command_line(&known, body)?;
            if seen.contains(&name) {
                return Err(format!("Failed to load flag '{name}': Flag is already loaded"));
            }
            seen.push(name);
            flags.set(name, value);
        }
        Ok(flags)
    }

    fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value));
    }

    /// A flag's text, if it has a value and the value is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| value)
            .filter(|value| !value.is_empty())
    }

    /// Whether a boolean flag is set.
    pub(crate) fn is_set(&self, name: &str) -> bool {
        matches!(self.text(name), Some("true" | "1"))
    }

    /// A number; the table gives every number flag a default, so 0 is never seen in its place.
    pub(crate) fn number(&self, name: &str) -> u32 {
        self.text(name).and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// A duration, or zero.
    pub(crate) fn duration(&self, name: &str) -> Duration {
        self.text(name).and_then(parse_duration).unwrap_or_default()
    }

    /// Every flag that has a value, for `/state`.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

fn find(known: &[(&'static str, Kind)], name: &str) -> Option<(&'static str, Kind)> {
    known.iter().find(|(other, _)| *other == name).copied()
}

/// One argument without its dashes: its flag and value.
fn on_command_line(known: &[(&'static str, Kind)], body: &str) -> Result<(&'static str, String), String> {
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (body, None),
    };
    if let Some((name, kind)) = find(known, name) {
        return match (value, kind) {
            (Some(value), _) => Ok((name, checked(name, kind, value.to_owned())?)),
            (None, Kind::Boolean | Kind::Ignored) => Ok((name, "true".to_owned())),
            (None, Kind::Text | Kind::Number | Kind::Duration) => {
                Err(format!("Failed to load non-boolean flag '{name}': Missing value"))
            }
        };
    }
    let Some((name, kind)) = name.strip_prefix("no-").and_then(|name| find(known, name)) else {
        return Err(format!("Failed to load unknown flag '{name}'"));
    };
    match (value, kind) {
        (Some(_), _) => Err(format!("Failed to load boolean flag '{name}' via 'no-{name}' with value")),
        (None, Kind::Boolean | Kind::Ignored) => Ok((name, "false".to_owned())),
        (None, Kind::Text | Kind::Number | Kind::Duration) => {
            Err(format!("Failed to load non-boolean flag '{name}' via 'no-{name}'"))
        }
    }
}

/// The value, or the content of the file that it names; an error unless it is of the right kind.
fn checked(name: &str, kind: Kind, value: String) -> Result<String, String> {
    let value = match value.strip_prefix("file://") {
        Some(path) => std::fs::read_to_string(path).map_err(|error| {
            format!("Failed to load flag '{name}': Failed to fetch value from '{path}': {error}")
        })?,
        None => value,
    };
    let good = match kind {
        Kind::Text | Kind::Ignored => true,
        Kind::Boolean => matches!(value.as_str(), "true" | "false" | "1" | "0"),
        Kind::Number => value.parse::<u32>().is_ok(),
        Kind::Duration => parse_duration(&value).is_some(),
    };
    if good {
        Ok(value)
    } else {
        Err(format!("Failed to load flag '{name}': Failed to load value '{value}': Not a {kind:?}"))
    }
}

/// `100ms`, `15mins`, `24hrs` ... Mesos takes fractions too; nobody writes them.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let unit_at = text.find(|character: char| character.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(unit_at);
    let nanoseconds = match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "secs" => 1_000_000_000,
        "mins" => 60_000_000_000,
        "hrs" => 3_600_000_000_000,
        "days" => 86_400_000_000_000,
        "weeks" => 604_800_000_000_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(nanoseconds).map(Duration::from_nanos)
}

#[cfg(test)]
#[path = "flags_tests.rs"]
mod tests;
