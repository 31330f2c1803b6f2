//! Images that name all that is to be left of them (App Container specification, image manifest: `pathWhitelist`).

use super::view::{Id, View, below};
use super::{Unpacker, name};
use crate::appc::ImageManifest;
use crate::error::{Context, Error, Result};
use crate::source::Form;
use std::collections::BTreeSet;

impl Unpacker<'_> {
    /// Takes away what the manifest does not name, be it of this layer or of one below.
    pub(super) fn keep_what_is_listed(&mut self) -> Result<()> {
        if self.form != Form::Listed {
            return Ok(());
        }
        let bytes = self.done.manifest.as_ref().ok_or_else(|| Error::refused("manifest is missing"))?;
        let kept = with_what_is_above(&ImageManifest::parse(bytes)?.whitelist)?;
        let mut gone = Vec::new();
        not_kept(self.view, View::ROOT, b"", &kept, &mut gone);
        gone.iter().try_for_each(|path| self.take_away(path))
    }

    /// The directory has to be in the tree for it to be marked there that something is not.
    fn take_away(&mut self, path: &[u8]) -> Result<()> {
        self.clear(path).context(|| "unable to take away what pathWhitelist does not name")
    }
}

/// The paths of a list, and the directories that they are in.
fn with_what_is_above(list: &[String]) -> Result<BTreeSet<Vec<u8>>> {
    let mut kept = BTreeSet::new();
    for path in list {
        let parts = path.strip_prefix('/').map(|rest| name::parts(rest.as_bytes()));
        let parts = parts.unwrap_or_else(|| Err(Error::refused("no absolute path")));
        let parts = parts.context(|| format!("manifest: pathWhitelist: {path:?}"))?;
        for end in 1..=parts.len() {
            kept.insert(parts.get(..end).unwrap_or_default().join(&b'/'));
        }
    }
    Ok(kept)
}

fn not_kept(view: &View, id: Id, path: &[u8], kept: &BTreeSet<Vec<u8>>, gone: &mut Vec<Vec<u8>>) {
    for (name, child) in view.children(id) {
        let path = below(path, name);
        if kept.contains(&path) {
            not_kept(view, child, &path, kept, gone);
        } else {
            gone.push(path);
        }
    }
}
