//! Extended headers: records `LENGTH KEY=VALUE\n`, which say what a header has no room for (POSIX, pax).

use super::Time;
use super::sparse::Told;
use crate::error::{Error, Result};

/// Before the name of an extended attribute, whose value follows as it is.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What extended headers say of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Told,
}

impl Extended {
    pub(super) fn is_empty(&self) -> bool {
        *self == Extended::default()
    }

    pub(super) fn set_path(&mut self, path: Vec<u8>) {
        self.path = Some(path);
    }

    pub(super) fn set_link(&mut self, link: Vec<u8>) {
        self.link = Some(link);
    }

    /// What is said for this entry, and besides what is said for all.
    pub(super) fn over(mut self, globals: &Extended) -> Extended {
        self.path = self.sparse.name.take().or(self.path).or_else(|| globals.path.clone());
        self.link = self.link.or_else(|| globals.link.clone());
        self.size = self.size.or(globals.size);
        self.uid = self.uid.or(globals.uid);
        self.gid = self.gid.or(globals.gid);
        self.mtime = self.mtime.or(globals.mtime);
        for (name, value) in &globals.xattrs {
            if !self.xattrs.iter().any(|(own, _)| own == name) {
                self.xattrs.push((name.clone(), value.clone()));
            }
        }
        self
    }

    /// Reads records; a later one of the same key counts.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // Some pad with zeros.
            if bytes.iter().all(|byte| *byte == 0) {
                return Ok(());
            }
            let (key, value, rest) =
                record(bytes).ok_or_else(|| Error::refused("an extended header is malformed"))?;
            self.set(key, value)?;
            bytes = rest;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let number = || {
            let text = std::str::from_utf8(value).ok();
            text.and_then(|text| text.parse::<u64>().ok()).ok_or_else(|| wrong(key))
        };
        let id = || number()?.try_into().map_err(|_| wrong(key));
        match key {
            b"path" => self.path = Some(name(key, value)?),
            b"linkpath" => self.link = Some(name(key, value)?),
            b"size" => self.size = Some(number()?),
            b"uid" => self.uid = Some(id()?),
            b"gid" => self.gid = Some(id()?),
            b"mtime" => self.mtime = Some(time(value).ok_or_else(|| wrong(key))?),
            _ if key.starts_with(b"GNU.sparse.") => self.sparse.set(key, value)?,
            _ => {
                if let Some(attribute) = key.strip_prefix(XATTR) {
                    let attribute = name(key, attribute)?;
                    self.xattrs.retain(|(own, _)| *own != attribute);
                    self.xattrs.push((attribute, value.to_vec()));
                }
            }
        }
        Ok(())
    }
}

/// The key, the value and what follows.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let blank = bytes.iter().take(12).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..blank)?).ok()?.parse().ok()?;
    let record = bytes.get(blank + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (record.get(..equals)?, record.get(equals + 1..)?);
    (!key.is_empty()).then_some((key, value, bytes.get(length..)?))
}

/// A name has no NUL: others would see a part of it.
fn name(key: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    if value.is_empty() || value.contains(&0) { Err(wrong(key)) } else { Ok(value.to_vec()) }
}

pub(super) fn wrong(key: &[u8]) -> Error {
    Error::refused(format!("an extended header has a bad {}", String::from_utf8_lossy(key).escape_debug()))
}

/// Seconds since 1970, with a fraction, as `-1.5`.
fn time(value: &[u8]) -> Option<Time> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (negative, digits) = whole.strip_prefix('-').map_or((false, whole), |digits| (true, digits));
    let seconds: i64 = if digits.is_empty() { 0 } else { digits.parse().ok()? };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    match (negative, nanos) {
        (false, nanos) => Some(Time { seconds, nanos }),
        (true, 0) => Some(Time { seconds: seconds.checked_neg()?, nanos: 0 }),
        (true, nanos) => {
            Some(Time { seconds: seconds.checked_neg()?.checked_sub(1)?, nanos: 1_000_000_000 - nanos })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_fractions_and_may_be_before_1970() {
        let both = |text: &str| time(text.as_bytes()).map(|time| (time.seconds, time.nanos));
        assert_eq!(both("1.5"), Some((1, 500_000_000)));
        assert_eq!(both("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(both("-0.000000001"), Some((-1, 999_999_999)));
        assert_eq!(both("12.1234567899"), Some((12, 123_456_789)));
        assert_eq!(both("x"), None);
        assert_eq!(both("1.x"), None);
    }

    #[test]
    fn records_that_are_not_as_long_as_they_say_are_refused() {
        let read = |bytes: &[u8]| Extended::default().read(bytes);
        assert!(read(b"9 path=a\n").is_ok());
        for bad in
            [&b"8 path=a\n"[..], b"11 path=a\n", b"path=a\n", b"0 path=a\n", b"99999999999999999999 path=a\n"]
        {
            assert!(read(bad).is_err());
        }
        assert!(read(b"11 path=a\0b\n").is_err());
        assert!(read(b"8 uid=x\n").is_err());
    }
}
