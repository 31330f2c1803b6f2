//! What went wrong, for people.

use std::fmt;

/// Why nothing was done, in the words after `external-containerizer CONTAINER: unable to …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl Error {
    /// `text` says what could not be done and why.
    pub fn new(text: impl Into<String>) -> Error {
        Error(text.into())
    }

    /// What could not be done, and the error that says why.
    pub fn during(what: impl fmt::Display, cause: impl fmt::Display) -> Error {
        Error(format!("{what}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// What may fail so.
pub type Result<T> = std::result::Result<T, Error>;
