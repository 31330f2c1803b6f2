//! The compiled plan: every service that init has to know, with its edges, and what is wrong with it.

use crate::codec::{Writer, pairs, unescape};
use crate::definition::{Definition, Kind, Log};

/// The first line of a plan; the number is its version.
pub const HEADER: &str = "mainstay-plan 2";

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
    /// What cannot run at the same time.
    pub conflicts: Vec<String>,
    /// The members of a bundle.
    pub contents: Vec<String>,
    /// Whether the implicit default bundle has it.
    pub autostart: bool,
    /// Whether it is drained, with a signal of its own, before anything else is stopped.
    pub drains: bool,
    /// It is a oneshot with a command that undoes it: once done it has to be stopped like what runs.
    pub undo: bool,
    /// Its standard output goes to the standard input of this service.
    pub output_to: Option<String>,
    /// Its standard input is a pipe that init holds.
    pub reads_pipe: bool,
    /// Tells one definition from another: equal texts have equal digests.
    pub digest: u64,
    /// The same of only what a process that runs already would have to be restarted for.
    pub run_digest: u64,
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
            conflicts: definition.conflicts.clone(),
            contents: definition.contents.clone(),
            autostart: definition.autostart,
            drains: definition.stop.halt_signal.is_some(),
            undo: definition.kind == Kind::Oneshot && !definition.down_command.is_empty(),
            output_to: definition.output_to.clone(),
            reads_pipe: definition.reads_pipe,
            digest: definition.digest(),
            run_digest: definition.run_digest(),
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
        out.lines("conflicts", &entry.conflicts);
        out.lines("contents", &entry.contents);
        out.line("autostart", entry.autostart);
        out.line("drains", entry.drains);
        out.line("undo", entry.undo);
        out.lines("output-to", &entry.output_to);
        out.line("reads-pipe", entry.reads_pipe);
        out.line("digest", entry.digest);
        out.line("run-digest", entry.run_digest);
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
            "conflicts" => entry.conflicts.push(value),
            "contents" => entry.contents.push(value),
            "autostart" => entry.autostart = value.parse().ok()?,
            "drains" => entry.drains = value.parse().ok()?,
            "undo" => entry.undo = value.parse().ok()?,
            "output-to" => entry.output_to = Some(value),
            "reads-pipe" => entry.reads_pipe = value.parse().ok()?,
            "digest" => entry.digest = value.parse().ok()?,
            "run-digest" => entry.run_digest = value.parse().ok()?,
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
        agent.undo = true;
        agent.conflicts = vec!["other".to_owned()];
        agent.output_to = Some("logger".to_owned());
        let broken = Entry::broken("bad", "bad/service.toml:3:1: unknown key\n  colour".to_owned());
        let entries = vec![agent, broken];
        assert_eq!(decode(&encode(&entries)), Some(entries));
    }

    #[test]
    fn what_is_not_a_plan_is_refused() {
        assert_eq!(decode(""), None);
        assert_eq!(decode("mainstay-plan 1\n"), None);
        assert_eq!(decode(&format!("{HEADER}\nkind longrun\n")), None);
    }
}
