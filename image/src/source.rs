//! Where images come from.

mod aci;
mod archive;
mod content;
mod docker;
mod layout;
mod legacy;
#[cfg(test)]
mod tests;

pub use aci::{Aci, Finder, Located};
pub use archive::Archive;
pub use content::Oci;
pub use docker::Docker;
pub use layout::{Files, Layout};

use crate::config::Config;
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::oci::Descriptor;
use crate::platform::Platform;
use crate::reference::Reference;
use std::io::Read;
use std::path::Path;

/// Something that has images.
pub trait Source {
    /// What the image is made of.
    ///
    /// # Errors
    /// It is not there, or not as it should be.
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found>;

    /// Told which layers will be opened, in this order: what takes time may begin with all of them.
    fn expect(&mut self, _blobs: &[Blob]) {}

    /// The bytes of a layer, as they are there: unchecked, and maybe compressed.
    ///
    /// # Errors
    /// They cannot be had.
    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>>;

    /// What its images are called, as far as it says.
    ///
    /// # Errors
    /// It cannot be read.
    fn names(&mut self) -> Result<Vec<Reference>> {
        Ok(Vec::new())
    }
}

/// Something that has documents and blobs by their digest: a layout, a registry.
pub trait Content {
    /// What a reference leads to: a manifest or a list of them.
    ///
    /// # Errors
    /// It is not there.
    fn root(&mut self, reference: &Reference) -> Result<Descriptor>;

    /// Told what will be opened, in this order.
    fn expect(&mut self, _descriptors: &[Descriptor]) {}

    /// The bytes of it, unchecked: whoever reads them checks the digest and the size.
    ///
    /// # Errors
    /// They cannot be had.
    fn open(&mut self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>>;
}

/// An image, as a source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What identifies it: the digest of its manifest, or of its configuration, or of its archive.
    pub id: Digest,
    /// What it says of its process.
    pub config: Config,
    /// What it runs on, if it says so.
    pub platform: Option<Platform>,
    /// When it was made, as it says.
    pub created: Option<String>,
    /// The lowest first.
    pub layers: Vec<LayerSource>,
}

/// A layer, as a source has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSource {
    /// Where its bytes are.
    pub blob: Blob,
    /// The digest of its archive, uncompressed, if the source says it.
    pub diff_id: Option<Digest>,
    /// How its archive is to be read.
    pub form: Form,
}

/// What a layer's archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// A changeset: names that begin with `.wh.` take away what is below.
    Changes,
    /// An App Container Image: its root is below `rootfs`, and takes nothing away.
    Aci,
    /// The same, of which and of what lies below it only what its `pathWhitelist` names is left.
    Listed,
}

/// Where the bytes of a layer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// What the source finds it by.
    pub place: String,
    /// Its media type, if the source knows it.
    pub media_type: String,
    /// The digest of the bytes, if the source says it.
    pub digest: Option<Digest>,
    /// How many there are, if the source says it.
    pub size: Option<u64>,
}

/// What is at a path: a layout, or an archive of one of the kinds. `scratch` is where an archive is decompressed to.
///
/// # Errors
/// It cannot be read, or is of no kind that is known.
pub fn open(path: &Path, scratch: &Path, find: Finder) -> Result<Box<dyn Source>> {
    let shown = || path.display().to_string();
    let found = std::fs::metadata(path).context(shown)?;
    if found.is_dir() {
        let layout = Layout::new(Box::new(layout::Directory(path.to_owned()))).context(shown)?;
        return Ok(Box::new(layout.named(path)));
    }
    let archive = Archive::open(path, scratch).context(shown)?;
    if archive.has("oci-layout") && archive.has("index.json") {
        let layout = Layout::new(Box::new(archive)).context(shown)?;
        return Ok(Box::new(layout.named(path)));
    }
    if archive.has("manifest.json") || archive.has("repositories") {
        return Ok(Box::new(Docker::new(archive).context(shown)?));
    }
    if archive.has("manifest") {
        return Ok(Box::new(Aci::new(path.to_owned().into(), find)));
    }
    Err(Error::refused(format!(
        "{} is no image: it has neither index.json nor manifest.json, repositories or manifest",
        shown()
    )))
}
