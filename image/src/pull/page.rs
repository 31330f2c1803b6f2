//! A file from a web server, as discovery of App Container Images needs it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::address::follow;
use super::blob::nameless;
use super::http::{Answer, Failure, Http, broken};
use super::report::Report;
use super::retry::{Attempts, Setback};
use crate::error::{Context, Error, Result};

/// How often one is sent elsewhere before that counts as a circle.
const REDIRECTIONS: usize = 5;
/// How much is read at once.
const PIECE: usize = 64 << 10;

/// What a file is fetched with.
pub struct Fetch<'a> {
    /// What makes requests.
    pub http: &'a Http,
    /// Where a file without a name is made.
    pub staging: &'a Path,
    /// The most that is fetched, in bytes.
    pub largest: u64,
    /// Who is told.
    pub report: &'a Report,
}

impl Fetch<'_> {
    /// The contents of an address; none if there is nothing.
    ///
    /// Nothing says what they should be, so that what is cut off is begun again.
    ///
    /// # Errors
    /// They cannot be had.
    pub fn get(&self, url: &str) -> Result<Option<File>> {
        let mut attempts = Attempts::new(true);
        loop {
            let (setback, error) = match self.attempt(url) {
                Ok(found) => return Ok(found),
                Err(Failure::Final(error)) => return Err(error.during(url)),
                Err(Failure::Passing(setback, error)) => (setback, error),
            };
            match attempts.after(setback) {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(error.during(url)),
            }
        }
    }

    fn attempt(&self, url: &str) -> std::result::Result<Option<File>, Failure> {
        let answer = self.send(url)?;
        match answer.status {
            200 => self.save(answer).map(Some),
            404 | 410 => Ok(None),
            _ => Err(answer.complaint()),
        }
    }

    fn send(&self, url: &str) -> std::result::Result<Answer, Failure> {
        let mut at = url.to_owned();
        for _ in 0..=REDIRECTIONS {
            let answer = self.http.get(&at, &[("Accept", "*/*")])?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.header("location").unwrap_or_default();
            let next = follow(&at, location)
                .filter(|next| !at.starts_with("https://") || next.starts_with("https://"));
            at =
                next.ok_or_else(|| Failure::Final(Error::refused(format!("it sends us to {location:?}"))))?;
        }
        Err(Failure::Final(Error::refused(format!("it sends us elsewhere more than {REDIRECTIONS} times"))))
    }

    fn save(&self, answer: Answer) -> std::result::Result<File, Failure> {
        let size = answer.header("content-length").and_then(|size| size.parse::<u64>().ok());
        let largest = self.largest;
        let too_large =
            || Failure::Final(Error::refused(format!("there are more than the {largest} bytes allowed")));
        if size.is_some_and(|size| size > largest) {
            return Err(too_large());
        }
        let file =
            nameless(self.staging).context(|| format!("unable to make a file in {}", self.staging.display()));
        let mut file = file.map_err(Failure::Final)?;
        self.report.begin(size.unwrap_or_default());
        let mut body = answer.body();
        let mut buffer = vec![0; PIECE];
        let mut written: u64 = 0;
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.report.take_back(size.unwrap_or_default(), written);
                    return Err(broken(&error));
                }
            };
            written = written.saturating_add(count as u64);
            if written > largest {
                return Err(too_large());
            }
            let piece = buffer.get(..count).unwrap_or_default();
            let outcome = file.write_all(piece);
            outcome.map_err(|error| {
                Failure::Final(Error::from(error).during("unable to write what was fetched"))
            })?;
            self.report.advance(count as u64);
        }
        if size.is_some_and(|size| size != written) {
            let error = Error::refused(format!("it was cut off after {written} bytes"));
            return Err(Failure::Passing(Setback::Broken, error));
        }
        file.rewind().map_err(|error| Failure::Final(error.into()))?;
        Ok(file)
    }
}
