//! What went wrong, in the words of the person who has to mend it.

use std::fmt;

/// A failure: `unable to VERB OBJECT: cause`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Error(String);

/// The result of everything here that can fail.
pub(crate) type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// `unable to {what}: {cause}`
    pub(crate) fn new(what: impl fmt::Display, cause: impl fmt::Display) -> Self {
        Self(format!("unable to {what}: {cause}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// Turns a failure into `unable to {what()}: {failure}`.
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| Error::new(what(), cause))
    }
}
