//! References as Docker has them: `[HOST[:PORT]/]REPOSITORY[:TAG|@DIGEST]`.

use super::wrong;
use crate::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What stands for the registry that is asked if none is named.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// An image of a registry, or of an archive that names its images that way.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Docker {
    /// `HOST[:PORT]`; none is the one in the settings.
    pub registry: Option<String>,
    /// `foo/bar`. An official image has no `library/` before it.
    pub repository: String,
    /// Which version; none only if there is a digest.
    pub tag: Option<String>,
    /// The digest of its manifest, which says more than a tag.
    pub digest: Option<Digest>,
}

impl FromStr for Docker {
    type Err = Error;

    /// What follows `docker://`. A slash in front says that no registry is named.
    fn from_str(text: &str) -> Result<Docker> {
        let (named, text) = match text.strip_prefix('/') {
            Some(rest) => (false, rest),
            None => (true, text),
        };
        let mut at = text.split('@');
        let (name, digest) = (at.next().unwrap_or_default(), at.next());
        if at.next().is_some() {
            return Err(wrong("there is more than one \"@\""));
        }
        let digest = digest.map(str::parse).transpose()?;
        let (name, tag) = match name.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(check_tag(tag)?)),
            Some(_) | None => (name, None),
        };
        let (registry, repository) = split_registry(name, named)?;
        check_repository(repository)?;
        let registry = registry.filter(|host| !HUB.contains(host)).map(str::to_owned);
        let repository = match repository.strip_prefix("library/") {
            Some(official) if registry.is_none() && !official.contains('/') => official,
            Some(_) | None => repository,
        };
        let tag = if digest.is_some() { None } else { Some(tag.unwrap_or("latest").to_owned()) };
        Ok(Docker { registry, repository: repository.to_owned(), tag, digest })
    }
}

/// The first part is a registry if it looks like a host: with a dot or a port, or `localhost`.
fn split_registry(name: &str, named: bool) -> Result<(Option<&str>, &str)> {
    match name.split_once('/').filter(|_| named) {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            check_host(host)?;
            Ok((Some(host), rest))
        }
        Some(_) | None => Ok((None, name)),
    }
}

fn check_host(host: &str) -> Result<()> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let label = |label: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(good) && !label.starts_with('-') && !label.ends_with('-')
    };
    if !name.split('.').all(label) {
        return Err(wrong(format!("{host:?} is not the name of a host")));
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err(wrong(format!("{host:?} has no good port")));
    }
    Ok(())
}

/// Parts of lower-case letters and digits, with `.`, `_`, `__` or dashes between them (distribution specification).
fn check_repository(repository: &str) -> Result<()> {
    if repository.is_empty() {
        return Err(wrong("a name is missing"));
    }
    if repository.len() > 255 {
        return Err(wrong("its name is too long"));
    }
    for part in repository.split('/') {
        if part.is_empty() {
            return Err(wrong("a part of its name is empty"));
        }
        if part.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(wrong(format!("{part:?} has upper-case letters, which names cannot have")));
        }
        if !is_part(part) {
            return Err(wrong(format!("{part:?} cannot be a part of a name")));
        }
    }
    Ok(())
}

fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut between = String::new();
    let edges = [part.bytes().next(), part.bytes().next_back()];
    if !edges.into_iter().all(|edge| edge.is_some_and(alphanumeric)) {
        return false;
    }
    for letter in part.chars() {
        if letter.is_ascii() && alphanumeric(letter as u8) {
            between.clear();
            continue;
        }
        between.push(letter);
        let good = matches!(between.as_str(), "." | "_" | "__") || between.bytes().all(|byte| byte == b'-');
        if !good {
            return false;
        }
    }
    true
}

/// Up to 128 letters, digits, `_`, `.` and `-`, the last two not first (distribution specification).
fn check_tag(tag: &str) -> Result<&str> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if tag.is_empty() {
        return Err(wrong("its tag is empty"));
    }
    if tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.bytes().all(good) {
        return Err(wrong(format!("{tag:?} cannot be a tag")));
    }
    Ok(tag)
}

impl Docker {
    /// The name without a tag or a digest, as archives have it.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }
}

impl fmt::Display for Docker {
    /// What follows `docker://`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.registry.is_none() { "/" } else { "" };
        write!(f, "{slash}{}", self.name())?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}
