//! What `docker save` wrote before 1.10: `repositories` leads to the topmost layer, and each layer to the one below it.

use super::layout::whole;
use super::{Archive, Blob, Form, Found, LayerSource};
use crate::config::Config;
use crate::digest::{Algorithm, Hasher};
use crate::error::{Error, Result};
use crate::oci::{ImageConfig, json};
use crate::platform::Platform;
use crate::reference::Reference;
use std::collections::{BTreeMap, HashSet};

/// How many layers an image may have (Docker's own limit was 127).
const DEPTH: usize = 512;

/// Images by name, then by tag: the topmost layer.
type Repositories = BTreeMap<String, BTreeMap<String, String>>;

fn repositories(archive: &Archive) -> Result<Vec<(Reference, String)>> {
    let bytes = whole(archive, "repositories")?.ok_or_else(|| Error::refused("repositories is missing"))?;
    let repositories: Repositories = json(&bytes, "repositories")?;
    let mut images = Vec::new();
    for (name, tags) in repositories {
        for (tag, top) in tags {
            images.push((format!("{name}:{tag}").parse()?, top));
        }
    }
    Ok(images)
}

pub(super) fn names(archive: &Archive) -> Result<Vec<Reference>> {
    Ok(repositories(archive)?.into_iter().map(|(name, _)| name).collect())
}

pub(super) fn describe(archive: &Archive, reference: &Reference, platform: &Platform) -> Result<Found> {
    let images = repositories(archive)?;
    let found = images.iter().find(|(name, _)| name == reference);
    let (_, top) = found.ok_or_else(|| {
        let there: Vec<String> = images.iter().map(|(name, _)| name.to_string()).collect();
        Error::missing(format!("{reference} is not in the archive (there are: {})", there.join(", ")))
    })?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut seen = HashSet::new();
    let mut layers = Vec::new();
    let mut topmost: Option<ImageConfig> = None;
    let mut next = Some(top.clone());
    while let Some(id) = next {
        check_id(&id)?;
        if !seen.insert(id.clone()) {
            return Err(Error::refused(format!("layer {id} lies below itself")));
        }
        if seen.len() > DEPTH {
            return Err(Error::refused(format!("more than {DEPTH} layers")));
        }
        let name = format!("{id}/json");
        let bytes = whole(archive, &name)?
            .ok_or_else(|| Error::missing(format!("layer {id}: {name} is not there")))?;
        hasher.update(id.as_bytes());
        hasher.update(&bytes);
        let config = ImageConfig::parse(&bytes, &name)?;
        next = config.parent.clone();
        topmost.get_or_insert(config);
        layers.push(layer(&id));
    }
    // The lowest first.
    layers.reverse();
    let top = topmost.unwrap_or_else(|| ImageConfig {
        platform: None,
        config: Config::default(),
        diff_ids: Vec::new(),
        parent: None,
        created: None,
    });
    if let Some(found) = top.platform.as_ref().filter(|found| !platform.runs(found)) {
        return Err(Error::refused(format!("{reference} is for {found}, not for {platform}")));
    }
    Ok(Found {
        id: hasher.finish(),
        config: top.config,
        platform: top.platform,
        created: top.created,
        layers,
    })
}

fn layer(id: &str) -> LayerSource {
    let place = format!("{id}/layer.tar");
    let blob = Blob { place, media_type: String::new(), digest: None, size: None };
    LayerSource { blob, diff_id: None, form: Form::Changes }
}

/// The name of a directory, and nothing else.
fn check_id(id: &str) -> Result<()> {
    let good = id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && (1..=128).contains(&id.len());
    if good { Ok(()) } else { Err(Error::refused(format!("{id:?} cannot be the id of a layer"))) }
}
