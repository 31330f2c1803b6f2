//! OCI layouts: an index, and blobs by their digests, in a directory or an archive (OCI image specification, layout).

use super::{Blob, Content, Found, Oci, Source};
use crate::digest::{Algorithm, Digest};
use crate::error::{Context, Error, Result};
use crate::oci::{DOCUMENT_LIMIT, Descriptor, IMAGE_NAME, Index, REF_NAME, json};
use crate::platform::Platform;
use crate::reference::{self, Reference};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Files by name.
pub trait Files {
    /// A file, if it is there.
    ///
    /// # Errors
    /// It cannot be opened.
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>>;
}

/// Those of a directory.
pub(super) struct Directory(pub(super) PathBuf);

impl Files for Directory {
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        match File::open(self.0.join(name)) {
            Ok(file) => Ok(Some(Box::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::from(error).during(name)),
        }
    }
}

/// A small file as a whole, if it is there.
pub(super) fn whole(files: &dyn Files, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(reader) = files.open(name)? else { return Ok(None) };
    let mut bytes = Vec::new();
    reader.take(DOCUMENT_LIMIT + 1).read_to_end(&mut bytes).context(|| name.to_owned())?;
    if bytes.len() as u64 > DOCUMENT_LIMIT {
        return Err(Error::refused(format!("{name} is longer than {DOCUMENT_LIMIT} bytes")));
    }
    Ok(Some(bytes))
}

/// A layout.
pub struct Layout {
    files: Box<dyn Files>,
    /// Its index: the descriptor that stands for it, its bytes, and what it says.
    index: (Descriptor, Vec<u8>, Index),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

impl Layout {
    /// Looks at a layout.
    ///
    /// # Errors
    /// It is none.
    pub fn new(files: Box<dyn Files>) -> Result<Layout> {
        let missing = |name: &str| Error::refused(format!("no OCI layout: {name} is missing"));
        let marker = whole(&*files, "oci-layout")?.ok_or_else(|| missing("oci-layout"))?;
        let version = json::<Marker>(&marker, "oci-layout")?.image_layout_version;
        if !version.starts_with("1.") {
            return Err(Error::refused(format!("oci-layout: version {version:?} is not known, only 1")));
        }
        let bytes = whole(&*files, "index.json")?.ok_or_else(|| missing("index.json"))?;
        let index = Index::parse(&bytes, "index.json")?;
        let descriptor = Descriptor {
            media_type: "application/vnd.oci.image.index.v1+json".to_owned(),
            digest: Digest::of(Algorithm::Sha256, &bytes).to_string(),
            size: bytes.len() as u64,
            platform: None,
            annotations: None,
        };
        Ok(Layout { files, index: (descriptor, bytes, index) })
    }

    /// The same as a source, whose images are called after its path if they have no names of their own.
    #[must_use]
    pub fn named(self, path: &Path) -> impl Source + use<> {
        Named { path: path.to_owned(), oci: Oci(self) }
    }

    /// The entry that a reference means.
    fn entry(&self, reference: &Reference) -> Result<Descriptor> {
        let (descriptor, _, index) = &self.index;
        let means = |entry: &&Descriptor| match reference {
            Reference::Oci(wanted) => match (&wanted.digest, &wanted.tag) {
                (Some(digest), _) => entry.digest == digest.to_string(),
                (None, Some(tag)) => entry.annotation(REF_NAME) == Some(tag),
                (None, None) => false,
            },
            Reference::Docker(wanted) => docker(entry, wanted),
            Reference::Appc(_) => false,
        };
        let mut named: Vec<&Descriptor> = index.manifests.iter().filter(means).collect();
        let unsaid =
            matches!(reference, Reference::Oci(wanted) if wanted.tag.is_none() && wanted.digest.is_none());
        let has_names = index.manifests.iter().any(|entry| entry.annotation(REF_NAME).is_some());
        // One image in a layout needs no name, and several without names are one for several platforms.
        if named.is_empty() && (unsaid || !has_names && matches!(reference, Reference::Docker(_))) {
            named = index.manifests.iter().collect();
        }
        let first = named.first().and_then(|first| first.annotation(REF_NAME));
        match named.as_slice() {
            [] => Err(Error::missing(format!("{reference} is not in the layout ({})", self.there()))),
            [one] => Ok((*one).clone()),
            many if many.len() == index.manifests.len()
                && many.iter().all(|entry| entry.annotation(REF_NAME) == first) =>
            {
                Ok(descriptor.clone())
            }
            _ => Err(Error::refused(format!("{reference} may be one of several images ({})", self.there()))),
        }
    }

    fn there(&self) -> String {
        let names: Vec<&str> =
            self.index.2.manifests.iter().filter_map(|entry| entry.annotation(REF_NAME)).collect();
        match names.as_slice() {
            [] => format!("there are {} without names", self.index.2.manifests.len()),
            names => format!("there are: {}", names.join(", ")),
        }
    }
}

/// Whether an entry is what Docker calls by this name: its whole name is there, or its tag.
fn docker(entry: &Descriptor, wanted: &reference::Docker) -> bool {
    if wanted.digest.as_ref().is_some_and(|digest| entry.digest == digest.to_string()) {
        return true;
    }
    let whole = entry.annotation(IMAGE_NAME);
    let same = |name: &str| name.parse::<reference::Docker>().is_ok_and(|found| found == *wanted);
    match (whole, entry.annotation(REF_NAME)) {
        (Some(whole), _) => same(whole),
        (None, Some(name)) => same(name) || Some(name) == wanted.tag.as_deref(),
        (None, None) => false,
    }
}

impl Content for Layout {
    fn root(&mut self, reference: &Reference) -> Result<Descriptor> {
        self.entry(reference)
    }

    fn open(&mut self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>> {
        let (own, bytes, _) = &self.index;
        if own.digest == descriptor.digest {
            return Ok(Box::new(bytes.as_slice()));
        }
        let digest = descriptor.checked_digest()?;
        let name = format!("blobs/{}/{}", digest.algorithm().word(), digest.hex());
        self.files.open(&name)?.ok_or_else(|| Error::missing(format!("{digest}: {name} is not there")))
    }
}

/// A layout and where it is.
struct Named {
    path: PathBuf,
    oci: Oci<Layout>,
}

impl Source for Named {
    fn describe(&mut self, reference: &Reference, platform: &Platform) -> Result<Found> {
        self.oci.describe(reference, platform)
    }

    fn open(&mut self, blob: &Blob) -> Result<Box<dyn Read + '_>> {
        self.oci.open(blob)
    }

    fn names(&mut self) -> Result<Vec<Reference>> {
        let path = self.path.to_string_lossy();
        let entries = &self.oci.0.index.2.manifests;
        let name = |entry: &Descriptor| match (entry.annotation(IMAGE_NAME), entry.annotation(REF_NAME)) {
            (Some(whole), _) => whole.parse().map(Reference::Docker),
            (None, Some(tag)) if tag.contains(['/', ':']) => tag.parse().map(Reference::Docker),
            (None, Some(tag)) => format!("oci:{path}:{tag}").parse(),
            (None, None) => format!("oci:{path}").parse(),
        };
        let mut names = entries.iter().map(name).collect::<Result<Vec<Reference>>>()?;
        names.sort();
        names.dedup();
        Ok(names)
    }
}
