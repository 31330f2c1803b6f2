//! Mesos itself: from an install prefix, a `.deb`, or a `docker save` archive.

mod docker;
mod layers;

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::apt::{self, run};
use crate::digest;
use crate::error::{Context, Error, Result};
use crate::libraries::{Outside, merged};
use crate::tree::{Content, Node, Origin, Tree, components, split};

use self::layers::Spool;

/// What an image of Mesos must have.
const PROGRAMS: [&str; 2] = ["mesos-master", "mesos-agent"];
/// Where the services look for programs.
const PATH: [&str; 4] = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"];
/// Parts of an installation that nothing needs at run time.
const UNUSED: [&str; 10] = [
    "include",
    "doc",
    "man",
    "info",
    "pkgconfig",
    "python",
    "site-packages",
    "dist-packages",
    "systemd",
    "init.d",
];

/// What `--mesos` named.
#[derive(Debug)]
pub(crate) struct Mesos {
    /// What form it has, for people.
    pub(crate) form: &'static str,
    /// Its name, for people.
    pub(crate) name: String,
    /// What of it goes into the image.
    pub(crate) selection: Tree,
    /// All of it, as a place to find libraries.
    pub(crate) outside: Outside,
    /// Keeps the spool until the image is written.
    _scratch: TempDir,
}

/// Opens an install prefix, a `.deb` or a `docker save` archive.
pub(crate) fn open(path: &Path) -> Result<Mesos> {
    let opening = || format!("use {} as Mesos", path.display());
    let scratch = TempDir::new().context(opening)?;
    let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let (form, mut outside) = if path.is_dir() {
        ("install prefix", from_prefix(path).context(opening)?)
    } else if starts_with(path, b"!<arch>\n").context(opening)? {
        ("Debian package", from_deb(path, scratch.path()).context(opening)?)
    } else {
        let mut spool = Spool::create(scratch.path().join("spool"))?;
        let mesos = docker::read(path, &mut spool, scratch.path()).context(opening)?;
        let mesos = one_usr(&mesos).context(opening)?;
        ("container image", Outside { mesos, ..Outside::default() })
    };
    let whole = form != "container image";
    let mut selection = select(&outside.mesos, whole)?;
    for program in PROGRAMS {
        let place = link_program(&mut selection, program)
            .ok_or_else(|| Error::new(opening(), format_args!("it holds no program {program}")))?;
        // A prefix has its libraries beside its programs.
        let prefix = split(split(&place).0).0;
        outside.directories.extend(["lib", "lib64"].map(|lib| format!("{prefix}/{lib}")));
    }
    Ok(Mesos { form, name, selection, outside, _scratch: scratch })
}

fn starts_with(path: &Path, magic: &[u8]) -> std::io::Result<bool> {
    let mut start = Vec::new();
    File::open(path)?.take(magic.len() as u64).read_to_end(&mut start)?;
    Ok(start == magic)
}

/// A directory into which Mesos was installed: the prefix itself, or a root that holds it.
fn from_prefix(path: &Path) -> Result<Outside> {
    let mut mesos = merged();
    let is_root = path.join("usr").is_dir() || path.join("opt").is_dir();
    let at = if is_root { String::new() } else { configured_prefix(path)? };
    mesos.graft(path, &at, &Origin::Mesos)?;
    Ok(Outside { mesos, ..Outside::default() })
}

/// The prefix Mesos was configured with: its programs look for their helpers there.
fn configured_prefix(path: &Path) -> Result<String> {
    const HELPERS: &[u8] = b"/libexec/mesos\0";
    for file in candidates(path) {
        let bytes = fs::read(&file).context(|| format!("read {}", file.display()))?;
        let at = bytes.windows(HELPERS.len()).position(|window| window == HELPERS);
        let before = at.and_then(|at| bytes.get(..at)).unwrap_or_default();
        let start = before.iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |at| at + 1);
        let prefix = before.get(start..).unwrap_or_default();
        if prefix.starts_with(b"/") {
            return Ok(String::from_utf8_lossy(prefix).into_owned());
        }
    }
    Ok("/usr".to_owned())
}

fn candidates(path: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for directory in ["lib", "lib64", "sbin", "bin"] {
        let entries = fs::read_dir(path.join(directory)).into_iter().flatten().flatten();
        files.extend(entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_file() && (name.starts_with("libmesos") || PROGRAMS.contains(&&*name))
        }));
    }
    files.sort();
    files
}

fn from_deb(path: &Path, scratch: &Path) -> Result<Outside> {
    let mut command = Command::new("dpkg-deb");
    let fields = run(command.arg("-f").arg(path).args(["Pre-Depends", "Depends"]), "read its description")?;
    let depends = apt::depends(&String::from_utf8_lossy(&fields.stdout));
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "run dpkg-deb")?;
    let stream = child.stdout.take().ok_or_else(|| Error::new("run dpkg-deb", "no output"))?;
    let mut mesos = Tree::default();
    let mut spool = Spool::create(scratch.join("spool"))?;
    let applied = layers::apply(&mut mesos, stream, &mut spool);
    let status = child.wait().context(|| "wait for dpkg-deb")?;
    applied?;
    if !status.success() {
        return Err(Error::new("unpack it", format_args!("dpkg-deb: {status}")));
    }
    Ok(Outside { mesos: one_usr(&mesos)?, depends, ..Outside::default() })
}

/// The same files with `/bin`, `/sbin` and `/lib` inside `/usr`, as the image has them.
fn one_usr(from: &Tree) -> Result<Tree> {
    let mut tree = merged();
    for (path, node) in from.iter().filter(|(path, _)| !path.is_empty()) {
        tree.insert(path, node.clone())?;
    }
    Ok(tree)
}

/// What of an installation the image takes: all that may be needed, or of a whole machine what is Mesos's own.
fn select(from: &Tree, whole: bool) -> Result<Tree> {
    let mut selection = merged();
    for (path, node) in from.iter() {
        let base = matches!(path, "" | "bin" | "sbin" | "lib" | "lib64");
        if base || node.content == Content::Directory || is_unused(path) || !(whole || is_mesos(path)) {
            continue;
        }
        selection.insert(path, node.loaded()?)?;
    }
    Ok(selection)
}

fn is_unused(path: &str) -> bool {
    let name = split(path).1;
    name.ends_with(".a")
        || name.ends_with(".la")
        || components(path).any(|part| UNUSED.contains(&part) || part.starts_with("python"))
}

/// Whether a path of a whole machine belongs to Mesos: something in it is called so.
fn is_mesos(path: &str) -> bool {
    let places = ["usr/", "opt/", "etc/"];
    places.iter().any(|place| path.starts_with(place))
        && components(path).any(|part| part.starts_with("mesos") || part.starts_with("libmesos"))
}

/// Sees to it that a program is found by its name; gives its path.
fn link_program(selection: &mut Tree, program: &str) -> Option<String> {
    let named = |(path, _): &(&str, &Node)| split(path).1 == program;
    let found: Vec<String> = selection
        .iter()
        .filter(named)
        .filter(|(path, _)| selection.follow(path).is_some_and(|(_, node)| node.is_program()))
        .map(|(path, _)| path.to_owned())
        .collect();
    let first = found.first()?.clone();
    if !found.iter().any(|path| PATH.contains(&split(path).0)) {
        selection
            .insert(&format!("usr/sbin/{program}"), Node::link(format!("/{first}"), Origin::Mesos))
            .ok()?;
    }
    selection.follow(&first).map(|(path, _)| path)
}

/// A digest of everything that was named, to tell whether an image is up to date.
pub(crate) fn fingerprint(path: &Path) -> Result<String> {
    if !path.is_dir() {
        return digest::of_file(path);
    }
    let mut tree = Tree::default();
    tree.graft(path, "", &Origin::Mesos)?;
    digest::of_tree(&tree)
}
