//! Instances of templates that somebody asks for and nobody has named before. Only the compiler knows templates: it is
//! run with the name added to `init/instances`, which it reads at every reload from then on. Of what it finds, the
//! instance is taken, with what it refers to that is not known either. The rest waits for a reload.

use crate::message::reason;
use crate::runtime::Init;
use service::definition::valid_name;
use service::plan::{self, Entry};
use service::wire::InitCommand;
use std::collections::{BTreeMap, BTreeSet};

/// More names than this are a mistake in somebody's script; the compiler makes no more either.
const NAMES_MAX: usize = 1000;

/// The instance that a command asks for, if its name is that of one.
pub(crate) fn asked_for<'a>(command: &InitCommand<'a>) -> Option<&'a str> {
    let (InitCommand::Start(name) | InitCommand::Once(name)) = command else { return None };
    let (template, instance) = name.split_once('@')?;
    (!template.is_empty() && !instance.is_empty() && valid_name(name)).then_some(name)
}

impl Init {
    /// Notes that there shall be an instance called `name`.
    pub(crate) fn note_instance(&self, name: &str) -> Result<(), String> {
        let mut names = self.noted_instances();
        if names.len() >= NAMES_MAX {
            return Err(format!("there are {NAMES_MAX} instances already"));
        }
        if names.insert(name.to_owned()) { self.write_instances(&names) } else { Ok(()) }
    }

    /// Takes the note back: there is no such template.
    pub(crate) fn forget_instance(&self, name: &str) {
        let mut names = self.noted_instances();
        if names.remove(name) {
            // What is left behind is a name that the compiler finds nothing for.
            let _ = self.write_instances(&names);
        }
    }

    fn noted_instances(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.options.run.join("init/instances")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn write_instances(&self, names: &BTreeSet<String>) -> Result<(), String> {
        let file = self.options.run.join("init/instances");
        let text: String = names.iter().map(|name| format!("{name}\n")).collect();
        sys::fs::replace(&file, text.as_bytes(), 0o644)
            .map_err(|error| format!("unable to write {}: {}", file.display(), reason(&error)))
    }

    /// Adds the services called `names` from a plan that was compiled just now, and what they refer to.
    pub(crate) fn take_instances(&mut self, entries: Vec<Entry>, names: &[String]) {
        let found: BTreeMap<String, Entry> =
            entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let mut added: BTreeMap<String, Entry> = BTreeMap::new();
        let mut rest: Vec<String> = names.to_vec();
        while let Some(name) = rest.pop() {
            let Some(entry) = found.get(&name) else { continue };
            if self.graph.find(&name).is_some() || added.contains_key(&name) {
                continue;
            }
            let lists = [&entry.requires, &entry.wants, &entry.after, &entry.contents];
            rest.extend(lists.into_iter().flatten().chain(&entry.output_to).cloned());
            added.insert(name, entry.clone());
        }
        if added.is_empty() {
            return;
        }
        for name in added.keys() {
            self.unstage_definition(name);
        }
        let listed = |index: &usize| !self.graph.gone(*index) && !self.graph.leaving(*index);
        let known = (0..self.graph.nodes().len()).filter(listed);
        let mut all: Vec<Entry> = known
            .filter_map(|index| self.graph.nodes().get(index))
            .map(|node| Entry::clone(&node.entry))
            .collect();
        all.extend(added.into_values());
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let file = self.options.run.join("init/plan");
        if let Err(error) = sys::fs::replace(&file, plan::encode(&all).as_bytes(), 0o644) {
            let (file, reason) = (file.display(), reason(&error));
            self.messages.error(&format!("unable to replace {file}: {reason} (going on without)"));
        }
        let pipes = self.connections();
        let changes = self.graph.update(all);
        self.apply(&changes, &BTreeSet::new(), &pipes);
    }
}
