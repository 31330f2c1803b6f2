//! Instances of templates that somebody asks for and nobody has named before. Only the compiler knows templates: it is
//! run with the name added to `init/instances`, which it reads at every reload from then on. Of what it finds, the
//! instance is taken, with what it refers to that is not known either. The rest waits for a reload.

use crate::message::reason;
use crate::runtime::Init;
use service::definition::valid_name;
use service::graph::PlannedStep;
use service::plan::{self, Entry};
use service::wire::{InitCommand, Planned};
use std::collections::{BTreeMap, BTreeSet};

/// More names than this are a mistake in somebody's script; the compiler makes no more either.
const NAMES_MAX: usize = 1000;

/// The instance that a command would start, if its name is that of one.
pub(crate) fn asked_for<'a>(command: &InitCommand<'a>) -> Option<&'a str> {
    let (InitCommand::Start(name)
    | InitCommand::Once(name)
    | InitCommand::Restart(name)
    | InitCommand::Switch(name)
    | InitCommand::Plan(Planned::Start(name) | Planned::Restart(name) | Planned::Switch(name))) = command
    else {
        return None;
    };
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
        let added = self.missing(entries, names);
        if added.is_empty() {
            return;
        }
        for entry in &added {
            let _ = self.unstage_definition(&entry.name);
        }
        let all = self.and_known(added);
        let file = self.options.run.join("init/plan");
        if let Err(error) = sys::fs::replace(&file, plan::encode(&all).as_bytes(), 0o644) {
            let (file, reason) = (file.display(), reason(&error));
            self.messages.error(&format!("unable to replace {file}: {reason} (going on without)"));
        }
        let pipes = self.connections();
        let changes = self.graph.update(all);
        self.apply(&changes, &BTreeSet::new(), &pipes);
    }

    /// What a command would do for the instance called `name`, which is not there yet and is not made.
    pub(crate) fn foresee(
        &self,
        entries: Vec<Entry>,
        name: &str,
        command: InitCommand<'_>,
    ) -> Result<Vec<PlannedStep>, String> {
        let mut graph = self.graph.clone();
        graph.update(self.and_known(self.missing(entries, &[name.to_owned()])));
        let index = graph.find(name).ok_or_else(|| format!("no such service {name}"))?;
        let request = Init::request(command, Some(index)).ok_or("it cannot be planned")?;
        graph.plan(request).map_err(|refusal| refusal.to_string())
    }

    /// The services called `names` and what they refer to, as far as they are not known.
    pub(crate) fn missing(&self, entries: Vec<Entry>, names: &[String]) -> Vec<Entry> {
        let mut found: BTreeMap<String, Entry> =
            entries.into_iter().map(|entry| (entry.name.clone(), entry)).collect();
        let mut missing = Vec::new();
        let mut rest: Vec<String> = names.to_vec();
        while let Some(name) = rest.pop() {
            if self.graph.find(&name).is_some() {
                continue;
            }
            let Some(entry) = found.remove(&name) else { continue };
            let lists = [&entry.requires, &entry.wants, &entry.after, &entry.contents];
            rest.extend(lists.into_iter().flatten().chain(&entry.output_to).cloned());
            missing.push(entry);
        }
        missing
    }

    /// These and all that are known, sorted by name.
    fn and_known(&self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let listed = |index: &usize| !self.graph.gone(*index) && !self.graph.leaving(*index);
        let known = (0..self.graph.nodes().len()).filter(listed);
        entries.extend(
            known.filter_map(|index| self.graph.nodes().get(index)).map(|node| Entry::clone(&node.entry)),
        );
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries
    }
}
