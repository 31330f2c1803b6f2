//! From a tree of service directories to what init and the supervisors read.
//!
//! Every service directory is read by itself (`directory`): what the files of s6, s6-rc and runit say
//! (`foreign`), and over it `service.toml` with what is dropped in (`sources`, `merge`), key by key with all
//! mistakes noted (`reader`, `keys`). Its programs are looked for (`program`), templates become instances
//! (`instances`). Then the names are joined to a graph (`graph`), cycles are named (`cycle`), pipes linked
//! (`pipes`), and the result is written (`output`). A mistake makes one service invalid and leaves the others
//! as they are.

mod accounts;
mod contradictions;
mod cycle;
mod diagnostic;
mod directory;
mod foreign;
mod graph;
mod instances;
mod keys;
mod keys_environment;
mod keys_image;
mod keys_life;
mod keys_limits;
mod keys_process;
mod keys_ready;
mod keys_sockets;
mod keys_user;
mod keys_watch;
mod merge;
mod output;
mod pipes;
mod program;
mod programs;
mod reader;
mod sandbox;
mod settings;
mod shared;
mod sources;
#[cfg(test)]
mod tests;
pub mod transient;
pub mod units;

pub use diagnostic::{Diagnostic, Lines, Location, Place, Severity};
pub use directory::read_toml;

use crate::loaded::Source;
use service::Definition;
use service::plan::Entry;
use service::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// What to compile, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The tree of service directories.
    pub services: PathBuf,
    /// A second tree of the same form: what is dropped in (`NAME/service.d`), and transient services.
    pub overrides: Option<PathBuf>,
    /// A file of the second tree that is not there yet, or is another: what it is to say.
    pub trial: Option<Trial>,
    /// The settings of the machine; none for the file `init.toml` beside the tree.
    pub settings: Option<PathBuf>,
    /// Instances of templates that were asked for by name.
    pub instances: BTreeSet<String>,
    /// Whether every service has a control group, if only to be counted by.
    pub counted: bool,
    /// Where the machine's programs are looked for; none for no look.
    pub root: Option<PathBuf>,
    /// The program that probes ports and web pages: this one, as the machine will see it.
    pub prober: String,
}

/// A file that is tried before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Where it will be.
    pub file: PathBuf,
    /// What it will say.
    pub text: String,
}

/// One service directory, read.
#[derive(Clone, Debug)]
pub struct Service {
    /// What could be understood of it.
    pub definition: Definition,
    /// The names in it, with their places.
    pub edges: Vec<Edge>,
    /// The file or directory that mistakes are reported against.
    pub path: String,
    /// Where its programs are named, by the keys of their commands.
    pub programs: BTreeMap<String, Location>,
    /// What it was read from; none for one that comes with another.
    pub source: Option<Source>,
    /// Whether it stands for a pipeline, whose members are not known before all services are.
    pub pipeline: bool,
    /// What is wrong with it.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether it cannot be used.
    pub invalid: bool,
}

/// How one service refers to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EdgeKind {
    /// Started too and waited for.
    Requires,
    /// Started too.
    Wants,
    /// Waited for.
    After,
    /// Waits.
    Before,
    /// Cannot run at the same time.
    Conflicts,
    /// A member of a bundle.
    Contains,
    /// Reads what this writes.
    WritesTo,
    /// Writes what this reads.
    ReadsFrom,
}

impl EdgeKind {
    /// The key that people write.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            EdgeKind::Requires => "requires",
            EdgeKind::Wants => "wants",
            EdgeKind::After => "after",
            EdgeKind::Before => "before",
            EdgeKind::Conflicts => "conflicts",
            EdgeKind::Contains => "contents",
            EdgeKind::WritesTo => "[log] to",
            EdgeKind::ReadsFrom => "consumer-for",
        }
    }
}

/// A name in a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Under which key.
    pub kind: EdgeKind,
    /// The name.
    pub to: String,
    /// Where it stands.
    pub at: Location,
}

/// A whole tree.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// Every service, sorted by name.
    pub services: Vec<Service>,
    /// The tree, and the names that were in it.
    pub tree: Option<(PathBuf, u64)>,
    /// What the file beside the tree says, `init.toml`.
    pub settings: Settings,
    /// What is wrong with the tree itself, and with the settings.
    pub stray: Vec<Diagnostic>,
}

impl Service {
    /// A service of which nothing is known yet but where it stands.
    fn new(definition: Definition, path: &str) -> Service {
        Service {
            definition,
            edges: Vec::new(),
            path: path.to_owned(),
            programs: BTreeMap::new(),
            source: None,
            pipeline: false,
            diagnostics: Vec::new(),
            invalid: false,
        }
    }

    /// Notes what is wrong; without a location, with the service as a whole.
    fn note(&mut self, severity: Severity, at: Option<&Location>, message: &str, suggestion: Option<&str>) {
        let whole = Location::whole(&self.path);
        self.diagnostics.push(Diagnostic::new(at.unwrap_or(&whole), severity, message, suggestion));
        self.invalid |= severity == Severity::Error;
    }

    /// Notes a mistake that leaves the service as usable as it is.
    fn complain(&mut self, at: &Location, message: &str, suggestion: Option<&str>) {
        self.diagnostics.push(Diagnostic::new(at, Severity::Error, message, suggestion));
    }

    /// What init is told.
    #[must_use]
    pub fn entry(&self) -> Entry {
        if !self.invalid {
            return Entry::from_definition(&self.definition);
        }
        // Its edges are of no use, and might be those of a cycle.
        let mut errors: Vec<&Diagnostic> =
            self.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).collect();
        errors.sort_by_key(|diagnostic| diagnostic.place);
        let problem: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let mut entry = Entry::broken(&self.definition.name, problem.join("\n"));
        entry.kind = self.definition.kind;
        entry.autostart = self.definition.autostart;
        entry
    }
}

impl Compiled {
    /// Every mistake, sorted by file and place.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<&Diagnostic> {
        let mut all: Vec<&Diagnostic> = self.stray.iter().collect();
        for service in &self.services {
            all.extend(&service.diagnostics);
        }
        let key = |diagnostic: &'_ Diagnostic| (diagnostic.path.clone(), diagnostic.place);
        all.sort_by_key(|diagnostic| key(diagnostic));
        // What is wrong with a template is wrong with each of its instances.
        all.dedup();
        all
    }

    /// How many mistakes of this severity there are.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.diagnostics().iter().filter(|diagnostic| diagnostic.severity == severity).count()
    }

    /// The plan, sorted by name.
    #[must_use]
    pub fn plan(&self) -> Vec<Entry> {
        self.services.iter().map(Service::entry).collect()
    }

    /// Writes the settings and the definitions of the valid longruns and oneshots below `run`, and the plan last.
    ///
    /// # Errors
    /// What could not be written, and why.
    pub fn write(&self, run: &Path) -> Result<(), (PathBuf, io::Error)> {
        output::write(self, run)
    }

    /// Writes the definitions that differ from those below `run`, and the plan, to where init takes them over
    /// from: `init/next`.
    ///
    /// # Errors
    /// What could not be written, and why.
    pub fn stage(&self, run: &Path) -> Result<(), (PathBuf, io::Error)> {
        output::stage(self, run)
    }
}

/// Compiles a tree of service directories.
///
/// # Errors
/// If the tree itself cannot be listed: whatever is wrong with a service stands in its diagnostics.
pub fn compile(options: &Options) -> io::Result<Compiled> {
    let mut compiled = instances::read_tree(options)?;
    pipes::fill_bundles(&mut compiled.services);
    graph::join(&mut compiled.services);
    cycle::find(&mut compiled.services, &options.services);
    pipes::link(&mut compiled.services);
    shared::find(&mut compiled.services);
    for service in &mut compiled.services {
        service.definition.process.group.counted = options.counted;
    }
    read_settings(&mut compiled, options);
    Ok(compiled)
}

fn read_settings(compiled: &mut Compiled, options: &Options) {
    let Some(file) = options.settings.clone().or_else(|| settings::beside(&options.services)) else { return };
    let root = options.root.as_deref().unwrap_or(Path::new("/"));
    let (settings, mut diagnostics) = settings::read(&file, root);
    compiled.settings = settings;
    compiled.stray.append(&mut diagnostics);
}
