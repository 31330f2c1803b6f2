//! What is mounted where (proc(5), mountinfo).

use crate::error::{Context, Error, Result};
use rustix::mount::UnmountFlags;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The mount points at a path and below it, those mounted last first.
///
/// # Errors
/// They cannot be read.
pub fn below(path: &Path) -> Result<Vec<PathBuf>> {
    // Mounts are known by their paths without links.
    let Ok(path) = path.canonicalize() else { return Ok(Vec::new()) };
    let text = std::fs::read("/proc/thread-self/mountinfo").context(|| "unable to read what is mounted")?;
    let points = text.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut found: Vec<PathBuf> = points.map(unescape).filter(|point| point.starts_with(&path)).collect();
    found.reverse();
    Ok(found)
}

/// Unmounts what is at a path and below it, whether it is in use or not: whoever uses it keeps it until it is done
/// (umount(2), `MNT_DETACH`).
///
/// # Errors
/// The system refused it.
pub fn detach(path: &Path) -> Result<()> {
    for point in below(path)? {
        match rustix::mount::unmount(&point, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // It went with one above it.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => {}
            Err(error) => {
                return Err(Error::from(error).during(format_args!("unable to unmount {}", point.display())));
            }
        }
    }
    match below(path)?.as_slice() {
        [] => Ok(()),
        [first, ..] => {
            Err(Error::new(crate::error::Kind::Busy, format!("{} is still mounted", first.display())))
        }
    }
}

/// A blank, a tab, a newline and a backslash are three octal digits there.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_with_blanks_are_read() {
        assert_eq!(unescape(b"/a\\040b\\134c"), PathBuf::from("/a b\\c"));
        assert_eq!(unescape(b"/a\\"), PathBuf::from("/a\\"));
    }
}
