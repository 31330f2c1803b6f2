//! Applies the layers of a container image to a tree, safely.
//!
//! Nothing is unpacked: names and modes are kept in memory, contents in one spool file, so no name and no link
//! in an archive can reach the machine that builds.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::tree::{Content, Node, Origin, Tree, components, split};

/// Marks what a layer takes away from those below it.
const WHITEOUT: &str = ".wh.";
/// Marks a directory of which nothing from below shows.
const OPAQUE: &str = ".wh..wh..opq";

/// The file in which contents are kept while the image is built.
#[derive(Debug)]
pub(crate) struct Spool {
    path: PathBuf,
    file: File,
}

impl Spool {
    /// A new, empty spool at a path.
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let file = File::create(&path).context(|| format!("create {}", path.display()))?;
        Ok(Self { path, file })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends everything a reader gives: offset and length.
    pub(crate) fn append(&mut self, mut reader: impl Read) -> io::Result<(u64, u64)> {
        let offset = self.file.stream_position()?;
        let length = io::copy(&mut reader, &mut self.file)?;
        Ok((offset, length))
    }
}

/// Applies one layer, a tar archive, on top of what is in the tree.
pub(crate) fn apply(tree: &mut Tree, layer: impl Read, spool: &mut Spool) -> Result<()> {
    let reading = || "read a layer";
    let mut archive = tar::Archive::new(layer);
    // What this layer brought: its own whiteouts do not apply to that.
    let mut own = BTreeSet::new();
    for entry in archive.entries().context(reading)? {
        apply_entry(tree, &mut entry.context(reading)?, spool, &mut own)?;
    }
    Ok(())
}

fn apply_entry(
    tree: &mut Tree,
    entry: &mut tar::Entry<'_, impl Read>,
    spool: &mut Spool,
    own: &mut BTreeSet<String>,
) -> Result<()> {
    let name = name(&entry.path_bytes())?;
    let (parent, last) = split(&name);
    if last.is_empty() {
        return Ok(());
    }
    let parent = tree.resolve(parent, true)?;
    if last == OPAQUE {
        hide(tree, below(tree, &parent), own);
        return Ok(());
    }
    let Some(hidden) = last.strip_prefix(WHITEOUT) else {
        let path = join(&parent, last);
        if let Some(node) = node(tree, entry, spool)? {
            place(tree, &path, node)?;
        }
        own.insert(path);
        return Ok(());
    };
    // A doubled mark is the bookkeeping of an old file system.
    if !hidden.starts_with(WHITEOUT) {
        if hidden.is_empty() || hidden == "." || hidden == ".." {
            return Err(Error::new(format_args!("apply /{name}"), "a whiteout must name a file"));
        }
        let hidden = join(&parent, hidden);
        let mut paths = below(tree, &hidden);
        paths.push(hidden);
        hide(tree, paths, own);
    }
    Ok(())
}

/// The name of an entry, if it stays inside.
fn name(bytes: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let refuse = |cause| Err(Error::new(format_args!("unpack {text:?}"), cause));
    if text.starts_with('/') {
        return refuse("its name is absolute");
    }
    if components(&text).any(|part| part == "..") {
        return refuse("its name leads out of the image");
    }
    Ok(components(&text).collect::<Vec<_>>().join("/"))
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

fn below(tree: &Tree, directory: &str) -> Vec<String> {
    tree.below(directory).map(|(path, _)| path.to_owned()).collect()
}

/// Removes those of these paths that lower layers brought.
fn hide(tree: &mut Tree, paths: Vec<String>, own: &BTreeSet<String>) {
    for path in paths {
        // A directory on the way to something of this layer stays.
        let inside = format!("{path}/");
        let leads = own.range(inside.clone()..).next().is_some_and(|next| next.starts_with(&inside));
        let kept = leads || own.contains(&path);
        if !kept {
            tree.remove(&path);
        }
    }
}

fn node(tree: &Tree, entry: &mut tar::Entry<'_, impl Read>, spool: &mut Spool) -> Result<Option<Node>> {
    let reading = || "read a layer";
    let mode = entry.header().mode().context(reading)? & 0o7777;
    let target = |entry: &tar::Entry<'_, _>| {
        let bytes = entry.link_name_bytes().unwrap_or_default().into_owned();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let kind = entry.header().entry_type();
    if kind.is_dir() {
        Ok(Some(Node::directory(mode, Origin::Mesos)))
    } else if kind.is_symlink() {
        Ok(Some(Node::link(target(entry), Origin::Mesos)))
    } else if kind.is_hard_link() {
        let other = tree.resolve(&name(target(entry).as_bytes())?, false)?;
        let node = tree.entry(&other).filter(|node| node.content != Content::Directory).cloned();
        node.map(Some).ok_or_else(|| Error::new(format_args!("link to /{other}"), "there is no such file"))
    } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
        let (offset, length) = spool.append(entry).context(reading)?;
        Ok(Some(Node::stored(spool.path().to_owned(), offset, length, mode, Origin::Mesos)))
    } else {
        // Devices and pipes are no part of a program.
        Ok(None)
    }
}

/// A layer's entry replaces what lower layers have, whatever it is; two directories become one.
fn place(tree: &mut Tree, path: &str, node: Node) -> Result<()> {
    let both = |old: &Node| old.content == Content::Directory && node.content == Content::Directory;
    if !tree.entry(path).is_some_and(both) {
        tree.remove(path);
    }
    tree.insert(path, node)
}

#[cfg(test)]
mod tests {
    use tar::EntryType;

    use super::*;

    /// A layer of entries: a name that ends in `/` is a directory, a content that begins with `->` a link.
    pub(crate) fn layer(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in entries {
            let mut header = tar::Header::new_gnu();
            let link = content.strip_prefix("->");
            header.set_entry_type(match link {
                Some(_) => EntryType::Symlink,
                None if name.ends_with('/') => EntryType::Directory,
                None => EntryType::Regular,
            });
            header.set_mode(0o755);
            // Names are written as they are: these tests are about bad ones.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            if let Some(target) = link {
                header.as_gnu_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
            }
            let content = if link.is_some() { "" } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn apply_all(layers: &[&[(&str, &str)]]) -> Result<Tree> {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::create(directory.path().join("spool"))?;
        let mut tree = Tree::default();
        for entries in layers {
            apply(&mut tree, layer(entries).as_slice(), &mut spool)?;
        }
        tree.load()?;
        Ok(tree)
    }

    fn paths(tree: &Tree) -> Vec<&str> {
        tree.iter().map(|(path, _)| path).collect()
    }

    #[test]
    fn the_last_layer_wins() {
        let tree = apply_all(&[&[("a/", ""), ("a/f", "one")], &[("a/f", "two"), ("./a/g", "new")]]).unwrap();
        assert_eq!(tree.entry("a/f").unwrap().bytes(), Some(b"two".as_slice()));
        assert_eq!(paths(&tree), ["a", "a/f", "a/g"]);
    }

    #[test]
    fn a_whiteout_removes_a_file_and_a_whole_directory() {
        let tree =
            apply_all(&[&[("a/f", "1"), ("a/g", "2"), ("b/c/d", "3")], &[("a/.wh.f", ""), (".wh.b", "")]]);
        assert_eq!(paths(&tree.unwrap()), ["a", "a/g"]);
    }

    #[test]
    fn a_whiteout_spares_what_its_own_layer_brings() {
        let tree = apply_all(&[&[("a/f", "1"), ("a/g", "2")], &[("a/f", "new"), ("a/.wh.f", "")]]).unwrap();
        assert_eq!(tree.entry("a/f").unwrap().bytes(), Some(b"new".as_slice()));
    }

    #[test]
    fn an_opaque_directory_shows_only_its_own_layer() {
        let below: &[(&str, &str)] = &[("a/f", "1"), ("a/d/g", "2"), ("b", "3")];
        let tree = apply_all(&[below, &[("a/d/new", "4"), ("a/.wh..wh..opq", ""), ("a/h", "5")]]).unwrap();
        assert_eq!(paths(&tree), ["a", "a/d", "a/d/new", "a/h", "b"]);
    }

    #[test]
    fn a_file_replaces_a_directory_and_a_link_and_the_other_way_round() {
        let below: &[(&str, &str)] = &[("d/f", "1"), ("l", "->d"), ("f", "2")];
        let tree = apply_all(&[below, &[("d", "now a file"), ("l/", ""), ("f/g", "3")]]);
        assert!(tree.is_err(), "a file has nothing below it unless it is made a directory");
        let tree = apply_all(&[below, &[("d", "now a file"), ("l/", ""), ("f/", ""), ("f/g", "3")]]).unwrap();
        assert_eq!(paths(&tree), ["d", "f", "f/g", "l"]);
        assert_eq!(tree.entry("l").unwrap().content, Content::Directory);
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        let cases = [("../f", "its name leads out of the image"), ("/etc/f", "its name is absolute")];
        for (name, cause) in cases {
            let error = apply_all(&[&[(name, "x")]]).unwrap_err();
            assert_eq!(error.to_string(), format!("unable to unpack {name:?}: {cause}"));
        }
    }

    #[test]
    fn a_link_that_leads_out_is_not_followed() {
        let error = apply_all(&[&[("out", "->../../.."), ("out/etc/f", "x")]]).unwrap_err();
        assert!(error.to_string().contains("leads out of the image"), "{error}");
        let tree = apply_all(&[&[("etc/", ""), ("in", "->/etc"), ("in/f", "x")]]).unwrap();
        assert!(tree.entry("etc/f").is_some(), "an absolute link leads to the image's own root");
    }

    #[test]
    fn a_whiteout_of_nothing_or_of_a_parent_is_refused() {
        for name in ["a/.wh.", "a/.wh..", "a/.wh..."] {
            let error = apply_all(&[&[("a/", ""), (name, "")]]).unwrap_err();
            assert!(error.to_string().ends_with("a whiteout must name a file"), "{error}");
        }
    }
}
