//! Archives in the tar format: ustar, GNU's and POSIX's (pax), read one entry after the other.
//!
//! The reader takes nothing on trust: every number is checked against a limit before anything is made of its size, and
//! what two readers might understand differently is refused. What the formats are is in tar(5) and in POSIX's pax.

mod fields;
mod header;
mod pax;
mod sparse;
#[cfg(test)]
mod tests;

pub use sparse::Segment;

use crate::error::{Error, Result};
use header::{BLOCK, Block};
use pax::Extended;
use std::io::{self, Read};

/// What is too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one archive.
    pub entries: u64,
    /// Bytes of one archive, uncompressed, and of what is unpacked of it.
    pub bytes: u64,
    /// Bytes of a path.
    pub path: usize,
    /// How many times as long as it was something may become by decompression, beyond the first 256 MiB.
    pub ratio: u64,
    /// Bytes of one header's extensions: long names, extended attributes.
    pub extension: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { entries: 2_000_000, bytes: 64 << 30, path: 4095, ratio: 500, extension: 1 << 20 }
    }
}

/// A time, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Time {
    /// Seconds, rounded down.
    pub seconds: i64,
    /// Nanoseconds above that.
    pub nanos: u32,
}

/// What an entry makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file: where its data are, if not one after the other from the start. What lies between are zeros.
    File(Option<Vec<Segment>>),
    /// A directory.
    Directory,
    /// A symbolic link, and what it says.
    Symlink(Vec<u8>),
    /// Another name of what has this name.
    Link(Vec<u8>),
    /// A character device, major and minor.
    Character(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A FIFO.
    Fifo,
}

/// An entry, before anything is made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as it is in the archive.
    pub path: Vec<u8>,
    /// What it makes.
    pub kind: Kind,
    /// The permissions, with the set-user-id, set-group-id and sticky bits.
    pub mode: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// When it was changed.
    pub mtime: Time,
    /// How long a file is.
    pub size: u64,
    /// Its extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// The name, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path).escape_debug().to_string()
    }
}

/// Reads an archive.
pub struct Reader<R> {
    inner: R,
    limits: Limits,
    /// What is left of the entry's data, as they are stored.
    left: u64,
    /// What follows those up to the next block.
    padding: u64,
    entries: u64,
    globals: Extended,
    ended: bool,
}

impl<R: Read> Reader<R> {
    /// Reads from its start.
    pub fn new(inner: R, limits: Limits) -> Reader<R> {
        Reader { inner, limits, left: 0, padding: 0, entries: 0, globals: Extended::default(), ended: false }
    }

    /// The next entry; none at the end, behind which nothing but zeros may follow.
    ///
    /// # Errors
    /// It cannot be read, is cut off, or is no archive.
    #[allow(clippy::should_implement_trait, reason = "an iterator cannot fail")]
    pub fn next(&mut self) -> Result<Option<Entry>> {
        if self.ended {
            return Ok(None);
        }
        if !self.skip()? {
            self.ended = true;
            return Ok(None);
        }
        let mut extended = Extended::default();
        loop {
            let Some(block) = self.block()? else {
                if !extended.is_empty() {
                    return Err(Error::refused("the archive ends between a header and its entry"));
                }
                self.ended = true;
                return Ok(None);
            };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(Error::refused(format!(
                    "the archive has more than {} entries",
                    self.limits.entries
                )));
            }
            match block.kind() {
                b'x' => extended.read(&self.extension(&block)?)?,
                b'g' => {
                    let bytes = self.extension(&block)?;
                    self.globals.read(&bytes)?;
                }
                b'L' => extended.set_path(until_nul(self.extension(&block)?)),
                b'K' => extended.set_link(until_nul(self.extension(&block)?)),
                // The name of a volume.
                b'V' => self.extension(&block).map(drop)?,
                _ => return self.entry(&block, extended).map(Some),
            }
        }
    }

    /// The data of the entry, as they are stored.
    pub fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    /// What is read from.
    pub fn get_ref(&self) -> &R {
        &self.inner
    }

    fn entry(&mut self, block: &Block, extended: Extended) -> Result<Entry> {
        let extended = extended.over(&self.globals);
        let path = extended.path.clone().map_or_else(|| block.path(), Ok)?;
        let shown = || String::from_utf8_lossy(&path).escape_debug().to_string();
        let inside = |error: Error| error.during(format_args!("entry {:?}", shown()));
        if path.len() > self.limits.path {
            return Err(Error::refused(format!(
                "an entry has a name of more than {} bytes",
                self.limits.path
            )));
        }
        let stored = extended.size.map_or_else(|| block.size(), Ok).map_err(inside)?;
        let link = extended.link.clone().unwrap_or_else(|| block.link());
        let mut kind = block.entry_kind(&path, link).map_err(inside)?;
        let has_data = matches!(kind, Kind::File(_));
        self.begin(if has_data { stored } else { 0 }, stored).map_err(inside)?;
        let mut size = if has_data { stored } else { 0 };
        if let Kind::File(segments) = &mut kind
            && let Some(map) = self.sparse(block, &extended).map_err(inside)?
        {
            size = map.size;
            *segments = Some(map.segments);
        }
        if size > self.limits.bytes {
            return Err(inside(Error::refused(format!("it is longer than {} bytes", self.limits.bytes))));
        }
        Ok(Entry {
            kind,
            mode: block.mode().map_err(inside)?,
            uid: extended.uid.map_or_else(|| block.uid(), Ok).map_err(inside)?,
            gid: extended.gid.map_or_else(|| block.gid(), Ok).map_err(inside)?,
            mtime: extended.mtime.map_or_else(|| block.mtime(), Ok).map_err(inside)?,
            size,
            xattrs: extended.xattrs,
            path,
        })
    }

    /// The map of a sparse file, in whichever of four ways it is told.
    fn sparse(&mut self, block: &Block, extended: &Extended) -> Result<Option<sparse::Map>> {
        let map = if block.kind() == b'S' {
            let mut map = sparse::Map::old(block)?;
            let mut more = block.is_extended();
            while more {
                let next = self.raw_block()?.ok_or_else(cut)?;
                more = map.extend(&next)?;
            }
            map
        } else if extended.sparse.is_first_version() {
            let mut data = Data(self);
            sparse::Map::in_data(&mut data, &extended.sparse)?
        } else if let Some(map) = sparse::Map::of_header(&extended.sparse)? {
            map
        } else {
            return Ok(None);
        };
        map.check(self.left)?;
        Ok(Some(map))
    }

    /// Notes how much data follow.
    fn begin(&mut self, left: u64, stored: u64) -> Result<()> {
        if stored > self.limits.bytes {
            return Err(Error::refused(format!("it has more than {} bytes", self.limits.bytes)));
        }
        // What has no data may still say a size, which others take for nothing or for what follows.
        if stored != left {
            return Err(Error::refused(format!("{stored} bytes follow what can have none")));
        }
        self.left = left;
        self.padding = (BLOCK as u64 - left % BLOCK as u64) % BLOCK as u64;
        Ok(())
    }

    /// The data of a header's extension.
    fn extension(&mut self, block: &Block) -> Result<Vec<u8>> {
        let size = block.size()?;
        if size > self.limits.extension {
            let limit = self.limits.extension;
            return Err(Error::refused(format!("a header is extended by {size} bytes, more than {limit}")));
        }
        self.begin(size, size)?;
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes)?;
        if self.skip()? { Ok(bytes) } else { Err(cut()) }
    }

    /// Reads what is left of an entry. Tells whether that was all there: some end an archive with the last byte of its
    /// last file, without the zeros up to the next block (umoci 0.4 does).
    fn skip(&mut self) -> Result<bool> {
        io::copy(&mut self.data(), &mut io::sink())?;
        let padding = std::mem::take(&mut self.padding);
        let skipped = io::copy(&mut (&mut self.inner).take(padding), &mut io::sink())?;
        // Between the two it was cut off.
        if skipped > 0 && skipped < padding { Err(cut()) } else { Ok(skipped == padding) }
    }

    /// The next header, or the end.
    fn block(&mut self) -> Result<Option<Block>> {
        match self.raw_block()? {
            None => Ok(None),
            Some(bytes) if bytes.iter().all(|byte| *byte == 0) => self.expect_zeros().map(|()| None),
            Some(bytes) => Block::new(bytes).map(Some),
        }
    }

    fn raw_block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut bytes = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(cut()),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(bytes))
    }

    fn expect_zeros(&mut self) -> Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match self.inner.read(&mut buffer)? {
                0 => return Ok(()),
                count if buffer.iter().take(count).all(|byte| *byte == 0) => {}
                _ => return Err(Error::refused("something follows the end of the archive")),
            }
        }
    }
}

/// The data of an entry.
pub struct Data<'a, R>(&'a mut Reader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.0.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        if count == 0 {
            return Err(cut().into());
        }
        self.0.left -= count as u64;
        Ok(count)
    }
}

fn cut() -> Error {
    Error::refused("the archive is cut off")
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}
