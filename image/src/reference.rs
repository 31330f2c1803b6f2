//! What images are called.

mod appc;
mod docker;
#[cfg(test)]
mod tests;

pub use appc::Appc;
pub use docker::Docker;

use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use std::fmt;
use std::str::FromStr;

/// The longest reference that is looked at.
const LONGEST: usize = 1024;

/// What an image is called. Two that mean the same are equal: what is left out is filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reference {
    /// `docker:///ubuntu:13.04`, `docker://my.registry.com/foo/bar:tag`, `ubuntu`, `ubuntu@sha256:…`.
    Docker(Docker),
    /// `appc:example.com/app,version=1.0,os=linux`.
    Appc(Appc),
    /// `oci:/path/to/layout:tag`.
    Oci(Layout),
}

/// An image in an OCI layout, which is a directory or an archive.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Layout {
    /// Where it is; relative to the directory of local images.
    pub path: String,
    /// Which image; without one there may be only one.
    pub tag: Option<String>,
    /// The digest of its manifest.
    pub digest: Option<Digest>,
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        parse(text).map_err(|error| error.during(format_args!("image reference {text:?}")))
    }
}

fn parse(text: &str) -> Result<Reference> {
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    if text.len() > LONGEST {
        return Err(wrong("it is too long"));
    }
    if let Some(rest) = text.strip_prefix("appc:") {
        return rest.parse().map(Reference::Appc);
    }
    if let Some(rest) = text.strip_prefix("oci:") {
        return Layout::parse(rest).map(Reference::Oci);
    }
    match text.split_once("://") {
        Some(("docker", rest)) => rest.parse().map(Reference::Docker),
        Some((scheme, _)) => {
            Err(wrong(format!("{scheme:?} is no kind of image (docker://, appc: and oci: are)")))
        }
        None => text.strip_prefix("docker:").unwrap_or(text).parse().map(Reference::Docker),
    }
}

impl Layout {
    fn parse(text: &str) -> Result<Layout> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        if path.is_empty() {
            return Err(wrong("a path is missing"));
        }
        if path.contains(|letter: char| letter.is_control()) || path.contains(':') {
            return Err(wrong("the path has letters that cannot be in one"));
        }
        if path.split('/').any(|part| part == "..") {
            return Err(wrong("\"..\" is not allowed in its path"));
        }
        if tag.as_deref().is_some_and(|tag| !is_layout_tag(tag)) {
            return Err(wrong("its tag has letters that cannot be in one"));
        }
        Ok(Layout { path: path.to_owned(), tag: if digest.is_some() { None } else { tag }, digest })
    }
}

/// Annotation values of layouts are wider than tags of registries (OCI image specification, annotations).
fn is_layout_tag(tag: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._+".contains(&byte);
    !tag.is_empty() && tag.bytes().all(good)
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Docker(docker) => write!(f, "docker://{docker}"),
            Reference::Appc(appc) => write!(f, "appc:{appc}"),
            Reference::Oci(layout) => write!(f, "oci:{layout}"),
        }
    }
}

/// A mistake in a reference.
fn wrong(message: impl Into<String>) -> Error {
    Error::new(Kind::Usage, message)
}
