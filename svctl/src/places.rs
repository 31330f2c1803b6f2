//! Where the init is that is meant: what the command line or the environment names, else the one that is there.

use crate::args::Places;
use service::codec::{pairs, unescape};
use service::places::{of_container, of_user};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What the command line says of it.
#[derive(Debug, Default)]
pub struct Named {
    /// The run directory.
    pub run: Option<PathBuf>,
    /// The tree of service directories.
    pub services: Option<PathBuf>,
    /// The directory of logs.
    pub logs: Option<PathBuf>,
    /// The user's own init is meant.
    pub user: bool,
}

/// Finds what is not named. An init tells in its run directory where its services and logs are.
#[must_use]
pub fn find(named: Named) -> Places {
    let variable = || std::env::var_os("MAINSTAY_RUN").map(PathBuf::from).filter(|_| !named.user);
    let run = named.run.or_else(variable).unwrap_or_else(|| look(named.user));
    let told = std::fs::read_to_string(run.join("init/places")).unwrap_or_default();
    let place = |key: &str, default: &str| {
        let found = pairs(&told).find(|(found, _)| *found == key);
        found.map_or_else(|| default.into(), |(_, value)| PathBuf::from(unescape(value)))
    };
    Places {
        services: named.services.unwrap_or_else(|| place("services", service::SERVICES_DIRECTORY)),
        logs: named.logs.unwrap_or_else(|| place("logs", service::LOG_DIRECTORY)),
        run,
    }
}

/// The first place in which an init has its socket; root means the machine's before any of its own.
fn look(own: bool) -> PathBuf {
    let user = nix::unistd::getuid().as_raw();
    let runtime = std::env::var("XDG_RUNTIME_DIR").ok();
    let mut places: Vec<PathBuf> = of_user(user, runtime.as_deref()).into_iter().map(PathBuf::from).collect();
    if !own {
        let others = of_container(user, runtime.as_deref()).into_iter().map(PathBuf::from);
        // Whoever is not root can do nothing with the machine's init, unless rules say otherwise.
        let at = if user == 0 { 0 } else { places.len() };
        places.splice(at..at, others);
    }
    let default = if own { places.first().cloned() } else { None };
    let found = places.into_iter().find(|place| is_safe(place, user) && place.join("init/control").exists());
    found.or(default).unwrap_or_else(|| service::RUN_DIRECTORY.into())
}

/// What another user may have made is not asked anything: only root's and our own.
fn is_safe(place: &Path, user: u32) -> bool {
    std::fs::symlink_metadata(place)
        .is_ok_and(|found| found.is_dir() && (found.uid() == user || found.uid() == 0))
}
