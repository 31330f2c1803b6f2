//! The store: layers as trees, each once, and images as lists of them.
//!
//! ```text
//! STORE/lock             held shared by whoever uses the store, and alone by whoever throws things away
//! STORE/layers/ID/       tree, changes, listing, info: complete from the moment it is there
//! STORE/images/KEY.json  an image: its reference, its configuration, its layers
//! STORE/pulls/KEY        held while an image is brought in, so that a second one waits and finds it
//! STORE/staging/         what is not complete yet; each held by whoever makes it
//! STORE/gc/              what is being thrown away
//! ```
//! Everything gets where it belongs by one rename(2), so that being killed at any moment leaves nothing half done: what
//! is left in `staging` and `gc` is thrown away by the next who looks.

mod files;
mod gc;
mod import;
mod layers;
mod listing;
mod record;
mod staging;
#[cfg(test)]
mod tests;
mod verify;

pub(crate) use files::replace;
pub use files::{escape, unescape};
pub use gc::Swept;
pub use import::Request;
pub use layers::{Chain, LayerInfo};
pub use record::{Image, Layer};
pub use verify::Damage;

use crate::error::{Context, Error, Kind, Result};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the directories are called.
const DIRECTORIES: [&str; 5] = ["layers", "images", "pulls", "staging", "gc"];
/// The version of the whole, in the file `version`.
const VERSION: &str = "mainstay-images 1\n";

/// A store.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// A lock that is held as long as this is there.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// What is known of the file that is locked.
    pub(crate) fn metadata(&self) -> Result<std::fs::Metadata> {
        self.0.metadata().map_err(Error::from)
    }
}

impl Store {
    /// The store at a path, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made, or is of another version.
    pub fn open(root: &Path) -> Result<Store> {
        let what = |path: &Path| format!("unable to make {}", path.display());
        make_private(root).context(|| what(root))?;
        for name in DIRECTORIES {
            let path = root.join(name);
            std::fs::create_dir_all(&path).context(|| what(&path))?;
        }
        let version = root.join("version");
        match std::fs::read_to_string(&version) {
            Ok(found) if found == VERSION => {}
            Ok(found) => {
                let (root, found) = (root.display(), found.trim_end());
                return Err(Error::refused(format!("{root} is a store of another version: {found:?}")));
            }
            Err(_) => replace(&version, VERSION.as_bytes())?,
        }
        Ok(Store { root: root.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Holds the store, so that nothing of it is thrown away.
    ///
    /// # Errors
    /// The system refused it.
    pub fn share(&self) -> Result<Lock> {
        lock(&self.root.join("lock"), FlockOperation::LockShared)
    }

    /// Holds the store alone.
    ///
    /// # Errors
    /// Somebody else holds it, unless `wait` is set; or the system refused it.
    pub fn own(&self, wait: bool) -> Result<Lock> {
        let how = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        lock(&self.root.join("lock"), how).map_err(|error| {
            if error.kind == Kind::Busy {
                return Error::new(
                    Kind::Busy,
                    "the store is in use: an image is being brought in or provisioned",
                );
            }
            error
        })
    }
}

/// Makes a directory that is nobody else's: programs that change their user on execution may be in there, of images
/// that are long out of use. One that is there is as its owner wants it.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Takes a lock on a file, which is made if it is not there (flock(2)).
pub(crate) fn lock(path: &Path, how: FlockOperation) -> Result<Lock> {
    let what = || format!("unable to lock {}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(path);
    // Where nothing can be written nothing is thrown away either: what is there can be held all the same.
    let file = match file {
        Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => File::open(path),
        file => file,
    };
    let file = file.context(what)?;
    match rustix::fs::flock(&file, how) {
        Ok(()) => Ok(Lock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Error::new(Kind::Busy, what())),
        Err(error) => Err(Error::from(error).during(what())),
    }
}
