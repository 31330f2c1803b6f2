//! The compiled plan as a client reads it: which services there are, and what a bundle stands for.

use crate::exit::{Exit, Failure};
use crate::suggest::nearest;
use service::definition::{Kind, valid_name};
use service::plan::{self, Entry};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The services that init knows, sorted by name.
#[derive(Debug, Default)]
pub struct Plan {
    /// As compiled.
    pub entries: Vec<Entry>,
}

impl Plan {
    /// Reads the plan below `run`. One that is not there, or of another version, is empty: what runs is
    /// found all the same.
    #[must_use]
    pub fn read(run: &Path) -> Plan {
        let text = fs::read_to_string(run.join("init/plan")).unwrap_or_default();
        let mut entries = plan::decode(&text).unwrap_or_default();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Plan { entries }
    }

    /// The same, of a place where an init is or was.
    ///
    /// # Errors
    /// There is nothing.
    pub fn found(run: &Path) -> Result<Plan, Failure> {
        let plan = Plan::read(run);
        if plan.entries.is_empty() && !run.join("service").is_dir() {
            let message = format!("nothing is supervised under {}", run.display());
            return Err(Failure::new(Exit::NotSupervised, message));
        }
        Ok(plan)
    }

    /// The service called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Entry> {
        let found = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(name)).ok()?;
        self.entries.get(found)
    }

    /// The names of a bundle's members at any depth, or `name` itself, in order of appearance.
    #[must_use]
    pub fn members(&self, name: &str) -> Vec<String> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        let mut rest = vec![name];
        while let Some(name) = rest.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.get(name) {
                Some(entry) if entry.kind == Kind::Bundle => {
                    rest.extend(entry.contents.iter().rev().map(String::as_str));
                }
                Some(_) | None => found.push(name.to_owned()),
            }
        }
        found
    }

    /// That nobody is called `name`, and who is called nearly so.
    #[must_use]
    pub fn no_such(&self, name: &str) -> Failure {
        let suggestion = nearest(name, self.entries.iter().map(|entry| entry.name.as_str()))
            .map(|name| format!(" (did you mean \"{name}\"?)"))
            .unwrap_or_default();
        Failure::new(Exit::NoSuchService, format!("no such service: \"{}\"{suggestion}", name.escape_debug()))
    }

    /// Whether `name` can be that of a service that is known, by the plan or by its directory below `run`.
    #[must_use]
    pub fn knows(&self, run: &Path, name: &str) -> bool {
        valid_name(name) && (self.get(name).is_some() || run.join("service").join(name).is_dir())
    }
}
