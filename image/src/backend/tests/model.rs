//! Layers as a map from paths to what is there.

use crate::testing::archive::Item;
use crate::unpack::make::names;
use crate::unpack::tree::{Tree, file_type};
use crate::unpack::view::below;
use proptest::prelude::*;
use rustix::fs::FileType;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

/// What is at a path: the kind with what it says or has, the mode, the owner, the group, the attributes, and all names
/// of the same file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    names: BTreeSet<String>,
}

/// Something to do.
#[derive(Clone, Debug)]
pub(super) struct Op {
    what: u8,
    path: String,
    other: String,
    mode: u32,
    owner: u32,
    xattr: bool,
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "c"], 1..4).prop_map(|parts| parts.join("/"))
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let mode = prop_oneof![Just(0o644), Just(0o755), Just(0o4711), Just(0o2770), Just(0o1777)];
    (0_u8..10, path(), path(), mode, 0_u32..3, any::<bool>())
        .prop_map(|(what, path, other, mode, owner, xattr)| Op { what, path, other, mode, owner, xattr })
}

#[derive(Clone, Debug)]
struct Node {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    file: u32,
    own: bool,
    implied: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    nodes: BTreeMap<String, Node>,
    next: u32,
}

impl Model {
    /// What of this can be an entry, given what came before; it is done to the model too.
    pub(super) fn layer(&mut self, ops: &[Op]) -> Vec<Item> {
        for node in self.nodes.values_mut() {
            (node.own, node.implied) = (false, false);
        }
        ops.iter().filter_map(|op| self.entry(op)).collect()
    }

    fn is_directory(&self, path: &str) -> bool {
        path.is_empty() || self.nodes.get(path).is_some_and(|node| node.kind == "directory")
    }

    fn entry(&mut self, op: &Op) -> Option<Item> {
        let parent = op.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let name = op.path.rsplit('/').next()?;
        let mut prefixes = prefixes(parent);
        // What leads through a link is another test's business.
        if !prefixes.all(|prefix| self.is_directory(prefix) || !self.nodes.contains_key(prefix)) {
            return None;
        }
        let slash = if parent.is_empty() { "" } else { "/" };
        let item = match op.what {
            0 | 1 => Item::directory(&op.path),
            2 | 3 => Item::file(&op.path, &format!("{}{}", op.other, op.mode)),
            4 => Item::symlink(&op.path, &op.other),
            5 | 6 => {
                self.whiteout(&op.path);
                return Some(Item::file(&format!("{parent}{slash}.wh.{name}"), ""));
            }
            7 => {
                self.opaque(&op.path);
                return self
                    .is_directory(&op.path)
                    .then(|| Item::file(&format!("{}/.wh..wh..opq", op.path), ""));
            }
            8 => Item::new(b'6', &op.path),
            _ => return self.link(op),
        };
        let kind = match item.kind {
            b'5' => "directory".to_owned(),
            b'0' => format!("file {}", String::from_utf8_lossy(&item.data)),
            b'2' => format!("link {}", op.other),
            _ => "fifo".to_owned(),
        };
        // User attributes are for files and directories alone.
        let xattr = op.xattr && matches!(item.kind, b'0' | b'5');
        let item = item.mode(op.mode).owner(op.owner, op.owner + 1);
        let item = if xattr { item.xattr("user.k", op.other.as_bytes()) } else { item };
        self.parents(&op.path);
        if !(kind == "directory" && self.is_directory(&op.path)) {
            self.remove(&op.path);
        }
        self.next += 1;
        let mode = if item.kind == b'2' { 0o777 } else { op.mode };
        let xattrs =
            if xattr { vec![(b"user.k".to_vec(), op.other.clone().into_bytes())] } else { Vec::new() };
        let owner = (op.owner, op.owner + 1);
        let node = Node { kind, mode, owner, xattrs, file: self.next, own: true, implied: false };
        self.nodes.insert(op.path.clone(), node);
        Some(item)
    }

    fn link(&mut self, op: &Op) -> Option<Item> {
        let node =
            self.nodes.get(&op.other).filter(|node| node.kind != "directory" && op.other != op.path)?.clone();
        let inside = op.other.starts_with(&format!("{}/", op.path));
        if inside {
            return None;
        }
        self.parents(&op.path);
        self.remove(&op.path);
        // All names of the file are this layer's from now on.
        for name in self.names(node.file) {
            self.parents(&name);
            if let Some(node) = self.nodes.get_mut(&name) {
                node.own = true;
            }
        }
        self.nodes.insert(op.path.clone(), Node { own: true, implied: false, ..node });
        Some(Item::link(&op.path, &op.other))
    }

    fn names(&self, file: u32) -> Vec<String> {
        self.nodes.iter().filter(|(_, node)| node.file == file).map(|(path, _)| path.clone()).collect()
    }

    fn parents(&mut self, path: &str) {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
        for prefix in prefixes(&parent).filter(|prefix| !prefix.is_empty()) {
            self.next += 1;
            let new = Node {
                kind: "directory".to_owned(),
                mode: 0o755,
                owner: (0, 0),
                xattrs: Vec::new(),
                file: self.next,
                own: true,
                implied: false,
            };
            let node = self.nodes.entry(prefix.to_owned()).or_insert(new);
            if !node.own {
                (node.own, node.implied) = (true, true);
            }
        }
    }

    fn remove(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, _| other != path && !other.starts_with(&below));
    }

    fn whiteout(&mut self, path: &str) {
        let below = format!("{path}/");
        self.nodes.retain(|other, node| node.own || other != path && !other.starts_with(&below));
        if let Some(node) = self.nodes.get_mut(path).filter(|node| node.implied) {
            (node.mode, node.owner, node.implied) = (0o755, (0, 0), false);
            node.xattrs.clear();
        }
    }

    fn opaque(&mut self, path: &str) {
        if !self.is_directory(path) {
            return;
        }
        let below = format!("{path}/");
        let before = self.nodes.len();
        self.nodes.retain(|other, node| node.own || !other.starts_with(&below));
        if self.nodes.len() < before {
            self.parents(&format!("{path}/x"));
        }
    }

    pub(super) fn snapshot(&self) -> BTreeMap<String, Seen> {
        let seen = |node: &Node| Seen {
            kind: node.kind.clone(),
            mode: node.mode,
            owner: node.owner,
            xattrs: node.xattrs.clone(),
            names: if node.kind == "directory" {
                BTreeSet::new()
            } else {
                self.names(node.file).into_iter().collect()
            },
        };
        self.nodes.iter().map(|(path, node)| (path.clone(), seen(node))).collect()
    }
}

fn prefixes(path: &str) -> impl Iterator<Item = &str> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end])
}

/// What is seen in a root.
pub(super) fn snapshot(root: &Path) -> BTreeMap<String, Seen> {
    let tree = Tree::open(root).unwrap();
    let (mut seen, mut files) = (BTreeMap::new(), BTreeMap::new());
    walk(&tree, b"", &mut seen, &mut files);
    let groups: BTreeMap<String, BTreeSet<String>> = files
        .into_values()
        .flat_map(|names: BTreeSet<String>| names.clone().into_iter().map(move |name| (name, names.clone())))
        .collect();
    for (path, names) in groups {
        seen.get_mut(&path).unwrap().names = names;
    }
    seen
}

type Files = BTreeMap<u64, BTreeSet<String>>;

fn walk(tree: &Tree, directory: &[u8], seen: &mut BTreeMap<String, Seen>, files: &mut Files) {
    for name in names(tree, directory).unwrap() {
        let path = below(directory, &name);
        let shown = String::from_utf8(path.clone()).unwrap();
        let (stat, meta) = tree.meta(&path).unwrap();
        let kind = match file_type(&stat) {
            FileType::Directory => "directory".to_owned(),
            FileType::RegularFile => {
                let mut text = String::new();
                tree.file(&path).unwrap().read_to_string(&mut text).unwrap();
                format!("file {text}")
            }
            FileType::Symlink => {
                format!("link {}", String::from_utf8(tree.link_target(&path).unwrap()).unwrap())
            }
            FileType::Fifo => "fifo".to_owned(),
            FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
                format!("device {}", stat.st_rdev)
            }
        };
        let is_directory = kind == "directory";
        if !is_directory {
            files.entry(stat.st_ino).or_default().insert(shown.clone());
        }
        let (mode, owner) = (meta.mode, (meta.uid, meta.gid));
        seen.insert(shown, Seen { kind, mode, owner, xattrs: meta.xattrs, names: BTreeSet::new() });
        if is_directory {
            walk(tree, &path, seen, files);
        }
    }
}
