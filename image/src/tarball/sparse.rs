//! Sparse files: only where there are data, those are in the archive (GNU tar's manual, "Storing Sparse Files").

use super::fields::unsigned;
use super::header::{BLOCK, Block};
use super::pax::wrong;
use crate::error::{Error, Result};
use std::io::Read;

/// How many parts a file may have.
const SEGMENTS: usize = 1 << 20;

/// A part of a file that has data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// What extended headers say of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) name: Option<Vec<u8>>,
    size: Option<u64>,
    major: Option<u64>,
    minor: Option<u64>,
    map: Option<Vec<u64>>,
    numbers: Vec<u64>,
}

/// Where the data of a file are.
#[derive(Debug)]
pub(super) struct Map {
    pub(super) size: u64,
    pub(super) segments: Vec<Segment>,
}

impl Told {
    pub(super) fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let text = || std::str::from_utf8(value).map_err(|_| wrong(key));
        let number = || text()?.parse::<u64>().map_err(|_| wrong(key));
        match key {
            b"GNU.sparse.name" if value.is_empty() || value.contains(&0) => return Err(wrong(key)),
            b"GNU.sparse.name" => self.name = Some(value.to_vec()),
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(number()?),
            b"GNU.sparse.major" => self.major = Some(number()?),
            b"GNU.sparse.minor" => self.minor = Some(number()?),
            b"GNU.sparse.offset" | b"GNU.sparse.numbytes" => self.numbers.push(number()?),
            b"GNU.sparse.map" => {
                let numbers = text()?.split(',').filter(|text| !text.is_empty()).map(str::parse);
                self.map = Some(numbers.collect::<std::result::Result<_, _>>().map_err(|_| wrong(key))?);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether the map is in front of the data.
    pub(super) fn is_first_version(&self) -> bool {
        self.major == Some(1)
    }
}

fn malformed() -> Error {
    Error::refused("the map of a sparse file is malformed")
}

impl Map {
    /// GNU's old form: four parts in the header, more in blocks that follow.
    pub(super) fn old(block: &Block) -> Result<Map> {
        let mut map = Map { size: unsigned(block.field(483, 12), "size")?, segments: Vec::new() };
        map.take(block.field(386, 96))?;
        Ok(map)
    }

    /// Takes the parts of a further block, and tells whether another follows.
    pub(super) fn extend(&mut self, block: &[u8; BLOCK]) -> Result<bool> {
        self.take(block.get(..504).unwrap_or_default())?;
        Ok(block.get(504) == Some(&1))
    }

    fn take(&mut self, fields: &[u8]) -> Result<()> {
        for pair in fields.chunks_exact(24) {
            let (offset, length) = pair.split_at(12);
            if offset.first() != Some(&0) {
                let (offset, length) = (unsigned(offset, "map")?, unsigned(length, "map")?);
                self.push(offset, length)?;
            }
        }
        Ok(())
    }

    /// The versions 0.0 and 0.1: the map is in extended headers.
    pub(super) fn of_header(told: &Told) -> Result<Option<Map>> {
        let numbers = match &told.map {
            Some(numbers) => numbers,
            None if !told.numbers.is_empty() => &told.numbers,
            None => return Ok(None),
        };
        let mut map = Map { size: told.size.ok_or_else(malformed)?, segments: Vec::new() };
        for pair in numbers.chunks(2) {
            let [offset, length] = pair.try_into().map_err(|_| malformed())?;
            map.push(offset, length)?;
        }
        Ok(Some(map))
    }

    /// The version 1.0: the map is in front of the data, in decimal numbers with newlines, padded to a block.
    pub(super) fn in_data(data: &mut impl Read, told: &Told) -> Result<Map> {
        if told.minor != Some(0) {
            return Err(Error::refused("a sparse file is of a version that is not known"));
        }
        let mut lines = Lines { data, block: [0; BLOCK], at: BLOCK };
        let mut map = Map { size: told.size.ok_or_else(malformed)?, segments: Vec::new() };
        for _ in 0..lines.number()? {
            let (offset, length) = (lines.number()?, lines.number()?);
            map.push(offset, length)?;
        }
        Ok(map)
    }

    fn push(&mut self, offset: u64, length: u64) -> Result<()> {
        if self.segments.len() >= SEGMENTS {
            return Err(Error::refused("a sparse file has too many parts"));
        }
        self.segments.push(Segment { offset, length });
        Ok(())
    }

    /// The parts follow one another, lie within the file, and are as long together as what is stored.
    pub(super) fn check(&self, stored: u64) -> Result<()> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for segment in &self.segments {
            if segment.offset < end {
                return Err(malformed());
            }
            end = segment.offset.checked_add(segment.length).ok_or_else(malformed)?;
            sum = sum.checked_add(segment.length).ok_or_else(malformed)?;
        }
        if end > self.size || sum != stored { Err(malformed()) } else { Ok(()) }
    }
}

/// Numbers, a line each, read a block at a time.
struct Lines<'a, R> {
    data: &'a mut R,
    block: [u8; BLOCK],
    at: usize,
}

impl<R: Read> Lines<'_, R> {
    fn number(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        let mut digits = 0;
        loop {
            if self.at == BLOCK {
                self.data.read_exact(&mut self.block).map_err(|_| malformed())?;
                self.at = 0;
            }
            let byte = self.block.get(self.at).copied().ok_or_else(malformed)?;
            self.at += 1;
            match byte {
                b'\n' if digits > 0 => return Ok(value),
                b'0'..=b'9' if digits < 20 => {
                    let digit = u64::from(byte - b'0');
                    value = value
                        .checked_mul(10)
                        .and_then(|value| value.checked_add(digit))
                        .ok_or_else(malformed)?;
                    digits += 1;
                }
                _ => return Err(malformed()),
            }
        }
    }
}
