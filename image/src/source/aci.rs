//! App Container Images: an archive each, with a manifest and a root, above those of the images that it depends on.

use super::{Blob, Form, Found, LayerSource, Source};
use crate::appc::ImageManifest;
use crate::digest::{Algorithm, Checked, Digest};
use crate::error::{Context, Error, Result};
use crate::oci::DOCUMENT_LIMIT;
use crate::platform::Platform;
use crate::reference::{Appc, Reference};
use crate::tarball::{Limits, Reader};
use crate::unpack::inflate;
use crate::unpack::name;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

/// Finds the archive of an image that another depends on.
pub type Finder = Box<dyn FnMut(&Appc) -> Result<Located>>;

/// Where an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where it can be read; what was fetched has no name of its own.
    pub path: PathBuf,
    /// Where it is from, for people.
    pub name: String,
}

impl From<PathBuf> for Located {
    fn from(path: PathBuf) -> Located {
        Located { name: path.display().to_string(), path }
    }
}

/// How deep images may depend on one another.
const DEPTH: usize = 64;

/// The archive of an image, and those of what it depends on.
pub struct Aci {
    at: Located,
    find: Finder,
}

/// What was found in an archive.
struct Opened {
    at: Located,
    id: Digest,
    manifest: ImageManifest,
}

impl Aci {
    /// The image of an archive.
    #[must_use]
    pub fn new(at: Located, find: Finder) -> Aci {
        Aci { at, find }
    }

    /// Adds an image after those that it depends on, each once.
    fn collect(&mut self, image: Opened, above: &mut Vec<Digest>, done: &mut Vec<Opened>) -> Result<()> {
        if above.contains(&image.id) {
            return Err(Error::refused(format!("{} depends on itself", image.manifest.name)));
        }
        if above.len() >= DEPTH {
            return Err(Error::refused(format!("more than {DEPTH} images depend on one another")));
        }
        if done.iter().any(|other| other.id == image.id) {
            return Ok(());
        }
        above.push(image.id.clone());
        for dependency in &image.manifest.dependencies {
            let wanted = &dependency.0;
            let what = || format!("{} depends on appc:{wanted}", image.manifest.name);
            let found = (self.find)(wanted).context(what)?;
            let found = read(&found).context(what)?;
            check(&found, wanted).context(what)?;
            if !found.manifest.whitelist.is_empty() {
                let error =
                    "it has a pathWhitelist, which only an image that no other depends on may have here";
                return Err(Error::refused(error)).context(what);
            }
            self.collect(found, above, done)?;
        }
        above.pop();
        done.push(image);
        Ok(())
    }
}

impl Source for Aci {
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found> {
        let image = read(&self.at)?;
        match reference {
            Reference::Appc(wanted) => check(&image, wanted)?,
            Reference::Docker(_) | Reference::Oci(_) => {
                return Err(Error::missing(format!("{reference} is no App Container Image, which this is")));
            }
        }
        let runs_on = image.manifest.platform();
        if let Some(found) = runs_on.as_ref().filter(|found| !platform.runs(found)) {
            return Err(Error::refused(format!("{reference} is for {found}, not for {platform}")));
        }
        let (id, config) = (image.id.clone(), image.manifest.config.clone());
        let mut images = Vec::new();
        self.collect(image, &mut Vec::new(), &mut images)?;
        let layer = |image: Opened| LayerSource {
            form: if image.manifest.whitelist.is_empty() { Form::Aci } else { Form::Listed },
            blob: Blob {
                place: image.at.path.to_string_lossy().into_owned(),
                media_type: String::new(),
                digest: None,
                size: None,
            },
            diff_id: Some(image.id),
        };
        let layers = images.into_iter().map(layer).collect();
        Ok(Found { id, config, platform: runs_on, created: None, layers })
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        Ok(Box::new(File::open(&blob.place).context(|| blob.place.clone())?))
    }

    fn names(&mut self) -> Result<Vec<Reference>> {
        let manifest = read(&self.at)?.manifest;
        let mut appc: Appc = manifest.name.parse()?;
        appc.labels = manifest.labels;
        appc.to_string().parse().map(|appc| vec![Reference::Appc(appc)])
    }
}

fn check(image: &Opened, wanted: &Appc) -> Result<()> {
    let shown = || image.at.name.clone();
    if let Some(expected) = wanted.id.as_ref().filter(|expected| **expected != image.id) {
        return Err(Error::refused(format!("{}: id {expected} expected, {} found", shown(), image.id)));
    }
    image.manifest.check(wanted).context(shown)
}

/// Reads an archive from end to end: its manifest, and the digest of all of it, uncompressed, which is its id.
fn read(at: &Located) -> Result<Opened> {
    let shown = || at.name.clone();
    let limits = Limits::default();
    let file = File::open(&at.path).context(shown)?;
    let archive = inflate::reader(file, limits.ratio).context(shown)?;
    let mut checked = Checked::new(archive, Algorithm::Sha512, limits.bytes, shown());
    let manifest = manifest(&mut checked, limits).context(shown)?;
    let (id, _) = checked.drain()?;
    Ok(Opened { at: at.clone(), id, manifest })
}

fn manifest(archive: &mut impl Read, limits: Limits) -> Result<ImageManifest> {
    let mut reader = Reader::new(archive, limits);
    let (mut manifest, mut root) = (None, false);
    while let Some(entry) = reader.next()? {
        let parts = name::parts(&entry.path)
            .map_err(|error| error.during(format_args!("entry {:?}", entry.shown())))?;
        root |= parts.first() == Some(&&b"rootfs"[..]);
        if parts == [b"manifest"] {
            let mut bytes = Vec::new();
            reader.data().take(DOCUMENT_LIMIT).read_to_end(&mut bytes)?;
            manifest = Some(ImageManifest::parse(&bytes)?);
        }
    }
    if !root {
        return Err(Error::refused("no App Container Image: rootfs is missing"));
    }
    manifest.ok_or_else(|| Error::refused("no App Container Image: manifest is missing"))
}
