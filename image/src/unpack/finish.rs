//! What is left to do when all entries were seen: marking what is taken away, and the times of directories.

use super::make::names;
use super::tree::{self, OPAQUE, Tree, file_type, is_whiteout};
use super::view::{View, What, below, split};
use super::{Changes, Unpacked, Unpacker};
use crate::error::{Context, Result};
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode};
use std::collections::{BTreeMap, HashMap};

impl Unpacker<'_> {
    pub(super) fn finish(mut self) -> Result<Unpacked> {
        self.keep_what_is_listed()?;
        self.done.changes = self.changes();
        let removed: Vec<Vec<u8>> = self.done.changes.removed.iter().cloned().collect();
        for path in removed {
            // The directory has to be in the tree for the mark to be in it.
            let parts: Vec<Vec<u8>> =
                split(&path).0.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
            if !split(&path).0.is_empty() {
                self.directories(&parts)?;
            }
            if self.options.marks {
                let (directory, name) = split(&path);
                let directory = self.tree.directory(directory)?;
                rustix::fs::mknodat(directory, name, FileType::CharacterDevice, Mode::empty(), 0)
                    .context(|| "unable to mark what is taken away")?;
            }
        }
        if self.options.marks {
            for path in &self.done.changes.opaque {
                let (directory, name) = split(path);
                let directory = self.tree.directory(directory)?;
                if !tree::set_xattr(directory.as_fd(), name, OPAQUE.as_bytes(), b"y")? {
                    return Err(crate::error::Error::new(
                        crate::error::Kind::System,
                        "the filesystem has no extended attributes to mark directories with",
                    ));
                }
            }
        }
        for (path, time) in &self.times {
            let (directory, name) = if path.is_empty() { (&b""[..], &b"."[..]) } else { split(path) };
            tree::set_time(self.tree.directory(directory)?.as_fd(), name, *time)?;
        }
        Ok(self.done)
    }

    /// What lower layers had and is seen no more is gone, or is there anew.
    fn changes(&self) -> Changes {
        let mut changes = Changes::default();
        for path in &self.hidden {
            // Where a whole directory is taken away, nothing in it has to be.
            let mut above = path.as_slice();
            let mut covered = false;
            while let (directory @ [_, ..], _) = split(above) {
                covered |= self.hidden.contains(directory);
                above = directory;
            }
            if covered {
                continue;
            }
            match self.view.at(path) {
                None => drop(changes.removed.insert(path.clone())),
                Some(id) if self.view.is_directory(id) => drop(changes.opaque.insert(path.clone())),
                Some(_) => {}
            }
        }
        changes
    }
}

/// Lays a tree that is there above what is seen.
///
/// # Errors
/// It cannot be read.
pub fn show(view: &mut View, layer: usize, tree: &Tree, changes: &Changes) -> Result<()> {
    for path in &changes.removed {
        view.remove(path);
    }
    for path in &changes.opaque {
        view.prune_below(path, usize::MAX);
    }
    view.set_layer(View::ROOT, layer);
    show_directory(view, layer, tree, b"", &mut HashMap::new())
}

fn show_directory(
    view: &mut View,
    layer: usize,
    tree: &Tree,
    directory: &[u8],
    groups: &mut HashMap<u64, u64>,
) -> Result<()> {
    for name in names(tree, directory)? {
        let path = below(directory, &name);
        let stat = tree.stat(&path)?;
        if is_whiteout(&stat) {
            continue;
        }
        let kind = file_type(&stat);
        if kind == FileType::Directory {
            match view.at(&path).filter(|id| view.is_directory(*id)) {
                Some(id) => view.set_layer(id, layer),
                None => drop(view.put(&path, layer, What::Directory(BTreeMap::new()))),
            }
            show_directory(view, layer, tree, &path, groups)?;
            continue;
        }
        let group = match groups.get(&stat.st_ino) {
            Some(group) => *group,
            None => {
                let group = view.new_group();
                groups.insert(stat.st_ino, group);
                group
            }
        };
        let what = if kind == FileType::Symlink {
            What::Symlink(tree.link_target(&path)?, group)
        } else {
            What::Other(group)
        };
        view.put(&path, layer, what);
    }
    Ok(())
}
