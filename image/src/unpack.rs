//! Layers become trees on disk, each of which lies above those of the layers below it.
//!
//! What an archive names is looked up in a [`View`] of all layers so far, in memory: links are followed there, and lead
//! nowhere but below the root. Only paths without links reach the disk, where the kernel is told to follow none. So a
//! tree has each file where it is seen in the whole, whatever links its archive went through; directories that an
//! archive only implies have what lower layers say of them; and what is taken away is known apart from the tree.

pub mod apply;
pub mod finish;
pub mod inflate;
mod listed;
pub mod make;
pub mod name;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod view;

use crate::error::{Error, Result};
use crate::source::Form;
use crate::tarball::{Entry, Limits, Reader, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use tree::Tree;
use view::View;

/// How layers are unpacked.
#[derive(Clone, Debug)]
pub struct Options {
    /// What is too much.
    pub limits: Limits,
    /// Whether device files are made; else they are refused.
    pub devices: bool,
    /// Whether files get the owners and attributes that they have in the archive: takes root.
    pub owners: bool,
    /// Whether what is taken away is marked in the tree as overlayfs has it: takes root.
    pub marks: bool,
}

impl Default for Options {
    /// As much as may be done without asking.
    fn default() -> Options {
        let root = rustix::process::geteuid().is_root();
        Options { limits: Limits::default(), devices: false, owners: root, marks: root }
    }
}

/// What a layer takes away from those below it, by paths without links.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What is gone.
    pub removed: BTreeSet<Vec<u8>>,
    /// Directories of which only this layer's files are left.
    pub opaque: BTreeSet<Vec<u8>>,
}

/// What came of a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// What it takes away.
    pub changes: Changes,
    /// How many entries its archive had.
    pub entries: u64,
    /// How many bytes its files have.
    pub bytes: u64,
    /// How many extended attributes the filesystem could not keep.
    pub lost_attributes: usize,
    /// The file `manifest` of an App Container Image.
    pub manifest: Option<Vec<u8>>,
}

/// Unpacks one layer above others.
pub struct Unpacker<'a> {
    options: &'a Options,
    form: Form,
    view: &'a mut View,
    /// The trees of the layers below, the lowest first.
    lowers: &'a [Tree],
    tree: &'a Tree,
    /// Paths at which lower layers had something that is seen no more.
    hidden: BTreeSet<Vec<u8>>,
    /// Directories that were made because something is below them.
    implied: BTreeSet<Vec<u8>>,
    /// When directories were changed, which is set at the end.
    times: BTreeMap<Vec<u8>, Time>,
    done: Unpacked,
}

/// Unpacks an archive that is not compressed into the directory `tree`, which is empty. `view` shows the layers of
/// `lowers`, and afterwards this one too.
///
/// # Errors
/// The archive is not as it should be, or the system refused something: the tree is then to be thrown away.
pub fn layer(
    archive: impl Read,
    form: Form,
    view: &mut View,
    lowers: &[Tree],
    tree: &Tree,
    options: &Options,
) -> Result<Unpacked> {
    let mut reader = Reader::new(archive, options.limits.clone());
    let mut unpacker = Unpacker {
        options,
        form,
        view,
        lowers,
        tree,
        hidden: BTreeSet::new(),
        implied: BTreeSet::new(),
        times: BTreeMap::new(),
        done: Unpacked::default(),
    };
    unpacker.begin()?;
    while let Some(entry) = reader.next()? {
        unpacker.done.entries += 1;
        let shown = entry.shown();
        unpacker
            .entry(&entry, &mut reader.data())
            .map_err(|error| error.during(format_args!("entry {shown:?}")))?;
    }
    unpacker.finish()
}

impl Unpacker<'_> {
    /// The number of the layer that is being unpacked.
    fn layer(&self) -> usize {
        self.lowers.len()
    }

    fn entry(&mut self, entry: &Entry, data: &mut impl Read) -> Result<()> {
        match self.form {
            Form::Changes => self.change(entry, data),
            Form::Aci | Form::Listed => self.aci(entry, data),
        }
    }

    /// An entry of an App Container Image: its manifest, or something of its root.
    fn aci(&mut self, entry: &Entry, data: &mut impl Read) -> Result<()> {
        let parts = name::parts(&entry.path)?;
        match parts.split_first() {
            None => Ok(()),
            Some((&b"manifest", [])) => {
                if self.done.manifest.is_some() {
                    return Err(Error::refused("the manifest is there twice"));
                }
                let mut bytes = Vec::new();
                data.take(crate::oci::DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
                self.done.manifest = Some(bytes);
                Ok(())
            }
            Some((&b"rootfs", rest)) => self.make(rest, entry, data),
            Some(_) => {
                Err(Error::refused("an App Container Image has \"manifest\" and \"rootfs\" and nothing else"))
            }
        }
    }
}
