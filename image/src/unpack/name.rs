//! What the names in archives mean.

use crate::error::{Error, Result};

/// Before the name of what is taken away (OCI image specification, image layer filesystem changeset).
const WHITEOUT: &[u8] = b".wh.";
/// The name that takes away all that lower layers have in a directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Before names of aufs's own, which mean nothing here.
const AUFS: &[u8] = b".wh..wh.";

/// What a name asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// Something at this path; that of the root has no parts.
    Path(Vec<&'a [u8]>),
    /// That something is taken away: the directory's path, and its name there.
    Whiteout(Vec<&'a [u8]>, &'a [u8]),
    /// That everything of lower layers in a directory is taken away.
    Opaque(Vec<&'a [u8]>),
    /// Nothing.
    Ignored,
}

/// The parts of a name, without `.` and repeated slashes.
///
/// # Errors
/// It leads out, or can be no name.
pub fn parts(name: &[u8]) -> Result<Vec<&[u8]>> {
    if name.is_empty() {
        return Err(Error::refused("an entry without a name"));
    }
    if name.contains(&0) {
        return Err(Error::refused("a name with a NUL in it"));
    }
    if name.starts_with(b"/") && name != b"/" {
        return Err(Error::refused("an absolute name"));
    }
    let parts: Vec<&[u8]> =
        name.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err(Error::refused("\"..\" in a name"));
    }
    if parts.iter().any(|part| part.len() > 255) {
        return Err(Error::refused("a name of more than 255 bytes"));
    }
    Ok(parts)
}

/// What the name of an entry of a changeset asks for.
///
/// # Errors
/// As [`parts`], or it is malformed.
pub fn change(name: &[u8]) -> Result<Name<'_>> {
    let mut parts = parts(name)?;
    let Some(last) = parts.pop() else { return Ok(Name::Path(parts)) };
    if last == OPAQUE {
        no_marks(&parts)?;
        return Ok(Name::Opaque(parts));
    }
    if parts.iter().chain([&last]).any(|part| part.starts_with(AUFS)) {
        return Ok(Name::Ignored);
    }
    no_marks(&parts)?;
    match last.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err(Error::refused("a whiteout that names nothing in its directory")),
        Some(hidden) => Ok(Name::Whiteout(parts, hidden)),
        None => {
            parts.push(last);
            Ok(Name::Path(parts))
        }
    }
}

/// Nothing can be below what is taken away.
fn no_marks(parts: &[&[u8]]) -> Result<()> {
    match parts.iter().any(|part| part.starts_with(WHITEOUT)) {
        true => Err(Error::refused("a whiteout as a directory")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["", "/etc/passwd", "..", "a/../b", "../a", "a/..", "./../a", "a\0b", &"x".repeat(256)] {
            assert!(parts(name.as_bytes()).is_err(), "{name}");
        }
        assert_eq!(parts(b"./a//b/./c/").unwrap(), [b"a", b"b", b"c"]);
        assert!(parts(b"./").unwrap().is_empty());
        assert_eq!(parts(b"a/...").unwrap(), [&b"a"[..], b"..."]);
    }

    #[test]
    fn whiteouts_name_something_in_their_directory_or_are_refused() {
        assert_eq!(change(b"d/.wh.f").unwrap(), Name::Whiteout(vec![b"d"], b"f"));
        assert_eq!(change(b".wh..f").unwrap(), Name::Whiteout(vec![], b".f"));
        assert_eq!(change(b"d/.wh..wh..opq").unwrap(), Name::Opaque(vec![b"d"]));
        assert_eq!(change(b".wh..wh.plnk/1.2").unwrap(), Name::Ignored);
        assert_eq!(change(b"d/.wh..wh.aufs").unwrap(), Name::Ignored);
        for name in [".wh.", "d/.wh.", ".wh..", "d/.wh...", ".wh.d/f", ".wh.d/.wh.f", "d/.wh.e/.wh..wh..opq"]
        {
            assert!(change(name.as_bytes()).is_err(), "{name}");
        }
    }
}
