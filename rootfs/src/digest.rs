//! SHA-256 digests.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::{Context, Result};
use crate::tree::{Content, Tree};

/// The digest of bytes, in hexadecimal.
pub(crate) fn of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The digest of a file's content.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let reading = || format!("read {}", path.display());
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path).context(reading)?, &mut hash).context(reading)?;
    Ok(hexadecimal(&hash.finalize()))
}

/// A digest of many named things: the order and the bounds of each count.
#[derive(Default)]
pub(crate) struct Inputs(Sha256);

impl Inputs {
    /// Adds a thing.
    pub(crate) fn add(&mut self, name: &str, bytes: &[u8]) {
        self.0.update(format!("{name}\0{}\0", bytes.len()));
        self.0.update(bytes);
    }

    /// The digest of what was added.
    pub(crate) fn finish(self) -> String {
        hexadecimal(&self.0.finalize())
    }
}

/// A digest of everything in a tree: paths, modes, links and contents.
pub(crate) fn of_tree(tree: &Tree) -> Result<String> {
    let mut inputs = Inputs::default();
    for (path, node) in tree.iter() {
        inputs.add(path, &node.mode.to_le_bytes());
        match &node.content {
            Content::File(data) => inputs.add("content", &data.read()?),
            Content::Link(target) => inputs.add("target", target.as_bytes()),
            Content::Directory | Content::Character { .. } => {}
        }
    }
    Ok(inputs.finish())
}

/// Bytes as hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
