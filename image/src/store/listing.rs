//! What is in a tree, a line for each file, to see later whether it is still so.

use super::escape;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::error::{Context, Result};
use crate::unpack::make::names;
use crate::unpack::tree::{Tree, file_type};
use crate::unpack::view::below;
use rustix::fs::FileType;
use std::collections::HashMap;
use std::fmt::Write;
use std::io::Read;

/// The lines, by path: the path, the kind, the mode, the owner and the group, the time, then what it has.
pub(super) fn of(tree: &Tree) -> Result<String> {
    let mut text = String::new();
    directory(tree, b"", &mut text, &mut HashMap::new())?;
    Ok(text)
}

fn directory(tree: &Tree, path: &[u8], text: &mut String, links: &mut HashMap<u64, String>) -> Result<()> {
    line(tree, path, text, links).context(|| format!("{:?}", escape(path)))?;
    for name in names(tree, path)? {
        let path = below(path, &name);
        if file_type(&tree.stat(&path)?) == FileType::Directory {
            directory(tree, &path, text, links)?;
        } else {
            line(tree, &path, text, links).context(|| format!("{:?}", escape(&path)))?;
        }
    }
    Ok(())
}

fn line(tree: &Tree, path: &[u8], text: &mut String, links: &mut HashMap<u64, String>) -> Result<()> {
    let (stat, meta) = tree.meta(path)?;
    let kind = file_type(&stat);
    let shown = format!("/{}", escape(path));
    let (mode, uid, gid, time) = (meta.mode, meta.uid, meta.gid, meta.mtime);
    let mut line = format!("{shown} {kind:?} {mode:o} {uid} {gid} {}.{:09}", time.seconds, time.nanos);
    for (name, value) in &meta.xattrs {
        let _ = write!(line, " {}={}", escape(name), escape(value));
    }
    let _ = match kind {
        FileType::Directory => Ok(()),
        _ if links.contains_key(&stat.st_ino) => {
            write!(line, " link {}", links.get(&stat.st_ino).map_or("", String::as_str))
        }
        FileType::RegularFile => write!(line, " {} {}", stat.st_size, contents(tree, path)?),
        FileType::Symlink => write!(line, " {}", escape(&tree.link_target(path)?)),
        FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => write!(line, " {}", stat.st_rdev),
    };
    if kind != FileType::Directory && stat.st_nlink > 1 {
        links.entry(stat.st_ino).or_insert(shown);
    }
    text.push_str(&line);
    text.push('\n');
    Ok(())
}

fn contents(tree: &Tree, path: &[u8]) -> Result<Digest> {
    let mut file = tree.file(path)?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut buffer = [0; 1 << 14];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}
