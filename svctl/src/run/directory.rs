//! The directories of transient services: made whole or not at all, and taken away so that no part of one is ever a
//! service. Whatever was cut off is finished by the next who comes.

use crate::args::Places;
use crate::compile::transient::{LEAVING, STARTING, is_abandoned, stands};
use crate::exit::{Exit, Failure};
use nix::fcntl::{Flock, FlockArg};
use service::codec::{escape_into, unescape};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The text of a service's labels, `KEY=VALUE` a line.
const LABELS: &str = "labels";
/// How it was when it was destroyed, for those who wait for it.
const ENDED: &str = "ended";
/// What a directory is called while it is made, and while it is taken away.
const MADE: &str = ".made-";
const GONE: &str = ".gone-";
/// The pause between two looks whether somebody else is through.
const PAUSE: Duration = Duration::from_millis(5);

/// Where they all are.
#[must_use]
pub fn tree(places: &Places) -> PathBuf {
    places.run.join("services.d")
}

/// Where that of one service is.
#[must_use]
pub fn of(places: &Places, name: &str) -> PathBuf {
    tree(places).join(name)
}

/// A service whose start has not come to an end: if we end before it, it is given up.
#[derive(Debug)]
pub struct Starting {
    directory: PathBuf,
    _lock: Flock<File>,
}

impl Starting {
    /// Makes the directory of a service, in one step.
    ///
    /// # Errors
    /// There is one already; or the system refuses.
    pub fn make(
        places: &Places,
        name: &str,
        toml: &str,
        labels: &[(String, String)],
    ) -> Result<Starting, Failure> {
        let directory = of(places, name);
        let staged = tree(places).join(format!("{MADE}{}", random()?));
        let made = stage(&staged, toml, labels);
        let made = made.and_then(|lock| match fs::rename(&staged, &directory) {
            Ok(()) => Ok(Some(lock)),
            // What is there is not empty, or no directory.
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(error),
        });
        if !matches!(made, Ok(Some(_))) {
            // What is left is taken away by whoever comes next.
            let _ = fs::remove_dir_all(&staged);
        }
        match made {
            Ok(Some(lock)) => Ok(Starting { directory, _lock: lock }),
            Ok(None) => {
                let place = directory.display();
                Err(Failure::new(Exit::Exists, format!("{name}: there is a {place} already")))
            }
            Err(error) => Err(unable("make", &directory, &error)),
        }
    }

    /// The start has come to an end: the service stays, however we end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn keep(self) -> Result<(), Failure> {
        let mark = self.directory.join(STARTING);
        match fs::remove_file(&mark) {
            // Somebody has destroyed it.
            Err(error) if error.kind() != ErrorKind::NotFound => Err(unable("remove", &mark, &error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists | ErrorKind::NotADirectory)
}

fn stage(staged: &Path, toml: &str, labels: &[(String, String)]) -> io::Result<Flock<File>> {
    fs::create_dir_all(staged)?;
    // Locked before it has its name: one that is not locked is nobody's.
    let new = staged.join("starting.new");
    let lock = File::create(&new)?;
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)?;
    fs::rename(&new, staged.join(STARTING))?;
    fs::write(staged.join("service.toml"), toml)?;
    let mut text = String::new();
    for (key, value) in labels {
        escape_into(&mut text, format_args!("{key}={value}"));
        text.push('\n');
    }
    fs::write(staged.join(LABELS), text)?;
    Ok(lock)
}

/// The labels of a service.
#[must_use]
pub fn labels(places: &Places, name: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(of(places, name).join(LABELS)).unwrap_or_default();
    let pair = |line: &str| {
        let line = unescape(line);
        line.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}

/// Whether there is a transient service of this name, or the rest of one.
#[must_use]
pub fn is_there(places: &Places, name: &str) -> bool {
    let directory = of(places, name);
    [LEAVING, STARTING, "service.toml", "run"].into_iter().any(|file| directory.join(file).exists())
}

/// Whether a service that was there is gone, or going.
#[must_use]
pub fn is_leaving(directory: &Path) -> bool {
    !directory.exists() || directory.join(LEAVING).exists()
}

/// Has a service leave: from now on it is none for the compiler. Whoever else does the same is waited for. The `words` say
/// how it is to leave; they are noted for whoever goes on with it.
///
/// # Errors
/// The system refuses, or the other takes too long.
pub fn leave(directory: &Path, words: &[&str], deadline: Instant) -> Result<Option<Flock<File>>, Failure> {
    let mark = directory.join(LEAVING);
    loop {
        let opened = match File::options().append(true).create(true).open(&mark) {
            // The other has done it.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| unable("mark", directory, &error))?,
        };
        if let Ok(mut lock) = Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
            let text: String = words.iter().map(|word| format!("{word}\n")).collect();
            // On a disk that is full it leaves all the same.
            let _ = lock.write_all(text.as_bytes());
            return Ok(Some(lock));
        }
        if Instant::now() >= deadline {
            return Err(Failure::new(Exit::TimedOut, "another process destroys it, and is not through"));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Whether whoever has had it leave has said this word.
#[must_use]
pub fn leaves_so(directory: &Path, word: &str) -> bool {
    let text = fs::read_to_string(directory.join(LEAVING)).unwrap_or_default();
    text.lines().any(|line| line == word)
}

/// Notes how a service was at its end, for those who wait for it and come too late to its status.
pub fn note_end(directory: &Path, status: &str) {
    // Without it there is less to tell.
    let _ = sys::fs::replace(&directory.join(ENDED), status.as_bytes(), 0o644);
}

/// What was noted.
#[must_use]
pub fn noted_end(directory: &Path) -> Option<String> {
    fs::read_to_string(directory.join(ENDED)).ok()
}

/// Says that somebody wants to know how a service ends: as long as this is held, its directory stays for a while.
#[must_use]
pub fn attend(directory: &Path) -> Option<Flock<File>> {
    Flock::lock(File::open(directory).ok()?, FlockArg::LockSharedNonblock).ok()
}

/// Takes a directory away in one step, after those who wait for its service were given a little time.
///
/// # Errors
/// The system refuses.
pub fn remove(directory: &Path, patience: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + patience;
    while let Ok(opened) = File::open(directory) {
        let alone = Flock::lock(opened, FlockArg::LockExclusiveNonblock).is_ok();
        if alone || Instant::now() >= deadline {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let gone = directory.with_file_name(format!("{GONE}{}", random()?));
    match fs::rename(directory, &gone) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(|error| unable("remove", directory, &error))?,
    }
    fs::remove_dir_all(&gone).map_err(|error| unable("remove", &gone, &error))
}

/// Takes away what others have left: directories that were never complete, or not taken away to the end. Returns the
/// services that somebody has given up.
#[must_use]
pub fn sweep(places: &Places) -> Vec<String> {
    let mut given_up = Vec::new();
    for entry in fs::read_dir(tree(places)).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let directory = entry.path();
        let abandoned = |mark: &str| is_abandoned(&directory.join(mark));
        let left = name.starts_with(GONE) || name.starts_with(MADE) && is_left(&directory);
        if left {
            let _ = fs::remove_dir_all(&directory);
        } else if !name.starts_with('.') && (abandoned(STARTING) || abandoned(LEAVING)) {
            given_up.push(name);
        }
    }
    given_up
}

/// Whether nobody makes it any more. Between its being made and its being locked a moment passes.
fn is_left(staged: &Path) -> bool {
    const MOMENT: Duration = Duration::from_secs(60);
    if is_abandoned(&staged.join(STARTING)) {
        return true;
    }
    let age = fs::metadata(staged).and_then(|found| found.modified()).ok().and_then(|at| at.elapsed().ok());
    !staged.join(STARTING).exists() && age.is_some_and(|age| age > MOMENT)
}

/// The names of transient services, of those too that are about to go.
#[must_use]
pub fn there(places: &Places) -> BTreeSet<String> {
    let entries = fs::read_dir(tree(places)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.') && is_there(places, name)).collect()
}

/// The transient services that stand.
#[must_use]
pub fn all(places: &Places) -> Vec<String> {
    let entries = fs::read_dir(tree(places)).into_iter().flatten().flatten();
    let standing = entries.filter(|entry| stands(&entry.path()));
    let mut names: Vec<String> = standing.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

/// A word that nobody else has.
///
/// # Errors
/// The system has no random numbers.
pub fn random() -> Result<String, Failure> {
    let mut bytes = [0; 4];
    let path = Path::new("/dev/urandom");
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|error| unable("read", path, &error))?;
    Ok(format!("{:08x}", u32::from_ne_bytes(bytes)))
}

fn unable(verb: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::system(&format!("unable to {verb} {}", path.display()), error)
}
