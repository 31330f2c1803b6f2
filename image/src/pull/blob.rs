//! One blob, into a file without a name: what was cut off goes on where it ended, and what has the wrong digest is
//! taken from somewhere else. Nothing is left of it when we die.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::http::{Answer, Failure, Http, broken};
use super::report::Report;
use super::retry::{Attempts, Setback};
use super::session::{Request, Session};
use crate::digest::{Digest, Hasher};
use crate::error::{Context, Error, Result};

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// What is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The repository that has it.
    pub repository: String,
    /// Its digest.
    pub digest: Digest,
    /// How long it is.
    pub size: u64,
}

/// A download in progress.
struct Download<'a> {
    wanted: &'a Wanted,
    file: File,
    hasher: Hasher,
    written: u64,
    report: &'a Report,
}

/// Fetches a blob from one registry, and checks it.
///
/// # Errors
/// It cannot be had there, or is not what it should be.
pub fn fetch(
    http: &Http,
    session: &Session,
    wanted: &Wanted,
    staging: &Path,
    report: &Report,
) -> Result<File> {
    let file = nameless(staging).context(|| format!("unable to make a file in {}", staging.display()))?;
    let hasher = Hasher::new(wanted.digest.algorithm());
    let mut download = Download { wanted, file, hasher, written: 0, report };
    report.begin(wanted.size);
    let url = session.endpoint.blob(&wanted.repository, &wanted.digest.to_string());
    let mut attempts = Attempts::new(session.last_resort);
    let outcome = session.ask(&mut attempts, |attempts| download.go_on(http, session, &url, attempts));
    let written = download.written;
    let outcome = outcome.and_then(|()| download.check());
    if outcome.is_err() {
        report.take_back(wanted.size, written);
    }
    outcome
}

impl Download<'_> {
    /// Fetches what is missing.
    fn go_on(
        &mut self,
        http: &Http,
        session: &Session,
        url: &str,
        attempts: &mut Attempts,
    ) -> std::result::Result<(), Failure> {
        if self.written == self.wanted.size && self.written > 0 {
            return Ok(());
        }
        let request = Request { url, accept: "*/*", from: self.written, repository: &self.wanted.repository };
        let answer = session.get(http, request)?;
        let begins = begins_at(&answer, self.written)?;
        let mut body = answer.body();
        // Who knows nothing of ranges begins at the beginning.
        let skipped = io::copy(&mut (&mut body).take(self.written.saturating_sub(begins)), &mut io::sink());
        if let Err(error) = skipped {
            return Err(broken(&error));
        }
        self.take(&mut body, attempts)
    }

    fn take(&mut self, body: &mut dyn Read, attempts: &mut Attempts) -> std::result::Result<(), Failure> {
        let mut buffer = vec![0; PIECE];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error)),
            };
            let piece = buffer.get(..count).unwrap_or_default();
            if piece.is_empty() {
                return self.ended();
            }
            if self.written.saturating_add(count as u64) > self.wanted.size {
                let size = self.wanted.size;
                return Err(Failure::Final(Error::refused(format!("there are more than its {size} bytes"))));
            }
            self.file.write_all(piece).map_err(|error| {
                Failure::Final(Error::from(error).during("unable to write what was fetched"))
            })?;
            self.hasher.update(piece);
            self.written = self.written.saturating_add(count as u64);
            self.report.advance(count as u64);
            attempts.progress();
        }
    }

    fn ended(&self) -> std::result::Result<(), Failure> {
        let (size, written) = (self.wanted.size, self.written);
        if written == size {
            return Ok(());
        }
        let error = Error::refused(format!("it was cut off after {written} of {size} bytes"));
        Err(Failure::Passing(Setback::Broken, error))
    }

    /// The file, if its contents are those that were wanted.
    fn check(mut self) -> Result<File> {
        let found = self.hasher.finish();
        if found != self.wanted.digest {
            let expected = &self.wanted.digest;
            return Err(Error::refused(format!("digest {expected} expected, {found} found")));
        }
        self.file.rewind()?;
        Ok(self.file)
    }
}

/// The byte at which an answer begins.
fn begins_at(answer: &Answer, asked: u64) -> std::result::Result<u64, Failure> {
    if answer.status != 206 {
        return Ok(0);
    }
    let begins = answer.header("content-range").and_then(first_byte);
    begins
        .filter(|begins| *begins <= asked)
        .ok_or_else(|| Failure::Final(Error::refused("it answers with another part than it was asked for")))
}

/// The first byte of `bytes FIRST-LAST/LENGTH` (RFC 9110, section 14.4).
fn first_byte(header: &str) -> Option<u64> {
    header.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok()
}

/// A file that has no name, and so is gone with us.
///
/// # Errors
/// The directory cannot be written to.
pub fn nameless(directory: &Path) -> io::Result<File> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    std::fs::create_dir_all(directory)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let flag = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    match options.clone().custom_flags(flag).open(directory) {
        Ok(file) => return Ok(file),
        Err(error) if matches!(error.raw_os_error(), Some(21 | 22 | 95)) => {}
        Err(error) => return Err(error),
    }
    // Not every filesystem has such files: EISDIR, EINVAL, EOPNOTSUPP.
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!("pull.{}.{number}", std::process::id()));
    let file = options.create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_of_a_part_is_read() {
        assert_eq!(first_byte("bytes 7-9/10"), Some(7));
        assert_eq!(first_byte("bytes */10"), None);
        assert_eq!(first_byte("7-9/10"), None);
    }

    #[test]
    fn a_nameless_file_leaves_nothing_in_its_directory() {
        let directory = tempfile::tempdir().unwrap();
        let staging = directory.path().join("staging");
        let mut file = nameless(&staging).unwrap();
        file.write_all(b"x").unwrap();
        assert_eq!(std::fs::read_dir(&staging).unwrap().count(), 0);
    }
}
