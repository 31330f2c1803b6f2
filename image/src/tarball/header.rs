//! A header: 512 bytes (tar(5)).

use super::fields::{number, small, unsigned};
use super::{Kind, Time};
use crate::error::{Error, Result};

/// How long headers are, and what data are padded to.
pub(super) const BLOCK: usize = 512;

/// A header whose checksum is right.
pub(super) struct Block([u8; BLOCK]);

impl Block {
    /// Checks the checksum: the sum of the bytes, those of the checksum taken as blanks.
    pub(super) fn new(bytes: [u8; BLOCK]) -> Result<Block> {
        let block = Block(bytes);
        let expected = number(block.field(148, 8), "checksum")?;
        let others = || {
            block.0.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { b' ' } else { *byte })
        };
        let sum: i64 = others().map(i64::from).sum();
        let signed: i64 = others().map(|byte| i64::from(byte.cast_signed())).sum();
        if expected != sum && expected != signed {
            return Err(Error::refused(
                "this is no tar archive, or it is damaged: a header has a wrong checksum",
            ));
        }
        Ok(block)
    }

    /// A part of it.
    pub(super) fn field(&self, at: usize, length: usize) -> &[u8] {
        self.0.get(at..at + length).unwrap_or_default()
    }

    fn text(&self, at: usize, length: usize) -> Vec<u8> {
        super::until_nul(self.field(at, length).to_vec())
    }

    pub(super) fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or_default()
    }

    /// Whether it is POSIX's form, whose names may be in two parts.
    fn is_posix(&self) -> bool {
        self.field(257, 6) == b"ustar\0"
    }

    fn is_gnu(&self) -> bool {
        self.field(257, 8) == b"ustar  \0"
    }

    /// The name.
    #[allow(clippy::unnecessary_wraps, reason = "the alternative can fail")]
    pub(super) fn path(&self) -> Result<Vec<u8>> {
        let name = self.text(0, 100);
        let prefix = if self.is_posix() { self.text(345, 155) } else { Vec::new() };
        Ok(if prefix.is_empty() { name } else { [prefix, name].join(&b'/') })
    }

    /// What a link says.
    pub(super) fn link(&self) -> Vec<u8> {
        self.text(157, 100)
    }

    pub(super) fn size(&self) -> Result<u64> {
        unsigned(self.field(124, 12), "size")
    }

    pub(super) fn mode(&self) -> Result<u32> {
        Ok(small(self.field(100, 8), "mode")? & 0o7777)
    }

    pub(super) fn uid(&self) -> Result<u32> {
        small(self.field(108, 8), "user id")
    }

    pub(super) fn gid(&self) -> Result<u32> {
        small(self.field(116, 8), "group id")
    }

    pub(super) fn mtime(&self) -> Result<Time> {
        Ok(Time { seconds: number(self.field(136, 12), "time")?, nanos: 0 })
    }

    fn device(&self) -> Result<(u32, u32)> {
        if !self.is_posix() && !self.is_gnu() {
            return Ok((0, 0));
        }
        Ok((small(self.field(329, 8), "device")?, small(self.field(337, 8), "device")?))
    }

    /// Whether a list of the parts of a sparse file goes on in the next block.
    pub(super) fn is_extended(&self) -> bool {
        self.field(482, 1) == [1]
    }

    /// What the entry makes.
    pub(super) fn entry_kind(&self, path: &[u8], link: Vec<u8>) -> Result<Kind> {
        match self.kind() {
            // The oldest form has no directories but these.
            0 | b'0' if path.ends_with(b"/") => Ok(Kind::Directory),
            0 | b'0' | b'7' | b'S' => Ok(Kind::File(None)),
            b'1' => Ok(Kind::Link(link)),
            b'2' => Ok(Kind::Symlink(link)),
            b'3' => self.device().map(|(major, minor)| Kind::Character(major, minor)),
            b'4' => self.device().map(|(major, minor)| Kind::BlockDevice(major, minor)),
            b'5' => Ok(Kind::Directory),
            b'6' => Ok(Kind::Fifo),
            other => {
                Err(Error::refused(format!("entries of the type {:?} are not known", char::from(other))))
            }
        }
    }
}
