//! One log directory: `current`, to which lines are appended, and the files rotated away from it.
//!
//! Rotation is one rename, so that a kill leaves one of two states, and both are a start like any other: the rename has
//! not happened, and `current` is still due; or it has, and `current` is missing and is created. Files with other names
//! are never touched.

use crate::report::Trouble;
use crate::rotate::{self, Archive};
use crate::stamp;
use nix::errno::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Below this a file would hold no more than a few lines.
pub const SIZE_MIN: u64 = 4096;

/// A log directory that is being written to.
#[derive(Debug)]
pub struct LogFile {
    directory: PathBuf,
    size: u64,
    keep: u32,
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: File,
    length: u64,
    /// The machine or the logger went down in the middle of a write: the last line has no newline.
    torn: bool,
    /// Rotate at this length. Beyond the limit after a rotation that failed, lest each line try again.
    rotate_at: u64,
}

/// A write that failed, and how much of it got through.
#[derive(Debug)]
pub struct Failed {
    /// Bytes that were written.
    pub written: usize,
    /// Why no more.
    pub trouble: Trouble,
}

impl LogFile {
    /// A log in `directory`, which is created when it is first written to.
    #[must_use]
    pub fn new(directory: PathBuf, size: u64, keep: u32) -> LogFile {
        LogFile { directory, size: size.max(SIZE_MIN), keep, current: None }
    }

    /// Takes new limits, from the next line on.
    pub fn limit(&mut self, size: u64, keep: u32) {
        self.size = size.max(SIZE_MIN);
        self.keep = keep;
        if let Some(current) = &mut self.current {
            current.rotate_at = self.size;
        }
    }

    /// Opens `current` if it is not open.
    ///
    /// # Errors
    /// The step that failed.
    pub fn open(&mut self) -> Result<(), Trouble> {
        if self.current.is_some() {
            return Ok(());
        }
        let path = self.path();
        // A user's own tree may lack the parents too.
        let made = DirBuilder::new().recursive(true).mode(0o750).create(&self.directory);
        made.map_err(|cause| Trouble { verb: "create", path: self.directory.clone(), cause })?;
        let opened = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&path);
        let file = opened.map_err(|cause| Trouble { verb: "open", path: path.clone(), cause })?;
        let (length, torn) = ending(&file).map_err(|cause| Trouble { verb: "read", path, cause })?;
        self.current = Some(Current { file, length, torn, rotate_at: self.size });
        Ok(())
    }

    /// Where lines go.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.join("current")
    }

    /// Whether the file ends in the middle of a line, which must be ended before the next.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.current.as_ref().is_some_and(|current| current.torn)
    }

    /// How many bytes until the file is due for rotation; at least one.
    #[must_use]
    pub fn room(&self) -> usize {
        let room =
            self.current.as_ref().map_or(1, |current| current.rotate_at.saturating_sub(current.length));
        usize::try_from(room.max(1)).unwrap_or(usize::MAX)
    }

    /// Appends `bytes`, which end in a newline. When the device is full, the oldest rotated files make room.
    ///
    /// # Errors
    /// How far it got and why no further; then [`LogFile::settle`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        let mut written = 0;
        if let Err(trouble) = self.open() {
            return Err(Failed { written, trouble });
        }
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.current.as_mut().map(|current| current.file.write(rest)) {
                Some(Ok(count)) if count > 0 => written += count,
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Some(Err(error)) if is_full(&error) && self.remove_oldest() => {}
                Some(Err(cause)) => {
                    let trouble = Trouble { verb: "write", path: self.path(), cause };
                    return Err(Failed { written, trouble });
                }
                Some(Ok(_)) | None => {
                    let trouble = Trouble { verb: "write", path: self.path(), cause: Errno::ENOSPC.into() };
                    return Err(Failed { written, trouble });
                }
            }
        }
        if let Some(current) = &mut self.current {
            current.length += u64::try_from(written).unwrap_or(0);
            current.torn = false;
        }
        Ok(())
    }

    /// After a write that failed: keeps the first `kept` bytes of it, which end a line, and cuts off the rest.
    pub fn settle(&mut self, kept: usize) {
        let Some(current) = &mut self.current else { return };
        let length = current.length + u64::try_from(kept).unwrap_or(0);
        match current.file.set_len(length) {
            Ok(()) => {
                current.length = length;
                current.torn = current.torn && kept == 0;
            }
            // What the file ends with now is found out when it is opened again.
            Err(_) => self.current = None,
        }
    }

    /// Rotates if the file is due.
    ///
    /// # Errors
    /// The step that failed. Writing goes on where it can, and the next attempt comes when as much again has been
    /// written.
    pub fn rotate(&mut self, wall: Duration) -> Result<(), Trouble> {
        let Some(current) = self.current.as_mut().filter(|current| current.length >= current.rotate_at)
        else {
            return Ok(());
        };
        current.rotate_at = current.length.saturating_add(self.size);
        let newest = self.archives()?.last().copied();
        let (from, to) = (self.path(), self.directory.join(Archive::next(wall, newest).name()));
        match std::fs::rename(&from, to) {
            // Somebody took the file away: what they wanted is done.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(cause) => return Err(Trouble { verb: "rename", path: from, cause }),
            Ok(()) => {}
        }
        self.current = None;
        self.open()?;
        self.prune()
    }

    /// Makes everything that was written to this file system durable.
    ///
    /// # Errors
    /// Those of syncfs(2).
    pub fn sync(&self, done: &mut Vec<u64>) -> io::Result<()> {
        let Some(current) = &self.current else { return Ok(()) };
        let device = current.file.metadata()?.dev();
        if !done.contains(&device) {
            // One call for the file, the files rotated away and the names of all, for all logs of the device.
            nix::unistd::syncfs(&current.file)?;
            done.push(device);
        }
        Ok(())
    }

    /// Removes the oldest files beyond the number to keep.
    ///
    /// # Errors
    /// One could not be removed.
    pub fn prune(&self) -> Result<(), Trouble> {
        let archives = self.archives()?;
        for archive in archives.iter().take(rotate::surplus(archives.len(), self.keep)) {
            self.remove(*archive)?;
        }
        Ok(())
    }

    fn remove_oldest(&self) -> bool {
        let oldest = self.archives().ok().and_then(|archives| archives.first().copied());
        oldest.is_some_and(|oldest| self.remove(oldest).is_ok())
    }

    fn remove(&self, archive: Archive) -> Result<(), Trouble> {
        let path = self.directory.join(archive.name());
        std::fs::remove_file(&path).map_err(|cause| Trouble { verb: "remove", path, cause })
    }

    fn archives(&self) -> Result<Vec<Archive>, Trouble> {
        archives(&self.directory)
    }
}

/// The rotated files of a log directory, oldest first.
///
/// # Errors
/// The directory could not be read; a missing one has no files.
pub fn archives(directory: &Path) -> Result<Vec<Archive>, Trouble> {
    let failed = |cause| Trouble { verb: "list", path: directory.to_owned(), cause };
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut archives = Vec::new();
    for entry in entries {
        archives.extend(entry.map_err(failed)?.file_name().to_str().and_then(Archive::parse));
    }
    archives.sort_unstable();
    Ok(archives)
}

/// The length of a file, and whether its last line lacks a newline. A stamp without a line, which a kill within a write
/// can leave, is removed.
fn ending(file: &File) -> io::Result<(u64, bool)> {
    let length = file.metadata()?.len();
    // A newline and a stamp.
    let mut tail = [b'\n'; 29];
    let most = u64::try_from(tail.len()).unwrap_or(0).min(length);
    let from = tail.len() - usize::try_from(most).unwrap_or(0);
    if let Some(into) = tail.get_mut(from..) {
        file.read_exact_at(into, length - most)?;
    }
    let last = tail.rsplit(|byte| *byte == b'\n').next().unwrap_or(&[]);
    if last.is_empty() || !stamp::is_beginning(last) {
        return Ok((length, !last.is_empty()));
    }
    let length = length - u64::try_from(last.len()).unwrap_or(0);
    file.set_len(length)?;
    Ok((length, false))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
