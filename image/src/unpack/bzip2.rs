//! Decompression of what bzip2 has compressed, as App Container Images may be.
//!
//! There is no standard of the format: this is after its description in the manual of bzip2 1.0 and "BZIP2: Format
//! Specification" (J. Tsai, 2016). Each block is checked by its own checksum, each stream by the one of all its blocks,
//! and one stream may follow another. No more than one block is in memory: 900,000 letters.

use crate::error::Error;
use std::io::{self, BufRead};

/// What a block begins with.
const BLOCK: u64 = 0x3141_5926_5359;
/// What is behind the last block of a stream.
const END: u64 = 0x1772_4538_5090;
/// After so many letters another table may be used.
const GROUP: usize = 50;
/// The longest code of a letter, in bits.
const LONGEST: u32 = 20;
/// As many choices of a table as a block can have; some write more than they need.
const CHOICES: usize = 18_002;

/// Bits, those of more weight first.
struct Bits<R> {
    source: R,
    held: u64,
    count: u32,
}

impl<R: BufRead> Bits<R> {
    /// Whether there is nothing more; what is left of the last byte is thrown away.
    fn is_at_end(&mut self) -> io::Result<bool> {
        self.count -= self.count % 8;
        Ok(self.count == 0 && self.source.fill_buf()?.is_empty())
    }

    /// The next bits, which are not taken. No more than 48.
    fn peek(&mut self, count: u32) -> io::Result<u64> {
        while self.count < count {
            let byte = *self.source.fill_buf()?.first().ok_or_else(|| damaged("it is cut off"))?;
            self.source.consume(1);
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
        Ok(self.held >> (self.count - count) & ((1 << count) - 1))
    }

    fn take(&mut self, count: u32) -> io::Result<u64> {
        let bits = self.peek(count)?;
        self.count -= count;
        Ok(bits)
    }

    fn bit(&mut self) -> io::Result<bool> {
        Ok(self.take(1)? == 1)
    }

    fn number(&mut self, bits: u32) -> io::Result<usize> {
        usize::try_from(self.take(bits)?).map_err(|_| damaged("a number is too large"))
    }
}

fn damaged(what: &str) -> io::Error {
    Error::refused(format!("its bzip2 compression is damaged: {what}")).into()
}

/// The codes of letters, of which those of the same length are numbers in a row.
struct Codes {
    /// For each length that there is, the shortest first.
    rows: Vec<Row>,
    letters: Vec<u16>,
}

/// Codes of one length: a number in a row each, and where their letters are.
struct Row {
    length: u32,
    first: u64,
    count: u64,
    before: usize,
}

impl Codes {
    fn new(lengths: &[u32]) -> Codes {
        let (mut rows, mut letters, mut code) = (Vec::new(), Vec::new(), 0_u64);
        for length in 1..=LONGEST {
            let before = letters.len();
            let same =
                (0_u16..).zip(lengths).filter(|(_, found)| **found == length).map(|(letter, _)| letter);
            letters.extend(same);
            let count = (letters.len() - before) as u64;
            if count > 0 {
                rows.push(Row { length, first: code, count, before });
            }
            code = (code + count) << 1;
        }
        Codes { rows, letters }
    }

    fn letter<R: BufRead>(&self, bits: &mut Bits<R>) -> io::Result<u16> {
        for row in &self.rows {
            let code = bits.peek(row.length)?;
            if let Some(offset) = code.checked_sub(row.first).filter(|offset| *offset < row.count) {
                bits.take(row.length)?;
                let at = row.before + usize::try_from(offset).unwrap_or(usize::MAX);
                return self.letters.get(at).copied().ok_or_else(|| damaged("a code means nothing"));
            }
        }
        Err(damaged("a code means nothing"))
    }
}

/// What is left of a block to be given out.
#[derive(Default)]
struct Block {
    /// A letter in the lowest eight bits, above them where the next one is.
    chain: Vec<u32>,
    at: usize,
    left: usize,
    /// The last letter, how often it was there in a row, and how often it is still to be.
    last: u8,
    run: u8,
    repeat: u8,
    expected: u32,
    sum: u32,
}

/// Reads what was compressed.
pub(super) struct Bzip2<R> {
    bits: Bits<R>,
    /// The most letters that a block of this stream may have; none between streams.
    most: Option<usize>,
    block: Option<Block>,
    /// The checksum of the blocks so far.
    sum: u32,
    /// Room for the letters of a block.
    room: Vec<u32>,
}

impl<R: BufRead> Bzip2<R> {
    pub(super) fn new(source: R) -> Bzip2<R> {
        let bits = Bits { source, held: 0, count: 0 };
        Bzip2 { bits, most: None, block: None, sum: 0, room: Vec::new() }
    }

    pub(super) fn source(&self) -> &R {
        &self.bits.source
    }

    /// Reads on. Nothing is read at the end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(block) = &mut self.block {
                let count = block.give(buffer)?;
                if count > 0 || buffer.is_empty() {
                    return Ok(count);
                }
                let found = !block.sum;
                if found != block.expected {
                    return Err(damaged("the checksum of a block is wrong"));
                }
                self.sum = self.sum.rotate_left(1) ^ found;
                self.room = std::mem::take(&mut block.chain);
                self.block = None;
            }
            let Some(most) = self.most else {
                if self.bits.is_at_end()? {
                    return Ok(0);
                }
                self.most = Some(self.begin()?);
                self.sum = 0;
                continue;
            };
            match self.bits.take(48)? {
                BLOCK => self.block = Some(self.open(most)?),
                END if self.bits.take(32)? == u64::from(self.sum) => self.most = None,
                END => return Err(damaged("the checksum of a stream is wrong")),
                _ => return Err(damaged("a block does not begin as it should")),
            }
        }
    }

    /// The head of a stream: how large its blocks are.
    fn begin(&mut self) -> io::Result<usize> {
        let (magic, level) = (self.bits.take(24)?, self.bits.number(8)?);
        match level.checked_sub(usize::from(b'0')) {
            Some(level @ 1..=9) if magic == 0x42_5a68 => Ok(level * 100_000),
            _ => Err(damaged("something else follows a stream")),
        }
    }

    fn open(&mut self, most: usize) -> io::Result<Block> {
        let expected = u32::try_from(self.bits.take(32)?).unwrap_or_default();
        if self.bits.bit()? {
            return Err(damaged("a block is randomised, which bzip2 gave up with its version 0.9.5"));
        }
        let origin = self.bits.number(24)?;
        let used = self.used()?;
        let (choices, codes) = self.tables(used.len() + 2)?;
        let mut chain = std::mem::take(&mut self.room);
        chain.clear();
        letters(&mut self.bits, used, &choices, &codes, &mut chain, most)?;
        let at = link(&mut chain, origin)?;
        let left = chain.len();
        Ok(Block { chain, at, left, expected, sum: u32::MAX, ..Block::default() })
    }

    /// The letters that there are.
    fn used(&mut self) -> io::Result<Vec<u8>> {
        let rows = self.bits.take(16)?;
        let mut used = Vec::new();
        for row in (0..16_u8).filter(|row| rows >> (15 - row) & 1 == 1) {
            let bits = self.bits.take(16)?;
            used.extend((0..16_u8).filter(|at| bits >> (15 - at) & 1 == 1).map(|at| row * 16 + at));
        }
        if used.is_empty() { Err(damaged("a block has no letters")) } else { Ok(used) }
    }

    /// Which table is used when, and the tables.
    fn tables(&mut self, letters: usize) -> io::Result<(Vec<usize>, Vec<Codes>)> {
        let (tables, count) = (self.bits.number(3)?, self.bits.number(15)?);
        if !(2..=6).contains(&tables) || count == 0 {
            return Err(damaged("a block has no tables"));
        }
        let mut order: Vec<usize> = (0..tables).collect();
        let mut choices = Vec::new();
        for _ in 0..count {
            let mut at = 0;
            while self.bits.bit()? {
                at += 1;
                if at >= tables {
                    return Err(damaged("a table that there is not"));
                }
            }
            let table = order.remove(at);
            order.insert(0, table);
            if choices.len() < CHOICES {
                choices.push(table);
            }
        }
        let codes = (0..tables).map(|_| self.lengths(letters).map(|lengths| Codes::new(&lengths)));
        Ok((choices, codes.collect::<io::Result<_>>()?))
    }

    fn lengths(&mut self, letters: usize) -> io::Result<Vec<u32>> {
        let mut length = u32::try_from(self.bits.take(5)?).unwrap_or_default();
        let mut lengths = Vec::with_capacity(letters);
        for _ in 0..letters {
            loop {
                if !(1..=LONGEST).contains(&length) {
                    return Err(damaged("a code is too long"));
                }
                if !self.bits.bit()? {
                    break;
                }
                length = if self.bits.bit()? { length - 1 } else { length + 1 };
            }
            lengths.push(length);
        }
        Ok(lengths)
    }
}

/// The letters of a block, in the order in which they were sorted.
fn letters<R: BufRead>(
    bits: &mut Bits<R>,
    mut order: Vec<u8>,
    choices: &[usize],
    codes: &[Codes],
    into: &mut Vec<u32>,
    most: usize,
) -> io::Result<()> {
    let end = order.len() + 1;
    // Of how many of the same there are the digits come first, those of less weight in front: 1 or 2 each.
    let (mut run, mut weight) = (0_usize, 1_usize);
    for choice in choices {
        let codes = codes.get(*choice).ok_or_else(|| damaged("a table that there is not"))?;
        for _ in 0..GROUP {
            let letter = usize::from(codes.letter(bits)?);
            if letter <= 1 {
                run = run.saturating_add(weight << letter);
                weight <<= 1;
                if run > most {
                    return Err(damaged("a block is too long"));
                }
                continue;
            }
            if run > 0 {
                let front = order.first().copied().unwrap_or_default();
                into.resize(into.len() + run, u32::from(front));
                (run, weight) = (0, 1);
            }
            if into.len() > most {
                return Err(damaged("a block is too long"));
            }
            if letter == end {
                return Ok(());
            }
            if letter > order.len() {
                return Err(damaged("a letter that there is not"));
            }
            let found = order.remove(letter - 1);
            order.insert(0, found);
            into.push(u32::from(found));
        }
    }
    Err(damaged("a block has no end"))
}

/// Links the letters in the order in which they were before they were sorted. Tells where the first one is.
fn link(chain: &mut [u32], origin: usize) -> io::Result<usize> {
    if chain.len() >= 1 << 24 {
        return Err(damaged("a block is too long"));
    }
    let mut next = [0_usize; 256];
    for letter in chain.iter() {
        if let Some(count) = next.get_mut(*letter as usize & 0xff) {
            *count += 1;
        }
    }
    let mut before = 0;
    for count in &mut next {
        before += std::mem::replace(count, before);
    }
    for at in 0..chain.len() {
        let letter = chain.get(at).copied().unwrap_or_default() as usize & 0xff;
        let Some(place) = next.get_mut(letter) else { continue };
        if let Some(entry) = chain.get_mut(*place) {
            *entry |= u32::try_from(at).unwrap_or_default() << 8;
        }
        *place += 1;
    }
    let first = chain.get(origin).ok_or_else(|| damaged("a block begins nowhere"))?;
    Ok((first >> 8) as usize)
}

impl Block {
    /// The next letter, as it was before runs were made short.
    fn next(&mut self) -> io::Result<Option<u8>> {
        if self.left == 0 {
            return Ok(None);
        }
        let entry = self.chain.get(self.at).ok_or_else(|| damaged("a block leads nowhere"))?;
        self.at = (entry >> 8) as usize;
        self.left -= 1;
        Ok(entry.to_le_bytes().first().copied())
    }

    fn give(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut count = 0;
        while let Some(place) = buffer.get_mut(count) {
            if self.repeat > 0 {
                self.repeat -= 1;
            } else {
                let Some(letter) = self.next()? else { break };
                // After four of the same it is said how many more there are.
                if self.run == 4 {
                    (self.run, self.repeat) = (0, letter);
                    continue;
                }
                self.run = if self.run > 0 && letter == self.last { self.run + 1 } else { 1 };
                self.last = letter;
            }
            *place = self.last;
            count += 1;
            self.sum = checksum(self.sum, self.last);
        }
        Ok(count)
    }
}

/// CRC-32, those bits of more weight first.
fn checksum(sum: u32, byte: u8) -> u32 {
    const TABLE: [u32; 256] = table();
    let at = (sum >> 24) as usize ^ usize::from(byte);
    (sum << 8) ^ TABLE.get(at).copied().unwrap_or_default()
}

#[allow(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "done by the compiler, for 0 to 255"
)]
const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum >> 31 == 1 { sum << 1 ^ 0x04c1_1db7 } else { sum << 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
}
