//! Containers: the roots that were made, each known by a record from before it is made until after it is gone.
//!
//! ```text
//! CONTAINERS/ID/roots/N.json        what a root is made of
//! CONTAINERS/ID/backends/BACKEND/rootfses/N, scratch/N
//! CONTAINERS/ID/containers/CHILD/   the same for a container inside of it
//! CONTAINERS/ID/lock                held by whoever makes or takes away its roots
//! ```

mod destroy;
mod id;
mod root;
#[cfg(test)]
mod tests;

pub use destroy::Recovered;
pub use id::ContainerId;
pub use root::Root;

use crate::backend::{Backend, Place, Plan};
use crate::error::{Context, Error, Kind, Result};
use crate::fault;
use crate::store::{Chain, Image, Lock, Store};
use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// All containers.
#[derive(Clone, Debug)]
pub struct Containers {
    directory: PathBuf,
}

/// A root, as its container keeps account of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number in the container.
    pub number: u32,
    /// The image.
    pub reference: String,
    /// The image's id.
    pub image: String,
    /// The layers, which nobody may throw away.
    pub layers: Vec<Chain>,
    /// Whether it may be written to.
    pub writable: bool,
    /// The backend; none while it is being made.
    pub backend: Option<String>,
    /// Why others were not used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<String>,
}

/// A root that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provisioned {
    /// Where it is.
    pub root: PathBuf,
    /// How it was made, and of what.
    pub record: Record,
}

/// What a root is to be like.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// The backend that has to be used; none for the first that works.
    pub backend: Option<Backend>,
    /// Whether it may be written to.
    pub writable: bool,
    /// What has to be there to mount something at.
    pub places: &'a [Place],
}

impl Containers {
    /// Those below a directory, which is made if it is not there.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(directory: &Path) -> Result<Containers> {
        std::fs::create_dir_all(directory).context(|| format!("unable to make {}", directory.display()))?;
        Ok(Containers { directory: directory.canonicalize()? })
    }

    /// The directory of a container.
    #[must_use]
    pub fn path(&self, id: &ContainerId) -> PathBuf {
        let mut path = self.directory.clone();
        for (at, part) in id.parts().iter().enumerate() {
            if at > 0 {
                path.push("containers");
            }
            path.push(part);
        }
        path
    }

    /// Holds a container. Whoever waited for one that is destroyed meanwhile holds nothing: it looks again.
    fn lock(&self, id: &ContainerId) -> Result<Lock> {
        use std::os::unix::fs::MetadataExt;
        let path = self.path(id).join("lock");
        loop {
            let lock = crate::store::lock(&path, FlockOperation::LockExclusive)?;
            let (held, there) = (lock.metadata()?, std::fs::metadata(&path));
            if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
                return Ok(lock);
            }
        }
    }

    /// The same, for one that may be made by it.
    fn lock_new(&self, id: &ContainerId) -> Result<Lock> {
        let roots = self.path(id).join("roots");
        loop {
            match std::fs::create_dir_all(&roots) {
                // Whoever destroys it has taken away what was just made to put this in.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                made => made.context(|| format!("unable to make {}", roots.display()))?,
            }
            match self.lock(id) {
                Err(error) if error.kind == Kind::Missing => {}
                taken => return taken,
            }
        }
    }

    /// Makes a root for a container, besides those that it has.
    ///
    /// # Errors
    /// It cannot be made: then it is not there.
    pub fn provision(
        &self,
        store: &Store,
        id: &ContainerId,
        image: &Image,
        wish: &Wish<'_>,
    ) -> Result<Provisioned> {
        let what = || format!("unable to provision {id} from {}", image.reference);
        // From before the layers are looked for until they are in the record nobody throws any away.
        let _shared = store.share()?;
        let _ours = self.lock_new(id)?;
        let layers: Vec<Chain> = image.layers.iter().map(|layer| layer.chain.clone()).collect();
        if let Some(missing) = layers.iter().find(|chain| !store.has_layer(chain)) {
            return Err(Error::missing(format!("layer {missing} is not in the store")).during(what()));
        }
        let number = self.next_number(id)?;
        let mut record = Record {
            number,
            reference: image.reference.clone(),
            image: image.id.clone(),
            layers,
            writable: wish.writable,
            backend: None,
            reasons: Vec::new(),
        };
        self.write(id, &record)?;
        fault::point("root-recorded");
        let made = self.make(store, id, &record, wish).and_then(|(root, backend, reasons)| {
            fault::point("root-made");
            record.backend = Some(backend.word().to_owned());
            record.reasons = reasons;
            self.write(id, &record)?;
            fault::point("root-complete");
            Ok(Provisioned { root, record: record.clone() })
        });
        if made.is_err() {
            self.destroy_root(id, &record)?;
        }
        made.context(what)
    }

    /// Tries the backends, each in its own place.
    fn make(
        &self,
        store: &Store,
        id: &ContainerId,
        record: &Record,
        wish: &Wish<'_>,
    ) -> Result<(PathBuf, Backend, Vec<String>)> {
        let backends = match wish.backend {
            Some(backend) => vec![backend],
            None => Backend::ALL.to_vec(),
        };
        let (mut reasons, mut kind) = (Vec::new(), Kind::Refused);
        for backend in backends {
            let (root, scratch) = self.places(id, backend, record.number);
            let plan = Plan {
                layers: &record.layers,
                root: &root,
                scratch: &scratch,
                writable: wish.writable,
                places: wish.places,
            };
            match backend.make(store, &plan) {
                Ok(()) => return Ok((root, backend, reasons)),
                Err(error) => {
                    backend.destroy(&root, &scratch)?;
                    reasons.push(error.to_string());
                    kind = error.kind;
                    // It will be no better by copying.
                    if error.kind == Kind::Missing {
                        break;
                    }
                }
            }
        }
        // What the last resort failed of.
        Err(Error::new(kind, reasons.join("; ")))
    }

    /// Where a backend makes a root, and what else it has.
    fn places(&self, id: &ContainerId, backend: Backend, number: u32) -> (PathBuf, PathBuf) {
        let base = self.path(id).join("backends").join(backend.word());
        (base.join("rootfses").join(number.to_string()), base.join("scratch").join(number.to_string()))
    }

    fn record_path(&self, id: &ContainerId, number: u32) -> PathBuf {
        self.path(id).join("roots").join(format!("{number}.json"))
    }

    fn write(&self, id: &ContainerId, record: &Record) -> Result<()> {
        let text = serde_json::to_vec_pretty(record).map_err(|error| Error::refused(error.to_string()))?;
        crate::store::replace(&self.record_path(id, record.number), &text)
    }

    /// The roots of a container, in the order in which they were made.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn records(&self, id: &ContainerId) -> Result<Vec<Record>> {
        let directory = self.path(id).join("roots");
        let mut records = Vec::new();
        for path in entries(&directory)? {
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let bytes = std::fs::read(&path).context(|| path.display().to_string())?;
            let record = serde_json::from_slice::<Record>(&bytes);
            records.push(record.map_err(|error| Error::refused(format!("{}: {error}", path.display())))?);
        }
        records.sort_by_key(|record| record.number);
        Ok(records)
    }

    /// The number that the next root of a container will have.
    ///
    /// # Errors
    /// Its roots cannot be read.
    pub fn next_number(&self, id: &ContainerId) -> Result<u32> {
        Ok(self.records(id)?.iter().map(|record| record.number).max().map_or(0, |last| last + 1))
    }

    /// The root of a record, if it was made.
    #[must_use]
    pub fn root(&self, id: &ContainerId, record: &Record) -> Option<PathBuf> {
        let backend = Backend::parse(record.backend.as_deref()?).ok()?;
        Some(self.places(id, backend, record.number).0)
    }

    /// Every container, each after those inside of it.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn list(&self) -> Result<Vec<ContainerId>> {
        let mut found = Vec::new();
        collect(&self.directory, None, &mut found)?;
        Ok(found)
    }

    /// Every layer that a container has: in no case may it be thrown away.
    ///
    /// # Errors
    /// They cannot be read: then nothing may be thrown away.
    pub fn used(&self) -> Result<HashSet<Chain>> {
        let mut used = HashSet::new();
        for id in self.list()? {
            for record in self.records(&id)? {
                used.extend(record.layers);
            }
        }
        Ok(used)
    }
}

/// What is in a directory, by name; nothing is in one that is not there.
fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let found = match std::fs::read_dir(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::from(error).during(directory.display())),
    };
    let mut paths = found.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    paths.sort();
    Ok(paths)
}

/// The containers of a directory. What cannot be the name of one is none.
fn collect(directory: &Path, parent: Option<&ContainerId>, found: &mut Vec<ContainerId>) -> Result<()> {
    for path in entries(directory)?.into_iter().filter(|path| path.is_dir()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Ok(id) = ContainerId::below(parent, name) else { continue };
        collect(&path.join("containers"), Some(&id), found)?;
        found.push(id);
    }
    Ok(())
}
