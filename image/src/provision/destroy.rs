//! Taking roots away, those of containers inside of others first.

use super::{ContainerId, Containers, Record};
use crate::backend::Backend;
use crate::error::{Context, Error, Result};
use crate::fault;
use crate::store::Store;

/// What was found when the machine or the supervisors came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Containers that nobody knew of, which are gone now.
    pub destroyed: Vec<ContainerId>,
    /// Those that could not be destroyed, and why: it is tried again the next time.
    pub failed: Vec<(ContainerId, String)>,
    /// Those that are left.
    pub kept: Vec<ContainerId>,
}

impl Containers {
    /// Destroys a container with all its roots, after those inside of it. False if there is none. Whoever destroys it at
    /// the same time is waited for, as is whoever makes a root of it.
    ///
    /// # Errors
    /// The system refused something: it can be tried again.
    pub fn destroy(&self, store: &Store, id: &ContainerId) -> Result<bool> {
        self.destroy_unless(store, id, || false)
    }

    /// The same, unless it is in use by then: that is asked when nobody can make a root of it.
    ///
    /// # Errors
    /// The system refused something: it can be tried again.
    pub fn destroy_unless(&self, store: &Store, id: &ContainerId, used: impl Fn() -> bool) -> Result<bool> {
        let _shared = store.share()?;
        let mut there = false;
        for inside in self.list()?.iter().filter(|other| other.is_in(id)) {
            there |= self.destroy_one(inside, &used).context(|| format!("unable to destroy {inside}"))?;
        }
        Ok(there)
    }

    fn destroy_one(&self, id: &ContainerId, used: impl Fn() -> bool) -> Result<bool> {
        let path = self.path(id);
        let _ours = match self.lock(id) {
            Ok(lock) => lock,
            // Another did it a moment ago.
            Err(_) if !path.exists() => return Ok(false),
            Err(error) => return Err(error),
        };
        if !path.exists() || used() {
            return Ok(false);
        }
        self.destroy_roots(id, |_| true)?;
        fault::point("roots-destroyed");
        // Nothing may be mounted below what is removed.
        crate::backend::detach(&path)?;
        crate::unpack::make::remove_all(&path)?;
        Ok(true)
    }

    /// Destroys the roots of a container whose numbers are from `from` on and below `below`.
    ///
    /// # Errors
    /// The system refused something: it can be tried again.
    pub fn destroy_between(&self, store: &Store, id: &ContainerId, from: u32, below: u32) -> Result<()> {
        let _shared = store.share()?;
        let _ours = self.lock(id)?;
        self.destroy_roots(id, |record| (from..below).contains(&record.number))
    }

    /// Destroys the roots of a container from one on, if there are any.
    ///
    /// # Errors
    /// The system refused something: it can be tried again.
    pub fn destroy_newer(&self, store: &Store, id: &ContainerId, from: u32) -> Result<()> {
        let _shared = store.share()?;
        if !self.path(id).exists() {
            return Ok(());
        }
        let _ours = self.lock(id)?;
        self.destroy_roots(id, |record| record.number >= from)
    }

    fn destroy_roots(&self, id: &ContainerId, which: impl Fn(&Record) -> bool) -> Result<()> {
        // A record that cannot be read is no reason to leave the others' mounts; nor is a root that cannot be removed.
        let mut done = Ok(());
        for record in self.records(id).unwrap_or_default().iter().filter(|record| which(record)) {
            done = done.and(self.destroy_root(id, record));
        }
        done
    }

    /// Destroys a root, whichever backend made it or began to: the record goes last.
    pub(super) fn destroy_root(&self, id: &ContainerId, record: &Record) -> Result<()> {
        for backend in Backend::ALL {
            let (root, scratch) = self.places(id, backend, record.number);
            if root.exists() || scratch.exists() {
                backend.destroy(&root, &scratch)?;
            }
        }
        fault::point("root-destroyed");
        let path = self.record_path(id, record.number);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::from(error).during(format_args!("unable to remove {}", path.display()))),
        }
    }

    /// Destroys every container that is not `known`, those inside of others first, and cleans the store of what was left
    /// half done. A container that a known one is inside of loses its roots, and stays.
    ///
    /// # Errors
    /// The system refused to say what there is.
    pub fn recover(&self, store: &Store, known: &[ContainerId]) -> Result<Recovered> {
        self.recover_unless(store, known, |_| false)
    }

    /// The same, but for those that are in use by then: that is asked when nobody can make a root of it.
    ///
    /// # Errors
    /// The system refused to say what there is.
    pub fn recover_unless(
        &self,
        store: &Store,
        known: &[ContainerId],
        used: impl Fn(&ContainerId) -> bool,
    ) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        for id in self.list()? {
            if known.contains(&id) {
                recovered.kept.push(id);
                continue;
            }
            let holds_known = known.iter().any(|known| known.is_in(&id));
            let done = if holds_known {
                self.lock(&id).and_then(|_ours| self.destroy_roots(&id, |_| true)).map(|()| true)
            } else {
                self.destroy_one(&id, || used(&id))
            };
            match done {
                Ok(false) if self.path(&id).exists() => recovered.kept.push(id),
                Ok(_) if holds_known => recovered.kept.push(id),
                Ok(_) => recovered.destroyed.push(id),
                Err(error) => recovered.failed.push((id, error.to_string())),
            }
        }
        store.clean()?;
        Ok(recovered)
    }
}
