//! The verbs `check`, for people, and `compile`, for init.

use crate::args::{Places, Tree};
use crate::compile::{Compiled, Options, Severity, compile};
use crate::exit::{Exit, Failure};
use crate::output;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Shows every mistake of a tree of service directories.
///
/// # Errors
/// If the tree cannot be listed.
pub fn check(options: &Options) -> Result<Exit, Failure> {
    let compiled = read(options)?;
    let mut text: String =
        compiled.diagnostics().iter().map(|diagnostic| format!("{diagnostic}\n")).collect();
    let errors = compiled.count(Severity::Error);
    let counts = [
        count(compiled.services.len(), "service"),
        count(errors, "error"),
        count(compiled.count(Severity::Warning), "warning"),
    ];
    text.push_str(&counts.join(", "));
    text.push('\n');
    let exit = if errors == 0 { Exit::Ok } else { Exit::Failed };
    output::print(&text)?;
    Ok(exit)
}

/// Writes the compiled form of a tree below `run`, or to where init takes it over from; mistakes go to standard error
/// and hurt one service each.
///
/// # Errors
/// If the tree cannot be listed, or something cannot be written.
pub fn write(options: &Options, run: &Path, stage: bool) -> Result<Exit, Failure> {
    let compiled = read(options)?;
    for diagnostic in compiled.diagnostics() {
        output::complain(&diagnostic.to_string());
    }
    let written = if stage { compiled.stage(run) } else { compiled.write(run) };
    written
        .map_err(|(path, error)| Failure::system(&format!("unable to write {}", path.display()), &error))?;
    Ok(Exit::Ok)
}

/// What to compile: the tree, and on the machine itself what is laid over it and was asked for since its boot.
#[must_use]
pub fn options(places: &Places, tree: Tree) -> Options {
    let mut instances: BTreeSet<String> = tree.instances.into_iter().collect();
    // A tree that is named is most often that of an image, and this machine's state is none of its business.
    let running = tree.directory.is_none() || tree.directory.as_ref() == Some(&places.services);
    if running {
        let asked = fs::read_to_string(places.run.join("init/instances")).unwrap_or_default();
        instances.extend(asked.lines().map(str::to_owned));
    }
    Options {
        services: tree.directory.unwrap_or_else(|| places.services.clone()),
        overrides: running.then(|| places.run.join("services.d")),
        trial: None,
        counted: running && counted(&places.run),
        settings: tree.settings,
        instances,
        root: tree.root,
        prober: tree.prober.unwrap_or_else(own_path),
    }
}

/// Whether every service has a group, if only to be counted by: where the machine's init has handed the memory controller
/// on. In a container, and for a user's own services, groups are there for those that ask.
fn counted(run: &Path) -> bool {
    let handed_on = || fs::read_to_string("/sys/fs/cgroup/cgroup.subtree_control").unwrap_or_default();
    run == Path::new(service::RUN_DIRECTORY) && handed_on().split_whitespace().any(|one| one == "memory")
}

fn read(options: &Options) -> Result<Compiled, Failure> {
    compile(options)
        .map_err(|error| Failure::system(&format!("unable to list {}", options.services.display()), &error))
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// This program's own path, as the machine that it runs on knows it.
#[must_use]
pub fn own_path() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/sbin/svctl"));
    path.display().to_string()
}
