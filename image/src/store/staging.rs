//! Where things are made before they are put where they belong.

use super::Store;
use crate::error::{Context, Error, Kind, Result};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of one's own, which is thrown away in the end. As long as it is held it is nobody else's business.
#[derive(Debug)]
pub(crate) struct Staging {
    path: PathBuf,
    _held: File,
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
            return Ok(Staging { path, _held: held });
        }
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
