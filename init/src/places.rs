//! Where things are: what the command line says of it, and what can be found where it says nothing.

use crate::Role;
use crate::arguments::Words;
use crate::message::reason;
use service::places::{of_container, of_user};
use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) services: PathBuf,
    /// There is a tree of services; else the command is all there is.
    pub(crate) tree: bool,
    pub(crate) run: PathBuf,
    pub(crate) logs: PathBuf,
    /// Services write to our own output, since there is no place for logs.
    pub(crate) logs_to_output: bool,
    pub(crate) programs: PathBuf,
    pub(crate) bundle: Option<String>,
    pub(crate) main: Option<String>,
    pub(crate) command: Vec<OsString>,
    /// What the kernel's command line says of the watchdog.
    pub(crate) watchdog: Option<Duration>,
    /// Whether there is to be a shell before anything else, or never; else only if there is nothing else.
    pub(crate) emergency: Option<bool>,
    /// Root may have init fail.
    pub(crate) debug: bool,
}

impl Options {
    /// What was decided, for an init that goes on in this one's place: it might find something else.
    pub(crate) fn encode(&self) -> String {
        let mut out = service::codec::Writer::new("options");
        out.line("services", self.services.display());
        out.line("tree", self.tree);
        out.line("run", self.run.display());
        out.line("logs", self.logs.display());
        out.line("logs-to-output", self.logs_to_output);
        out.line("programs", self.programs.display());
        out.lines("bundle", &self.bundle);
        out.line("debug", self.debug);
        out.finish()
    }

    /// The same, with what the command line says, which is the same.
    pub(crate) fn decode(text: &str, words: Words) -> Options {
        let value = |key| {
            let found = service::codec::pairs(text).find(|(found, _)| *found == key);
            found.map(|(_, value)| service::codec::unescape(value))
        };
        let path = |key| PathBuf::from(value(key).unwrap_or_default());
        let flag = |key| value(key).as_deref() == Some("true");
        Options {
            services: path("services"),
            tree: flag("tree"),
            run: path("run"),
            logs: path("logs"),
            logs_to_output: flag("logs-to-output"),
            programs: path("programs"),
            bundle: value("bundle"),
            main: words.main,
            command: words.command,
            watchdog: None,
            emergency: None,
            debug: flag("debug"),
        }
    }
}

/// As much as must be free where the state is kept: a plan and a definition of moderate length.
const PROBE: [u8; 4096] = [b'\n'; 4096];

/// Decides where everything is. What can be looked for is looked for, unless the command line names it.
pub(crate) fn settle(words: Words, role: Role) -> Result<Options, String> {
    let ends_with_main = words.main.is_some() || !words.command.is_empty();
    let user = nix::unistd::getuid().as_raw();
    let runtime = std::env::var("XDG_RUNTIME_DIR").ok();
    let run = match words.run {
        Some(run) => run,
        None if words.user => first_usable(&of_user(user, runtime.as_deref()), user)?,
        None if role == Role::Container || ends_with_main => {
            first_usable(&of_container(user, runtime.as_deref()), user)?
        }
        None => service::RUN_DIRECTORY.into(),
    };
    let (logs, logs_to_output) = match words.logs {
        Some(logs) => (logs, false),
        None if words.user => {
            let place = user_logs();
            let usable = place.as_deref().is_some_and(|place| probe(place).is_ok());
            (place.unwrap_or_default(), !usable)
        }
        // Whoever runs a container looks at its output.
        None if ends_with_main => (service::LOG_DIRECTORY.into(), true),
        None => {
            let place = PathBuf::from(service::LOG_DIRECTORY);
            let usable = role != Role::Container || probe(&place).is_ok();
            (place, !usable)
        }
    };
    Ok(Options {
        tree: words.services.is_some() || words.command.is_empty(),
        services: words.services.unwrap_or_else(|| service::SERVICES_DIRECTORY.into()),
        run,
        logs,
        logs_to_output,
        programs: words.programs.unwrap_or_else(beside_init),
        bundle: words.bundle,
        main: words.main,
        command: words.command,
        watchdog: None,
        emergency: None,
        debug: words.debug,
    })
}

/// `XDG_STATE_HOME`, or what stands for it (XDG Base Directory Specification).
fn user_logs() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|place| place.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("mainstay/log"))
}

fn first_usable(places: &[String], user: u32) -> Result<PathBuf, String> {
    let mut problems = Vec::new();
    for place in places.iter().map(PathBuf::from) {
        let shared = place == Path::new(service::RUN_DIRECTORY);
        match if shared { probe(&place) } else { own(&place, user).and_then(|()| probe(&place)) } {
            Ok(()) => return Ok(place),
            Err(error) => problems.push(format!("{}: {}", place.display(), reason(&error))),
        }
    }
    Err(format!("there is no place for the state: {} (name one with --run)", problems.join("; ")))
}

/// A directory in a place that others may write to must be ours alone.
fn own(place: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let found = std::fs::symlink_metadata(place)?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o077 != 0 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// Whether files can be made in this directory, which is made if need be.
fn probe(place: &Path) -> io::Result<()> {
    std::fs::create_dir_all(place)?;
    let file = place.join(format!(".probe-{}", sys::process::own()));
    let written = File::create(&file).and_then(|mut file| file.write_all(&PROBE));
    let _ = std::fs::remove_file(&file);
    written
}

/// Takes the run directory for this init alone, as long as it lives.
pub(crate) fn lock(options: &Options) -> Result<Option<sys::fs::Lock>, String> {
    let directory = options.run.join("init");
    let _ = std::fs::create_dir_all(&directory);
    match sys::fs::lock(&directory.join("lock")) {
        Ok(lock) => Ok(Some(lock)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("another init runs over {}", options.run.display()))
        }
        // What cannot be written will be told of by whoever has to.
        Err(_) => Ok(None),
    }
}

/// Tells `svctl` where the services and the logs are, if it can be told.
pub(crate) fn tell(options: &Options) {
    let mut out = service::codec::Writer::new("mainstay-places 1");
    out.line("services", options.services.display());
    if !options.logs_to_output {
        out.line("logs", options.logs.display());
    }
    let _ = sys::fs::replace(&options.run.join("init/places"), out.finish().as_bytes(), 0o644);
}

fn beside_init() -> PathBuf {
    // Without /proc, as when a machine has just started, there is still the name by which we were started. That may
    // be a link: the kernel starts /init.
    let named = || Some(std::env::args_os().next()?.into()).filter(|name: &PathBuf| name.is_absolute());
    let called = || std::fs::canonicalize(named()?).ok();
    let own = std::env::current_exe().ok().or_else(called);
    own.as_deref().and_then(Path::parent).map_or_else(|| "/usr/sbin".into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_place_that_others_can_write_to_is_not_taken() {
        let place = std::env::temp_dir().join(format!("mainstay-place-{}", std::process::id()));
        let user = nix::unistd::getuid().as_raw();
        own(&place, user).unwrap();
        own(&place, user).unwrap();
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(own(&place, user).is_err());
        std::fs::remove_dir(&place).unwrap();
        std::os::unix::fs::symlink("/tmp", &place).unwrap();
        assert!(own(&place, user).is_err());
        std::fs::remove_file(&place).unwrap();
    }

    #[test]
    fn the_first_place_that_can_be_written_is_taken_and_no_place_is_told_with_the_reasons() {
        let good = std::env::temp_dir().join(format!("mainstay-first-{}", std::process::id()));
        let places = ["/proc/nowhere".to_owned(), good.display().to_string()];
        let user = nix::unistd::getuid().as_raw();
        assert_eq!(first_usable(&places, user), Ok(good.clone()));
        std::fs::remove_dir(good).unwrap();
        let problem = first_usable(&places[..1], user).unwrap_err();
        assert!(problem.contains("/proc/nowhere: No such file or directory"), "{problem}");
    }
}
