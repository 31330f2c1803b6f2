//! Whether everything is still as it was when it was put there.

use super::layers::Chain;
use super::{Store, listing};
use crate::digest::{Algorithm, Digest};
use crate::error::{Context, Result};
use crate::unpack::tree::Tree;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Of which layer, if of one.
    pub layer: Option<Chain>,
    /// What it is, for people.
    pub what: String,
}

impl Store {
    /// Looks at every image and every layer, and reads all their files. With `repair`, what is damaged is thrown away,
    /// so that it is brought in again when it is asked for, unless it is in use: that is for `in_use` to say.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn verify(&self, repair: bool, in_use: impl Fn(&Chain) -> bool) -> Result<Vec<Damage>> {
        let mut damages = Vec::new();
        let (images, broken) = self.images()?;
        for path in broken {
            damages.push(Damage {
                layer: None,
                what: format!("{}: no description of an image", path.display()),
            });
            if repair {
                self.discard(&path)?;
            }
        }
        for image in &images {
            for layer in image.layers.iter().filter(|layer| !self.layer_path(&layer.chain).exists()) {
                let what = format!("image {}: layer {} is missing", image.reference, layer.chain);
                damages.push(Damage { layer: Some(layer.chain.clone()), what });
            }
        }
        let directory = self.root().join("layers");
        for entry in std::fs::read_dir(&directory).context(|| directory.display().to_string())? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            let Ok(chain) = Chain::try_from(name.clone()) else {
                damages.push(Damage { layer: None, what: format!("layers/{name}: no layer") });
                continue;
            };
            if let Err(error) = self.verify_layer(&chain) {
                let kept = repair && in_use(&chain);
                if repair && !kept {
                    self.discard(&self.layer_path(&chain))?;
                }
                let kept = if kept { " (kept, since a container is made of it)" } else { "" };
                damages.push(Damage {
                    layer: Some(chain.clone()),
                    what: format!("layer {chain}: {error}{kept}"),
                });
            }
        }
        Ok(damages)
    }

    fn verify_layer(&self, chain: &Chain) -> Result<()> {
        use crate::error::Error;
        let info = self.layer_info(chain)?;
        self.layer_changes(chain)?;
        let path = self.layer_path(chain);
        let expected = std::fs::read_to_string(path.join("listing")).context(|| "listing")?;
        let digest = Digest::of(Algorithm::Sha256, expected.as_bytes());
        if digest.to_string() != info.listing {
            return Err(Error::refused(format!("listing: digest {} expected, {digest} found", info.listing)));
        }
        let found = listing::of(&Tree::open(&path.join("tree"))?)?;
        match difference(&expected, &found) {
            None => Ok(()),
            Some(what) => Err(Error::refused(what)),
        }
    }
}

/// The first line that is not the same.
fn difference(expected: &str, found: &str) -> Option<String> {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    loop {
        match (expected.next(), found.next()) {
            (None, None) => return None,
            (Some(expected), Some(found)) if expected == found => {}
            (Some(expected), Some(found)) => return Some(format!("{expected:?} expected, {found:?} found")),
            (Some(expected), None) => return Some(format!("{expected:?} expected, nothing found")),
            (None, Some(found)) => return Some(format!("{found:?} found, which is too much")),
        }
    }
}
