//! Which state of the definitions on disk was loaded last: `init/sources`, written with the plan. Whoever looks at the
//! services can tell from it, at the cost of two or three stat(2) calls for each, whether a reload would find others.

use service::codec::{Writer, pairs, unescape};
use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The first line; the number is its version. Digests are of this program's own making.
const HEADER: &str = concat!("mainstay-sources 1 ", env!("CARGO_PKG_VERSION"));

/// Files that say something in a directory without a `service.toml`. What is executed is read at every start anyway.
const FOREIGN: [&str; 26] = [
    "type",
    "down",
    "notification-fd",
    "lock-fd",
    "timeout-kill",
    "timeout-finish",
    "timeout-up",
    "timeout-down",
    "down-signal",
    "reload-signal",
    "max-death-tally",
    "flag-newpidns",
    "flag-timeout-killpg",
    "flag-essential",
    "check",
    "finish",
    "control",
    "up",
    "dependencies",
    "dependencies.d",
    "contents.d",
    "producer-for",
    "consumer-for",
    "pipeline-name",
    "log",
    "log/notification-fd",
];

/// The files that a definition was read from, as they were before that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The service directory; for an instance also its own.
    directories: Vec<PathBuf>,
    /// Whether it has no `service.toml`.
    foreign: bool,
    digest: u64,
}

impl Source {
    /// Notes how the files of these directories are now.
    #[must_use]
    pub fn of(directories: Vec<PathBuf>) -> Source {
        let foreign = !directories.first().is_some_and(|first| first.join("service.toml").exists());
        let digest = digest(&directories, foreign);
        Source { directories, foreign, digest }
    }

    /// Whether the files are others now.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        digest(&self.directories, self.foreign) != self.digest
    }
}

/// What was loaded, by the names of the services.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The whole tree, of which it is known what is in it.
    tree: Option<(PathBuf, u64)>,
    services: BTreeMap<String, Source>,
}

impl Loaded {
    /// What init has loaded. Nothing if that is not known: then nothing is said to have changed.
    #[must_use]
    pub fn read(run: &Path) -> Loaded {
        let text = fs::read_to_string(run.join("init/sources")).unwrap_or_default();
        let mut loaded = Loaded::default();
        if text.lines().next() != Some(HEADER) {
            return loaded;
        }
        let (mut name, mut source) = (None, Source { directories: Vec::new(), foreign: false, digest: 0 });
        for (key, escaped) in pairs(&text).skip(1) {
            let value = unescape(escaped);
            match key {
                "tree" => loaded.tree = Some((PathBuf::from(value), 0)),
                "listed" => {
                    if let (Some((_, listed)), Ok(number)) = (&mut loaded.tree, value.parse()) {
                        *listed = number;
                    }
                }
                "service" => name = Some(value),
                "directory" => source.directories.push(PathBuf::from(value)),
                "foreign" => source.foreign = value == "true",
                "digest" => {
                    source.digest = value.parse().unwrap_or(0);
                    let whole = Source { directories: Vec::new(), foreign: false, digest: 0 };
                    let whole = std::mem::replace(&mut source, whole);
                    if let Some(name) = name.take() {
                        loaded.services.insert(name, whole);
                    }
                }
                _ => {}
            }
        }
        loaded
    }

    /// Whether a reload would find another definition of this service, by the times of its files.
    #[must_use]
    pub fn has_changed(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(Source::has_changed)
    }

    /// Whether service directories have been added or removed.
    #[must_use]
    pub fn tree_has_changed(&self) -> bool {
        self.tree.as_ref().is_some_and(|(tree, listed)| names_in(tree) != *listed)
    }
}

/// The text of the file.
pub(crate) fn encode<'a>(
    tree: Option<&(PathBuf, u64)>,
    services: impl Iterator<Item = (&'a str, &'a Source)>,
) -> String {
    let mut out = Writer::new(HEADER);
    if let Some((tree, listed)) = tree {
        out.line("tree", tree.display());
        out.line("listed", listed);
    }
    for (name, source) in services {
        out.line("service", name);
        for directory in &source.directories {
            out.line("directory", directory.display());
        }
        out.line("foreign", source.foreign);
        // Ends what belongs to a service.
        out.line("digest", source.digest);
    }
    out.finish()
}

/// Tells one set of names in a directory from another.
pub(crate) fn names_in(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
    names.retain(|name| !name.as_encoded_bytes().starts_with(b"."));
    names.sort();
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    hasher.finish()
}

fn digest(directories: &[PathBuf], foreign: bool) -> u64 {
    let mut hasher = DefaultHasher::new();
    for directory in directories {
        note(&mut hasher, &directory.join("service.toml"));
        let dropped = directory.join("service.d");
        if note(&mut hasher, &dropped) {
            let entries = fs::read_dir(&dropped).into_iter().flatten().flatten();
            let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
            files.sort();
            files.iter().for_each(|file| {
                note(&mut hasher, file);
            });
        }
        if foreign {
            FOREIGN.iter().for_each(|name| {
                note(&mut hasher, &directory.join(name));
            });
        }
    }
    hasher.finish()
}

/// What tells one state of a file from another. False if there is none.
fn note(hasher: &mut DefaultHasher, file: &Path) -> bool {
    let found: Option<Metadata> = fs::metadata(file).ok();
    let state = found.as_ref().map(|it| (it.ino(), it.mtime(), it.mtime_nsec(), it.size(), it.mode()));
    state.hash(hasher);
    found.is_some()
}
