//! Manifests, and lists of them.

use super::{Descriptor, Media, json};
use crate::error::{Error, Result};
use crate::platform::Platform;
use serde::Deserialize;

/// The list of manifests that a name stands for (OCI image specification, image index).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    /// The manifests, or further lists.
    pub manifests: Vec<Descriptor>,
}

/// What an image is made of (OCI image specification, image manifest).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    /// What it says of itself.
    pub config: Descriptor,
    /// Its changesets, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// Either.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    /// A list of manifests.
    Index(Index),
    /// A manifest.
    Manifest(Manifest),
}

impl Index {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or says it is something else.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Index> {
        let index: Index = json(bytes, &format!("image index {name}"))?;
        check_version(index.schema_version, name)?;
        check_media(index.media_type.as_deref(), Media::Index, name)?;
        for descriptor in &index.manifests {
            descriptor.checked_digest().map_err(|error| error.during(format_args!("image index {name}")))?;
        }
        Ok(index)
    }

    /// The entry for a platform: the one that fits, else one that says nothing of platforms if there is no other.
    ///
    /// # Errors
    /// There is none.
    pub fn choose(&self, platform: &Platform, name: &str) -> Result<&Descriptor> {
        let images =
            || self.manifests.iter().filter(|entry| matches!(entry.media(), Media::Index | Media::Manifest));
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_some_and(|found| platform.runs(found));
        // The exact variant before any.
        let exact = |entry: &&Descriptor| {
            entry
                .platform
                .as_ref()
                .is_some_and(|found| found.variant == platform.variant && platform.runs(found))
        };
        let unsaid = || images().find(|entry| entry.platform.is_none());
        // Of what we know our own variant of, the latest; else the one that asks for the least.
        let level = |entry: &&Descriptor| entry.platform.as_ref().map_or(0, Platform::level);
        let best = || {
            let fitting = images().filter(fits);
            if platform.variant.is_some() { fitting.max_by_key(level) } else { fitting.min_by_key(level) }
        };
        images().find(exact).or_else(best).or_else(unsaid).ok_or_else(|| {
            let there: Vec<String> =
                images().filter_map(|entry| entry.platform.as_ref()).map(ToString::to_string).collect();
            let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
            Error::missing(format!("image index {name}: no image for {platform} (there are: {there})"))
        })
    }
}

impl Manifest {
    /// Reads one.
    ///
    /// # Errors
    /// It is none, or has something that is no layer.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Manifest> {
        let wrong = |error: Error| error.during(format_args!("manifest {name}"));
        let manifest: Manifest = json(bytes, &format!("manifest {name}"))?;
        check_version(manifest.schema_version, name)?;
        check_media(manifest.media_type.as_deref(), Media::Manifest, name)?;
        manifest.config.checked_digest().map_err(wrong)?;
        if manifest.config.media() != Media::Config {
            let found = &manifest.config.media_type;
            return Err(wrong(Error::refused(format!(
                "its configuration is of the type {found:?}: no container image"
            ))));
        }
        for layer in &manifest.layers {
            layer.checked_digest().map_err(wrong)?;
            match layer.media() {
                Media::Layer | Media::Foreign => {}
                Media::Index | Media::Manifest | Media::Config | Media::Other => {
                    let (digest, found) = (&layer.digest, &layer.media_type);
                    return Err(wrong(Error::refused(format!(
                        "{digest} is of the type {found:?}, which is no layer"
                    ))));
                }
            }
        }
        Ok(manifest)
    }
}

/// Reads what a descriptor of the type `media` leads to.
///
/// # Errors
/// It is neither, or not what the descriptor says.
pub fn document(bytes: &[u8], media: Media, name: &str) -> Result<Document> {
    match media {
        Media::Index => Index::parse(bytes, name).map(Document::Index),
        Media::Manifest => Manifest::parse(bytes, name).map(Document::Manifest),
        Media::Config | Media::Layer | Media::Foreign | Media::Other => {
            Err(Error::refused(format!("{name} is neither a manifest nor a list of them")))
        }
    }
}

fn check_version(version: u32, name: &str) -> Result<()> {
    match version {
        2 => Ok(()),
        1 => Err(Error::refused(format!(
            "{name}: manifests of version 1 are not supported (its makers gave them up)"
        ))),
        other => Err(Error::refused(format!("{name}: version {other} is not known, only 2"))),
    }
}

/// A document that says what it is must be what its descriptor says.
fn check_media(found: Option<&str>, expected: Media, name: &str) -> Result<()> {
    match found {
        Some(found) if Media::of(found) != expected => {
            Err(Error::refused(format!("{name}: media type {found:?} is not what was expected")))
        }
        Some(_) | None => Ok(()),
    }
}
