//! What `docker save` writes: `manifest.json` since 1.10, `repositories` before that.

use super::layout::whole;
use super::{Archive, Blob, Files, Form, Found, LayerSource, Source, legacy};
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::oci::{ImageConfig, json};
use crate::platform::Platform;
use crate::reference::{self, Reference};
use serde::Deserialize;
use std::io::Read;

/// An archive of Docker's.
pub struct Docker {
    archive: Archive,
    images: Option<Vec<Listed>>,
}

/// An image, as `manifest.json` has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

impl Listed {
    fn names(&self) -> impl Iterator<Item = reference::Docker> {
        self.repo_tags.iter().flatten().filter_map(|name| name.parse().ok())
    }
}

impl Docker {
    /// Looks at an archive.
    ///
    /// # Errors
    /// Its list of images cannot be read.
    pub fn new(archive: Archive) -> Result<Docker> {
        let images =
            whole(&archive, "manifest.json")?.map(|bytes| json(&bytes, "manifest.json")).transpose()?;
        Ok(Docker { archive, images })
    }

    /// The image that a reference means. One without names may be called anything, if it is alone.
    fn listed(&self, images: &[Listed], reference: &Reference) -> Result<usize> {
        let Reference::Docker(wanted) = reference else {
            return Err(Error::missing(format!("{reference} is not in an archive of Docker's")));
        };
        let named = images.iter().position(|image| image.names().any(|name| name == *wanted));
        let nameless =
            || (images.len() == 1 && images.iter().all(|image| image.names().next().is_none())).then_some(0);
        named.or_else(nameless).ok_or_else(|| {
            let there: Vec<String> = images
                .iter()
                .flat_map(Listed::names)
                .map(|name| Reference::Docker(name).to_string())
                .collect();
            Error::missing(format!("{reference} is not in the archive (there are: {})", there.join(", ")))
        })
    }

    fn current(&self, image: &Listed, platform: &Platform) -> Result<Found> {
        let name = &image.config;
        let bytes = whole(&self.archive, name)?
            .ok_or_else(|| Error::missing(format!("{name} is not in the archive")))?;
        let id = Digest::of(Algorithm::Sha256, &bytes);
        if let Some(expected) = named_digest(name).filter(|expected| *expected != id) {
            return Err(Error::refused(format!(
                "configuration {name}: digest {expected} expected, {id} found"
            )));
        }
        let config = ImageConfig::parse(&bytes, name)?;
        if let Some(found) = config.platform.as_ref().filter(|found| !platform.runs(found)) {
            return Err(Error::refused(format!("image {id} is for {found}, not for {platform}")));
        }
        let files = image.layers.as_deref().unwrap_or_default();
        if files.len() != config.diff_ids.len() {
            let (there, said) = (files.len(), config.diff_ids.len());
            return Err(Error::refused(format!("{there} layers, but {said} digests of them in {name}")));
        }
        let layer = |(file, diff_id): (&String, &Digest)| LayerSource {
            blob: Blob {
                place: file.clone(),
                media_type: String::new(),
                digest: named_digest(file),
                size: None,
            },
            diff_id: Some(diff_id.clone()),
            form: Form::Changes,
        };
        let layers = files.iter().zip(&config.diff_ids).map(layer).collect();
        Ok(Found { id, config: config.config, platform: config.platform, created: config.created, layers })
    }
}

/// The digest that a file is named after: `HEX.json`, `blobs/sha256/HEX`.
fn named_digest(name: &str) -> Option<Digest> {
    let (directory, file) = name.rsplit_once('/').unwrap_or(("", name));
    let hex = match directory {
        "" => file.strip_suffix(".json")?,
        "blobs/sha256" => file,
        _ => return None,
    };
    Digest::new(Algorithm::Sha256, hex).ok()
}

impl Source for Docker {
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found> {
        match &self.images {
            Some(images) => {
                let at = self.listed(images, reference)?;
                let image = images.get(at).ok_or_else(|| Error::missing(reference.to_string()))?;
                self.current(image, platform)
            }
            None => legacy::describe(&self.archive, reference, platform),
        }
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        let name = &blob.place;
        self.archive.open(name)?.ok_or_else(|| Error::missing(format!("layer {name} is not in the archive")))
    }

    fn names(&mut self) -> Result<Vec<Reference>> {
        match &self.images {
            Some(images) => Ok(images.iter().flat_map(Listed::names).map(Reference::Docker).collect()),
            None => legacy::names(&self.archive),
        }
    }
}
