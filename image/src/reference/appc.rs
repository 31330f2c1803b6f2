//! References as `AppC` has them: a name and labels.

use super::wrong;
use crate::digest::{Algorithm, Digest};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// An image by its name and some of its labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Appc {
    /// `example.com/app`.
    pub name: String,
    /// `version`, `os`, `arch` and others: an image that has these is meant.
    pub labels: BTreeMap<String, String>,
    /// The digest of its archive, uncompressed.
    pub id: Option<Digest>,
}

impl FromStr for Appc {
    type Err = Error;

    /// What follows `appc:`. `NAME:VERSION` is short for `NAME,version=VERSION`.
    fn from_str(text: &str) -> Result<Appc> {
        let mut parts = text.split(',');
        let first = parts.next().unwrap_or_default();
        let (name, version) = match first.split_once(':') {
            Some((name, version)) => (name, Some(version)),
            None => (first, None),
        };
        check_name(name)?;
        let mut appc = Appc { name: name.to_owned(), labels: BTreeMap::new(), id: None };
        if let Some(version) = version {
            appc.add("version", version)?;
        }
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| wrong(format!("{part:?} is no label: KEY=VALUE is")))?;
            appc.add(key, value)?;
        }
        Ok(appc)
    }
}

impl Appc {
    fn add(&mut self, key: &str, value: &str) -> Result<()> {
        if key == "id" {
            let hex = value.strip_prefix("sha512-").ok_or_else(|| wrong("an id begins with sha512-"))?;
            let id = Digest::new(Algorithm::Sha512, hex)?;
            return match self.id.replace(id) {
                None => Ok(()),
                Some(_) => Err(wrong("there are two ids")),
            };
        }
        if !is_identifier(key) {
            return Err(wrong(format!("{key:?} cannot be the name of a label")));
        }
        let good = |letter: char| !letter.is_control() && !"/,=".contains(letter);
        if value.is_empty() || value == "." || value == ".." || !value.chars().all(good) {
            return Err(wrong(format!("{value:?} cannot be the value of the label {key}")));
        }
        match self.labels.insert(key.to_owned(), value.to_owned()) {
            None => Ok(()),
            Some(_) => Err(wrong(format!("the label {key} is there twice"))),
        }
    }
}

/// Whether this can be the name of a label or, with slashes, of an image (App Container specification, AC Identifier).
pub(crate) fn is_identifier(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._~/".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.bytes().all(good) && edge(text.bytes().next()) && edge(text.bytes().next_back())
}

/// Whether this can be the name of an image.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(wrong("a name is missing"));
    }
    let dots = |part: &str| part.is_empty() || part.bytes().all(|byte| byte == b'.');
    if !is_identifier(name) || name.split('/').any(dots) {
        return Err(wrong(format!("{name:?} cannot be the name of an AppC image")));
    }
    Ok(())
}

impl fmt::Display for Appc {
    /// What follows `appc:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (key, value) in &self.labels {
            write!(f, ",{key}={value}")?;
        }
        self.id.as_ref().map_or(Ok(()), |id| write!(f, ",id=sha512-{}", id.hex()))
    }
}
