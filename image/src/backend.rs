//! Ways to make a root of layers.
//!
//! | backend | takes | layers | the root | what it costs |
//! | --- | --- | --- | --- | --- |
//! | `bind` | root | one | read-only | a mount |
//! | `overlay` | root, overlayfs, a filesystem for what is written that it accepts | any | as is wanted | a mount |
//! | `copy` | nothing | any | as is wanted | time and room |
//!
//! Unless one is asked for, the first is taken that works, in this order; why others do not is said.

mod bind;
mod copy;
mod mounts;
mod overlay;
#[cfg(test)]
mod tests;

pub use mounts::{below as mounts_below, detach};

use crate::error::{Context, Error, Kind, Result};
use crate::store::{Chain, Store};
use crate::unpack::make::remove_all;
use std::fmt;
use std::path::{Path, PathBuf};

/// A way to make a root of layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backend {
    /// Shows the tree of the only layer.
    Bind,
    /// Lays trees above one another, with a directory for what is written on top.
    Overlay,
    /// Copies everything.
    Copy,
}

/// A root that is to be made, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// The layers, the lowest first.
    pub layers: &'a [Chain],
    /// Where the root is to be: a directory that is made.
    pub root: &'a Path,
    /// A directory for what the backend needs besides, on the same filesystem.
    pub scratch: &'a Path,
    /// Whether it may be written to.
    pub writable: bool,
    /// Directories and files that have to be there, to mount something at: paths in the root.
    pub places: &'a [Place],
}

/// Something that has to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path in the root, absolute.
    pub path: String,
    /// Whether it is a file; else it is a directory.
    pub file: bool,
}

impl Backend {
    /// All of them, the one that costs least first.
    pub const ALL: [Backend; 3] = [Backend::Bind, Backend::Overlay, Backend::Copy];

    /// The name.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Backend::Bind => "bind",
            Backend::Overlay => "overlay",
            Backend::Copy => "copy",
        }
    }

    /// The one of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn parse(word: &str) -> Result<Backend> {
        let found = Backend::ALL.into_iter().find(|backend| backend.word() == word);
        found.ok_or_else(|| {
            let message = format!("there is no backend {word:?} (bind, overlay and copy are)");
            Error::new(Kind::Usage, message)
        })
    }

    /// Makes a root.
    ///
    /// # Errors
    /// It does not work here, or the system refused something. Nothing is left then but directories.
    pub fn make(self, store: &Store, plan: &Plan<'_>) -> Result<()> {
        let wrong = |error: Error| error.during(format_args!("backend {self}"));
        if plan.layers.is_empty() {
            return Err(wrong(Error::refused("the image has no layers")));
        }
        clear(plan)?;
        let made = match self {
            Backend::Bind => bind::make(store, plan),
            Backend::Overlay => overlay::make(store, plan),
            Backend::Copy => copy::make(store, plan),
        };
        made.map_err(wrong)
    }

    /// Takes a root away; it need not be there any more.
    ///
    /// # Errors
    /// The system refused something: it can be tried again.
    pub fn destroy(self, root: &Path, scratch: &Path) -> Result<()> {
        // Whatever is mounted there, by whomever: what is to be removed is what lies below.
        detach(root)?;
        [root, scratch].into_iter().try_for_each(remove_all)
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Makes the directories that a backend works in.
fn clear(plan: &Plan<'_>) -> Result<()> {
    for path in [plan.root, plan.scratch] {
        std::fs::create_dir_all(path).context(|| format!("unable to make {}", path.display()))?;
    }
    Ok(())
}

/// The trees of the layers.
fn trees(store: &Store, plan: &Plan<'_>) -> Vec<PathBuf> {
    plan.layers.iter().map(|chain| store.tree_path(chain)).collect()
}
