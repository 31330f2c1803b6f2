//! What several tests need: a place of their own, and images that are made up.

#[path = "../tests/common/archive.rs"]
pub(crate) mod archive;
#[path = "../tests/common/images.rs"]
pub(crate) mod images;

use crate::config::Config;
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::progress::Silent;
use crate::provision::Containers;
use crate::reference::Reference;
use crate::source::{Blob, Form, Found, LayerSource, Source};
use crate::store::{Image, Request, Store};
use crate::unpack::Options;
use archive::{Item, archive as packed};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::io::Read;
use std::path::PathBuf;
use tempfile::TempDir;

/// A store and containers on a filesystem of their own, mounted for this thread alone: nothing of it is left.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
    pub(crate) store: Store,
    pub(crate) containers: Containers,
}

impl Place {
    /// None if we may not mount anything, which takes root: that is said, and the test is over.
    pub(crate) fn new() -> Option<Place> {
        Place::of_size("100%")
    }

    /// With so much room.
    pub(crate) fn of_size(size: &str) -> Option<Place> {
        if !archive::are_we_root() {
            return None;
        }
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none = None::<&str>;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
        let directory = TempDir::new().unwrap();
        let options = format!("size={size}");
        mount(none, directory.path(), Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
        let store = Store::open(&directory.path().join("store")).unwrap();
        let containers = Containers::open(&directory.path().join("containers")).unwrap();
        Some(Place { directory, store, containers })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Brings an image of these layers in.
    pub(crate) fn import(&self, name: &str, layers: &[Vec<Item>]) -> Result<Image> {
        self.import_from(name, Memory::new(layers), false)
    }

    pub(crate) fn import_from(&self, name: &str, memory: Memory, again: bool) -> Result<Image> {
        let reference: Reference = name.parse().unwrap();
        let (platform, options) = (Platform::host(), Options { devices: true, ..Options::default() });
        let request = Request { reference: &reference, platform: &platform, options: &options, again };
        self.store.import(&request, || Ok(Box::new(memory)), &mut Silent)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = crate::backend::detach(self.directory.path());
    }
}

/// An image in memory.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) archives: Vec<Vec<u8>>,
    pub(crate) config: Config,
    /// What the layers are said to be, if not what they are.
    pub(crate) said: Option<Digest>,
}

impl Memory {
    pub(crate) fn new(layers: &[Vec<Item>]) -> Memory {
        let archives = layers.iter().map(|items| packed(items)).collect();
        Memory { archives, config: Config::default(), said: None }
    }
}

impl Source for Memory {
    fn describe(&mut self, _: &Reference, _: &Platform) -> Result<Found> {
        let digest = |bytes: &Vec<u8>| Digest::of(Algorithm::Sha256, bytes);
        let layer = |(at, bytes): (usize, &Vec<u8>)| LayerSource {
            blob: Blob {
                place: at.to_string(),
                media_type: String::new(),
                digest: Some(digest(bytes)),
                size: Some(bytes.len() as u64),
            },
            diff_id: Some(self.said.clone().unwrap_or_else(|| digest(bytes))),
            form: Form::Changes,
        };
        Ok(Found {
            id: digest(&self.archives.concat()),
            config: self.config.clone(),
            platform: None,
            created: None,
            layers: self.archives.iter().enumerate().map(layer).collect(),
        })
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        let at: usize = blob.place.parse().unwrap();
        self.archives
            .get(at)
            .map(|bytes| Box::new(bytes.as_slice()) as Box<dyn Read>)
            .ok_or_else(|| Error::missing("x"))
    }
}
