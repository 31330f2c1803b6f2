//! Files that are replaced as a whole, and names in text.

use crate::error::{Context, Error, Result};
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Writes a file that is there as a whole or as it was before, even if the machine loses its power.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let what = || format!("unable to write {}", path.display());
    let directory = path.parent().ok_or_else(|| Error::refused(what()))?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new{}", std::process::id()));
    let staged = directory.join(name);
    let write = || -> std::io::Result<()> {
        let mut file = File::create(&staged)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        crate::fault::point("file-staged");
        std::fs::rename(&staged, path)
    };
    write().inspect_err(|_| drop(std::fs::remove_file(&staged))).context(what)?;
    sync(directory)
}

/// What was renamed in a directory stays renamed.
pub(crate) fn sync(directory: &Path) -> Result<()> {
    let what = || format!("unable to sync {}", directory.display());
    File::open(directory).and_then(|directory| directory.sync_all()).context(what)
}

/// Bytes as a word: what is not a visible letter of ASCII is `%` and two digits.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

/// The bytes of such a word; none if it is none.
#[must_use]
pub fn unescape(word: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = word.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digits = [*rest.next()?, *rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    Some(bytes)
}
