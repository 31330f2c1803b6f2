//! Finds the shared libraries that the programs of an image need, and the interpreters of its scripts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use crate::apt::{Cache, Package};
use crate::elf::{self, Elf};
use crate::error::{Error, Result};
use crate::tree::{Node, Origin, Tree, components, split};

/// Where the dynamic linker of the image looks by itself.
const DEFAULT: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib"];
/// Where other distributions, and things installed by hand, keep libraries.
const ELSEWHERE: [&str; 6] = [
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/local/lib",
    "usr/local/lib64",
    "usr/local/lib/x86_64-linux-gnu",
];
/// Where programs are looked for by name.
const PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];

/// Where what came from outside of packages may take libraries from.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// Everything `--mesos` named, also what is not taken.
    pub(crate) mesos: Tree,
    /// More directories of libraries in there.
    pub(crate) directories: Vec<String>,
    /// The packages it depends on.
    pub(crate) depends: Vec<String>,
}

/// The search for libraries.
pub(crate) struct Libraries<'a> {
    cache: &'a mut Cache,
    shelves: BTreeMap<String, Tree>,
    outside: &'a Outside,
    read: BTreeMap<String, Option<Elf>>,
}

impl<'a> Libraries<'a> {
    /// A search in the packages of a cache, and in what came from outside.
    pub(crate) fn new(cache: &'a mut Cache, outside: &'a Outside) -> Self {
        Self { cache, shelves: BTreeMap::new(), outside, read: BTreeMap::new() }
    }

    /// The files of a package, fetched and unpacked if they are not at hand.
    pub(crate) fn shelf(&mut self, name: &str) -> Result<&Tree> {
        if !self.shelves.contains_key(name) {
            self.cache.unpack(&[name.to_owned()])?;
            let package = self.cache.get(name)?;
            let mut tree = merged();
            tree.graft(&self.cache.tree(&package), "", &Origin::Package(name.to_owned()))?;
            self.shelves.insert(name.to_owned(), tree);
        }
        self.shelves.get(name).ok_or_else(|| Error::new(format_args!("open package {name}"), "it is gone"))
    }

    /// The packages that were opened.
    pub(crate) fn packages(&mut self) -> Result<Vec<Package>> {
        let names: Vec<String> = self.shelves.keys().cloned().collect();
        names.iter().map(|name| self.cache.get(name)).collect()
    }

    /// Adds every library that a program or library of the image needs.
    pub(crate) fn complete(&mut self, tree: &mut Tree) -> Result<()> {
        let mut queue: VecDeque<String> = tree
            .iter()
            .filter(|(path, node)| node.bytes().is_some() && !path.starts_with("usr/lib/modules/"))
            .map(|(path, _)| path.to_owned())
            .collect();
        let mut done = BTreeSet::new();
        while let Some(path) = queue.pop_front() {
            if !done.insert(path.clone()) {
                continue;
            }
            let Some(elf) = self.elf(tree, &path)? else { continue };
            let wanted = elf.interpreter.iter().map(|path| split(path).1.to_owned());
            for soname in wanted.chain(elf.needed.iter().cloned()) {
                let library = self.provide(tree, &path, &elf, &soname)?;
                self.check_versions(tree, &path, &elf, &soname, &library)?;
                queue.push_back(library);
            }
            if let Some(interpreter) = &elf.interpreter {
                link_interpreter(tree, &path, interpreter)?;
            }
        }
        Ok(())
    }

    fn elf(&mut self, tree: &Tree, path: &str) -> Result<Option<Elf>> {
        if let Some(known) = self.read.get(path) {
            return Ok(known.clone());
        }
        let bytes = tree.entry(path).and_then(Node::bytes).unwrap_or_default();
        let elf = elf::read(bytes).map_err(|cause| Error::new(format_args!("use /{path}"), cause))?;
        self.read.insert(path.to_owned(), elf.clone());
        Ok(elf)
    }

    /// Sees to it that the library is where the dynamic linker finds it, and says where that is.
    fn provide(&mut self, tree: &mut Tree, needer: &str, elf: &Elf, soname: &str) -> Result<String> {
        let directories = directories(elf, needer);
        if let Some(path) = lookup(tree, &directories, soname) {
            return Ok(path);
        }
        let origin = tree.entry(needer).map_or(Origin::Recipe, |node| node.origin.clone());
        let (found, searched) = if let Origin::Package(name) = &origin {
            let found = self.in_packages(tree, std::slice::from_ref(name), &directories, soname)?;
            (found, format!("which is in none of the packages that {name} depends on"))
        } else {
            let found = self.outside_packages(tree, &origin, &directories, soname)?;
            (found, "which is neither in the packages of the recipe nor on this machine".to_owned())
        };
        if !found {
            let cause = format!("it needs the shared library {soname}, {searched}");
            return Err(Error::new(format_args!("include /{needer}"), cause));
        }
        lookup(tree, &directories, soname).ok_or_else(|| {
            Error::new(
                format_args!("include /{needer}"),
                format_args!("{soname} is not where it is looked for"),
            )
        })
    }

    /// Looks in packages, then in what they depend on, and so on; the nearest wins.
    fn in_packages(
        &mut self,
        tree: &mut Tree,
        roots: &[String],
        directories: &[String],
        soname: &str,
    ) -> Result<bool> {
        let mut seen: BTreeSet<String> = roots.iter().cloned().collect();
        let mut level: Vec<String> = roots.to_vec();
        while !level.is_empty() {
            // Libraries are in packages named so; the others are fetched only if those do not do.
            let (libraries, others): (Vec<String>, Vec<String>) =
                level.iter().cloned().partition(|name| name.starts_with("lib") || roots.contains(name));
            for names in [libraries, others] {
                self.cache.unpack(&names)?;
                for name in &names {
                    let shelf = self.shelf(name)?;
                    if let Some(path) = present(shelf, directories, soname) {
                        tree.copy(shelf, &path)?;
                        return Ok(true);
                    }
                }
            }
            let mut next = Vec::new();
            for name in &level {
                for depended in self.cache.get(name)?.depends {
                    // Names that only others provide have no files of their own.
                    if seen.insert(depended.clone()) && self.cache.find(&depended)?.is_some() {
                        next.push(depended);
                    }
                }
            }
            level = next;
        }
        Ok(false)
    }

    /// For what is in no package: where it came from, the packages of the image, and this machine.
    fn outside_packages(
        &mut self,
        tree: &mut Tree,
        origin: &Origin,
        directories: &[String],
        soname: &str,
    ) -> Result<bool> {
        if *origin == Origin::Mesos {
            let places = self.outside.directories.iter().cloned().chain(ELSEWHERE.map(str::to_owned));
            let places: Vec<String> = directories.iter().cloned().chain(places).collect();
            let mesos = &self.outside.mesos;
            if let Some(path) = present(mesos, &places, soname) {
                return take(tree, mesos, &path, directories, soname).map(|()| true);
            }
        }
        let ours: Vec<String> = DEFAULT.map(str::to_owned).to_vec();
        for shelf in self.shelves.values() {
            if let Some(path) = present(shelf, &ours, soname) {
                tree.copy(shelf, &path)?;
                return Ok(true);
            }
        }
        if *origin == Origin::Mesos {
            let depends = self.outside.depends.clone();
            let mut roots = Vec::new();
            for name in depends {
                if self.cache.find(&name)?.is_some() {
                    roots.push(name);
                }
            }
            if self.in_packages(tree, &roots, &ours, soname)? {
                return Ok(true);
            }
        }
        from_host(tree, soname)
    }

    /// A library of the right name may still be too old.
    fn check_versions(
        &mut self,
        tree: &Tree,
        needer: &str,
        elf: &Elf,
        soname: &str,
        library: &str,
    ) -> Result<()> {
        let Some(provider) = self.elf(tree, library)? else {
            return Err(Error::new(
                format_args!("include /{needer}"),
                format_args!("/{library} is not a shared library"),
            ));
        };
        let missing = elf.versions_needed.iter().find(|need| {
            need.library == soname
                && !provider.versions_defined.is_empty()
                && !provider.versions_defined.contains(&need.name)
        });
        match missing {
            None => Ok(()),
            Some(need) => {
                let cause = format!("it needs {} of {soname}, which /{library} does not have", need.name);
                Err(Error::new(format_args!("include /{needer}"), cause))
            }
        }
    }
}

/// An empty tree with the links of a merged `/usr`, so that every path has one spelling.
pub(crate) fn merged() -> Tree {
    let mut tree = Tree::default();
    for name in ["bin", "sbin", "lib", "lib64"] {
        // Nothing is in the way in an empty tree.
        let _ = tree.insert(&format!("usr/{name}"), Node::directory(0o755, Origin::Recipe));
        let _ = tree.insert(name, Node::link(format!("usr/{name}"), Origin::Recipe));
    }
    tree
}

/// The directories that the dynamic linker searches for a program's libraries, in order.
fn directories(elf: &Elf, path: &str) -> Vec<String> {
    let origin = format!("/{}", split(path).0);
    let own = elf
        .search
        .iter()
        .map(|directory| directory.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin));
    own.chain(DEFAULT.map(str::to_owned)).collect()
}

/// Where a library is, with every link followed.
fn lookup(tree: &Tree, directories: &[String], soname: &str) -> Option<String> {
    directories.iter().find_map(|directory| {
        let (path, node) = tree.follow(&format!("{directory}/{soname}"))?;
        node.bytes().map(|_| path)
    })
}

/// The first of these directories of a shelf that has the library.
fn present(shelf: &Tree, directories: &[String], soname: &str) -> Option<String> {
    directories.iter().map(|directory| format!("{directory}/{soname}")).find(|path| {
        shelf.follow(path).is_some_and(|(_, node)| matches!(node.content, crate::tree::Content::File(_)))
    })
}

/// Copies a library; one that the dynamic linker would not find where it was goes to where it does.
fn take(tree: &mut Tree, from: &Tree, path: &str, directories: &[String], soname: &str) -> Result<()> {
    let directory = split(path).0;
    if directories.iter().any(|own| components(own).eq(components(directory))) {
        return tree.copy(from, path);
    }
    let Some((_, node)) = from.follow(path) else { return Ok(()) };
    tree.insert(&format!("usr/lib/{soname}"), node.loaded()?)
}

/// Copies a library of this machine.
fn from_host(tree: &mut Tree, soname: &str) -> Result<bool> {
    for directory in ELSEWHERE {
        let path = Path::new("/").join(directory).join(soname);
        if let Ok(bytes) = std::fs::read(&path) {
            let to = format!("{}/{soname}", DEFAULT.first().copied().unwrap_or_default());
            tree.insert(&to, Node::file(bytes, 0o755, Origin::Host))?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// The dynamic linker must be at exactly the path that the program names.
fn link_interpreter(tree: &mut Tree, program: &str, interpreter: &str) -> Result<()> {
    if tree.follow(interpreter).is_some() {
        return Ok(());
    }
    let name = split(interpreter).1;
    let found = lookup(tree, &DEFAULT.map(str::to_owned), name).ok_or_else(|| {
        Error::new(format_args!("include /{program}"), format_args!("it needs the interpreter {interpreter}"))
    })?;
    tree.insert(interpreter, Node::link(format!("/{found}"), Origin::Recipe))
}

/// What a script's first line asks for, if the image does not have it.
pub(crate) fn missing_interpreter(tree: &Tree, bytes: &[u8]) -> Option<String> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line).into_owned();
    let mut words = line.split_whitespace();
    let interpreter = words.next()?;
    if !tree.follow(interpreter).is_some_and(|(_, node)| node.is_program()) {
        return Some(interpreter.to_owned());
    }
    if split(interpreter).1 != "env" {
        return None;
    }
    let name = words.find(|word| !word.starts_with('-') && !word.contains('='))?;
    let found = PATH.iter().any(|directory| {
        tree.follow(&format!("{directory}/{name}")).is_some_and(|(_, node)| node.is_program())
    });
    if found { None } else { Some(format!("{name} (by way of {interpreter})")) }
}

/// Every script of the image must have its interpreter there.
pub(crate) fn check_scripts(tree: &Tree) -> Result<()> {
    for (path, node) in tree.iter().filter(|(_, node)| node.is_program()) {
        if let Some(interpreter) = missing_interpreter(tree, node.bytes().unwrap_or_default()) {
            let cause = format!("it needs the interpreter {interpreter}, which the image does not have");
            return Err(Error::new(format_args!("include the script /{path}"), cause));
        }
    }
    Ok(())
}
