//! One service's definition taken anew, and no other's: for those who make services, change them and take them away while
//! somebody may be in the middle of editing the tree.

use crate::runtime::Init;
use service::plan::{self, Entry};
use std::collections::BTreeSet;

impl Init {
    /// Takes the services called `names` as they are in a plan that was compiled just now: new, another, or gone. What is
    /// new brings along what it refers to.
    pub(crate) fn refresh(&mut self, entries: Vec<Entry>, names: &BTreeSet<String>) {
        if names.is_empty() {
            return;
        }
        let wanted: Vec<String> = names.iter().cloned().collect();
        let named = entries.iter().filter(|entry| names.contains(&entry.name)).cloned();
        let mut taken: Vec<Entry> = named.collect();
        let added = self.missing(entries, &wanted).into_iter();
        taken.extend(added.filter(|entry| !names.contains(&entry.name)));
        let mut renewed = BTreeSet::new();
        for entry in &taken {
            if self.unstage_definition(&entry.name) {
                renewed.insert(entry.name.clone());
            }
        }
        let mut all = taken;
        let listed = |index: &usize| !self.graph.gone(*index) && !self.graph.leaving(*index);
        let known = (0..self.graph.nodes().len()).filter(listed);
        let known = known.filter_map(|index| self.graph.nodes().get(index));
        let others = known.filter(|node| !names.contains(&node.entry.name));
        all.extend(others.map(|node| Entry::clone(&node.entry)));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        let file = self.options.run.join("init/plan");
        let written = sys::fs::replace(&file, plan::encode(&all).as_bytes(), 0o644);
        self.note_failure(written, &file);
        let pipes = self.connections();
        let changes = self.graph.update(all);
        self.apply(&changes, &renewed, &pipes);
    }
}
