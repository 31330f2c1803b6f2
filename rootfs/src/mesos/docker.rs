//! Reads what `docker save` writes: `manifest.json`, an OCI layout, or the old `repositories` file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::layers::{self, Spool};
use crate::digest;
use crate::error::{Context, Error, Result};
use crate::tree::Tree;

const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// An archive of one image.
struct Archive {
    file: File,
    /// Where each file in it begins, and how long it is.
    parts: BTreeMap<String, (u64, u64)>,
}

/// The layers of an image, the lowest first: the file of each, and the digest of its content where it is given.
type Layers = Vec<(String, Option<String>)>;

/// The file system of the image in a `docker save` archive.
pub(crate) fn read(path: &Path, spool: &mut Spool, scratch: &Path) -> Result<Tree> {
    let mut archive = Archive::open(path, scratch)?;
    let layers = archive.layers()?;
    let mut tree = Tree::default();
    for (name, content) in layers {
        let mut hash = Hashing { inner: decompress(archive.blob(&name)?)?, hash: Sha256::new() };
        layers::apply(&mut tree, &mut hash, spool)?;
        // What follows the end mark of the archive counts for the digest, too.
        io::copy(&mut hash, &mut io::sink()).context(|| format!("read {name}"))?;
        check(&name, content.as_deref(), &digest::hexadecimal(&hash.hash.finalize()))?;
    }
    Ok(tree)
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// An archive or a layer may be compressed.
pub(crate) fn decompress<'a>(mut reader: impl Read + Seek + 'a) -> Result<Box<dyn Read + 'a>> {
    let reading = || "read an archive";
    let mut magic = [0; 4];
    let start = reader.stream_position().context(reading)?;
    let mut filled = 0;
    while let Some(rest) = magic.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest).context(reading)? {
            0 => break,
            count => filled += count,
        }
    }
    reader.seek(SeekFrom::Start(start)).context(reading)?;
    Ok(if magic.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(reader))
    } else if magic == ZSTD {
        Box::new(zstd::Decoder::new(reader).context(reading)?)
    } else {
        Box::new(reader)
    })
}

/// Holds a digest, such as `sha256:ab…` or the name of a file, against what was found.
fn check(name: &str, expected: Option<&str>, found: &str) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    match expected.strip_prefix("sha256:") {
        Some(expected) if expected == found => Ok(()),
        Some(_) => {
            Err(Error::new(format_args!("use {name}"), "its content does not have the digest it should"))
        }
        None => {
            Err(Error::new(format_args!("use {name}"), format_args!("{expected} is not a sha256 digest")))
        }
    }
}

/// A part of a file, as a reader that can go back.
struct Part {
    file: File,
    start: u64,
    length: u64,
    at: u64,
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.file.read_at(buffer.get_mut(..length).unwrap_or_default(), self.start + self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Part {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.filter(|at| *at <= self.length).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Archive {
    fn open(path: &Path, scratch: &Path) -> Result<Self> {
        let opening = || format!("read {}", path.display());
        let mut file = File::open(path).context(opening)?;
        let mut magic = [0; 4];
        file.read_exact(&mut magic).context(opening)?;
        file.rewind().context(opening)?;
        if magic.starts_with(&GZIP) || magic == ZSTD {
            let plain = scratch.join("archive.tar");
            let mut output = File::create(&plain).context(opening)?;
            io::copy(&mut decompress(file)?, &mut output).context(opening)?;
            file = File::open(&plain).context(opening)?;
        }
        let mut parts = BTreeMap::new();
        let mut archive = tar::Archive::new(&file);
        for entry in archive.entries_with_seek().context(opening)? {
            let entry = entry.context(opening)?;
            let name = entry.path().context(opening)?.to_string_lossy().trim_start_matches("./").to_owned();
            if entry.header().entry_type().is_file() {
                parts.insert(name, (entry.raw_file_position(), entry.size()));
            } else if let Some(target) = entry.link_name().context(opening)? {
                // Layers that are equal are saved once: the others are links such as `../ID/layer.tar`.
                let target = target.to_string_lossy().trim_start_matches("../").to_owned();
                if let Some(part) = parts.get(&target).copied() {
                    parts.insert(name, part);
                }
            }
        }
        Ok(Self { file, parts })
    }

    fn part(&self, name: &str) -> Result<Part> {
        let opening = || format!("find {name} in the archive");
        let (start, length) =
            self.parts.get(name).copied().ok_or_else(|| Error::new(opening(), "there is no such file"))?;
        let file = self.file.try_clone().context(opening)?;
        Ok(Part { file, start, length, at: 0 })
    }

    /// A file of the archive; one that is named by its digest must have it.
    fn blob(&self, name: &str) -> Result<Part> {
        if let Some(expected) = name.strip_prefix("blobs/sha256/") {
            let mut hash = Sha256::new();
            io::copy(&mut self.part(name)?, &mut hash).context(|| format!("read {name}"))?;
            let found = digest::hexadecimal(&hash.finalize());
            check(name, Some(&format!("sha256:{expected}")), &found)?;
        }
        self.part(name)
    }

    fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_reader(io::BufReader::new(self.blob(name)?)).context(|| format!("read {name}"))
    }

    fn layers(&mut self) -> Result<Layers> {
        if self.parts.contains_key("manifest.json") {
            self.manifest()
        } else if self.parts.contains_key("index.json") {
            self.index()
        } else if self.parts.contains_key("repositories") {
            self.repositories()
        } else {
            let cause = "it has no manifest.json, index.json or repositories (docker save writes one)";
            Err(Error::new("use the archive", cause))
        }
    }

    fn manifest(&self) -> Result<Layers> {
        let manifest = self.json("manifest.json")?;
        let image = only(manifest.as_array(), "manifest.json")?;
        let files = strings(image.get("Layers"));
        let config = image.get("Config").and_then(Value::as_str).unwrap_or_default();
        let digests = strings(self.json(config)?.pointer("/rootfs/diff_ids"));
        pair(files, digests)
    }

    fn index(&self) -> Result<Layers> {
        let mut name = "index.json".to_owned();
        // An index may lead to another one.
        for _ in 0..4 {
            let document = self.json(&name)?;
            if let Some(layers) = document.get("layers").and_then(Value::as_array) {
                let files = layers.iter().map(blob_name).collect::<Result<Vec<_>>>()?;
                let config = blob_name(document.get("config").unwrap_or(&Value::Null))?;
                return pair(files, strings(self.json(&config)?.pointer("/rootfs/diff_ids")));
            }
            let ours = |one: &&Value| {
                let field = |key: &str| one.pointer(&format!("/platform/{key}")).and_then(Value::as_str);
                field("architecture").is_none_or(|it| it == "amd64")
                    && field("os").is_none_or(|it| it == "linux")
            };
            let list = document.get("manifests").and_then(Value::as_array);
            let list: Option<Vec<Value>> = list.map(|list| list.iter().filter(ours).cloned().collect());
            name = blob_name(only(list.as_ref(), &name)?)?;
        }
        Err(Error::new("read index.json", "its indexes lead nowhere"))
    }

    fn repositories(&self) -> Result<Layers> {
        let repositories = self.json("repositories")?;
        let tags = repositories.as_object().into_iter().flat_map(|names| names.values());
        let ids: Vec<Value> =
            tags.filter_map(Value::as_object).flat_map(|tags| tags.values().cloned()).collect();
        let mut id = only(Some(&ids), "repositories")?.as_str().unwrap_or_default().to_owned();
        let mut layers = Layers::new();
        while !id.is_empty() {
            let file = format!("{id}/layer.tar");
            if layers.iter().any(|(known, _)| *known == file) {
                return Err(Error::new(format_args!("read {id}/json"), "its parents form a circle"));
            }
            let json = self.json(&format!("{id}/json"))?;
            layers.push((file, None));
            id = json.get("parent").and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        layers.reverse();
        Ok(layers)
    }
}

/// The one image of an archive.
fn only<'a>(list: Option<&'a Vec<Value>>, name: &str) -> Result<&'a Value> {
    let list = list.map_or(&[][..], Vec::as_slice);
    match list {
        [one] => Ok(one),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => Ok(first),
        _ => {
            let cause = format!("it holds {} images, and one is expected", list.len());
            Err(Error::new(format_args!("use {name}"), cause))
        }
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn pair(files: Vec<String>, digests: Vec<String>) -> Result<Layers> {
    if files.len() != digests.len() {
        let cause = format!("it has {} layers and {} digests of layers", files.len(), digests.len());
        return Err(Error::new("use the image", cause));
    }
    Ok(files.into_iter().zip(digests.into_iter().map(Some)).collect())
}

/// Where the blob is that a descriptor means.
fn blob_name(descriptor: &Value) -> Result<String> {
    let digest = descriptor.get("digest").and_then(Value::as_str).unwrap_or_default();
    match digest.strip_prefix("sha256:") {
        Some(hash) if hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(format!("blobs/sha256/{hash}")),
        _ => Err(Error::new("use the image", format_args!("{digest:?} is not a sha256 digest"))),
    }
}
