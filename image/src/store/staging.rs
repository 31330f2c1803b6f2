//! Where things are made before they are put where they belong.

use super::Store;
use crate::error::{Context, Error, Kind, Result};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of one's own, which is thrown away in the end. As long as it is held it is nobody else's business.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    held: File,
}

static NEXT: AtomicU32 = AtomicU32::new(0);

impl Staging {
    /// A new one.
    pub(crate) fn new(store: &Store) -> Result<Staging> {
        let parent = store.root().join("staging");
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!("{}.{number}", std::process::id()));
            let what = || format!("unable to make {}", path.display());
            match std::fs::create_dir(&path) {
                Ok(()) => {}
                // Of a process that had this number before.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::from(error).during(what())),
            }
            let held = File::open(&path).context(what)?;
            rustix::fs::flock(&held, FlockOperation::NonBlockingLockExclusive).context(what)?;
            return Ok(Staging { path, held });
        }
    }

    /// Whether what is taken away can be marked here as overlayfs has it: a ramfs, for one, keeps no attributes.
    pub(crate) fn keeps_marks(&self) -> bool {
        use crate::unpack::tree::{OPAQUE, set_xattr};
        use rustix::fs::{AtFlags, FileType, Mode};
        let made = rustix::fs::mknodat(&self.held, ".probe", FileType::CharacterDevice, Mode::empty(), 0);
        let _ = rustix::fs::unlinkat(&self.held, ".probe", AtFlags::empty());
        let set = set_xattr(self.held.as_fd(), b".", OPAQUE.as_bytes(), b"n");
        made.is_ok() && matches!(set, Ok(true))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be thrown away now is thrown away by the next who looks.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Throws away what nobody holds any more. Tells how many there were.
pub(super) fn clean(store: &Store) -> Result<usize> {
    let parent = store.root().join("staging");
    let mut cleaned = 0;
    for entry in std::fs::read_dir(&parent).context(|| parent.display().to_string())? {
        let path = entry?.path();
        let held = File::open(&path).map_err(Error::from).and_then(|directory| {
            rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
            Ok(directory)
        });
        match held {
            Ok(_held) => {
                std::fs::remove_dir_all(&path).context(|| format!("unable to remove {}", path.display()))?;
                cleaned += 1;
            }
            Err(error) if error.kind == Kind::Missing => {}
            // Whoever holds it is alive.
            Err(_) => {}
        }
    }
    Ok(cleaned)
}
