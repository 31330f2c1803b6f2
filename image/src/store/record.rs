//! Images as the store keeps them.

use super::layers::Chain;
use super::{Store, files};
use crate::config::Config;
use crate::digest::{Algorithm, Digest};
use crate::error::{Context, Error, Result};
use crate::platform::Platform;
use crate::reference::Reference;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// What it is called.
    pub reference: String,
    /// The digest of its manifest, configuration or archive.
    pub id: String,
    /// What it runs on, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// When it was made, as it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Its layers, the lowest first.
    pub layers: Vec<Layer>,
    /// What it says of its process.
    #[serde(default)]
    pub config: Config,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Which one, above which others.
    pub chain: Chain,
    /// The digest of its archive, uncompressed.
    pub diff_id: String,
    /// How many bytes its files have.
    pub bytes: u64,
}

/// What the file of an image is called.
pub(super) fn key(reference: &Reference) -> String {
    Digest::of(Algorithm::Sha256, reference.to_string().as_bytes()).hex().to_owned()
}

impl Store {
    pub(super) fn image_path(&self, reference: &Reference) -> PathBuf {
        self.root().join("images").join(format!("{}.json", key(reference)))
    }

    /// An image, if it is there with all its layers.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let path = self.image_path(reference);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::from(error).during(path.display())),
        };
        // What cannot be read is brought in again.
        let Ok(image) = serde_json::from_slice::<Image>(&bytes) else { return Ok(None) };
        Ok(Some(image).filter(|image| image.layers.iter().all(|layer| self.has_layer(&layer.chain))))
    }

    /// Every image, by name; and the files that are none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn images(&self) -> Result<(Vec<Image>, Vec<PathBuf>)> {
        let directory = self.root().join("images");
        let (mut images, mut broken) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(&directory).context(|| directory.display().to_string())? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match serde_json::from_slice::<Image>(&std::fs::read(&path)?) {
                Ok(image) => images.push(image),
                Err(_) => broken.push(path),
            }
        }
        images.sort_by(|one, other| one.reference.cmp(&other.reference));
        broken.sort();
        Ok((images, broken))
    }

    pub(super) fn put(&self, reference: &Reference, image: &Image) -> Result<()> {
        let text = serde_json::to_vec_pretty(image).map_err(|error| Error::refused(error.to_string()))?;
        files::replace(&self.image_path(reference), &text)
    }

    /// Forgets an image. Its layers stay until what nobody needs is thrown away. False if there is none.
    ///
    /// # Errors
    /// The system refused it.
    pub fn forget(&self, reference: &Reference) -> Result<bool> {
        let path = self.image_path(reference);
        match std::fs::remove_file(&path) {
            Ok(()) => files::sync(&self.root().join("images")).map(|()| true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::from(error).during(format_args!("unable to remove {}", path.display()))),
        }
    }
}
