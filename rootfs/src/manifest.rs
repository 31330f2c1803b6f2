//! What an image is made of, for people and programs: every file with its digest, every package with its version.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::apt::Package;
use crate::digest;
use crate::tree::{Content, Data, Node, Origin, Tree};

/// The manifest of an image, `manifest.json`.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    /// The version of the kernel.
    pub(crate) kernel: String,
    /// The modules in the image.
    pub(crate) modules: Vec<String>,
    /// Modules that were asked for and are part of the kernel.
    pub(crate) built_in_modules: Vec<String>,
    /// What answers to the names of Mesos.
    pub(crate) mesos: MesosNote,
    /// Every package that something in the image comes from.
    pub(crate) packages: Vec<PackageNote>,
    /// Digests of `vmlinuz` and `initramfs`.
    pub(crate) digests: BTreeMap<String, String>,
    /// Every path of the image.
    pub(crate) files: Vec<FileNote>,
}

/// What answers to the names of Mesos.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct MesosNote {
    /// Whether it is only a stand-in.
    pub(crate) stand_in: bool,
    /// What it was taken from.
    pub(crate) from: String,
    /// The digest of what it was taken from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sha256: Option<String>,
    /// What was left out, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) left_out: Vec<String>,
}

/// A package.
#[derive(Debug, Serialize)]
pub(crate) struct PackageNote {
    name: String,
    version: String,
    architecture: String,
    sha256: String,
}

/// A path of the image.
#[derive(Debug, Serialize)]
pub(crate) struct FileNote {
    path: String,
    kind: &'static str,
    mode: String,
    owner: u32,
    group: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<(u32, u32)>,
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
}

/// What the next build, and those who run the image, must know: `image.json`. It names places on the machine
/// that built it, and so is no part of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The digest of everything that went in.
    pub(crate) inputs: String,
    /// The exact packages that were used.
    pub(crate) packages: BTreeMap<String, String>,
    /// The sizes of the files that came out.
    pub(crate) outputs: BTreeMap<String, u64>,
    /// The private key that may log in as root.
    pub(crate) ssh_key: Option<String>,
    /// The version of the kernel.
    pub(crate) kernel: String,
    /// Whether Mesos is only a stand-in.
    pub(crate) mesos_stand_in: bool,
}

/// One note for each path.
pub(crate) fn files(tree: &Tree) -> Vec<FileNote> {
    tree.iter().map(|(path, node)| file(path, node)).collect()
}

fn file(path: &str, node: &Node) -> FileNote {
    let package = if let Origin::Package(name) = &node.origin { Some(name.clone()) } else { None };
    let mut note = FileNote {
        path: format!("/{path}"),
        kind: "file",
        mode: format!("{:04o}", node.mode),
        owner: node.owner,
        group: node.group,
        size: None,
        sha256: None,
        target: None,
        device: None,
        from: if package.is_some() { "package".to_owned() } else { node.origin.to_string() },
        package,
    };
    match &node.content {
        Content::Directory => note.kind = "directory",
        Content::File(Data::Bytes(bytes)) => {
            note.size = Some(bytes.len());
            note.sha256 = Some(digest::of(bytes));
        }
        Content::File(Data::Stored { .. }) => {}
        Content::Link(target) => {
            note.kind = "link";
            note.target = Some(target.clone());
        }
        Content::Character { major, minor } => {
            note.kind = "character device";
            note.device = Some((*major, *minor));
        }
    }
    note
}

/// The packages that something in the image comes from, and those that always count.
pub(crate) fn packages(tree: &Tree, opened: &[Package], always: &str) -> Vec<PackageNote> {
    let used = |package: &&Package| {
        package.name == always
            || tree.iter().any(|(_, node)| node.origin == Origin::Package(package.name.clone()))
    };
    let note = |package: &Package| PackageNote {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        sha256: package.sha256.clone(),
    };
    opened.iter().filter(used).map(note).collect()
}
