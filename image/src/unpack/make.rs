//! What is made on disk: each by its name in a directory that was walked to without following a link.

use super::Unpacker;
use super::apply::meta;
use super::tree::{self, Meta, Tree, file_type};
use super::view::{What, split};
use crate::error::{Context, Error, Result};
use crate::tarball::{Entry, Kind, Segment};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

impl Unpacker<'_> {
    pub(super) fn lower(&self, layer: usize) -> Result<&Tree> {
        self.lowers.get(layer).ok_or_else(|| Error::refused("a layer that is not there"))
    }

    /// The directory that a path is in, open.
    fn parent<'p>(&self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8])> {
        let (directory, name) = split(path);
        Ok((self.tree.directory(directory)?, name))
    }

    pub(super) fn make_on_disk(&self, path: &[u8]) -> Result<()> {
        let (directory, name) = self.parent(path)?;
        rustix::fs::mkdirat(directory, name, Mode::RWXU).context(|| "unable to make a directory")
    }

    /// Says of a directory that is in the tree what is said of it. When it was changed is set at the end.
    pub(super) fn remember(&mut self, path: &[u8], meta: &Meta) -> Result<()> {
        self.times.insert(path.to_vec(), meta.mtime);
        let (directory, name) = if path.is_empty() { (b"".as_slice(), b".".as_slice()) } else { split(path) };
        let directory = self.tree.directory(directory)?;
        self.clear_xattrs(path)?;
        self.done.lost_attributes +=
            tree::apply(directory.as_fd(), name, FileType::Directory, meta, self.options.owners)?;
        Ok(())
    }

    /// A second entry for a directory says all that is said of it.
    fn clear_xattrs(&self, path: &[u8]) -> Result<()> {
        let (_, before) = self.tree.meta(path)?;
        for (attribute, _) in before.xattrs {
            tree::remove_xattr(self.tree, path, &attribute)?;
        }
        Ok(())
    }

    /// Makes anything but a directory; there is nothing of its name.
    pub(super) fn make_file(&mut self, path: &[u8], entry: &Entry, data: &mut impl Read) -> Result<()> {
        let (directory, name) = self.parent(path)?;
        let kind = match &entry.kind {
            Kind::Link(target) => return self.link(path, &self.link_target(target)?),
            Kind::Directory => return Err(Error::refused("a directory")),
            Kind::File(segments) => {
                let file = create(directory.as_fd(), name)?;
                self.write(file, entry.size, segments.as_deref(), data)?;
                FileType::RegularFile
            }
            Kind::Symlink(target) => {
                symlink(directory.as_fd(), name, target)?;
                FileType::Symlink
            }
            Kind::Character(0, 0) => {
                return Err(Error::refused("a device that stands for something that is taken away"));
            }
            Kind::Character(major, minor) => {
                self.node(&directory, name, FileType::CharacterDevice, *major, *minor)?
            }
            Kind::BlockDevice(major, minor) => {
                self.node(&directory, name, FileType::BlockDevice, *major, *minor)?
            }
            Kind::Fifo => {
                node(directory.as_fd(), name, FileType::Fifo, 0)?;
                FileType::Fifo
            }
        };
        self.done.lost_attributes +=
            tree::apply(directory.as_fd(), name, kind, &meta(entry), self.options.owners)?;
        let group = self.view.new_group();
        let what = if let Kind::Symlink(target) = &entry.kind {
            What::Symlink(target.clone(), group)
        } else {
            What::Other(group)
        };
        self.view.put(path, self.layer(), what);
        Ok(())
    }

    fn write(
        &mut self,
        mut file: File,
        size: u64,
        segments: Option<&[Segment]>,
        data: &mut impl Read,
    ) -> Result<()> {
        let Some(segments) = segments else {
            let written = io::copy(data, &mut file).context(|| "unable to write")?;
            return self.count(written);
        };
        // Holes stay holes, so that a file that is all hole costs nothing.
        file.set_len(size).context(|| "unable to set its length")?;
        let mut sum = 0;
        for segment in segments {
            file.seek(SeekFrom::Start(segment.offset))?;
            sum +=
                io::copy(&mut (&mut *data).take(segment.length), &mut file).context(|| "unable to write")?;
        }
        self.count(sum)
    }

    fn count(&mut self, written: u64) -> Result<()> {
        self.done.bytes = self.done.bytes.saturating_add(written);
        let limit = self.options.limits.bytes;
        if self.done.bytes > limit {
            return Err(Error::refused(format!("the files of the archive have more than {limit} bytes")));
        }
        Ok(())
    }

    fn node(
        &self,
        directory: &OwnedFd,
        name: &[u8],
        kind: FileType,
        major: u32,
        minor: u32,
    ) -> Result<FileType> {
        if !self.options.devices {
            return Err(Error::refused("a device file, which images may not have unless that is asked for"));
        }
        node(directory.as_fd(), name, kind, rustix::fs::makedev(major, minor))?;
        Ok(kind)
    }

    /// Another name for something. If that is of a lower layer, it is copied into this one, with all its names.
    fn link(&mut self, path: &[u8], target: &[u8]) -> Result<()> {
        let shown = || String::from_utf8_lossy(target).escape_debug().to_string();
        let id = self.view.at(target).filter(|id| !self.view.is_directory(*id));
        let Some((node, id)) = id.and_then(|id| Some((self.view.node(id)?.clone(), id))) else {
            return Err(Error::refused(format!("there is no file {:?} that it could be a link to", shown())));
        };
        if node.layer < self.layer() {
            self.take_over(id, target, node.layer)?;
        }
        self.link_on_disk(target, path)?;
        self.view.put(path, self.layer(), node.what);
        Ok(())
    }

    fn take_over(&mut self, id: usize, path: &[u8], layer: usize) -> Result<()> {
        let group = match self.view.node(id).map(|node| &node.what) {
            Some(What::Symlink(_, group) | What::Other(group)) => *group,
            Some(What::Directory(_)) | None => return Err(Error::refused("a directory")),
        };
        let others = self.view.names(group).into_iter().filter(|name| name != path).collect::<Vec<_>>();
        for name in std::iter::once(path).chain(others.iter().map(Vec::as_slice)) {
            let parts: Vec<Vec<u8>> = split(name).0.split(|byte| *byte == b'/').map(<[u8]>::to_vec).collect();
            if !split(name).0.is_empty() {
                self.directories(&parts)?;
            }
            if name == path {
                let lower = self.lower(layer)?;
                self.done.lost_attributes += copy(lower, path, self.tree, self.options.owners)?;
            } else {
                self.link_on_disk(path, name)?;
            }
            if let Some(id) = self.view.at(name) {
                self.view.set_layer(id, self.layer());
            }
        }
        Ok(())
    }

    fn link_on_disk(&self, from: &[u8], to: &[u8]) -> Result<()> {
        link(self.tree, from, to)
    }

    pub(super) fn remove_from_disk(&self, path: &[u8]) -> Result<()> {
        remove(self.tree, path)
    }
}

/// Another name for something in a tree.
///
/// # Errors
/// The system refused it.
pub fn link(tree: &Tree, from: &[u8], to: &[u8]) -> Result<()> {
    let ((from, old), (to, new)) = (split(from), split(to));
    rustix::fs::linkat(tree.directory(from)?, old, tree.directory(to)?, new, AtFlags::empty())
        .context(|| "unable to make a link")
}

/// A new file, open for writing.
fn create(directory: rustix::fd::BorrowedFd<'_>, name: &[u8]) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, name, flags, Mode::RUSR | Mode::WUSR);
    Ok(file.context(|| "unable to make a file")?.into())
}

fn symlink(directory: rustix::fd::BorrowedFd<'_>, name: &[u8], target: &[u8]) -> Result<()> {
    if target.is_empty() || target.contains(&0) {
        return Err(Error::refused("a symbolic link that says nothing that a link can say"));
    }
    rustix::fs::symlinkat(target, directory, name).context(|| "unable to make a symbolic link")
}

fn node(directory: rustix::fd::BorrowedFd<'_>, name: &[u8], kind: FileType, device: u64) -> Result<()> {
    rustix::fs::mknodat(directory, name, kind, Mode::RUSR | Mode::WUSR, device)
        .context(|| "unable to make a special file")
}

/// Takes something out of a tree, with all below it.
///
/// # Errors
/// The system refused it.
pub fn remove(tree: &Tree, path: &[u8]) -> Result<()> {
    let stat = tree.stat(path)?;
    let mut flags = AtFlags::empty();
    if file_type(&stat) == FileType::Directory {
        for name in names(tree, path)? {
            remove(tree, &super::view::below(path, &name))?;
        }
        flags = AtFlags::REMOVEDIR;
    }
    let (directory, name) = split(path);
    rustix::fs::unlinkat(tree.directory(directory)?, name, flags).context(|| "unable to remove a file")
}

/// Removes a directory with all below it, and nothing that is mounted there: that is an error. It need not be there.
///
/// # Errors
/// The system refused it.
pub fn remove_all(path: &Path) -> Result<()> {
    let what = || format!("unable to remove {}", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::refused(what()));
    };
    if std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    remove(&Tree::open(parent)?, name.as_bytes()).context(what)
}

/// The names in a directory of a tree, in order.
///
/// # Errors
/// It cannot be read.
pub fn names(tree: &Tree, path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let directory = tree.directory(path)?;
    let mut names = Vec::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(&directory, ".", flags, Mode::empty())?;
    for entry in rustix::fs::Dir::new(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Copies something that is no directory from one tree to the same place of another, whose directory is there. Tells
/// how many extended attributes were lost.
///
/// # Errors
/// The system refused something.
pub fn copy(from: &Tree, path: &[u8], to: &Tree, owners: bool) -> Result<usize> {
    let (stat, meta) = from.meta(path)?;
    let kind = file_type(&stat);
    let (directory, name) = split(path);
    let directory = to.directory(directory)?;
    match kind {
        FileType::RegularFile => {
            copy_data(&from.file(path)?, &create(directory.as_fd(), name)?, stat.st_size)?;
        }
        FileType::Symlink => symlink(directory.as_fd(), name, &from.link_target(path)?)?,
        FileType::Directory => return Err(Error::refused("a directory")),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => node(directory.as_fd(), name, kind, stat.st_rdev)?,
    }
    tree::apply(directory.as_fd(), name, kind, &meta, owners)
}

/// The data of a file: shared where the filesystem can, and holes as holes.
fn copy_data(mut from: &File, mut to: &File, size: i64) -> Result<()> {
    if rustix::fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let size = u64::try_from(size).unwrap_or_default();
    to.set_len(size)?;
    let mut at = 0;
    while at < size {
        let Ok(start) = rustix::fs::seek(from, rustix::fs::SeekFrom::Data(at)) else { break };
        let end = rustix::fs::seek(from, rustix::fs::SeekFrom::Hole(start)).unwrap_or(size);
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let copied = io::copy(&mut from.take(end.saturating_sub(start)), &mut to)
            .context(|| "unable to copy a file")?;
        if copied == 0 {
            break;
        }
        at = start + copied;
    }
    to.flush().map_err(Error::from)
}
