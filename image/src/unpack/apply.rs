//! What an entry does to what is seen: where it goes, what it replaces, and what it takes away.

use super::Unpacker;
use super::name::{self, Name};
use super::tree::Meta;
use super::view::{View, What, below, join};
use crate::error::{Error, Result};
use crate::source::Form;
use crate::tarball::{Entry, Kind};
use std::collections::BTreeMap;
use std::io::Read;

impl Unpacker<'_> {
    /// The top is there from the start: with what lower layers say of it, or as if nothing were.
    pub(super) fn begin(&mut self) -> Result<()> {
        let meta = match self.lowers.last() {
            Some(below) => below.meta(b"")?.1,
            None => Meta::implied(),
        };
        self.remember(b"", &meta)?;
        self.view.set_layer(View::ROOT, self.layer());
        Ok(())
    }

    /// An entry of a changeset.
    pub(super) fn change(&mut self, entry: &Entry, data: &mut impl Read) -> Result<()> {
        match name::change(&entry.path)? {
            Name::Ignored => Ok(()),
            Name::Path(parts) => self.make(&parts, entry, data),
            Name::Whiteout(directory, hidden) => {
                self.must_be_mark(entry)?;
                self.whiteout(&directory, hidden)
            }
            Name::Opaque(directory) => {
                self.must_be_mark(entry)?;
                self.opaque(&directory)
            }
        }
    }

    /// Whiteouts are files; aufs made them links to one another.
    fn must_be_mark(&self, entry: &Entry) -> Result<()> {
        match entry.kind {
            Kind::File(_) | Kind::Link(_) => Ok(()),
            Kind::Directory | Kind::Symlink(_) | Kind::Character(..) | Kind::BlockDevice(..) | Kind::Fifo => {
                Err(Error::refused("a whiteout that is not a file"))
            }
        }
    }

    fn whiteout(&mut self, directory: &[&[u8]], hidden: &[u8]) -> Result<()> {
        // Some write that what was in a directory is gone although a file has come in its place (umoci does).
        let Some(directory) = self.view.directory(directory)? else { return Ok(()) };
        let path = below(&join(&directory), hidden);
        if !self.view.prune(&path, self.layer()) {
            return Ok(());
        }
        // What lower layers say of a directory that is taken away and made anew says nothing any more.
        if self.implied.remove(&path) {
            self.remember(&path, &Meta::implied())?;
        }
        self.hidden.insert(path);
        Ok(())
    }

    fn opaque(&mut self, directory: &[&[u8]]) -> Result<()> {
        let Some(directory) = self.view.directory(directory)? else { return Ok(()) };
        let path = join(&directory);
        // The top cannot be marked, nor need anything be in a tree because of what it does not have.
        if path.is_empty() {
            let names: Vec<Vec<u8>> = self.view.children(View::ROOT).map(|(name, _)| name.to_vec()).collect();
            for name in names {
                if self.view.prune(&name, self.layer()) {
                    self.hidden.insert(name);
                }
            }
            return Ok(());
        }
        if self.view.prune_below(&path, self.layer()) {
            self.directories(&directory)?;
            self.hidden.insert(path);
        }
        Ok(())
    }

    /// Makes what an entry is.
    pub(super) fn make(&mut self, parts: &[&[u8]], entry: &Entry, data: &mut impl Read) -> Result<()> {
        let Some((name, directory)) = parts.split_last() else {
            if entry.kind != Kind::Directory {
                return Err(Error::refused("the root is not a directory"));
            }
            return self.remember(b"", &meta(entry));
        };
        let found = self.view.resolve(directory)?;
        self.directories(&found.parts)?;
        let path = below(&join(&found.parts), name);
        if let Kind::Directory = entry.kind {
            return self.make_directory(&path, &meta(entry));
        }
        // Another name of itself would be its end.
        if let Kind::Link(target) = &entry.kind
            && self.link_target(target)? == path
        {
            return Err(Error::refused("a link to itself"));
        }
        self.clear(&path)?;
        self.make_file(&path, entry, data)
    }

    /// Sees to it that a directory and all above it are in the tree.
    pub(super) fn directories(&mut self, parts: &[Vec<u8>]) -> Result<()> {
        for end in 1..=parts.len() {
            let path = join(parts.get(..end).unwrap_or_default());
            match self.view.at(&path).and_then(|id| Some((id, self.view.node(id)?.layer))) {
                Some((_, layer)) if layer == self.layer() => {}
                Some((id, layer)) => {
                    let meta = self.lower(layer)?.meta(&path)?.1;
                    self.make_on_disk(&path)?;
                    self.remember(&path, &meta)?;
                    self.view.set_layer(id, self.layer());
                    self.implied.insert(path);
                }
                None => {
                    self.make_on_disk(&path)?;
                    self.remember(&path, &Meta::implied())?;
                    self.view.put(&path, self.layer(), What::Directory(BTreeMap::new()));
                }
            }
        }
        Ok(())
    }

    fn make_directory(&mut self, path: &[u8], meta: &Meta) -> Result<()> {
        match self.view.at(path) {
            Some(id) if self.view.is_directory(id) => {
                if self.view.node(id).is_some_and(|node| node.layer < self.layer()) {
                    self.make_on_disk(path)?;
                    self.view.set_layer(id, self.layer());
                }
            }
            Some(_) | None => {
                self.clear(path)?;
                self.make_on_disk(path)?;
                self.view.put(path, self.layer(), What::Directory(BTreeMap::new()));
            }
        }
        self.implied.remove(path);
        self.remember(path, meta)
    }

    /// Takes away what is at a path, whoever's it is: something else comes there.
    pub(super) fn clear(&mut self, path: &[u8]) -> Result<()> {
        let Some(id) = self.view.at(path) else { return Ok(()) };
        let own = self.view.node(id).is_some_and(|node| node.layer == self.layer());
        if self.view.prune(path, self.layer()) {
            self.hidden.insert(path.to_vec());
        }
        if own {
            self.remove_from_disk(path)?;
        }
        self.view.remove(path);
        // Nothing is left to be said of what was there. All paths below it lie between these two.
        let range = || [path, b"/"].concat()..[path, b"0"].concat();
        let inside: Vec<Vec<u8>> = self.times.range(range()).map(|(other, _)| other.clone()).collect();
        for other in inside.iter().map(Vec::as_slice).chain([path]) {
            self.times.remove(other);
            self.implied.remove(other);
        }
        Ok(())
    }

    /// The path without links of what a hard link is another name of.
    pub(super) fn link_target(&self, target: &[u8]) -> Result<Vec<u8>> {
        let wrong = |error: Error| error.during("what it is a link to");
        let parts = name::parts(target).map_err(wrong)?;
        let parts = match parts.split_first() {
            _ if self.form == Form::Changes => parts,
            Some((&b"rootfs", rest)) => rest.to_vec(),
            _ => return Err(wrong(Error::refused("outside of its rootfs"))),
        };
        let Some((name, directory)) = parts.split_last() else {
            return Err(wrong(Error::refused("the root")));
        };
        let found = self.view.resolve(directory).map_err(wrong)?;
        Ok(below(&join(&found.parts), name))
    }
}

/// What an entry says of its file.
pub(super) fn meta(entry: &Entry) -> Meta {
    Meta {
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs.clone(),
    }
}
