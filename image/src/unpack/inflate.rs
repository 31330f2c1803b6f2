//! Decompression, by what the first bytes say.

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader;
use std::io::{self, BufRead, BufReader, Read};

/// Up to here nothing is said of how much it has grown: small archives of zeros are no harm.
const GRACE: u64 = 256 << 20;

/// How much memory, in KiB, xz may ask for: four times what its highest level needs (xz(1)).
const XZ_MEMORY: u32 = 256 << 10;

/// How something is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// By gzip (RFC 1952).
    Gzip,
    /// By zstd (RFC 8878).
    Zstd,
    /// By bzip2.
    Bzip2,
    /// By xz ("The .xz File Format", version 1.2).
    Xz,
}

/// What the first bytes say.
#[must_use]
pub fn detect(start: &[u8]) -> Compression {
    match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Compression::Xz,
        // A block, or the end of what is empty.
        [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', b'S', b'Y', ..]
        | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Compression::Bzip2,
        _ => Compression::None,
    }
}

/// Reads what `inner` has, decompressed. What has grown more than `ratio` times is refused.
///
/// # Errors
/// It cannot be read.
pub fn reader<'a>(inner: impl Read + 'a, ratio: u64) -> Result<Box<dyn Read + 'a>> {
    reader_from(inner, ratio, GRACE)
}

fn reader_from<'a>(inner: impl Read + 'a, ratio: u64, grace: u64) -> Result<Box<dyn Read + 'a>> {
    let mut inner = BufReader::with_capacity(1 << 16, Counted { inner, read: 0, ratio, grace });
    let start = fill(&mut inner)?;
    let how = detect(&start);
    let start = Start { start, at: 0, inner };
    Ok(match how {
        Compression::None => Box::new(start),
        Compression::Gzip => Box::new(Bounded { inner: Gzip::new(start), out: 0 }),
        Compression::Zstd => Box::new(Bounded { inner: Zstd::new(start), out: 0 }),
        Compression::Bzip2 => Box::new(Bounded { inner: MultiBzDecoder::new(start), out: 0 }),
        Compression::Xz => {
            Box::new(Bounded { inner: XzReader::new_mem_limit(start, true, XZ_MEMORY), out: 0 })
        }
    })
}

/// The first bytes, as many as are needed and there are.
fn fill(inner: &mut impl Read) -> Result<Vec<u8>> {
    let mut start = Vec::new();
    inner.take(16).read_to_end(&mut start)?;
    Ok(start)
}

/// Counts what was read, to compare with what came of it.
struct Counted<R> {
    inner: R,
    read: u64,
    ratio: u64,
    /// How much may come out of it in any case.
    grace: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

impl<R> Counted<R> {
    fn check(&self, out: u64) -> io::Result<()> {
        let (read, ratio) = (self.read.max(1), self.ratio);
        if out > self.grace && out / read > ratio {
            let message = format!("{read} bytes became more than {ratio} times as many by decompression");
            return Err(Error::refused(message).into());
        }
        Ok(())
    }
}

/// The first bytes, and then the rest.
struct Start<R> {
    start: Vec<u8>,
    at: usize,
    inner: BufReader<Counted<R>>,
}

impl<R: Read> Read for Start<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: Read> BufRead for Start<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match self.start.get(self.at..) {
            Some(rest) if !rest.is_empty() => Ok(rest),
            Some(_) | None => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, amount: usize) {
        if self.at < self.start.len() {
            self.at += amount;
        } else {
            self.inner.consume(amount);
        }
    }
}

/// A decompressor, and what it reads from.
trait Decompressor {
    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    fn check(&self, out: u64) -> io::Result<()>;
}

/// Compares what comes out with what went in.
struct Bounded<D> {
    inner: D,
    out: u64,
}

impl<D: Decompressor> Read for Bounded<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.more(buffer)?;
        self.out += count as u64;
        self.inner.check(self.out)?;
        Ok(count)
    }
}

/// gzip, of several members if need be.
struct Gzip<R: Read>(flate2::bufread::MultiGzDecoder<Start<R>>);

impl<R: Read> Gzip<R> {
    fn new(inner: Start<R>) -> Gzip<R> {
        Gzip(flate2::bufread::MultiGzDecoder::new(inner))
    }
}

impl<R: Read> Decompressor for Gzip<R> {
    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| damaged(error, "gzip"))
    }

    fn check(&self, out: u64) -> io::Result<()> {
        self.0.get_ref().inner.get_ref().check(out)
    }
}

impl<R: Read> Decompressor for MultiBzDecoder<Start<R>> {
    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer).map_err(|error| damaged(error, "bzip2"))
    }

    fn check(&self, out: u64) -> io::Result<()> {
        self.get_ref().inner.get_ref().check(out)
    }
}

impl<R: Read> Decompressor for XzReader<Start<R>> {
    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.read(buffer).map_err(|error| damaged(error, "xz"))
    }

    fn check(&self, out: u64) -> io::Result<()> {
        self.inner().inner.get_ref().check(out)
    }
}

/// Errors of ours pass; those of a decompressor mean damage.
fn damaged(error: io::Error, how: &str) -> io::Error {
    let ours = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).is_some();
    if ours || error.raw_os_error().is_some() {
        return error;
    }
    Error::refused(format!("its {how} compression is damaged or cut off: {error}")).into()
}

/// zstd, of several frames if need be.
struct Zstd<R: Read> {
    frame: ruzstd::decoding::FrameDecoder,
    inside: bool,
    source: Start<R>,
}

impl<R: Read> Zstd<R> {
    fn new(source: Start<R>) -> Zstd<R> {
        Zstd { frame: ruzstd::decoding::FrameDecoder::new(), inside: false, source }
    }

    /// Begins the next frame; false at the end. One that is to be skipped is skipped.
    fn begin(&mut self) -> io::Result<bool> {
        use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.frame.init(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    io::copy(&mut (&mut self.source).take(u64::from(length)), &mut io::sink())?;
                }
                Err(error) => return Err(zstd_damage(error)),
            }
        }
    }

    /// The checksum of a frame, if it has one, is right.
    fn end(&self) -> io::Result<()> {
        match (self.frame.get_checksum_from_data(), self.frame.get_calculated_checksum()) {
            (Some(expected), Some(found)) if expected != found => Err(zstd_damage("a checksum is wrong")),
            _ => Ok(()),
        }
    }
}

impl<R: Read> Decompressor for Zstd<R> {
    fn more(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ruzstd::decoding::BlockDecodingStrategy::UptoBlocks;
        loop {
            if !self.inside && !self.begin()? {
                return Ok(0);
            }
            self.inside = true;
            if self.frame.can_collect() == 0 && !self.frame.is_finished() {
                self.frame.decode_blocks(&mut self.source, UptoBlocks(1)).map_err(zstd_damage)?;
            } else if self.frame.can_collect() == 0 {
                self.end()?;
                self.inside = false;
            } else {
                return self.frame.read(buffer);
            }
        }
    }

    fn check(&self, out: u64) -> io::Result<()> {
        self.source.inner.get_ref().check(out)
    }
}

fn zstd_damage(error: impl std::fmt::Display) -> io::Error {
    Error::refused(format!("its zstd compression is damaged or cut off: {error}")).into()
}
