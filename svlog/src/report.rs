//! The logger's own words: on standard error, which init connects to the console.

use nix::errno::Errno;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;

/// Something that could not be done.
#[derive(Debug)]
pub struct Trouble {
    /// What was tried, as in "unable to write".
    pub verb: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub cause: io::Error,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unable to {} {}: {}", self.verb, self.path.display(), Cause(&self.cause))
    }
}

/// An error in the system's words, without the number that the standard library adds.
#[derive(Debug)]
pub struct Cause<'a>(pub &'a io::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.raw_os_error() {
            Some(number) => f.write_str(Errno::from_raw(number).desc()),
            None => self.0.fmt(f),
        }
    }
}

/// Says a line, in one write so that the kernel log takes it as one record. That nobody hears it is no reason to
/// stop.
pub fn say(text: &dyn fmt::Display) {
    let _ = io::stderr().write_all(format!("svlog: {text}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_reads_as_a_sentence_without_error_numbers() {
        let cause = io::Error::from_raw_os_error(28);
        let trouble = Trouble { verb: "write", path: "/var/log/x/current".into(), cause };
        assert_eq!(trouble.to_string(), "unable to write /var/log/x/current: No space left on device");
    }
}
