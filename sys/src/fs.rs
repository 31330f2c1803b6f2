//! Files that others read while they are written.

use std::fs::{OpenOptions, rename};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Puts `bytes` at `path` in one step: a reader sees the old file or the new one, whole.
///
/// # Errors
/// Those of open(2), write(2) and rename(2); the old file is then still there.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&name)?;
    file.write_all(bytes)?;
    rename(name, path)
}
