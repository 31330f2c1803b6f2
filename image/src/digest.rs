//! Digests of contents, and readers that check them.

use crate::error::{Error, Result};
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

/// How a digest is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// What images have.
    Sha256,
    /// What `AppC` has, and images may have.
    Sha512,
}

impl Algorithm {
    /// As it is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    fn digits(self) -> usize {
        match self {
            Algorithm::Sha256 => 64,
            Algorithm::Sha512 => 128,
        }
    }
}

/// A digest: `sha256:` and 64 hexadecimal digits in lower case (OCI image specification, descriptor).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    hex: String,
}

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// How it was computed.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Its digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.hex
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.hex.get(..12).unwrap_or(&self.hex)
    }

    /// One of an algorithm and digits.
    ///
    /// # Errors
    /// The digits are not as many as they have to be, or something else.
    pub fn new(algorithm: Algorithm, hex: &str) -> Result<Digest> {
        let good = hex.len() == algorithm.digits()
            && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if !good {
            let (word, digits) = (algorithm.word(), algorithm.digits());
            return Err(Error::refused(format!(
                "{:?} is no {word} digest: {digits} digits of 0-9 and a-f are",
                format!("{word}:{hex}")
            )));
        }
        Ok(Digest { algorithm, hex: hex.to_owned() })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.word(), self.hex)
    }
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Digest> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Digest::new(Algorithm::Sha256, hex),
            Some(("sha512", hex)) => Digest::new(Algorithm::Sha512, hex),
            Some((other, _)) => Err(Error::refused(format!(
                "{text:?}: digests by {other:?} are not known, only sha256 and sha512"
            ))),
            None => Err(Error::refused(format!("{text:?} is no digest: sha256:… or sha512:… is"))),
        }
    }
}

/// Computes a digest piece by piece.
pub enum Hasher {
    /// By SHA-256.
    Sha256(Box<sha2::Sha256>),
    /// By SHA-512.
    Sha512(Box<sha2::Sha512>),
}

impl Hasher {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Box::default()),
            Algorithm::Sha512 => Hasher::Sha512(Box::default()),
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(state) => state.update(bytes),
            Hasher::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of all that was taken.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (algorithm, bytes) = match self {
            Hasher::Sha256(state) => (Algorithm::Sha256, state.finalize().to_vec()),
            Hasher::Sha512(state) => (Algorithm::Sha512, state.finalize().to_vec()),
        };
        Digest { algorithm, hex: bytes.iter().map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// A reader that computes the digest of what goes through it, counts it, and stops where it has become too long.
pub struct Checked<R> {
    inner: R,
    hasher: Hasher,
    read: u64,
    limit: u64,
    name: String,
}

impl<R: Read> Checked<R> {
    /// Reads no more than `limit` bytes; `name` is what errors call it.
    pub fn new(inner: R, algorithm: Algorithm, limit: u64, name: impl Into<String>) -> Checked<R> {
        Checked { inner, hasher: Hasher::new(algorithm), read: 0, limit, name: name.into() }
    }

    /// How much was read.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.read
    }

    /// Reads what is left, and tells the digest and the number of bytes.
    ///
    /// # Errors
    /// Reading failed, or there is too much.
    pub fn drain(mut self) -> Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hasher.finish(), self.read))
    }

    /// Reads what is left, and compares.
    ///
    /// # Errors
    /// Reading failed, or the size or the digest is not what it should be.
    pub fn finish(self, expected: &Digest, size: Option<u64>) -> Result<()> {
        let name = self.name.clone();
        let (found, read) = self.drain()?;
        if let Some(size) = size.filter(|size| *size != read) {
            return Err(Error::refused(format!("{name}: {size} bytes expected, {read} found")));
        }
        if found != *expected {
            return Err(Error::refused(format!("{name}: digest {expected} expected, {found} found")));
        }
        Ok(())
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read = self.read.saturating_add(count as u64);
        if self.read > self.limit {
            let (name, limit) = (&self.name, self.limit);
            return Err(Error::refused(format!("{name}: more than {limit} bytes")).into());
        }
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Reads all of something small, and checks it.
///
/// # Errors
/// Reading failed, or it is not what it should be.
pub fn read_checked(
    reader: impl Read,
    expected: &Digest,
    size: Option<u64>,
    limit: u64,
    name: &str,
) -> Result<Vec<u8>> {
    let limit = size.map_or(limit, |size| size.min(limit));
    let mut checked = Checked::new(reader, expected.algorithm(), limit, name);
    let mut bytes = Vec::new();
    checked.read_to_end(&mut bytes)?;
    checked.finish(expected, size)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_comes_back_from_its_text_and_nothing_else_is_one() {
        assert_eq!(EMPTY.parse::<Digest>().unwrap().to_string(), EMPTY);
        assert_eq!(Digest::of(Algorithm::Sha256, b"").to_string(), EMPTY);
        let bad = [
            "",
            "sha256",
            "sha256:",
            "sha256:E3",
            "md5:d41d8cd98f00b204e9800998ecf8427e",
            &EMPTY.to_uppercase(),
        ];
        for text in bad.into_iter().chain([&EMPTY[..70], &format!("{EMPTY}0"), &EMPTY.replace("e3", "../")]) {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_read_is_compared_with_its_digest_and_its_size() {
        let digest = Digest::of(Algorithm::Sha512, b"abc");
        let read = |bytes: &'static [u8], size| read_checked(bytes, &digest, size, 100, "blob x");
        assert_eq!(read(b"abc", Some(3)).unwrap(), b"abc");
        let message = |bytes, size| read(bytes, size).unwrap_err().to_string();
        assert!(message(b"abd", None).starts_with("blob x: digest sha512:ddaf"));
        assert_eq!(message(b"ab", Some(3)), "blob x: 3 bytes expected, 2 found");
        assert_eq!(message(b"abcd", Some(3)), "blob x: more than 3 bytes");
    }
}
