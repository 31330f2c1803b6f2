//! From a reference by way of lists and manifests to an image, each checked by its digest.

use super::{Blob, Content, Form, Found, LayerSource, Source};
use crate::digest::{Digest, read_checked};
use crate::error::{Context, Error, Result};
use crate::oci::{DOCUMENT_LIMIT, Descriptor, Document, ImageConfig, Manifest, Media, document};
use crate::platform::Platform;
use crate::reference::Reference;
use std::io::Read;

/// How many lists may lead to further lists.
const DEPTH: usize = 4;

/// The images of something that has documents and blobs by their digest.
pub struct Oci<C>(pub C);

impl<C: Content> Oci<C> {
    fn document(&mut self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let digest = descriptor.checked_digest()?;
        let reader = self.0.open(descriptor)?;
        read_checked(reader, &digest, Some(descriptor.size), DOCUMENT_LIMIT, &descriptor.digest)
    }

    fn manifest(&mut self, reference: &Reference, platform: &Platform) -> Result<(Digest, Manifest)> {
        let mut descriptor = self.0.root(reference)?;
        for _ in 0..DEPTH {
            let bytes = self.document(&descriptor)?;
            match document(&bytes, descriptor.media(), &descriptor.digest)? {
                Document::Manifest(manifest) => return Ok((descriptor.checked_digest()?, manifest)),
                Document::Index(index) => {
                    descriptor = index.choose(platform, &descriptor.digest)?.clone();
                }
            }
        }
        Err(Error::refused(format!("more than {DEPTH} lists of manifests lead to one another")))
    }
}

impl<C: Content> Source for Oci<C> {
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found> {
        let (id, manifest) = self.manifest(reference, platform)?;
        let bytes = self.document(&manifest.config).context(|| format!("manifest {id}"))?;
        let config = ImageConfig::parse(&bytes, &manifest.config.digest)?;
        if let Some(found) = config.platform.as_ref().filter(|found| !platform.runs(found)) {
            return Err(Error::refused(format!("image {id} is for {found}, not for {platform}")));
        }
        let layers =
            layers(&manifest, &config).map_err(|error| error.during(format_args!("manifest {id}")))?;
        Ok(Found { id, config: config.config, platform: config.platform, created: config.created, layers })
    }

    fn expect(&mut self, blobs: &[Blob]) {
        let descriptors: Vec<Descriptor> = blobs.iter().map(descriptor).collect();
        self.0.expect(&descriptors);
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        self.0.open(&descriptor(blob))
    }
}

fn descriptor(blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: blob.media_type.clone(),
        digest: blob.place.clone(),
        size: blob.size.unwrap_or_default(),
        platform: None,
        annotations: None,
    }
}

fn layers(manifest: &Manifest, config: &ImageConfig) -> Result<Vec<LayerSource>> {
    let (blobs, diffs) = (manifest.layers.len(), config.diff_ids.len());
    if blobs != diffs {
        return Err(Error::refused(format!(
            "{blobs} layers, but {diffs} digests of them in its configuration"
        )));
    }
    let pairs = manifest.layers.iter().zip(&config.diff_ids);
    pairs.map(|(layer, diff_id)| one(layer, diff_id)).collect()
}

fn one(layer: &Descriptor, diff_id: &Digest) -> Result<LayerSource> {
    if layer.media() == Media::Foreign {
        let digest = &layer.digest;
        return Err(Error::refused(format!("layer {digest} is not distributed with its image")));
    }
    let blob = Blob {
        place: layer.digest.clone(),
        media_type: layer.media_type.clone(),
        digest: Some(layer.checked_digest()?),
        size: Some(layer.size),
    };
    Ok(LayerSource { blob, diff_id: Some(diff_id.clone()), form: Form::Changes })
}
