//! Files that others read while they are written.

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, fchownat};
use std::ffi::CString;
use std::fs::{File, Metadata, OpenOptions, Permissions, rename};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Whether anybody has the file open for writing: it cannot be executed then (execve(2), `ETXTBSY`). A process that was
/// forked meanwhile, and has not executed yet, counts. Only for a file of one's own (fcntl(2), `F_SETLEASE`).
///
/// # Errors
/// Those of open(2) and fcntl(2).
pub fn is_being_written(path: &Path) -> io::Result<bool> {
    let file = File::open(path)?;
    // SAFETY: takes numbers only. The lease ends with the descriptor.
    match Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) }) {
        Ok(_) => Ok(false),
        Err(Errno::EAGAIN) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// The numbers of a device: major, minor (makedev(3)).
#[must_use]
pub fn device(number: u64) -> (u64, u64) {
    (nix::sys::stat::major(number), nix::sys::stat::minor(number))
}

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

/// A file that is there, be it a link: looked at and changed as one, whatever else comes to be of its name meanwhile.
#[derive(Debug)]
pub struct Found {
    file: File,
}

impl Found {
    /// What is at `path`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn look(path: &Path) -> io::Result<Found> {
        // The standard library takes O_PATH for a mode of access with some C libraries, and passes over it.
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Found { file: open(path, flags, Mode::empty())?.into() })
    }

    /// What it is.
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Has it belong to a user and a group, where they are said, and have a mode. A link has none (`EOPNOTSUPP`).
    ///
    /// # Errors
    /// Those of fchownat(2) and chmod(2).
    pub fn give(&self, user: Option<u32>, group: Option<u32>, mode: u32) -> io::Result<()> {
        if user.is_some() || group.is_some() {
            let (user, group) = (user.map(Uid::from_raw), group.map(Gid::from_raw));
            fchownat(&self.file, c"", user, group, AtFlags::AT_EMPTY_PATH)?;
        }
        // fchmod(2) does not take such a descriptor.
        let path = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        std::fs::set_permissions(path, Permissions::from_mode(mode))
    }
}

/// A directory in which many small files are opened: each by its name there, not by the whole way to it.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

impl Directory {
    /// The one at `path`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn open(path: &Path) -> io::Result<Directory> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        Ok(Directory { descriptor: OpenOptions::new().read(true).custom_flags(flags).open(path)?.into() })
    }

    /// Opens a file below it for reading.
    ///
    /// # Errors
    /// Those of openat(2).
    pub fn file(&self, name: &str) -> io::Result<File> {
        let name = CString::new(name)?;
        // SAFETY: the descriptor is open, and the name ends with NUL.
        let number = Errno::result(unsafe {
            libc::openat(self.descriptor.as_raw_fd(), name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC)
        })?;
        // SAFETY: openat has just made this descriptor, and nobody else knows it.
        Ok(unsafe { File::from_raw_fd(number) })
    }
}

/// A lock that is held until it is dropped, or its holder dies.
#[derive(Debug)]
pub struct Lock {
    file: OwnedFd,
}

impl Lock {
    /// A lock that the program before this one had, and passed on at exec.
    #[must_use]
    pub fn inherited(file: OwnedFd) -> Lock {
        Lock::shown(file)
    }

    /// flock(2) does not tell who has a lock without taking it. So there is another at the same file, which nobody
    /// waits for, and which lives as long (fcntl(2), open file description locks).
    fn shown(file: OwnedFd) -> Lock {
        let all = whole_file();
        // SAFETY: the descriptor is open, and the structure is one of ours that is only read.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const all) };
        Lock { file }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Locks the file at `path`, which is made if there is none (flock(2)).
///
/// # Errors
/// `WouldBlock` when somebody else holds it; those of open(2).
pub fn lock(path: &Path) -> io::Result<Lock> {
    Ok(Lock::shown(shared_lock(path)?))
}

/// Whether somebody holds the [`lock`] of this file, in whatever namespaces. It is not touched.
///
/// # Errors
/// Those of fcntl(2).
pub fn is_locked(file: &File) -> io::Result<bool> {
    let mut found = whole_file();
    // SAFETY: the descriptor is open, and the structure is ours.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut found) })?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

/// A lock for writing on all of a file.
fn whole_file() -> libc::flock {
    #[expect(clippy::cast_possible_truncation, reason = "constants of one digit")]
    let (kind, from) = (libc::F_WRLCK as libc::c_short, libc::SEEK_SET as libc::c_short);
    libc::flock { l_type: kind, l_whence: from, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Locks the file at `path`, which is made if there is none, for everybody who gets the descriptor or a copy of it:
/// until the last of these is closed (flock(2)).
///
/// # Errors
/// `WouldBlock` when somebody else holds it; those of open(2).
pub fn shared_lock(path: &Path) -> io::Result<OwnedFd> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    // SAFETY: takes a descriptor's number, which is open, and flags.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    Errno::result(result)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_lock_is_held_until_its_last_copy_is_closed() {
        let path = std::env::temp_dir().join(format!("mainstay-shared-{}", std::process::id()));
        let held = shared_lock(&path).unwrap();
        let copy = held.try_clone().unwrap();
        drop(held);
        assert_eq!(shared_lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(copy);
        shared_lock(&path).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_lock_is_had_by_one_and_free_again_when_that_one_is_gone() {
        let path = std::env::temp_dir().join(format!("mainstay-lock-{}", std::process::id()));
        let held = lock(&path).unwrap();
        assert_eq!(lock(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        lock(&path).unwrap();
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn whether_somebody_has_a_lock_is_seen_without_taking_it() {
        let path = std::env::temp_dir().join(format!("mainstay-seen-{}", std::process::id()));
        let directory = Directory::open(&std::env::temp_dir()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let locked = || directory.file(name).and_then(|file| is_locked(&file));
        assert_eq!(locked().unwrap_err().kind(), io::ErrorKind::NotFound);
        let held = lock(&path).unwrap();
        assert!(locked().unwrap());
        // As after an exec: by the descriptor alone.
        let held = Lock::inherited(held.file);
        assert!(locked().unwrap());
        drop(held);
        assert!(!locked().unwrap());
        std::fs::remove_file(path).unwrap();
    }
}
