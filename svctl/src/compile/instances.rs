//! The services of a tree, and the instances of its templates.
//!
//! A directory whose name ends in `@` is a template. Instances are made of it by their names: those that have
//! a directory of their own without a definition in it, or a link to the template; those that other services
//! name; and those that were asked for.

use super::diagnostic::{Diagnostic, Location, Severity};
use super::directory::{self, Origin};
use super::{Compiled, Edge, Options, Service, transient};
use service::definition::valid_name;
use service::settings::Settings;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// More instances than this are a template that names ever new ones of itself.
const INSTANCES_MAX: usize = 1000;
/// What a template is read as when it has no instance, to find its mistakes.
const SPECIMEN: &str = "0";

const BAD_NAME: &str = "this cannot be the name of a service: letters, digits and _-.@+: only, beginning with a \
                        letter, a digit or _, at most 200";

/// Reads every service directory of the tree, and makes the instances that are meant to be.
pub(super) fn read_tree(options: &Options) -> io::Result<Compiled> {
    // Before it is read: what changes from now on is news.
    let place = std::path::absolute(&options.services).unwrap_or_else(|_| options.services.clone());
    let listed = crate::loaded::names_in(&place);
    let mut tree = Tree::list(options)?;
    let mut services: BTreeMap<String, Service> = BTreeMap::new();
    for (name, directory) in &tree.directories {
        let origin = tree.origin(name, directory);
        add(&mut services, &tree, directory::read(name, &origin, options));
    }
    tree.instantiate(&mut services, options);
    tree.inspect_templates(&services, options);
    twins(&mut services);
    let services = services.into_values().collect();
    Ok(Compiled { services, tree: Some((place, listed)), settings: Settings::default(), stray: tree.stray })
}

/// Adds a service and those that it brings along, but not under the names of others.
fn add(services: &mut BTreeMap<String, Service>, tree: &Tree, found: Vec<Service>) {
    let mut found = found.into_iter();
    let Some(mut service) = found.next() else { return };
    for other in found {
        let name = other.definition.name.clone();
        if tree.directories.contains_key(&name) || services.contains_key(&name) || !valid_name(&name) {
            let message = format!("it brings a service along that would be called \"{name}\", as another is");
            service.note(Severity::Error, Some(&Location::whole(&other.path)), &message, None);
        } else {
            services.insert(name, other);
        }
    }
    services.insert(service.definition.name.clone(), service);
}

struct Tree {
    directories: BTreeMap<String, PathBuf>,
    templates: BTreeMap<String, PathBuf>,
    stray: Vec<Diagnostic>,
}

impl Tree {
    fn list(options: &Options) -> io::Result<Tree> {
        let mut tree = Tree { directories: BTreeMap::new(), templates: BTreeMap::new(), stray: Vec::new() };
        for entry in fs::read_dir(&options.services)? {
            let name = entry?.file_name();
            let directory = options.services.join(&name);
            // Hidden directories are those of editors and version control, or somebody's way to disable one.
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let at = Location::whole(&directory.display().to_string());
            if !directory.is_dir() {
                // Files are notes of people; a link to nowhere is a service that is not there.
                if directory.is_symlink() && !directory.exists() {
                    let message = "a link to nowhere";
                    tree.stray.push(Diagnostic::new(&at, Severity::Warning, message, None));
                }
                continue;
            }
            match name.to_str().filter(|name| valid_name(name)) {
                Some(name) if name.ends_with('@') => tree.templates.insert(name.to_owned(), directory),
                Some(name) => tree.directories.insert(name.to_owned(), directory),
                None => {
                    tree.stray.push(Diagnostic::new(&at, Severity::Error, BAD_NAME, None));
                    continue;
                }
            };
        }
        transient::add(options, &tree.templates, &mut tree.directories, &mut tree.stray);
        Ok(tree)
    }

    /// The template that an instance called `name` would be made of.
    fn template(&self, name: &str) -> Option<(&str, &Path)> {
        let end = name.find('@')? + 1;
        let (template, directory) = self.templates.get_key_value(name.get(..end)?)?;
        (name.len() > end).then_some((template, directory))
    }

    /// What the directory called `name` is: a service by itself, or what belongs to an instance.
    fn origin(&self, name: &str, directory: &Path) -> Origin {
        let plain = Origin::Directory(directory.to_owned());
        let Some((_, template)) = self.template(name) else { return plain };
        let same = |one: &Path, other: &Path| match (fs::canonicalize(one), fs::canonicalize(other)) {
            (Ok(one), Ok(other)) => one == other,
            _ => false,
        };
        let defines = |file: &str| directory.join(file).symlink_metadata().is_ok();
        if same(directory, template) {
            Origin::Template { template: template.to_owned(), own: None, autostart: true }
        } else if ["service.toml", "run", "type"].into_iter().any(defines) {
            plain
        } else {
            let own = Some(directory.to_owned());
            Origin::Template { template: template.to_owned(), own, autostart: true }
        }
    }

    /// Makes the instances that are named by somebody, and those that they name in turn.
    fn instantiate(&mut self, services: &mut BTreeMap<String, Service>, options: &Options) {
        let asked = options.instances.iter().cloned();
        let mut wanted: Vec<String> = asked.chain(services.values().flat_map(names)).collect();
        let mut made = 0;
        while let Some(name) = wanted.pop() {
            if services.contains_key(&name) || !valid_name(&name) || name.ends_with('@') {
                continue;
            }
            let Some((template, directory)) = self.template(&name) else { continue };
            if made == INSTANCES_MAX {
                let at = Location::whole(&directory.display().to_string());
                let message = format!("\"{template}\" would have more than {INSTANCES_MAX} instances");
                self.stray.push(Diagnostic::new(&at, Severity::Error, &message, None));
                return;
            }
            made += 1;
            // It is started with whoever names it, and not because there is such a name.
            let origin = Origin::Template { template: directory.to_owned(), own: None, autostart: false };
            let found = directory::read(&name, &origin, options);
            wanted.extend(found.iter().flat_map(names));
            add(services, self, found);
        }
    }

    /// Finds the mistakes of templates that nobody has an instance of.
    fn inspect_templates(&mut self, services: &BTreeMap<String, Service>, options: &Options) {
        for (template, directory) in &self.templates {
            if services
                .range(template.clone()..)
                .next()
                .is_some_and(|(name, _)| name.starts_with(template.as_str()))
            {
                continue;
            }
            let origin = Origin::Template { template: directory.clone(), own: None, autostart: false };
            for service in directory::read(&format!("{template}{SPECIMEN}"), &origin, options) {
                self.stray.extend(service.diagnostics);
            }
        }
    }
}

/// The services that a service names.
fn names(service: &Service) -> Vec<String> {
    service.edges.iter().map(|edge: &Edge| edge.to.clone()).filter(|name| name.contains('@')).collect()
}

/// Two names for one directory are two services that share their files.
fn twins(services: &mut BTreeMap<String, Service>) {
    let mut first: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (name, service) in services.iter_mut() {
        if service.definition.instance.is_some() || service.pipeline {
            continue;
        }
        let Ok(directory) = fs::canonicalize(&service.definition.directory) else { continue };
        if let Some(other) = first.get(&directory) {
            if seen.insert(name.clone()) {
                let message = format!("the same directory as that of \"{other}\": it runs twice");
                service.note(Severity::Warning, None, &message, None);
            }
        } else {
            first.insert(directory, name.clone());
        }
    }
}
