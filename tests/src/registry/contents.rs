//! What it serves.

use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// Blobs, manifests and other files.
#[derive(Debug, Default)]
pub struct Contents {
    pub(super) blobs: HashMap<String, Vec<u8>>,
    pub(super) manifests: HashMap<(String, String), (String, Vec<u8>)>,
    pub(super) files: HashMap<String, Vec<u8>>,
}

/// An image in a registry.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The digest of its manifest.
    pub digest: String,
    /// The manifest.
    pub manifest: Vec<u8>,
    /// Its media type.
    pub media_type: String,
    /// The digests of its layers, as they are there.
    pub layers: Vec<String>,
}

/// `sha256:…` of something.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

impl Contents {
    /// Adds a blob, and tells its digest.
    pub fn blob(&mut self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.blobs.insert(digest.clone(), bytes.to_vec());
        digest
    }

    /// Adds a manifest, by its digest and as a tag.
    pub fn manifest(&mut self, repository: &str, tag: &str, media_type: &str, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        for which in [tag, &digest] {
            let key = (repository.to_owned(), which.to_owned());
            self.manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
        }
        digest
    }

    /// Adds a file that is no part of a registry.
    pub fn file(&mut self, path: &str, bytes: &[u8]) {
        self.files.insert(path.to_owned(), bytes.to_vec());
    }

    /// Adds an image of layers, each an archive that is not compressed.
    pub fn image(&mut self, repository: &str, tag: &str, layers: &[&[u8]]) -> Sample {
        let sample = sample(layers, "linux/amd64");
        self.add(repository, tag, layers, &sample);
        sample
    }

    /// Adds an image for each platform, and a list of them; tells the list's digest, and the images.
    pub fn list(
        &mut self,
        repository: &str,
        tag: &str,
        images: &[(&str, &[&[u8]])],
    ) -> (String, Vec<Sample>) {
        let mut samples = Vec::new();
        let mut entries = Vec::new();
        for (platform, layers) in images {
            let sample = sample(layers, platform);
            self.add(repository, &sample.digest.clone(), layers, &sample);
            let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
            entries.push(serde_json::json!({
                "mediaType": sample.media_type, "digest": sample.digest, "size": sample.manifest.len(),
                "platform": { "os": os, "architecture": architecture },
            }));
            samples.push(sample);
        }
        let media = "application/vnd.oci.image.index.v1+json";
        let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media, "manifests": entries });
        (self.manifest(repository, tag, media, index.to_string().as_bytes()), samples)
    }

    fn add(&mut self, repository: &str, tag: &str, layers: &[&[u8]], sample: &Sample) {
        for layer in layers {
            self.blob(layer);
        }
        let config = config(layers, &sample.platform());
        self.blob(config.as_bytes());
        self.manifest(repository, tag, &sample.media_type, &sample.manifest);
    }
}

impl Sample {
    fn platform(&self) -> String {
        let manifest: serde_json::Value = serde_json::from_slice(&self.manifest).unwrap();
        manifest["annotations"]["platform"].as_str().unwrap().to_owned()
    }
}

fn config(layers: &[&[u8]], platform: &str) -> String {
    let (os, architecture) = platform.split_once('/').unwrap_or((platform, ""));
    let diff_ids: Vec<String> = layers.iter().map(|layer| digest(layer)).collect();
    serde_json::json!({
        "os": os, "architecture": architecture, "config": { "Cmd": ["sh"] },
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    })
    .to_string()
}

/// The manifest of an image of layers.
#[must_use]
pub fn sample(layers: &[&[u8]], platform: &str) -> Sample {
    let config = config(layers, platform);
    let entry = |media: &str, bytes: &[u8]| serde_json::json!({ "mediaType": media, "digest": digest(bytes), "size": bytes.len() });
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "annotations": { "platform": platform },
        "config": entry("application/vnd.oci.image.config.v1+json", config.as_bytes()),
        "layers": layers.iter().map(|layer| entry("application/vnd.oci.image.layer.v1.tar", layer)).collect::<Vec<_>>(),
    })
    .to_string()
    .into_bytes();
    Sample {
        digest: digest(&manifest),
        manifest,
        media_type: media_type.to_owned(),
        layers: layers.iter().map(|layer| digest(layer)).collect(),
    }
}
