//! An image directory: a kernel, an initramfs, and what is known about them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::Error;

/// The files that may say where the private half of the image's ssh key is, in the field `ssh_key`.
const DESCRIPTIONS: [&str; 2] = ["image.json", "manifest.json"];

/// What of an image qemu and ssh need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    /// The private key that the guest's root accepts, when the image says.
    pub(crate) ssh_key: Option<PathBuf>,
}

impl Image {
    pub(crate) fn open(directory: &Path) -> Result<Self, Error> {
        let file = |name| {
            let path = directory.join(name);
            if path.is_file() {
                return Ok(path);
            }
            let cause = format!("it holds no {name} (an image is built with: make image)");
            Err(Error::Image { path: directory.to_owned(), cause })
        };
        Ok(Self {
            kernel: file("vmlinuz")?,
            initramfs: file("initramfs")?,
            ssh_key: described_key(directory)?,
        })
    }
}

fn described_key(directory: &Path) -> Result<Option<PathBuf>, Error> {
    for name in DESCRIPTIONS {
        let path = directory.join(name);
        // Neither file has to be there.
        let Ok(text) = fs::read(&path) else { continue };
        let description: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::Image { path, cause: format!("it is not JSON: {error}") })?;
        if let Some(key) = description.get("ssh_key").and_then(Value::as_str) {
            let key = directory.join(key);
            // Shorter to read and to type, where it exists.
            return Ok(Some(key.canonicalize().unwrap_or(key)));
        }
    }
    Ok(None)
}
