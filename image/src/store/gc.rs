//! Throwing away what nobody needs.

use super::layers::Chain;
use super::{Store, staging};
use crate::error::{Context, Result};
use crate::fault;
use crate::reference::Reference;
use std::collections::HashSet;
use std::path::Path;

/// What was thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Images, by their references.
    pub images: Vec<String>,
    /// Layers.
    pub layers: Vec<Chain>,
    /// What others had left half done.
    pub leftovers: usize,
}

impl Store {
    /// Throws away layers that no image has and that are not in `used`; with `unused`, also the images all of whose
    /// layers are in no use, apart from those to `keep`. The store must be held alone.
    ///
    /// # Errors
    /// The system refused something. What is half done is finished the next time.
    pub fn sweep(&self, used: &HashSet<Chain>, unused: bool, keep: &[Reference]) -> Result<Swept> {
        let mut swept = Swept { leftovers: self.clean()?, ..Swept::default() };
        let (images, _) = self.images()?;
        let mut needed = used.clone();
        for image in images {
            let top_is_used = image.layers.last().is_some_and(|layer| used.contains(&layer.chain));
            let reference = image.reference.parse::<Reference>().ok();
            let kept = reference.as_ref().is_some_and(|reference| keep.contains(reference));
            match reference {
                Some(reference) if unused && !top_is_used && !kept => {
                    self.forget(&reference)?;
                    swept.images.push(image.reference);
                }
                Some(_) | None => needed.extend(image.layers.into_iter().map(|layer| layer.chain)),
            }
        }
        fault::point("gc-marked");
        let directory = self.root().join("layers");
        for entry in std::fs::read_dir(&directory).context(|| directory.display().to_string())? {
            let entry = entry?;
            let chain = entry.file_name().into_string().ok().and_then(|name| Chain::try_from(name).ok());
            match chain {
                Some(chain) if needed.contains(&chain) => {}
                Some(chain) => {
                    self.discard(&entry.path())?;
                    swept.layers.push(chain);
                }
                None => {
                    self.discard(&entry.path())?;
                    swept.leftovers += 1;
                }
            }
        }
        fault::point("gc-moved");
        // Who holds one of these holds the store as well.
        let pulls = self.root().join("pulls");
        for entry in std::fs::read_dir(&pulls).context(|| pulls.display().to_string())? {
            let path = entry?.path();
            std::fs::remove_file(&path).context(|| format!("unable to remove {}", path.display()))?;
        }
        self.empty_gc()?;
        swept.layers.sort();
        Ok(swept)
    }

    /// Throws away what others left half done, if they are gone. Tells how much there was.
    ///
    /// # Errors
    /// The system refused something.
    pub fn clean(&self) -> Result<usize> {
        Ok(staging::clean(self)? + self.empty_gc()?)
    }

    /// Moves something out of the way, in one step: from then on it is not there.
    pub(super) fn discard(&self, path: &Path) -> Result<()> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
        let mut number = 0_u32;
        loop {
            let to = self.root().join("gc").join(format!("{name}.{}.{number}", std::process::id()));
            if std::fs::symlink_metadata(&to).is_err() {
                return std::fs::rename(path, &to).context(|| format!("unable to move {}", path.display()));
            }
            number += 1;
        }
    }

    fn empty_gc(&self) -> Result<usize> {
        let directory = self.root().join("gc");
        let mut removed = 0;
        for entry in std::fs::read_dir(&directory).context(|| directory.display().to_string())? {
            let path = entry?.path();
            match std::fs::remove_dir_all(&path) {
                Ok(()) => removed += 1,
                // Another does the same.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(_) if !path.is_dir() => drop(std::fs::remove_file(&path)),
                Err(error) => {
                    return Err(crate::error::Error::from(error)
                        .during(format_args!("unable to remove {}", path.display())));
                }
            }
        }
        Ok(removed)
    }
}
