//! A root that was made, seen from outside: its own links lead nowhere but into it.

use crate::backend::Place;
use crate::error::{Context, Error, Result};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A root.
#[derive(Debug)]
pub struct Root {
    root: OwnedFd,
}

impl Root {
    /// The one at a path.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(path: &Path) -> Result<Root> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        Ok(Root { root: root.context(|| format!("unable to open {}", path.display()))? })
    }

    fn at(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// A file in it, for reading.
    ///
    /// # Errors
    /// It is not there, or no file.
    pub fn file(&self, path: &str) -> Result<File> {
        let file = self.at(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
        if kind == FileType::RegularFile {
            Ok(file.into())
        } else {
            Err(Error::refused(format!("{path} is no file")))
        }
    }

    /// Whether there is a file that may be executed.
    #[must_use]
    pub fn is_program(&self, path: &str) -> bool {
        let stat = self.at(path, OFlags::PATH).and_then(rustix::fs::fstat);
        let program = |mode: u32| FileType::from_raw_mode(mode) == FileType::RegularFile && mode & 0o111 != 0;
        stat.is_ok_and(|stat| program(stat.st_mode))
    }

    /// Whether something is there that can be mounted at.
    #[must_use]
    pub fn has(&self, place: &Place) -> bool {
        self.find(place).is_ok_and(|found| found.is_some())
    }

    fn find(&self, place: &Place) -> Result<Option<OwnedFd>> {
        let found = match self.at(&place.path, OFlags::PATH) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(Error::from(error).during(&place.path)),
        };
        let directory = FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) == FileType::Directory;
        match (place.file, directory) {
            (true, true) => Err(Error::refused(format!("{} is a directory in the image", place.path))),
            (false, false) => Err(Error::refused(format!("{} is no directory in the image", place.path))),
            _ => Ok(Some(found)),
        }
    }

    /// Makes what is not there, and tells its path in the root without links.
    ///
    /// # Errors
    /// It is something else, or cannot be made.
    pub fn ensure(&self, place: &Place) -> Result<String> {
        let parts: Vec<&str> =
            place.path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(Error::refused(format!("{}: \"..\" in a path", place.path)));
        }
        let mut path = String::new();
        for (at, part) in parts.iter().enumerate() {
            let above = path.clone();
            path = format!("{path}/{part}");
            let step = Place { path: path.clone(), file: place.file && at + 1 == parts.len() };
            if self.find(&step)?.is_none() {
                self.make(&above, part, step.file)
                    .context(|| format!("unable to make {path} in the image"))?;
            }
        }
        self.inside(place)
    }

    fn make(&self, above: &str, name: &str, file: bool) -> Result<()> {
        let above = if above.is_empty() { "/" } else { above };
        let directory = self.at(above, OFlags::PATH | OFlags::DIRECTORY)?;
        let mode = Mode::from_raw_mode(if file { 0o644 } else { 0o755 });
        let made = if file {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            rustix::fs::openat(&directory, name, flags, mode).map(drop)
        } else {
            rustix::fs::mkdirat(&directory, name, mode)
        };
        match made {
            Err(Errno::EXIST) => Err(Error::refused("it is a symbolic link that leads nowhere")),
            made => made.map_err(Error::from),
        }
    }

    /// The path without links of what is there.
    fn inside(&self, place: &Place) -> Result<String> {
        let found = self.find(place)?.ok_or_else(|| Error::missing(place.path.clone()))?;
        let outside = |file: &OwnedFd| -> Result<PathBuf> {
            Ok(std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?)
        };
        let (top, path) = (outside(&self.root)?, outside(&found)?);
        let rest =
            path.strip_prefix(&top).map_err(|_| Error::refused(format!("{} leads out", place.path)))?;
        let rest = rest
            .to_str()
            .ok_or_else(|| Error::refused(format!("{}: a path that is not UTF-8", place.path)))?;
        Ok(format!("/{rest}"))
    }
}
