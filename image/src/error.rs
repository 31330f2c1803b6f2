//! What goes wrong, in words for people, and what kind of thing it is, for exit codes.

use std::fmt;
use std::io;

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for cannot be understood.
    Usage,
    /// There is no such image, container or file.
    Missing,
    /// What was given is not as it should be: a digest, an archive, a manifest.
    Refused,
    /// Somebody else has it.
    Busy,
    /// The time was over first.
    TimedOut,
    /// The system refused something.
    System,
}

/// An error: a kind, and a message that says all there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What kind of thing it is.
    pub kind: Kind,
    message: String,
}

/// What comes of everything that can go wrong here.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of a kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    /// What was given is not as it should be.
    pub fn refused(message: impl Into<String>) -> Error {
        Error::new(Kind::Refused, message)
    }

    /// There is no such thing.
    pub fn missing(message: impl Into<String>) -> Error {
        Error::new(Kind::Missing, message)
    }

    /// The same with what was being done before it: `unable to import x: …`.
    #[must_use]
    pub fn during(self, what: impl fmt::Display) -> Error {
        Error { message: format!("{what}: {}", self.message), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// The cause as people read it: without the number that the standard library appends.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    text.find(" (os error").and_then(|end| text.get(..end)).unwrap_or(&text).to_owned()
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        // A reader of ours hands its own error through the standard library's.
        if let Some(ours) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            return ours.clone();
        }
        use io::ErrorKind::{InvalidData, NotFound, TimedOut, UnexpectedEof};
        let kinds = [
            (NotFound, Kind::Missing),
            (InvalidData, Kind::Refused),
            (UnexpectedEof, Kind::Refused),
            (TimedOut, Kind::TimedOut),
        ];
        let kind =
            kinds.iter().find(|(found, _)| *found == error.kind()).map_or(Kind::System, |(_, kind)| *kind);
        Error::new(kind, cause(&error))
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Error {
        Error::from(io::Error::from(error))
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::other(error)
    }
}

/// Adds what was being done to an error.
pub trait Context<T> {
    /// `what` begins with "unable to", or is the name of what was read.
    ///
    /// # Errors
    /// The same, with `what` before it.
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context<D: fmt::Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|error| error.into().during(what()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ours_comes_back_out_of_the_standard_librarys() {
        let ours = Error::refused("the digest is wrong");
        assert_eq!(Error::from(io::Error::from(ours.clone())), ours);
    }

    #[test]
    fn a_cause_has_no_number() {
        let error = Error::from(io::Error::from_raw_os_error(2)).during("unable to open a");
        assert_eq!(error.to_string(), "unable to open a: No such file or directory");
        assert_eq!(error.kind, Kind::Missing);
    }
}
