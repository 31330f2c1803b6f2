//! The image that a service runs from. The provisioner reads it; the supervisor only knows that something has to be
//! prepared before each start, and where it is told what came of that.

use crate::codec::Writer;
use crate::codec::words::{join, split};

/// The image that a service runs from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Image {
    /// As people write it: `docker://ubuntu:13.04`, `oci:NAME`, `appc:NAME,version=1`.
    pub reference: String,
    /// The backend by name; none is the first that works.
    pub backend: Option<String>,
    /// Whether the root may be written to.
    pub writable: bool,
    /// Whether the image is pulled again for each start, although it is in the store (Mesos: `cached = false`).
    pub always_pull: bool,
    /// Whether what the image says of its entrypoint, environment and so on is left out of account.
    pub ignore_runtime: bool,
    /// What of the machine is seen in the container.
    pub volumes: Vec<Volume>,
    /// Further options, as `KEY=VALUE`.
    pub options: Vec<(String, String)>,
}

/// A part of the machine, or of another image, that is seen in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// A path outside, or the reference of an image.
    pub source: String,
    /// The path inside.
    pub target: String,
    /// Whether it may be written to.
    pub writable: bool,
    /// Whether `source` is the reference of an image.
    pub image: bool,
}

impl Image {
    pub(super) fn encode(&self, out: &mut Writer) {
        out.line("image-reference", &self.reference);
        out.lines("image-backend", &self.backend);
        out.line("image-writable", self.writable);
        out.line("image-always-pull", self.always_pull);
        out.line("image-ignore-runtime", self.ignore_runtime);
        for volume in &self.volumes {
            let words = [volume.source.clone(), volume.target.clone()].into_iter();
            let marks = [volume.writable.to_string(), volume.image.to_string()];
            out.line("image-volume", join(words.chain(marks)));
        }
        for (key, value) in &self.options {
            out.line("image-option", join([key.clone(), value.clone()]));
        }
    }

    pub(super) fn set(&mut self, key: &str, value: String) -> Option<()> {
        match key {
            "image-reference" => self.reference = value,
            "image-backend" => self.backend = Some(value),
            "image-writable" => self.writable = value.parse().ok()?,
            "image-always-pull" => self.always_pull = value.parse().ok()?,
            "image-ignore-runtime" => self.ignore_runtime = value.parse().ok()?,
            "image-volume" => {
                let [source, target, writable, image] = split(&value).try_into().ok()?;
                let (writable, image) = (writable.parse().ok()?, image.parse().ok()?);
                self.volumes.push(Volume { source, target, writable, image });
            }
            "image-option" => {
                let words: [String; 2] = split(&value).try_into().ok()?;
                self.options.push(words.into());
            }
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
pub(super) fn full() -> Image {
    Image {
        reference: "docker:///ubuntu:13.04".to_owned(),
        backend: Some("overlay".to_owned()),
        writable: true,
        always_pull: true,
        ignore_runtime: true,
        volumes: vec![Volume {
            source: "/var/lib/a b".to_owned(),
            target: "/data".to_owned(),
            writable: false,
            image: false,
        }],
        options: vec![("a".to_owned(), "b c".to_owned())],
    }
}
