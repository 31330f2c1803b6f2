//! The images of a registry and its mirrors (Docker registry HTTP API v2; OCI distribution specification).

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Deserialize;

use super::blob::{self, Wanted};
use super::http::{Failure, Http};
use super::prefetch::Prefetch;
use super::report::Report;
use super::retry::Attempts;
use super::session::{Request, Session};
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Kind, Result};
use crate::oci::{DOCUMENT_LIMIT, Descriptor, Media};
use crate::reference::{Docker, Reference};
use crate::source::Content;

/// What we understand, the most telling first.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// A repository, and who has it.
pub struct Remote {
    /// Mirrors, and the registry itself at last.
    pub sessions: Vec<Session>,
    /// What it is called there.
    pub repository: String,
    /// Where files without names are made.
    pub staging: PathBuf,
    /// The largest blob that is fetched.
    pub largest: u64,
    /// What makes requests.
    pub http: Http,
    /// Who is told.
    pub report: Report,
}

/// The contents of a repository.
pub struct Registry {
    remote: Arc<Remote>,
    root: Option<(Descriptor, Vec<u8>)>,
    prefetch: Option<Prefetch>,
}

/// What a manifest says of itself, whatever its version.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    schema_version: Option<u32>,
    media_type: Option<String>,
    manifests: Option<serde::de::IgnoredAny>,
}

impl Remote {
    /// Asks the registries in turn until one of them has it.
    fn each<T>(&self, what: &str, ask: impl Fn(&Session) -> Result<T>) -> Result<T> {
        let mut failures: Vec<String> = Vec::new();
        let mut kind = Kind::Missing;
        for session in self.sessions.iter().filter(|session| !session.is_lost()) {
            match ask(session) {
                Ok(value) => return Ok(value),
                Err(error) => {
                    kind = error.kind;
                    failures.push(format!("{}: {error}", session.endpoint));
                }
            }
        }
        Err(Error::new(kind, failures.join("; ")).during(what))
    }

    /// A blob, in a file.
    pub(super) fn blob(&self, wanted: &Wanted) -> Result<File> {
        let (size, largest) = (wanted.size, self.largest);
        if size > largest {
            return Err(Error::refused(format!(
                "{}: {size} bytes, more than the {largest} allowed",
                wanted.digest
            )));
        }
        self.each(&format!("blob {}", wanted.digest), |session| {
            blob::fetch(&self.http, session, wanted, &self.staging, &self.report)
        })
    }

    /// A manifest by tag or digest: its media type and its bytes.
    fn manifest(&self, which: &str, digest: Option<&Digest>) -> Result<(String, Vec<u8>)> {
        self.each(&format!("manifest {which} of {}", self.repository), |session| {
            let url = session.endpoint.manifest(&self.repository, which);
            let request = Request { url: &url, accept: ACCEPT, from: 0, repository: &self.repository };
            session.ask(&mut Attempts::new(session.last_resort), |_| {
                let answer = session.get(&self.http, request)?;
                let said = answer.header("docker-content-digest").map(str::to_owned);
                let media = answer.header("content-type").unwrap_or_default().to_owned();
                let bytes = answer.bytes(DOCUMENT_LIMIT)?;
                let said = said.and_then(|said| said.parse().ok());
                check_digest(&bytes, digest.or(said.as_ref())).map_err(Failure::Final)?;
                let media = media_type(&media, &bytes).map_err(Failure::Final)?;
                Ok((media, bytes))
            })
        })
    }
}

fn check_digest(bytes: &[u8], expected: Option<&Digest>) -> Result<()> {
    let Some(expected) = expected else { return Ok(()) };
    let found = Digest::of(expected.algorithm(), bytes);
    if found == *expected {
        return Ok(());
    }
    Err(Error::refused(format!("digest {expected} expected, {found} found")))
}

/// What an answer is, by its head and by what it says of itself.
fn media_type(header: &str, bytes: &[u8]) -> Result<String> {
    let header = header.split(';').next().unwrap_or_default().trim();
    let outline: Outline = serde_json::from_slice(bytes)
        .map_err(|_| Error::refused(format!("the answer ({header:?}) is no manifest")))?;
    if outline.schema_version == Some(1)
        || header.starts_with("application/vnd.docker.distribution.manifest.v1")
    {
        return Err(Error::refused(
            "it has this image as a manifest of schema 1 only, which says nothing of what its layers unpack to, and \
             was given up by its makers: push the image again",
        ));
    }
    let known = |media: &str| matches!(Media::of(media), Media::Index | Media::Manifest);
    match outline.media_type {
        Some(own) if known(header) && Media::of(&own) != Media::of(header) => {
            Err(Error::refused(format!("it calls a {own:?} a {header:?}")))
        }
        Some(own) => Ok(own),
        None if known(header) => Ok(header.to_owned()),
        // The specification lets both be left out.
        None if outline.manifests.is_some() => Ok("application/vnd.oci.image.index.v1+json".to_owned()),
        None => Ok("application/vnd.oci.image.manifest.v1+json".to_owned()),
    }
}

impl Registry {
    /// The contents of a repository.
    #[must_use]
    pub fn new(remote: Remote) -> Registry {
        Registry { remote: Arc::new(remote), root: None, prefetch: None }
    }

    fn wanted(&self, descriptor: &Descriptor) -> Result<Wanted> {
        let digest = descriptor.checked_digest()?;
        Ok(Wanted { repository: self.remote.repository.clone(), digest, size: descriptor.size })
    }
}

impl Content for Registry {
    fn root(&mut self, reference: &Reference) -> Result<Descriptor> {
        let Reference::Docker(Docker { tag, digest, .. }) = reference else {
            return Err(Error::new(Kind::Usage, format!("{reference} is in no registry")));
        };
        let which = match digest {
            Some(digest) => digest.to_string(),
            None => tag.clone().unwrap_or_else(|| "latest".to_owned()),
        };
        let (media_type, bytes) = self.remote.manifest(&which, digest.as_ref())?;
        let algorithm = digest.as_ref().map_or(Algorithm::Sha256, Digest::algorithm);
        let digest = Digest::of(algorithm, &bytes).to_string();
        let descriptor =
            Descriptor { media_type, digest, size: bytes.len() as u64, platform: None, annotations: None };
        self.root = Some((descriptor.clone(), bytes));
        Ok(descriptor)
    }

    /// They are fetched from now on; what cannot be is told to whoever opens it.
    fn expect(&mut self, descriptors: &[Descriptor]) {
        let wanted: Vec<Wanted> =
            descriptors.iter().filter_map(|descriptor| self.wanted(descriptor).ok()).collect();
        self.prefetch = Some(Prefetch::new(Arc::clone(&self.remote), wanted));
    }

    fn open(&mut self, descriptor: &Descriptor) -> Result<Box<dyn Read + '_>> {
        if let Some((_, bytes)) = self.root.as_ref().filter(|(root, _)| root.digest == descriptor.digest) {
            return Ok(Box::new(Cursor::new(bytes)));
        }
        if matches!(descriptor.media(), Media::Index | Media::Manifest) {
            let digest = descriptor.checked_digest()?;
            let (_, bytes) = self.remote.manifest(&descriptor.digest, Some(&digest))?;
            return Ok(Box::new(Cursor::new(bytes)));
        }
        let wanted = self.wanted(descriptor)?;
        let file = match &self.prefetch {
            Some(prefetch) => prefetch.take(&wanted)?,
            None => self.remote.blob(&wanted)?,
        };
        Ok(Box::new(file))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.remote.report.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    #[test]
    fn what_an_answer_is_follows_from_its_head_or_from_itself() {
        let own = format!(r#"{{"schemaVersion": 2, "mediaType": "{INDEX}"}}"#);
        assert_eq!(media_type("text/plain", own.as_bytes()).unwrap(), INDEX);
        assert_eq!(
            media_type(&format!("{MANIFEST}; charset=utf-8"), br#"{"schemaVersion": 2}"#).unwrap(),
            MANIFEST
        );
        assert_eq!(media_type("", br#"{"schemaVersion": 2, "manifests": []}"#).unwrap(), INDEX);
        assert_eq!(media_type("", br#"{"schemaVersion": 2}"#).unwrap(), MANIFEST);
        // One that is both is taken as either by somebody.
        assert!(media_type(MANIFEST, own.as_bytes()).is_err());
        assert!(media_type("text/html", b"<html>").is_err());
    }

    #[test]
    fn a_manifest_of_schema_1_is_refused_in_words() {
        let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
        for (header, body) in [(signed, r#"{"name": "a"}"#), ("application/json", r#"{"schemaVersion": 1}"#)]
        {
            assert!(media_type(header, body.as_bytes()).unwrap_err().to_string().contains("schema 1"));
        }
    }
}
