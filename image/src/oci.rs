//! The documents of the OCI image specification, and Docker's that are like them: read, and checked.

mod config;
mod manifest;
#[cfg(test)]
mod tests;

pub use config::ImageConfig;
pub use manifest::{Document, Index, Manifest, document};

use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use crate::platform::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The longest manifest, index or configuration that is read (the limit of registries for manifests).
pub const DOCUMENT_LIMIT: u64 = 4 << 20;

/// An annotation: what an image of a layout is called.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// An annotation of containerd's: the whole name of an image.
pub const IMAGE_NAME: &str = "io.containerd.image.name";

/// What something is, how long it is, and its digest (OCI image specification, descriptor).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type.
    pub media_type: String,
    /// The digest, as it is written.
    pub digest: String,
    /// How long it is.
    pub size: u64,
    /// What it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// What else is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// The digest, checked.
    ///
    /// # Errors
    /// It is none, or of a kind that is not known.
    pub fn checked_digest(&self) -> Result<Digest> {
        self.digest.parse()
    }

    /// The algorithm of the digest.
    ///
    /// # Errors
    /// As [`Descriptor::checked_digest`].
    pub fn algorithm(&self) -> Result<Algorithm> {
        self.checked_digest().map(|digest| digest.algorithm())
    }

    /// What it is.
    #[must_use]
    pub fn media(&self) -> Media {
        Media::of(&self.media_type)
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }
}

/// The kinds of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// A list of manifests.
    Index,
    /// The description of an image.
    Manifest,
    /// What an image says of itself and its process.
    Config,
    /// A changeset.
    Layer,
    /// A changeset that may not be distributed, and so is elsewhere.
    Foreign,
    /// Something else.
    Other,
}

impl Media {
    /// The kind of a media type.
    #[must_use]
    pub fn of(media_type: &str) -> Media {
        match media_type {
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Media::Index,
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Media::Manifest,
            "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json" => {
                Media::Config
            }
            "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => Media::Foreign,
            other if other.starts_with("application/vnd.oci.image.layer.nondistributable.v1.tar") => {
                Media::Foreign
            }
            other
                if other.starts_with("application/vnd.oci.image.layer.v1.tar")
                    || other.starts_with("application/vnd.docker.image.rootfs.diff.tar") =>
            {
                Media::Layer
            }
            _ => Media::Other,
        }
    }
}

/// Reads a document.
pub(crate) fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::refused(format!("{what}: {error}")))
}
