//! Bringing an image in.

use super::layers::{Chain, LayerInfo, describe};
use super::record::{Image, Layer, key};
use super::staging::Staging;
use super::{Store, files, lock};
use crate::digest::{Algorithm, Checked, Digest};
use crate::error::{Context, Error, Kind, Result};
use crate::fault;
use crate::platform::Platform;
use crate::progress::Progress;
use crate::reference::Reference;
use crate::source::{Blob, Found, LayerSource, Source};
use crate::unpack::tree::Tree;
use crate::unpack::view::View;
use crate::unpack::{Options, Unpacked, inflate, layer};
use rustix::fs::FlockOperation;
use std::io::{self, Read};

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which image.
    pub reference: &'a Reference,
    /// For which platform.
    pub platform: &'a Platform,
    /// How its layers are unpacked.
    pub options: &'a Options,
    /// Whether it is brought in although it is there.
    pub again: bool,
}

/// The layers below the one that is being unpacked: made only when one has to be.
struct Stack {
    chains: Vec<Chain>,
    seen: Option<(Vec<Tree>, View)>,
}

impl Store {
    /// Brings an image in, unless it is there: then the source is not even made. Whoever asks for an image that
    /// another process is bringing in waits for that.
    ///
    /// # Errors
    /// It cannot be had, is not as it should be, or the system refused something; then nothing is left of it but layers
    /// that are complete.
    pub fn import(
        &self,
        request: &Request<'_>,
        source: impl FnOnce() -> Result<Box<dyn Source>>,
        progress: &mut dyn Progress,
    ) -> Result<Image> {
        let what = || format!("unable to import {}", request.reference);
        let _shared = self.share()?;
        // What is there needs nothing to be written, not even that it is being brought in.
        if let Some(image) = self.find(request.reference)?.filter(|_| !request.again) {
            return Ok(image);
        }
        // By which image this process waits for it can be told whether it came while it waited.
        let before = self.find(request.reference)?.filter(|_| request.again);
        let path = self.root().join("pulls").join(key(request.reference));
        let _ours = match lock(&path, FlockOperation::NonBlockingLockExclusive) {
            Err(error) if error.kind == Kind::Busy => {
                let waited = lock(&path, FlockOperation::LockExclusive)?;
                let after = self.find(request.reference)?;
                // It was brought in a moment ago, for another who asked for the newest.
                if let Some(image) = after.filter(|after| before.as_ref() != Some(after)) {
                    return Ok(image);
                }
                waited
            }
            taken => taken?,
        };
        if let Some(image) = self.find(request.reference)?.filter(|_| !request.again) {
            return Ok(image);
        }
        let mut source = source().context(what)?;
        self.bring_in(request, &mut *source, progress).context(what)
    }

    fn bring_in(
        &self,
        request: &Request<'_>,
        source: &mut dyn Source,
        progress: &mut dyn Progress,
    ) -> Result<Image> {
        let found = source.describe(request.reference, request.platform)?;
        fault::point("described");
        source.expect(&self.needed(&found));
        let staging = Staging::new(self)?;
        let options =
            &Options { marks: request.options.marks && staging.keeps_marks(), ..request.options.clone() };
        let request = &Request { options, ..*request };
        let mut stack = Stack { chains: Vec::new(), seen: None };
        let mut layers = Vec::new();
        for layer in &found.layers {
            layers.push(self.layer(request, source, layer, &mut stack, &staging, progress)?);
        }
        let Found { id, config, platform, created, .. } = found;
        let image = Image {
            reference: request.reference.to_string(),
            id: id.to_string(),
            platform,
            created,
            layers,
            config,
        };
        fault::point("layers-complete");
        self.put(request.reference, &image)?;
        fault::point("image-complete");
        Ok(image)
    }

    /// The layers that have to be opened, as far as that can be told by their digests.
    fn needed(&self, found: &Found) -> Vec<Blob> {
        let mut needed = Vec::new();
        let mut below: Option<Chain> = None;
        let mut there = true;
        for layer in &found.layers {
            let chain =
                layer.diff_id.as_ref().map(|diff_id| Chain::above(below.as_ref(), diff_id, layer.form));
            there &= chain.is_some();
            if !there || chain.as_ref().is_none_or(|chain| !self.has_layer(chain)) {
                needed.push(layer.blob.clone());
            }
            below = chain;
        }
        needed
    }

    /// Sees to it that a layer is there.
    fn layer(
        &self,
        request: &Request<'_>,
        source: &mut dyn Source,
        from: &LayerSource,
        stack: &mut Stack,
        staging: &Staging,
        progress: &mut dyn Progress,
    ) -> Result<Layer> {
        let known =
            from.diff_id.as_ref().map(|diff_id| Chain::above(stack.chains.last(), diff_id, from.form));
        if let Some(chain) = known.filter(|chain| self.has_layer(chain)) {
            let info = self.layer_info(&chain)?;
            stack.seen = None;
            stack.chains.push(chain.clone());
            return Ok(Layer { chain, diff_id: info.diff_id, bytes: info.bytes });
        }
        if stack.seen.is_none() {
            stack.seen = Some(self.view(&stack.chains)?);
        }
        let (trees, view) = stack.seen.get_or_insert_default();
        let place = staging.path().join(stack.chains.len().to_string());
        let tree_path = place.join("tree");
        std::fs::create_dir_all(&tree_path).context(|| format!("unable to make {}", tree_path.display()))?;
        let tree = Tree::open(&tree_path)?;
        let name = from.blob.digest.as_ref().map_or_else(|| from.blob.place.clone(), Digest::to_string);
        progress.start(&name, from.blob.size);
        let (diff_id, done) =
            unpack(request, source, from, &name, (view, trees.as_slice(), &tree), progress)?;
        progress.done();
        if done.lost_attributes > 0 {
            let count = done.lost_attributes;
            progress.warn(&format!(
                "layer {name}: the filesystem of the store cannot keep {count} extended attributes"
            ));
        }
        let chain = Chain::above(stack.chains.last(), &diff_id, from.form);
        let info = LayerInfo {
            diff_id: diff_id.to_string(),
            parent: stack.chains.last().cloned(),
            entries: done.entries,
            bytes: done.bytes,
            marks: request.options.marks,
            listing: String::new(),
        };
        fault::point("layer-unpacked");
        describe(&place, &done, info).context(|| format!("layer {name}"))?;
        self.keep(&place, &chain)?;
        trees.push(Tree::open(&self.tree_path(&chain))?);
        stack.chains.push(chain.clone());
        Ok(Layer { chain, diff_id: diff_id.to_string(), bytes: done.bytes })
    }

    /// Puts a layer that is complete where it belongs; another may have done the same a moment before.
    fn keep(&self, place: &std::path::Path, chain: &Chain) -> Result<()> {
        let path = self.layer_path(chain);
        let directory = std::fs::File::open(place)?;
        rustix::fs::syncfs(&directory).context(|| "unable to write everything out")?;
        fault::point("layer-synced");
        if path.exists() && !self.has_layer(chain) {
            self.discard(&path)?;
        }
        match std::fs::rename(place, &path) {
            Ok(()) => {}
            Err(_) if self.has_layer(chain) => {}
            Err(error) => {
                return Err(Error::from(error).during(format_args!("unable to make {}", path.display())));
            }
        }
        fault::point("layer-complete");
        files::sync(&self.root().join("layers"))
    }
}

/// Unpacks a layer, and checks its digests: that of its bytes as they came, and that of what they are uncompressed.
fn unpack(
    request: &Request<'_>,
    source: &mut dyn Source,
    from: &LayerSource,
    name: &str,
    (view, trees, tree): (&mut View, &[Tree], &Tree),
    progress: &mut dyn Progress,
) -> Result<(Digest, Unpacked)> {
    let what = || format!("layer {name}");
    let limits = &request.options.limits;
    let size = from.blob.size.unwrap_or(limits.bytes).min(limits.bytes);
    let algorithm = from.blob.digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
    let reader = Told { inner: source.open(&from.blob).context(what)?, progress };
    let mut blob = Checked::new(reader, algorithm, size, what());
    let unpacked = inside(request, from, &mut blob, &what(), (view, trees, tree));
    // What came damaged is the better reason, whatever it did to what reads it.
    if let Some(digest) = &from.blob.digest {
        match blob.finish(digest, from.blob.size) {
            Err(error) if error.kind == Kind::Refused || unpacked.is_ok() => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    unpacked
}

fn inside(
    request: &Request<'_>,
    from: &LayerSource,
    blob: &mut impl Read,
    what: &str,
    (view, trees, tree): (&mut View, &[Tree], &Tree),
) -> Result<(Digest, Unpacked)> {
    let limits = &request.options.limits;
    let algorithm = from.diff_id.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
    let archive = inflate::reader(blob, limits.ratio).context(|| what.to_owned())?;
    let mut archive = Checked::new(archive, algorithm, limits.bytes, format!("{what}, uncompressed"));
    let done =
        layer(&mut archive, from.form, view, trees, tree, request.options).context(|| what.to_owned())?;
    let (found, _) = archive.drain()?;
    match &from.diff_id {
        Some(expected) if *expected != found => {
            Err(Error::refused(format!("{what}, uncompressed: digest {expected} expected, {found} found")))
        }
        Some(_) | None => Ok((found, done)),
    }
}

/// Tells how much was read.
struct Told<'a, R> {
    inner: R,
    progress: &'a mut dyn Progress,
}

impl<R: Read> Read for Told<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}
