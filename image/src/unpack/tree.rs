//! A directory tree on disk, in which nothing leads out: every path is walked without following a link.

use crate::error::{Context, Error, Result};
use crate::tarball::Time;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What marks a directory that hides what is below it (the kernel's documentation of overlayfs).
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// Attributes that mean something to overlayfs: never taken from an archive.
const OVERLAY: &[u8] = b"trusted.overlay.";
/// The programs' capabilities; other attributes of security modules are not the image's business.
const CAPABILITY: &[u8] = b"security.capability";

/// A tree.
#[derive(Debug)]
pub struct Tree {
    root: OwnedFd,
}

/// What is said of a file besides its contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Permissions, with the set-user-id, set-group-id and sticky bits.
    pub mode: u32,
    /// Whose it is.
    pub uid: u32,
    /// Its group's.
    pub gid: u32,
    /// When it was changed.
    pub mtime: Time,
    /// Its extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Meta {
    /// What a directory has that nothing is said of.
    #[must_use]
    pub fn implied() -> Meta {
        Meta { mode: 0o755, uid: 0, gid: 0, mtime: Time::default(), xattrs: Vec::new() }
    }
}

/// Whether an attribute is the image's to set.
#[must_use]
pub fn is_ours(name: &[u8]) -> bool {
    !name.starts_with(OVERLAY) && (!name.starts_with(b"security.") || name == CAPABILITY)
}

impl Tree {
    /// A directory that is there.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Tree> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let root = rustix::fs::open(path, flags, Mode::empty());
        Ok(Tree { root: root.context(|| format!("unable to open {}", path.display()))? })
    }

    /// A directory of the tree.
    ///
    /// # Errors
    /// It is not there, or a part of its path is no directory.
    pub fn directory(&self, path: &[u8]) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let path = if path.is_empty() { b"." } else { path };
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve | ResolveFlags::NO_XDEV)
    }

    /// A file of the tree, for reading.
    ///
    /// # Errors
    /// It is not there, or no file.
    pub fn file(&self, path: &[u8]) -> rustix::io::Result<std::fs::File> {
        let (directory, name) = super::view::split(path);
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        rustix::fs::openat(self.directory(directory)?, name, flags, Mode::empty()).map(Into::into)
    }

    /// What is said of something.
    ///
    /// # Errors
    /// It is not there.
    pub fn stat(&self, path: &[u8]) -> rustix::io::Result<Stat> {
        if path.is_empty() {
            return rustix::fs::statat(&self.root, "", AtFlags::EMPTY_PATH);
        }
        let (directory, name) = super::view::split(path);
        rustix::fs::statat(self.directory(directory)?, name, AtFlags::SYMLINK_NOFOLLOW)
    }

    /// The same with its extended attributes, and what it is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn meta(&self, path: &[u8]) -> Result<(Stat, Meta)> {
        let (directory, name) = place(path);
        let directory = self.directory(directory)?;
        let stat = rustix::fs::statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let xattrs = xattrs(directory.as_fd(), name)?;
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or_default();
        let mtime = Time { seconds: stat.st_mtime, nanos };
        let meta = Meta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs };
        Ok((stat, meta))
    }

    /// What a symbolic link says.
    ///
    /// # Errors
    /// It is none.
    pub fn link_target(&self, path: &[u8]) -> rustix::io::Result<Vec<u8>> {
        let (directory, name) = super::view::split(path);
        let target = rustix::fs::readlinkat(self.directory(directory)?, name, Vec::new())?;
        Ok(target.into_bytes())
    }
}

/// The directory that something is in, and what it is called there: the top is `.` in itself.
fn place(path: &[u8]) -> (&[u8], &[u8]) {
    if path.is_empty() { (b"", b".") } else { super::view::split(path) }
}

/// What kind of file it is.
#[must_use]
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether it stands for something that is taken away (the kernel's documentation of overlayfs).
#[must_use]
pub fn is_whiteout(stat: &Stat) -> bool {
    file_type(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// The path of something in a directory that is open, for system calls that take no descriptor of a directory.
fn by_descriptor(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat()
}

/// Its extended attributes that an image may have, in order.
fn xattrs(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = by_descriptor(directory, name);
    let list = |names: &mut [u8]| rustix::fs::llistxattr(path.as_slice(), names);
    // Most files have few or none.
    let (mut few, mut many) = ([0_u8; 512], Vec::new());
    let names = match list(&mut few) {
        Err(Errno::RANGE) => {
            many.resize(1 << 16, 0);
            list(&mut many).map(|length| many.get(..length))
        }
        listed => listed.map(|length| few.get(..length)),
    };
    let names = match names {
        Ok(names) => names.unwrap_or_default(),
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        Err(error) => return Err(Error::from(error).during("unable to list extended attributes")),
    };
    let mut found = Vec::new();
    for attribute in names.split(|byte| *byte == 0).filter(|name| !name.is_empty() && is_ours(name)) {
        let mut value = vec![0_u8; 1 << 16];
        let length = rustix::fs::lgetxattr(path.as_slice(), attribute, &mut value[..])
            .context(|| "unable to read an extended attribute")?;
        value.truncate(length);
        found.push((attribute.to_vec(), value));
    }
    found.sort();
    Ok(found)
}

/// Sets an extended attribute; false if the filesystem has none.
///
/// # Errors
/// The system refused it.
pub fn set_xattr(directory: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8]) -> Result<bool> {
    let path = by_descriptor(directory, name);
    match rustix::fs::lsetxattr(path.as_slice(), attribute, value, rustix::fs::XattrFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOTSUP) => Ok(false),
        Err(error) => {
            let shown = OsStr::from_bytes(attribute).display().to_string();
            Err(Error::from(error).during(format_args!("unable to set the extended attribute {shown:?}")))
        }
    }
}

/// Sets what is said of a file that was just made. Tells how many attributes the filesystem could not keep.
///
/// # Errors
/// The system refused something.
pub fn apply(
    directory: BorrowedFd<'_>,
    name: &[u8],
    kind: FileType,
    meta: &Meta,
    owners: bool,
) -> Result<usize> {
    if owners {
        let (uid, gid) = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
        rustix::fs::chownat(directory, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
            .context(|| "unable to set its owner")?;
    }
    let mut lost = 0;
    for (attribute, value) in meta.xattrs.iter().filter(|(attribute, _)| is_ours(attribute)) {
        // Without the privilege only one's own attributes can be set.
        if (owners || attribute.starts_with(b"user.")) && !set_xattr(directory, name, attribute, value)? {
            lost += 1;
        }
    }
    // After the owner: a change of that takes the set-user-id bit away.
    if kind != FileType::Symlink {
        rustix::fs::chmodat(directory, name, Mode::from_raw_mode(meta.mode), AtFlags::empty())
            .context(|| "unable to set its mode")?;
    }
    set_time(directory, name, meta.mtime)?;
    Ok(lost)
}

/// Sets when it was changed.
///
/// # Errors
/// The system refused it.
pub fn set_time(directory: BorrowedFd<'_>, name: &[u8], time: Time) -> Result<()> {
    let time = Timespec { tv_sec: time.seconds, tv_nsec: time.nanos.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        .context(|| "unable to set its time")
}

/// Takes an extended attribute away.
///
/// # Errors
/// The system refused it.
pub fn remove_xattr(tree: &Tree, path: &[u8], attribute: &[u8]) -> Result<()> {
    let (directory, name) = place(path);
    let directory = tree.directory(directory)?;
    let path = by_descriptor(directory.as_fd(), name);
    rustix::fs::lremovexattr(path.as_slice(), attribute).context(|| "unable to remove an extended attribute")
}
