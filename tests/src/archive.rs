//! Archives in the tar format, written for tests: whatever somebody may put into one, also what nobody should.

/// An entry, field by field. What is not set is what a harmless file has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Vec<u8>,
    /// The type: `b'0'` is a file, `b'5'` a directory, `b'2'` a symbolic link.
    pub kind: u8,
    /// What a link says.
    pub link: Vec<u8>,
    /// The permissions.
    pub mode: u64,
    /// Whose it is.
    pub uid: u64,
    /// Its group's.
    pub gid: u64,
    /// When it was changed.
    pub mtime: u64,
    /// The numbers of a device.
    pub device: (u64, u64),
    /// What it holds.
    pub data: Vec<u8>,
    /// How long it says it is, if that is not the truth.
    pub size: Option<u64>,
    /// Records of an extended header before it (pax).
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
    /// How a name or a link of more than 100 bytes is written.
    pub long: Long,
    /// Whether the checksum is wrong.
    pub bad_checksum: bool,
}

/// How long names are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Long {
    /// As records of an extended header.
    Pax,
    /// As GNU's entries of the types `L` and `K`.
    Gnu,
    /// Not: they are cut off.
    Cut,
}

impl Entry {
    /// A file.
    #[must_use]
    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Entry {
        Entry { data: data.as_ref().to_vec(), ..Entry::of(b'0', name, "") }
    }

    /// A directory.
    #[must_use]
    pub fn directory(name: impl AsRef<[u8]>) -> Entry {
        Entry { mode: 0o755, ..Entry::of(b'5', name, "") }
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry::of(b'2', name, target)
    }

    /// Another name of something.
    #[must_use]
    pub fn hardlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Entry {
        Entry::of(b'1', name, target)
    }

    /// Something of a type.
    #[must_use]
    pub fn of(kind: u8, name: impl AsRef<[u8]>, link: impl AsRef<[u8]>) -> Entry {
        Entry {
            name: name.as_ref().to_vec(),
            kind,
            link: link.as_ref().to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
            mtime: 1_000_000_000,
            device: (0, 0),
            data: Vec::new(),
            size: None,
            pax: Vec::new(),
            long: Long::Pax,
            bad_checksum: false,
        }
    }

    /// With a record of an extended header.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl AsRef<[u8]>) -> Entry {
        self.pax.push((key.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Appends it to an archive.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut pax = self.pax.clone();
        for (key, letter, value) in [("path", b'L', &self.name), ("linkpath", b'K', &self.link)] {
            if value.len() <= 100 {
                continue;
            }
            match self.long {
                Long::Pax => pax.push((key.into(), value.clone())),
                Long::Gnu => {
                    let data = [value.as_slice(), b"\0"].concat();
                    let long = Entry { data, ..Entry::of(letter, "././@LongLink", "") };
                    long.write(out);
                }
                Long::Cut => {}
            }
        }
        if !pax.is_empty() {
            let data = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            let header = Entry { data, ..Entry::of(b'x', "PaxHeaders/x", "") };
            header.write(out);
        }
        out.extend(self.header());
        out.extend(&self.data);
        out.resize(out.len().next_multiple_of(512), 0);
    }

    fn header(&self) -> Vec<u8> {
        let mut block = vec![0; 512];
        let mut put = |at: usize, length: usize, bytes: &[u8]| {
            let length = bytes.len().min(length);
            block[at..at + length].copy_from_slice(&bytes[..length]);
        };
        put(0, 100, &self.name);
        put(100, 8, &number(self.mode, 8));
        put(108, 8, &number(self.uid, 8));
        put(116, 8, &number(self.gid, 8));
        put(124, 12, &number(self.size.unwrap_or(self.data.len() as u64), 12));
        put(136, 12, &number(self.mtime, 12));
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(157, 100, &self.link);
        put(257, 8, b"ustar\x0000");
        put(329, 8, &number(self.device.0, 8));
        put(337, 8, &number(self.device.1, 8));
        seal(&mut block, self.bad_checksum);
        block
    }
}

/// Writes the checksum of a header into it.
///
/// # Panics
/// If it is no header.
pub fn seal(block: &mut [u8], wrong: bool) {
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{:06o}\0 ", sum + u64::from(wrong)).as_bytes());
}

/// A number in octal digits, or as GNU writes those that are too large for that.
fn number(value: u64, length: usize) -> Vec<u8> {
    let digits = format!("{value:0width$o}\0", width = length - 1);
    if digits.len() <= length {
        return digits.into_bytes();
    }
    let mut bytes = vec![0; length];
    let big = value.to_be_bytes();
    let from = length.saturating_sub(8);
    let skip = 8_usize.saturating_sub(length);
    bytes[from..].copy_from_slice(&big[skip..]);
    bytes[0] |= 0x80;
    bytes
}

/// A record of an extended header: its length, a key and a value.
#[must_use]
pub fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// An archive of entries, with its end.
#[must_use]
pub fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        entry.write(&mut out);
    }
    out.extend([0; 1024]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::process::{Command, Stdio};

    #[test]
    fn what_is_written_is_what_tar_reads() {
        let long = "n".repeat(300);
        let entries = [
            Entry::directory("d"),
            Entry { uid: 3_000_000_000, ..Entry::file("d/a", "contents") },
            Entry { long: Long::Gnu, ..Entry::symlink(format!("d/{long}"), &long) },
            Entry::hardlink(format!("d/{long}2"), "d/a"),
            Entry::file("x", "").with("mtime", "1.5"),
        ];
        let mut tar = Command::new("tar")
            .args(["--numeric-owner", "-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&archive(&entries)).unwrap();
        let output = tar.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        for expected in
            ["3000000000/0", &format!("d/{long} -> {long}"), &format!("d/{long}2 link to d/a"), "drwxr-xr-x"]
        {
            assert!(text.contains(expected), "{text}");
        }
    }
}
