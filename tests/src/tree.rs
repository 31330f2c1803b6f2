//! What a tree of files is, in every respect that an archive can carry, and how two differ.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// One of its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Type and permissions.
    pub mode: u32,
    /// Whose it is, and its group's.
    pub owner: (u32, u32),
    /// When it was changed: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// The digest of a file's contents, what a link says, the numbers of a device.
    pub contents: String,
    /// The first name of the same file.
    pub same_as: PathBuf,
    /// Extended attributes.
    pub xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// A tree, by paths below its root; the root itself is the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

impl Tree {
    /// Reads a tree.
    ///
    /// # Panics
    /// If it cannot be read.
    #[must_use]
    pub fn read(root: &Path) -> Tree {
        let mut paths = vec![PathBuf::new()];
        let mut next = 0;
        while let Some(path) = paths.get(next).cloned() {
            next += 1;
            let full = root.join(&path);
            if std::fs::symlink_metadata(&full).unwrap().is_dir() {
                for entry in std::fs::read_dir(&full).unwrap() {
                    paths.push(path.join(entry.unwrap().file_name()));
                }
            }
        }
        paths.sort();
        let mut first: HashMap<(u64, u64), PathBuf> = HashMap::new();
        let nodes = paths.into_iter().map(|path| {
            let node = Node::read(&root.join(&path), &path, &mut first);
            (path, node)
        });
        Tree(nodes.collect())
    }

    /// How it differs from another, a line each; at most twenty.
    #[must_use]
    pub fn differences(&self, other: &Tree) -> Vec<String> {
        let mut lines = Vec::new();
        for path in self.0.keys().chain(other.0.keys().filter(|path| !self.0.contains_key(*path))) {
            match (self.0.get(path), other.0.get(path)) {
                (Some(one), Some(two)) if one == two => {}
                (Some(one), Some(two)) => lines.push(format!("{path:?}: {}", one.differences(two))),
                (Some(_), None) => lines.push(format!("{path:?}: only in the first")),
                (None, _) => lines.push(format!("{path:?}: only in the second")),
            }
        }
        lines.truncate(20);
        lines
    }
}

impl Node {
    fn read(full: &Path, path: &Path, first: &mut HashMap<(u64, u64), PathBuf>) -> Node {
        let metadata = std::fs::symlink_metadata(full).unwrap();
        let kind = metadata.file_type();
        let contents = if kind.is_symlink() {
            format!("{:?}", std::fs::read_link(full).unwrap())
        } else if kind.is_file() {
            let bytes = std::fs::read(full).unwrap();
            format!("{} bytes {:x?}", bytes.len(), &Sha256::digest(&bytes)[..8])
        } else if kind.is_dir() {
            String::new()
        } else {
            format!("{:x}", metadata.rdev())
        };
        let same_as = if kind.is_dir() {
            path.to_owned()
        } else {
            first.entry((metadata.dev(), metadata.ino())).or_insert_with(|| path.to_owned()).clone()
        };
        Node {
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            mtime: (metadata.mtime(), metadata.mtime_nsec()),
            contents,
            same_as,
            xattrs: xattrs(full),
        }
    }

    fn differences(&self, other: &Node) -> String {
        let mut parts = Vec::new();
        let mut compare = |what: &str, one: String, two: String| {
            if one != two {
                parts.push(format!("{what} {one} and {two}"));
            }
        };
        compare("mode", format!("{:o}", self.mode), format!("{:o}", other.mode));
        compare("owner", format!("{:?}", self.owner), format!("{:?}", other.owner));
        compare("time", format!("{:?}", self.mtime), format!("{:?}", other.mtime));
        compare("contents", self.contents.clone(), other.contents.clone());
        compare("the same as", format!("{:?}", self.same_as), format!("{:?}", other.same_as));
        compare("attributes", format!("{:?}", self.xattrs), format!("{:?}", other.xattrs));
        parts.join(", ")
    }
}

/// The extended attributes of a file itself.
fn xattrs(path: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let mut names = vec![0_u8; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let name = std::ffi::OsStr::from_bytes(name).to_owned();
            let mut value = vec![0_u8; 64 << 10];
            let length = rustix::fs::lgetxattr(path, name.as_os_str(), &mut value).unwrap();
            value.truncate(length);
            (name, value)
        })
        .collect()
}
