//! What containers are called.

use crate::error::{Error, Kind, Result};
use std::fmt;
use std::str::FromStr;

/// The name of a container: parts with slashes between them, each inside of the one before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(Vec<String>);

impl ContainerId {
    /// Its parts, the outermost first.
    #[must_use]
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// One inside of another, or of none.
    ///
    /// # Errors
    /// It cannot be a name.
    pub fn below(parent: Option<&ContainerId>, name: &str) -> Result<ContainerId> {
        let mut parts = parent.map(|parent| parent.0.clone()).unwrap_or_default();
        check(name)?;
        parts.push(name.to_owned());
        Ok(ContainerId(parts))
    }

    /// The one that it is inside of.
    #[must_use]
    pub fn parent(&self) -> Option<ContainerId> {
        let (_, parts) = self.0.split_last()?;
        (!parts.is_empty()).then(|| ContainerId(parts.to_vec()))
    }

    /// Whether this is inside of `other`, or is it.
    #[must_use]
    pub fn is_in(&self, other: &ContainerId) -> bool {
        self.0.starts_with(&other.0)
    }
}

/// It becomes the name of a directory.
fn check(name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@:+".contains(&byte);
    if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.bytes().all(good) {
        return Err(Error::new(Kind::Usage, format!("{name:?} cannot be the name of a container")));
    }
    Ok(())
}

impl FromStr for ContainerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<ContainerId> {
        let parts: Vec<String> = text.split('/').map(str::to_owned).collect();
        parts.iter().try_for_each(|part| check(part))?;
        Ok(ContainerId(parts))
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("/"))
    }
}
