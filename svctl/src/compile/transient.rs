//! Transient services: whole service directories in the second tree, `/run/services.d`. They are made, and taken away, by
//! `svctl run` and `svctl destroy`, each step of which may be the last: a directory that is not whole, or is to go, is
//! passed over here, so that nothing half is ever started.

use super::Options;
use super::diagnostic::{Diagnostic, Location, Severity};
use nix::fcntl::{Flock, FlockArg};
use service::definition::valid_name;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Held locked by whoever makes the service, and there until it has been started.
pub const STARTING: &str = "starting";
/// There from when a service is to go until it has gone; held locked by whoever sees to that.
pub const LEAVING: &str = "leaving";

/// Whether this file is there, and nobody holds its lock.
#[must_use]
pub fn is_abandoned(file: &Path) -> bool {
    let Ok(opened) = File::open(file) else { return false };
    let Ok(lock) = Flock::lock(opened, FlockArg::LockSharedNonblock) else { return false };
    // Whoever was through between these two has removed it first.
    lock.metadata().is_ok_and(|found| found.nlink() > 0)
}

/// Whether a directory of the second tree is that of a service: it defines one, and nobody has given it up.
#[must_use]
pub fn stands(directory: &Path) -> bool {
    defines(directory) && !directory.join(LEAVING).exists() && !is_abandoned(&directory.join(STARTING))
}

fn defines(directory: &Path) -> bool {
    ["service.toml", "run"].into_iter().any(|file| directory.join(file).symlink_metadata().is_ok())
}

/// Whether a service directory is in the second tree.
pub(super) fn is_one(directory: &Path, options: &Options) -> bool {
    options.overrides.as_deref().is_some_and(|overrides| directory.parent() == Some(overrides))
}

/// Adds those of the second tree. The first tree has the names that both have.
pub(super) fn add(
    options: &Options,
    templates: &BTreeMap<String, PathBuf>,
    directories: &mut BTreeMap<String, PathBuf>,
    stray: &mut Vec<Diagnostic>,
) {
    let Some(overrides) = &options.overrides else { return };
    for entry in fs::read_dir(overrides).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let directory = overrides.join(&name);
        if name.starts_with('.') || !directory.is_dir() || !stands(&directory) {
            continue;
        }
        let problem = if !valid_name(&name) {
            "this cannot be the name of a service".to_owned()
        } else if name.ends_with('@') || templates.contains_key(&name) {
            "a template cannot be transient".to_owned()
        } else if let Some(other) = directories.get(&name) {
            format!("a service of this name is in {} already, which is the one that counts", other.display())
        } else {
            directories.insert(name, directory);
            continue;
        };
        let at = Location::whole(&directory.display().to_string());
        stray.push(Diagnostic::new(&at, Severity::Error, &problem, None));
    }
    let tried = options.trial.as_ref().and_then(|trial| trial.file.parent());
    if let Some(directory) = tried.filter(|directory| is_one(directory, options))
        && let Some(name) = directory.file_name().and_then(|name| name.to_str())
    {
        directories.entry(name.to_owned()).or_insert_with(|| directory.to_owned());
    }
}
