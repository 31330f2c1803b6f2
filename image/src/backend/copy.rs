//! Everything that is seen, copied.

use super::Plan;
use crate::error::{Context, Error, Result};
use crate::provision::Root;
use crate::store::Store;
use crate::unpack::make::{copy, link};
use crate::unpack::tree::{self, Meta, Tree};
use crate::unpack::view::{Id, View, What, below, split};
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode};
use std::collections::HashMap;

pub(super) fn make(store: &Store, plan: &Plan<'_>) -> Result<()> {
    let (trees, view) = store.view(plan.layers)?;
    let owners = rustix::process::geteuid().is_root();
    let to = Tree::open(plan.root)?;
    let mut copier = Copier { view: &view, trees: &trees, to: &to, owners, links: HashMap::new() };
    copier.directory(View::ROOT, b"")?;
    // Where something is to be mounted is made after the rest, which it does not count as a part of.
    let inside = Root::open(plan.root)?;
    plan.places.iter().try_for_each(|place| inside.ensure(place).map(drop))
}

struct Copier<'a> {
    view: &'a View,
    trees: &'a [Tree],
    to: &'a Tree,
    owners: bool,
    /// Files with several names, by where they are in the view.
    links: HashMap<u64, Vec<u8>>,
}

impl Copier<'_> {
    fn tree(&self, layer: usize) -> Result<&Tree> {
        self.trees.get(layer).ok_or_else(|| Error::refused("a layer that is not there"))
    }

    fn directory(&mut self, id: Id, path: &[u8]) -> Result<()> {
        let layer = self.view.node(id).map_or(0, |node| node.layer);
        let (_, meta) = self.tree(layer)?.meta(path)?;
        for (name, id) in self.view.children(id) {
            let path = below(path, name);
            let shown = || format!("/{}", String::from_utf8_lossy(&path).escape_debug());
            self.one(id, &path).context(shown)?;
        }
        // Last: what is made in it changes its time.
        self.say(path, &meta)
    }

    fn one(&mut self, id: Id, path: &[u8]) -> Result<()> {
        let Some(node) = self.view.node(id) else { return Ok(()) };
        let group = match &node.what {
            What::Directory(_) => {
                let (directory, name) = split(path);
                rustix::fs::mkdirat(self.to.directory(directory)?, name, Mode::RWXU)?;
                return self.directory(id, path);
            }
            What::Symlink(_, group) | What::Other(group) => *group,
        };
        if let Some(first) = self.links.get(&group) {
            return link(self.to, first, path);
        }
        let lost = copy(self.tree(node.layer)?, path, self.to, self.owners)?;
        if self.view.names(group).len() > 1 {
            self.links.insert(group, path.to_vec());
        }
        if lost > 0 { Err(Error::refused("its extended attributes cannot be kept there")) } else { Ok(()) }
    }

    fn say(&self, path: &[u8], meta: &Meta) -> Result<()> {
        let (directory, name) = if path.is_empty() { (&b""[..], &b"."[..]) } else { split(path) };
        let directory = self.to.directory(directory)?;
        tree::apply(directory.as_fd(), name, FileType::Directory, meta, self.owners).map(drop)
    }
}
