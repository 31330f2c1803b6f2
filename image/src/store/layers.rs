//! Layers as the store keeps them: each unpacked above certain others, which is what its name says.

use super::{Store, escape, files, unescape};
use crate::digest::{Algorithm, Digest};
use crate::error::{Context, Error, Result};
use crate::source::Form;
use crate::unpack::tree::Tree;
use crate::unpack::view::View;
use crate::unpack::{Changes, Unpacked, finish};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of a layer above others: of the digest of its archive, and the name of what lies below.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Chain(String);

impl Chain {
    /// That of a layer above another.
    #[must_use]
    pub fn above(below: Option<&Chain>, diff_id: &Digest, form: Form) -> Chain {
        let form = match form {
            Form::Changes => "changes",
            Form::Aci => "aci",
            Form::Listed => "listed",
        };
        let below = below.map_or("", |chain| &chain.0);
        Chain(Digest::of(Algorithm::Sha256, format!("{form} {diff_id} {below}").as_bytes()).hex().to_owned())
    }

    /// Its digits.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0
    }
}

/// It becomes a part of paths: nothing but digits may be in it.
impl TryFrom<String> for Chain {
    type Error = Error;

    fn try_from(text: String) -> Result<Chain> {
        Digest::new(Algorithm::Sha256, &text).map(|_| Chain(text))
    }
}

impl From<Chain> for String {
    fn from(chain: Chain) -> String {
        chain.0
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is known of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// The digest of its archive, uncompressed.
    pub diff_id: String,
    /// What lies below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Chain>,
    /// How many entries its archive had.
    pub entries: u64,
    /// How many bytes its files have.
    pub bytes: u64,
    /// Whether what it takes away is marked in its tree, as overlayfs needs it.
    pub marks: bool,
    /// The digest of the listing of its tree.
    pub listing: String,
}

impl Store {
    /// The directory of a layer.
    #[must_use]
    pub fn layer_path(&self, chain: &Chain) -> PathBuf {
        self.root().join("layers").join(chain.hex())
    }

    /// The tree of a layer.
    #[must_use]
    pub fn tree_path(&self, chain: &Chain) -> PathBuf {
        self.layer_path(chain).join("tree")
    }

    /// Whether a layer is there with all its parts.
    #[must_use]
    pub fn has_layer(&self, chain: &Chain) -> bool {
        let path = self.layer_path(chain);
        path.join("tree").is_dir()
            && ["info", "changes", "listing"].iter().all(|name| path.join(name).is_file())
    }

    /// What is known of a layer.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn layer_info(&self, chain: &Chain) -> Result<LayerInfo> {
        let what = || format!("layer {chain}");
        let bytes = std::fs::read(self.layer_path(chain).join("info")).context(what)?;
        serde_json::from_slice(&bytes).map_err(|error| Error::refused(error.to_string()).during(what()))
    }

    /// What a layer takes away.
    ///
    /// # Errors
    /// It is not there, or damaged.
    pub fn layer_changes(&self, chain: &Chain) -> Result<Changes> {
        let what = || format!("layer {chain}");
        let text = std::fs::read_to_string(self.layer_path(chain).join("changes")).context(what)?;
        parse_changes(&text).ok_or_else(|| Error::refused("what it takes away cannot be read").during(what()))
    }

    /// The trees of layers, and what is seen when they lie one above the other, the first the lowest.
    ///
    /// # Errors
    /// One is not there, or damaged.
    pub fn view(&self, chains: &[Chain]) -> Result<(Vec<Tree>, View)> {
        let (mut trees, mut view) = (Vec::new(), View::default());
        for (at, chain) in chains.iter().enumerate() {
            let tree = Tree::open(&self.tree_path(chain))?;
            finish::show(&mut view, at, &tree, &self.layer_changes(chain)?)
                .context(|| format!("layer {chain}"))?;
            trees.push(tree);
        }
        Ok((trees, view))
    }
}

/// Writes what belongs to a tree beside it.
pub(super) fn describe(directory: &Path, done: &Unpacked, mut info: LayerInfo) -> Result<()> {
    files::replace(&directory.join("changes"), changes_text(&done.changes).as_bytes())?;
    let listing = super::listing::of(&Tree::open(&directory.join("tree"))?)?;
    info.listing = Digest::of(Algorithm::Sha256, listing.as_bytes()).to_string();
    files::replace(&directory.join("listing"), listing.as_bytes())?;
    let text = serde_json::to_vec_pretty(&info).map_err(|error| Error::refused(error.to_string()))?;
    files::replace(&directory.join("info"), &text)
}

fn changes_text(changes: &Changes) -> String {
    let lines = |word: &'static str, paths| {
        let paths: &std::collections::BTreeSet<Vec<u8>> = paths;
        paths.iter().map(move |path| format!("{word} {}\n", escape(path))).collect::<String>()
    };
    lines("removed", &changes.removed) + &lines("opaque", &changes.opaque)
}

fn parse_changes(text: &str) -> Option<Changes> {
    let mut changes = Changes::default();
    for line in text.lines() {
        match line.split_once(' ')? {
            ("removed", path) => drop(changes.removed.insert(unescape(path)?)),
            ("opaque", path) => drop(changes.opaque.insert(unescape(path)?)),
            _ => return None,
        }
    }
    Some(changes)
}
