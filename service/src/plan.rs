//! The compiled plan: every service that init has to know, with its edges, and what is wrong with it.

use crate::codec::{Writer, pairs, unescape};
use crate::definition::{Definition, Kind, Log};

/// The first line of a plan; the number is its version.
pub const HEADER: &str = "mainstay-plan 1";

/// What init knows of a service. The rest stands in the compiled definition, which its supervisor reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The service.
    pub name: String,
    /// Longrun, oneshot or bundle.
    pub kind: Kind,
    /// Why it cannot be started at all: its definition is broken, or it stands in a cycle.
    pub problem: Option<String>,
    /// Started too and waited for.
    pub requires: Vec<String>,
    /// Started too.
    pub wants: Vec<String>,
    /// Waited for if started as well. What others say with `before` has been turned into this.
    pub after: Vec<String>,
    /// The members of a bundle.
    pub contents: Vec<String>,
    /// Whether the implicit default bundle has it.
    pub autostart: bool,
    /// Whether it is drained, with a signal of its own, before anything else is stopped.
    pub drains: bool,
    /// How its log is kept.
    pub log: Log,
}

impl Entry {
    /// What init has to know of `definition`. Its `before` edges belong to the others and are not here.
    #[must_use]
    pub fn from_definition(definition: &Definition) -> Entry {
        Entry {
            name: definition.name.clone(),
            kind: definition.kind,
            problem: None,
            requires: definition.requires.clone(),
            wants: definition.wants.clone(),
            after: definition.after.clone(),
            contents: definition.contents.clone(),
            autostart: definition.autostart,
            drains: definition.stop.halt_signal.is_some(),
            log: definition.log,
        }
    }

    /// A service of which nothing is known but that its definition is broken, and how.
    #[must_use]
    pub fn broken(name: &str, problem: String) -> Entry {
        let mut entry = Entry::from_definition(&Definition::new(name, ""));
        entry.problem = Some(problem);
        entry
    }
}

/// The text of a plan.
#[must_use]
pub fn encode(entries: &[Entry]) -> String {
    let mut out = Writer::new(HEADER);
    for entry in entries {
        out.line("service", &entry.name);
        out.line("kind", entry.kind.word());
        if let Some(problem) = &entry.problem {
            out.line("problem", problem);
        }
        out.lines("requires", &entry.requires);
        out.lines("wants", &entry.wants);
        out.lines("after", &entry.after);
        out.lines("contents", &entry.contents);
        out.line("autostart", entry.autostart);
        out.line("drains", entry.drains);
        out.line("log-size", entry.log.size);
        out.line("log-keep", entry.log.keep);
    }
    out.finish()
}

/// Reads a plan; none if it is not one, or of another version.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<Entry>> {
    if text.lines().next()? != HEADER {
        return None;
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (key, escaped) in pairs(text).skip(1) {
        let value = unescape(escaped);
        if key == "service" {
            entries.push(Entry::from_definition(&Definition::new(&value, "")));
            continue;
        }
        let entry = entries.last_mut()?;
        match key {
            "kind" => entry.kind = Kind::parse(&value)?,
            "problem" => entry.problem = Some(value),
            "requires" => entry.requires.push(value),
            "wants" => entry.wants.push(value),
            "after" => entry.after.push(value),
            "contents" => entry.contents.push(value),
            "autostart" => entry.autostart = value.parse().ok()?,
            "drains" => entry.drains = value.parse().ok()?,
            "log-size" => entry.log.size = value.parse().ok()?,
            "log-keep" => entry.log.keep = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_comes_back_from_its_text() {
        let mut agent = Entry::from_definition(&Definition::new("agent", "/d"));
        agent.requires = vec!["network".to_owned()];
        agent.after = vec!["clock".to_owned()];
        agent.drains = true;
        let broken = Entry::broken("bad", "bad/service.toml:3:1: unknown key\n  colour".to_owned());
        let entries = vec![agent, broken];
        assert_eq!(decode(&encode(&entries)), Some(entries));
    }

    #[test]
    fn what_is_not_a_plan_is_refused() {
        assert_eq!(decode(""), None);
        assert_eq!(decode("mainstay-plan 9\n"), None);
        assert_eq!(decode(&format!("{HEADER}\nkind longrun\n")), None);
    }
}
