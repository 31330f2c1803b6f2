//! The files of an image, in memory: what is where, whose it is, and where it came from.
//!
//! Paths have no leading slash and no `.` or `..`; the root is the empty path. Symbolic links are followed
//! inside the tree only, as the booted machine will see them.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// How many links a path may go through, as in the kernel.
const LINKS: usize = 40;

/// Who put a file into the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The recipe, or something the builder derives from it.
    Recipe,
    /// A package of the distribution.
    Package(String),
    /// A program of this workspace.
    Program,
    /// A directory of service definitions.
    Service,
    /// A tree laid over the image on request.
    Extra,
    /// What `--mesos` named.
    Mesos,
    /// The program that stands in for Mesos.
    StandIn,
    /// A library of the machine that built the image.
    Host,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Recipe => "recipe",
            Self::Package(name) => return write!(formatter, "package {name}"),
            Self::Program => "program",
            Self::Service => "service",
            Self::Extra => "extra",
            Self::Mesos => "mesos",
            Self::StandIn => "mesos stand-in",
            Self::Host => "host",
        })
    }
}

/// The content of a regular file: in memory, or a part of a file on the machine that builds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// In memory.
    Bytes(Vec<u8>),
    /// On disk.
    Stored {
        /// The file that holds it.
        path: PathBuf,
        /// Where in that file it begins.
        offset: u64,
        /// How long it is.
        length: u64,
    },
}

impl Data {
    /// The content itself.
    pub(crate) fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Stored { path, offset, length } => {
                let reading = || format!("read {}", path.display());
                let mut file = fs::File::open(path).context(reading)?;
                file.seek(SeekFrom::Start(*offset)).context(reading)?;
                let mut bytes = Vec::new();
                file.take(*length).read_to_end(&mut bytes).context(reading)?;
                if bytes.len() as u64 == *length {
                    Ok(bytes)
                } else {
                    Err(Error::new(reading(), "it is shorter than it was"))
                }
            }
        }
    }
}

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// A directory.
    Directory,
    /// A regular file.
    File(Data),
    /// A symbolic link, with its target.
    Link(String),
    /// A character device.
    Character {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
}

/// One entry of the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    /// What it is.
    pub(crate) content: Content,
    /// Permission bits.
    pub(crate) mode: u32,
    /// The numeric owner.
    pub(crate) owner: u32,
    /// The numeric group.
    pub(crate) group: u32,
    /// Who put it there.
    pub(crate) origin: Origin,
}

impl Node {
    fn new(content: Content, mode: u32, origin: Origin) -> Self {
        Self { content, mode, owner: 0, group: 0, origin }
    }

    /// A regular file of root.
    pub(crate) fn file(bytes: impl Into<Vec<u8>>, mode: u32, origin: Origin) -> Self {
        Self::new(Content::File(Data::Bytes(bytes.into())), mode, origin)
    }

    /// A regular file of root whose content is on disk.
    pub(crate) fn stored(path: PathBuf, offset: u64, length: u64, mode: u32, origin: Origin) -> Self {
        Self::new(Content::File(Data::Stored { path, offset, length }), mode, origin)
    }

    /// A directory of root.
    pub(crate) fn directory(mode: u32, origin: Origin) -> Self {
        Self::new(Content::Directory, mode, origin)
    }

    /// A symbolic link.
    pub(crate) fn link(target: impl Into<String>, origin: Origin) -> Self {
        Self::new(Content::Link(target.into()), 0o777, origin)
    }

    /// A character device of root.
    pub(crate) fn character(major: u32, minor: u32, mode: u32) -> Self {
        Self::new(Content::Character { major, minor }, mode, Origin::Recipe)
    }

    /// The bytes of a regular file that is in memory, as every file of an image is.
    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            Content::File(Data::Bytes(bytes)) => Some(bytes),
            Content::File(Data::Stored { .. })
            | Content::Directory
            | Content::Link(_)
            | Content::Character { .. } => None,
        }
    }

    /// Whether somebody may execute it.
    pub(crate) fn is_program(&self) -> bool {
        matches!(self.content, Content::File(_)) && self.mode & 0o111 != 0
    }

    /// The same, with the content in memory.
    pub(crate) fn loaded(&self) -> Result<Self> {
        let mut node = self.clone();
        if let Content::File(data) = &self.content {
            node.content = Content::File(Data::Bytes(data.read()?));
        }
        Ok(node)
    }
}

/// A whole file system.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Every path with its node, parents before what is in them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// The entry at exactly this path: no link is followed.
    pub(crate) fn entry(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Where a path leads, through every link: `None` when nothing is there.
    pub(crate) fn follow(&self, path: &str) -> Option<(String, &Node)> {
        let end = self.resolve(path, true).ok()?;
        let node = self.nodes.get(&end)?;
        Some((end, node))
    }

    /// The path with the links of its parents followed, and the last one too when `last` says so.
    pub(crate) fn resolve(&self, path: &str, last: bool) -> Result<String> {
        let refuse = |cause: &str| Error::new(format_args!("place /{path}"), cause);
        let mut rest: Vec<String> = components(path).rev().map(str::to_owned).collect();
        let mut done: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == ".." {
                done.pop().ok_or_else(|| refuse("it leads out of the image"))?;
                continue;
            }
            done.push(name);
            let Some(Node { content: Content::Link(target), .. }) = self.nodes.get(&done.join("/")) else {
                continue;
            };
            if rest.is_empty() && !last {
                continue;
            }
            links += 1;
            if links > LINKS {
                return Err(refuse("too many symbolic links"));
            }
            if target.starts_with('/') {
                done.clear();
            } else {
                done.pop();
            }
            rest.extend(components(target).rev().map(str::to_owned));
        }
        Ok(done.join("/"))
    }

    /// Puts an entry at a path, in place of what is there, with the directories that lead to it.
    pub(crate) fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        let path = self.resolve(path, false)?;
        self.parents(&path, &node.origin)?;
        match (self.nodes.get(&path).map(|old| &old.content), &node.content) {
            // A directory that is reached through a link stays where it is.
            (Some(Content::Link(_)), Content::Directory)
                if self.follow(&path).is_some_and(|(_, end)| end.content == Content::Directory) =>
            {
                return Ok(());
            }
            (Some(Content::Directory), Content::Directory) | (None, _) => {}
            (Some(Content::Directory), _) => {
                return Err(Error::new(format_args!("place /{path}"), "a directory is there already"));
            }
            (Some(_), _) => {}
        }
        self.nodes.insert(path, node);
        Ok(())
    }

    /// Takes an entry away, with everything below it.
    pub(crate) fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|name, _| name != path && !name.starts_with(&below));
    }

    /// The entries below a directory, with their paths.
    pub(crate) fn below(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let start = if path.is_empty() { String::new() } else { format!("{path}/") };
        self.nodes
            .range(start.clone()..)
            .map(|(path, node)| (path.as_str(), node))
            .take_while(move |(path, _)| path.starts_with(&start))
    }

    /// Copies what is at a path of another tree, through its links, with everything below it.
    pub(crate) fn copy(&mut self, from: &Self, path: &str) -> Result<()> {
        let mut path = from.resolve(path, false)?;
        for _ in 0..LINKS {
            let Some(node) = from.entry(&path) else {
                return Err(Error::new(format_args!("copy /{path}"), "there is no such file"));
            };
            self.insert(&path, node.loaded()?)?;
            let Content::Link(target) = &node.content else { break };
            let target =
                if target.starts_with('/') { target.clone() } else { format!("{}/{target}", split(&path).0) };
            path = from.resolve(&target, false)?;
        }
        for (path, node) in from.below(&path) {
            self.insert(path, node.loaded()?)?;
        }
        Ok(())
    }

    /// Adds a directory of the machine that builds, at a path; owners become root, modes become regular.
    pub(crate) fn graft(&mut self, directory: &Path, at: &str, origin: &Origin) -> Result<()> {
        let reading = || format!("read {}", directory.display());
        let names: Vec<PathBuf> = fs::read_dir(directory)
            .and_then(|list| list.map(|entry| entry.map(|entry| entry.path())).collect())
            .context(reading)?;
        for path in names {
            let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
                return Err(Error::new(format_args!("read {}", path.display()), "its name is not UTF-8"));
            };
            let to = format!("{at}/{name}");
            let metadata = fs::symlink_metadata(&path).context(reading)?;
            let kind = metadata.file_type();
            // What a umask left of a mode, or a checkout, must not show in the image.
            let special = metadata.permissions().mode() & 0o7000;
            let program = metadata.permissions().mode() & 0o111 != 0;
            if kind.is_dir() {
                self.insert(&to, Node::directory(0o755 | special, origin.clone()))?;
                self.graft(&path, &to, origin)?;
            } else if kind.is_symlink() {
                let target = fs::read_link(&path).context(reading)?.to_string_lossy().into_owned();
                self.insert(&to, Node::link(target, origin.clone()))?;
            } else if kind.is_file() {
                let mode = if program { 0o755 | special } else { 0o644 };
                self.insert(&to, Node::stored(path, 0, metadata.len(), mode, origin.clone()))?;
            }
        }
        Ok(())
    }

    /// Reads the content of every file into memory.
    pub(crate) fn load(&mut self) -> Result<()> {
        for node in self.nodes.values_mut() {
            if matches!(node.content, Content::File(Data::Stored { .. })) {
                *node = node.loaded()?;
            }
        }
        Ok(())
    }

    fn parents(&mut self, path: &str, origin: &Origin) -> Result<()> {
        for (end, _) in path.match_indices('/') {
            let parent = path.get(..end).unwrap_or_default();
            match self.nodes.get(parent).map(|node| &node.content) {
                Some(Content::Directory) => {}
                Some(_) => {
                    let cause = format!("/{parent} is not a directory");
                    return Err(Error::new(format_args!("place /{path}"), cause));
                }
                None => {
                    self.nodes.insert(parent.to_owned(), Node::directory(0o755, origin.clone()));
                }
            }
        }
        Ok(())
    }
}

/// The names a path is made of; `..` is kept.
pub(crate) fn components(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|name| !name.is_empty() && *name != ".")
}

/// The directory a path is in, and its name there.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

#[cfg(test)]
mod tests;
