//! Archives such as somebody might make who means harm, or whose disk is failing.

use super::random::Random;
use std::io::Write;
use tests::archive::{Entry, Long, archive, seal};

/// Parts of names.
const PARTS: [&[u8]; 26] = [
    b"a",
    b"b",
    b"c",
    b"d",
    b"a",
    b"b",
    b"c",
    b"link",
    b"..",
    b".",
    b"",
    b".wh.a",
    b".wh.b",
    b".wh.c",
    b".wh..wh..opq",
    b".wh.",
    b".wh..",
    b".wh...",
    b".wh..wh.plnk",
    b".wh..wh.aufs",
    b".wh.link",
    b"..a",
    b"\xff\xfe",
    b"new\nline",
    b"manifest",
    b"rootfs",
];

/// Keys of extended headers.
const KEYS: [&str; 22] = [
    "path",
    "linkpath",
    "size",
    "uid",
    "gid",
    "mtime",
    "atime",
    "SCHILY.xattr.user.x",
    "SCHILY.xattr.trusted.overlay.opaque",
    "SCHILY.xattr.trusted.overlay.redirect",
    "SCHILY.xattr.security.capability",
    "LIBARCHIVE.xattr.user.y",
    "GNU.sparse.major",
    "GNU.sparse.minor",
    "GNU.sparse.name",
    "GNU.sparse.realsize",
    "GNU.sparse.size",
    "GNU.sparse.numblocks",
    "GNU.sparse.map",
    "hdrcharset",
    "SCHILY.devmajor",
    "",
];

/// Values of extended headers.
const VALUES: [&str; 14] = [
    "0",
    "1",
    "-1",
    "512",
    "1.5",
    "18446744073709551616",
    "9223372036854775807",
    "0,1,512,1",
    "y",
    "",
    "../x",
    "/",
    "nan",
    "99999999999999999999999999",
];

/// Makes archives; `outside` is the absolute path of what must not be touched.
pub(crate) struct Maker<'a> {
    pub(crate) random: &'a mut Random,
    pub(crate) outside: &'a [u8],
}

impl Maker<'_> {
    fn part(&mut self) -> Vec<u8> {
        match self.random.below(60) {
            0 => vec![b'n'; 100 + self.random.below(200)],
            1 => format!("f{}", self.random.below(10)).into_bytes(),
            _ => self.random.one(&PARTS).to_vec(),
        }
    }

    fn path(&mut self) -> Vec<u8> {
        let mut path = Vec::new();
        match self.random.below(40) {
            0 => path.extend(b"/"),
            1 => path.extend(b"./"),
            2 => path.extend(b"../".repeat(1 + self.random.below(3))),
            5 => path.extend(b"../../outside/"),
            6 => path.extend(b"../0/"),
            3 => {
                path.extend(self.outside);
                path.push(b'/');
            }
            4 => return b"a/".repeat(self.random.below(300)),
            _ => {}
        }
        // Mostly harmless, so that something comes of the rest.
        let harmless = !self.random.once_in(4);
        for at in 0..=self.random.below(4) {
            if at > 0 {
                path.push(b'/');
            }
            let part = if harmless { PARTS[self.random.below(8)].to_vec() } else { self.part() };
            path.extend(part);
        }
        if self.random.once_in(10) {
            path.push(b'/');
        }
        path
    }

    fn target(&mut self) -> Vec<u8> {
        match self.random.below(10) {
            0 => self.outside.to_vec(),
            1 => [self.outside, b"/file"].concat(),
            2 => b"../".repeat(self.random.below(20)),
            3 => [b"../".repeat(1 + self.random.below(6)).as_slice(), b"outside/file"].concat(),
            4 => b"/".to_vec(),
            5 => b".".to_vec(),
            _ => self.path(),
        }
    }

    fn entry(&mut self) -> Entry {
        let kind = match self.random.below(30) {
            0..=9 => b'0',
            10..=15 => b'5',
            16..=20 => b'2',
            21..=24 => b'1',
            25 => *self.random.one(b"34567gxLKSDVMN\0"),
            26 => b'3',
            27 => b'S',
            28 => u8::try_from(self.random.below(256)).unwrap(),
            _ => b'6',
        };
        let mut entry = Entry::of(kind, self.path(), "");
        if matches!(kind, b'1' | b'2') || self.random.once_in(20) {
            entry.link = self.target();
        }
        if kind == b'0' || self.random.once_in(8) {
            entry.data = vec![b'x'; self.random.below(2000)];
        }
        if self.random.once_in(30) {
            let lies = [0, 1, 511, 512, 1 << 20, 1 << 33, 1 << 62, u64::MAX, self.random.any()];
            entry.size = Some(*self.random.one(&lies));
        }
        if self.random.once_in(4) {
            entry.mode = *self.random.one(&[0, 0o7777, 0o4755, 0o1777, u64::MAX, 0o100_644]);
        }
        if self.random.once_in(20) {
            (entry.uid, entry.gid, entry.mtime) =
                (self.random.any(), self.random.any() >> 40, self.random.any());
            entry.device = (self.random.any() >> 50, self.random.any() >> 50);
        }
        while self.random.once_in(6) {
            let key = *self.random.one(&KEYS);
            let value = match self.random.below(4) {
                0 => self.path(),
                1 => self.target(),
                _ => self.random.one(&VALUES).as_bytes().to_vec(),
            };
            entry = entry.with(key, value);
        }
        entry.long = *self.random.one(&[Long::Pax, Long::Gnu, Long::Cut]);
        entry.bad_checksum = self.random.once_in(200);
        entry
    }

    /// An entry that is no harm by itself: what may be is where its links lead.
    fn calm(&mut self, files: &mut Vec<Vec<u8>>) -> Entry {
        let parts: Vec<&[u8]> = (0..=self.random.below(3)).map(|_| PARTS[self.random.below(8)]).collect();
        let path = parts.join(&b'/');
        let mut entry = match self.random.below(12) {
            0..=3 => {
                files.push(path.clone());
                Entry::file(path, vec![b'x'; self.random.below(600)])
            }
            4..=5 => Entry::directory(path),
            6..=7 => Entry::symlink(path, self.target()),
            8 if !files.is_empty() => Entry::hardlink(path, self.random.one(files).clone()),
            9 => {
                let (name, directory) = parts.split_last().unwrap();
                let white =
                    if self.random.once_in(4) { b".wh..wh..opq".to_vec() } else { [b".wh.", *name].concat() };
                Entry::file([directory, &[&white]].concat().join(&b'/'), "")
            }
            10 => Entry::of(b'6', path, ""),
            _ => Entry::file(path, "").with("SCHILY.xattr.user.x", "y"),
        };
        entry.mode = *self.random.one(&[0, 0o7777, 0o4755, 0o644, 0o755]);
        entry.long = *self.random.one(&[Long::Pax, Long::Gnu]);
        entry
    }

    /// An archive: of what belongs into one, with something else in between, or of anything.
    pub(crate) fn layer(&mut self) -> Vec<u8> {
        let count = if self.random.once_in(20) { 300 } else { 1 + self.random.below(12) };
        let mood = self.random.below(5);
        let mut files = Vec::new();
        let mut entries: Vec<Entry> =
            (0..count).map(|_| if mood == 0 { self.entry() } else { self.calm(&mut files) }).collect();
        if mood == 1 {
            let at = self.random.below(entries.len());
            entries[at] = self.entry();
        }
        let mut bytes = archive(&entries);
        if mood < 2 && self.random.once_in(2) {
            for _ in 0..=self.random.below(4) {
                self.damage(&mut bytes);
            }
        }
        if self.random.once_in(4) {
            bytes = self.compress(&bytes);
        }
        bytes
    }

    /// Changes a little of it.
    fn damage(&mut self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length < 512 {
            return;
        }
        let block = self.random.below(length / 512) * 512;
        match self.random.below(7) {
            0 => bytes.truncate(self.random.below(length)),
            1 => {
                let at = self.random.below(length);
                bytes[at] ^= 1 << self.random.below(8);
            }
            // A field of a header, with a checksum that is right.
            2..=4 => {
                let at = block
                    + *self.random.one(&[
                        0, 99, 100, 108, 116, 124, 125, 135, 136, 156, 157, 257, 263, 345, 386, 482, 483,
                    ]);
                bytes[at] = u8::try_from(self.random.below(256)).unwrap();
                seal(&mut bytes[block..block + 512], false);
            }
            5 => bytes.splice(block..block, std::iter::repeat_n(0, 512)).for_each(drop),
            _ => {
                let copy = bytes[block..].to_vec();
                bytes.extend(copy);
            }
        }
    }

    fn compress(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        let mut packed = encoder.finish().unwrap();
        match self.random.below(6) {
            0 => packed.truncate(self.random.below(packed.len())),
            1 => {
                let at = self.random.below(packed.len());
                packed[at] ^= 1 << self.random.below(8);
            }
            2 => packed.extend(packed.clone()),
            3 => packed.extend(b"what follows"),
            _ => {}
        }
        packed
    }
}

/// What makes a kilobyte of a few bytes: much of the same.
pub(crate) fn bomb(random: &mut Random) -> Vec<u8> {
    let size = 1 << (16 + random.below(5));
    let mut bytes = archive(&[Entry { data: vec![0; size], ..Entry::file("bomb", "") }]);
    for _ in 0..=random.below(3) {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
    }
    bytes
}
