//! Whether the programs that services name are there, in this machine's root or in an image's.

use crate::suggest::nearest;
use service::definition::{Condition, Definition, EnvironmentLayer};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

/// Where services look for programs unless their environment says otherwise.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// As many links as the kernel follows (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// Whether `path` is a file that may be executed by somebody.
pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A root, and the search path of one service in it.
pub(super) struct Programs<'a> {
    root: &'a Path,
    path: &'a str,
}

impl<'a> Programs<'a> {
    pub(super) fn new(root: &'a Path, environment: &'a [EnvironmentLayer]) -> Programs<'a> {
        let set = environment.iter().rev().find_map(|layer| match layer {
            EnvironmentLayer::Set { key, value } if key == "PATH" => Some(value.as_str()),
            EnvironmentLayer::Set { .. } | EnvironmentLayer::File { .. } => None,
        });
        Programs { root, path: set.unwrap_or(PATH) }
    }

    /// Whether a condition about a program does not hold, so that the service would be skipped.
    pub(super) fn excused(&self, definition: &Definition) -> bool {
        definition.conditions.iter().any(|condition| match condition {
            Condition::Executable(program) => self.missing(program).is_some(),
            Condition::Path(path) => {
                definition.command.first() == Some(path) && resolve(self.root, Path::new(path)).is_none()
            }
            Condition::KernelArgument(_) => false,
        })
    }

    /// What is to be said if the program is not there.
    pub(super) fn missing(&self, program: &str) -> Option<String> {
        let shown = program.escape_debug();
        if program.starts_with('/') {
            return match resolve(self.root, Path::new(program)) {
                None => Some(format!("unable to find program \"{shown}\"")),
                Some(found) if !is_executable(&found) => Some(format!("\"{shown}\" is not executable")),
                Some(_) => None,
            };
        }
        let found = self.path.split(':').any(|directory| {
            resolve(self.root, &Path::new(directory).join(program)).is_some_and(|found| is_executable(&found))
        });
        (!found).then(|| format!("unable to find program \"{shown}\" in PATH ({})", self.path))
    }

    /// What is to be said if the script's interpreter is not there.
    pub(super) fn missing_interpreter(&self, script: &Path) -> Option<String> {
        let mut first = Vec::new();
        fs::File::open(script).ok()?.take(256).read_to_end(&mut first).ok()?;
        let line = first.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
        let interpreter = std::str::from_utf8(line).ok()?.split_whitespace().next()?;
        let missing = resolve(self.root, Path::new(interpreter)).is_none();
        let name = script.file_name().unwrap_or_default().to_string_lossy();
        let what = name.escape_debug();
        missing
            .then(|| format!("unable to find \"{}\", the interpreter of {what}", interpreter.escape_debug()))
    }

    /// The program that may have been meant by one that is not there.
    pub(super) fn nearest(&self, program: &str) -> Option<String> {
        let (directory, name) = match program.rsplit_once('/') {
            Some((directory, name)) => (Some(directory), name),
            None => (None, program),
        };
        let directories = directory.map_or_else(|| self.path.split(':').collect(), |one| vec![one]);
        let mut names = BTreeSet::new();
        for directory in directories {
            let found = resolve(self.root, Path::new(directory)).and_then(|found| fs::read_dir(found).ok());
            let entries = found.into_iter().flatten().flatten();
            names.extend(entries.filter_map(|entry| entry.file_name().into_string().ok()));
        }
        let found = nearest(name, names.iter().map(String::as_str))?;
        Some(directory.map_or_else(|| found.to_owned(), |directory| format!("{directory}/{found}")))
    }
}

/// The file that `path` names for somebody whose root directory is `root`; none if there is none.
fn resolve(root: &Path, path: &Path) -> Option<PathBuf> {
    if root == Path::new("/") {
        return fs::canonicalize(path).ok();
    }
    let mut links = 0;
    // What is still to be walked, the next step last.
    let mut rest: Vec<PathBuf> = steps(path);
    let mut here = PathBuf::new();
    while let Some(step) = rest.pop() {
        if step == Path::new("..") {
            here.pop();
            continue;
        }
        let next = here.join(&step);
        let full = root.join(&next);
        if let Ok(target) = fs::read_link(&full) {
            links += 1;
            if links > LINKS_MAX {
                return None;
            }
            if target.is_absolute() {
                here = PathBuf::new();
            }
            rest.extend(steps(&target));
        } else if full.exists() {
            here = next;
        } else {
            return None;
        }
    }
    Some(root.join(here))
}

/// The steps of a path that are names or `..`, the last first.
fn steps(path: &Path) -> Vec<PathBuf> {
    let named = path.components().filter(|c| matches!(c, Component::Normal(_) | Component::ParentDir));
    named.rev().map(|component| PathBuf::from(component.as_os_str())).collect()
}
