//! What is seen when layers lie one above the other: names, and which layer each is of. It is kept in memory, so that
//! what an archive names is found without asking the filesystem to follow anything.

use crate::error::{Error, Result};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// How many symbolic links may lead to one another, as many as the kernel follows (path_resolution(7)).
const LINKS: usize = 40;

/// A place in the view.
pub type Id = usize;

/// A file of a name.
#[derive(Clone, Debug)]
pub struct Node {
    /// The layer whose it is.
    pub layer: usize,
    /// What it is.
    pub what: What,
    /// Whether it is a directory that lies over one of a lower layer.
    pub over: bool,
}

/// What has a name.
#[derive(Clone, Debug)]
pub enum What {
    /// A directory and what is in it.
    Directory(BTreeMap<Vec<u8>, Id>),
    /// A symbolic link, what it says, and its hard links.
    Symlink(Vec<u8>, Group),
    /// Anything else, and its hard links.
    Other(Group),
}

/// What all names of one file have in common.
pub type Group = u64;

/// A path without symbolic links, of which the first so many parts are directories that are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its parts.
    pub parts: Vec<Vec<u8>>,
    /// How many of them are there.
    pub existing: usize,
}

/// What is seen.
#[derive(Clone, Debug)]
pub struct View {
    nodes: Vec<Node>,
    groups: HashMap<Group, BTreeSet<Vec<u8>>>,
    next_group: Group,
}

impl Default for View {
    fn default() -> View {
        let root = Node { layer: 0, what: What::Directory(BTreeMap::new()), over: false };
        View { nodes: vec![root], groups: HashMap::new(), next_group: 0 }
    }
}

/// The parts of a path, joined.
#[must_use]
pub fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.join(&b'/')
}

/// The path of a name in a directory.
#[must_use]
pub fn below(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, name].join(&b'/') }
}

impl View {
    /// The top.
    pub const ROOT: Id = 0;

    /// A node.
    #[must_use]
    pub fn node(&self, id: Id) -> Option<&Node> {
        self.nodes.get(id)
    }

    /// Says whose it is.
    pub fn set_layer(&mut self, id: Id, layer: usize) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.over = node.layer < layer && matches!(node.what, What::Directory(_));
            node.layer = layer;
        }
    }

    /// What is in a directory; nothing is in anything else.
    pub fn children(&self, id: Id) -> impl Iterator<Item = (&[u8], Id)> {
        let map = match self.node(id).map(|node| &node.what) {
            Some(What::Directory(map)) => Some(map),
            Some(What::Symlink(..) | What::Other(_)) | None => None,
        };
        map.into_iter().flatten().map(|(name, id)| (name.as_slice(), *id))
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_directory(&self, id: Id) -> bool {
        matches!(self.node(id), Some(Node { what: What::Directory(_), .. }))
    }

    /// What has a name in a directory.
    #[must_use]
    pub fn child(&self, id: Id, name: &[u8]) -> Option<Id> {
        match &self.node(id)?.what {
            What::Directory(map) => map.get(name).copied(),
            What::Symlink(..) | What::Other(_) => None,
        }
    }

    /// What is at a path that has no symbolic links.
    #[must_use]
    pub fn at(&self, path: &[u8]) -> Option<Id> {
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty());
        parts.into_iter().try_fold(View::ROOT, |id, part| self.child(id, part))
    }

    /// Follows symbolic links: those lead nowhere but below the root, and `..` of the root is the root.
    ///
    /// # Errors
    /// A part is no directory, or links lead to one another.
    pub fn resolve(&self, parts: &[&[u8]]) -> Result<Resolved> {
        self.walk(parts)?.map_err(|part| {
            let shown = String::from_utf8_lossy(&part).escape_debug().to_string();
            Error::refused(format!("{shown:?} in its path is no directory"))
        })
    }

    /// The directory of that path; none if there is nothing, or something else, of which nothing can be taken away.
    ///
    /// # Errors
    /// Links lead to one another.
    pub fn directory(&self, parts: &[&[u8]]) -> Result<Option<Vec<Vec<u8>>>> {
        let there = |found: &Resolved| found.existing == found.parts.len();
        Ok(self.walk(parts)?.ok().filter(there).map(|found| found.parts))
    }

    /// Where a path leads, or the part of it that is no directory.
    fn walk(&self, parts: &[&[u8]]) -> Result<std::result::Result<Resolved, Vec<u8>>> {
        let mut pending: VecDeque<Vec<u8>> = parts.iter().map(|part| part.to_vec()).collect();
        let mut stack: Vec<(Vec<u8>, Option<Id>)> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop_front() {
            if part.is_empty() || part == b"." {
                continue;
            }
            if part == b".." {
                stack.pop();
                continue;
            }
            let here = stack.last().map_or(Some(View::ROOT), |(_, id)| *id);
            let found = here.and_then(|here| self.child(here, &part));
            match found.and_then(|id| self.node(id)).map(|node| &node.what) {
                None => stack.push((part, None)),
                Some(What::Directory(_)) => stack.push((part, found)),
                Some(What::Symlink(target, _)) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Error::refused("its symbolic links lead to one another"));
                    }
                    if target.starts_with(b"/") {
                        stack.clear();
                    }
                    for part in target.split(|byte| *byte == b'/').rev() {
                        pending.push_front(part.to_vec());
                    }
                }
                Some(What::Other(_)) => return Ok(Err(part)),
            }
        }
        let existing = stack.iter().take_while(|(_, id)| id.is_some()).count();
        Ok(Ok(Resolved { parts: stack.into_iter().map(|(part, _)| part).collect(), existing }))
    }

    /// A number for a file of its own.
    pub fn new_group(&mut self) -> Group {
        self.next_group += 1;
        self.next_group
    }

    /// The names of a file, if it has more than one.
    #[must_use]
    pub fn names(&self, group: Group) -> Vec<Vec<u8>> {
        self.groups.get(&group).map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }

    /// Puts something at a path, whose directory is there. What was there before is gone.
    pub fn put(&mut self, path: &[u8], layer: usize, what: What) -> Option<Id> {
        let (directory, name) = split(path);
        let parent = self.at(directory)?;
        self.remove(path);
        if let What::Symlink(_, group) | What::Other(group) = &what {
            self.groups.entry(*group).or_default().insert(path.to_vec());
        }
        let id = self.nodes.len();
        self.nodes.push(Node { layer, what, over: false });
        match &mut self.nodes.get_mut(parent)?.what {
            What::Directory(map) => map.insert(name.to_vec(), id),
            What::Symlink(..) | What::Other(_) => None,
        };
        Some(id)
    }

    /// Takes away what is at a path, and all below it.
    pub fn remove(&mut self, path: &[u8]) {
        self.prune(path, usize::MAX);
    }

    /// Takes away what is at a path and below it, if it is of a layer below `layer`. Tells whether anything was, or a
    /// directory lay over one that was.
    pub fn prune(&mut self, path: &[u8], layer: usize) -> bool {
        let (directory, name) = split(path);
        let Some((parent, id)) =
            self.at(directory).and_then(|parent| Some((parent, self.child(parent, name)?)))
        else {
            return false;
        };
        let mut pruned = self.prune_below(path, layer);
        let Some(node) = self.nodes.get_mut(id) else { return pruned };
        pruned |= std::mem::take(&mut node.over);
        if node.layer < layer || layer == usize::MAX {
            pruned = true;
            if let What::Symlink(_, group) | What::Other(group) = &node.what
                && let Some(names) = self.groups.get_mut(group)
            {
                names.remove(path);
            }
            if let Some(Node { what: What::Directory(map), .. }) = self.nodes.get_mut(parent) {
                map.remove(name);
            }
        }
        pruned
    }

    /// Takes away what is below a path, if it is of a layer below `layer`.
    pub fn prune_below(&mut self, path: &[u8], layer: usize) -> bool {
        let Some(id) = self.at(path) else { return false };
        let names: Vec<Vec<u8>> = self.children(id).map(|(name, _)| name.to_vec()).collect();
        let mut pruned = false;
        for name in names {
            pruned |= self.prune(&below(path, &name), layer);
        }
        pruned
    }
}

/// The directory of a path, and the name in it.
#[must_use]
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view() -> View {
        let mut view = View::default();
        let directory = || What::Directory(BTreeMap::new());
        view.put(b"usr", 0, directory());
        view.put(b"usr/lib", 0, directory());
        view.put(b"lib", 0, What::Symlink(b"usr/lib".to_vec(), 1));
        view.put(b"up", 0, What::Symlink(b"../../../../usr".to_vec(), 2));
        view.put(b"loop", 0, What::Symlink(b"/loop".to_vec(), 3));
        view.put(b"usr/file", 0, What::Other(4));
        view
    }

    fn resolved(path: &str) -> Result<(String, usize)> {
        let parts: Vec<&[u8]> = path.split('/').map(str::as_bytes).collect();
        let found = view().resolve(&parts)?;
        Ok((String::from_utf8(join(&found.parts)).unwrap(), found.existing))
    }

    #[test]
    fn links_lead_nowhere_but_below_the_root() {
        assert_eq!(resolved("lib/a/b").unwrap(), ("usr/lib/a/b".to_owned(), 2));
        assert_eq!(resolved("up/lib").unwrap(), ("usr/lib".to_owned(), 2));
        assert!(resolved("loop/a").unwrap_err().to_string().contains("lead to one another"));
        assert!(resolved("usr/file/a").unwrap_err().to_string().contains("no directory"));
    }

    #[test]
    fn pruning_spares_what_a_layer_has_itself() {
        let mut view = view();
        view.put(b"usr/new", 1, What::Other(5));
        view.set_layer(view.at(b"usr").unwrap(), 1);
        assert!(view.prune(b"usr", 1));
        assert!(view.at(b"usr/new").is_some());
        assert!(view.at(b"usr/lib").is_none() && view.at(b"usr/file").is_none());
        assert!(view.names(4).is_empty());
    }
}
