//! What an image says of itself: of its process, and the digests of its changesets.

use super::json;
use crate::config::Config;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// The configuration of an image (OCI image specification, image configuration; Docker's has the same names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// What it runs on, if it says so.
    pub platform: Option<Platform>,
    /// Of its process.
    pub config: Config,
    /// The digests of its changesets, uncompressed, the lowest first. The legacy form has none.
    pub diff_ids: Vec<Digest>,
    /// What lies below, in the legacy form.
    pub parent: Option<String>,
    /// When it was made, as it says.
    pub created: Option<String>,
}

#[derive(Deserialize)]
struct Raw {
    os: Option<String>,
    architecture: Option<String>,
    variant: Option<String>,
    created: Option<String>,
    config: Option<RawConfig>,
    rootfs: Option<RawRootfs>,
    #[serde(default, deserialize_with = "parent")]
    parent: Option<String>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(rename = "type")]
    kind: String,
    diff_ids: Option<Vec<String>>,
}

/// Everything may be missing or null.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct RawConfig {
    user: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    env: Option<Vec<String>>,
    entrypoint: Option<Words>,
    cmd: Option<Words>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    working_dir: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    stop_signal: Option<String>,
}

/// Old images have one string where a list is meant.
#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Many(Vec<String>),
    One(String),
}

/// Absent, null and empty are none; what is not a string is a mistake.
fn parent<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|parent| !parent.is_empty()))
}

fn words(words: Option<Words>) -> Vec<String> {
    match words {
        None => Vec::new(),
        Some(Words::Many(words)) => words,
        Some(Words::One(word)) => vec![word],
    }
}

impl From<RawConfig> for Config {
    fn from(raw: RawConfig) -> Config {
        let keys =
            |map: Option<BTreeMap<String, serde_json::Value>>| map.unwrap_or_default().into_keys().collect();
        Config {
            entrypoint: words(raw.entrypoint),
            cmd: words(raw.cmd),
            env: raw.env.unwrap_or_default(),
            working_dir: raw.working_dir.unwrap_or_default(),
            user: raw.user.unwrap_or_default(),
            groups: Vec::new(),
            stop_signal: raw.stop_signal.unwrap_or_default(),
            exposed: keys(raw.exposed_ports),
            volumes: keys(raw.volumes),
            labels: raw.labels.unwrap_or_default(),
        }
    }
}

impl ImageConfig {
    /// Reads one.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(bytes: &[u8], name: &str) -> Result<ImageConfig> {
        let what = format!("configuration {name}");
        let raw: Raw = json(bytes, &what)?;
        let platform = match (raw.os, raw.architecture) {
            (Some(os), Some(architecture)) if !os.is_empty() && !architecture.is_empty() => {
                let variant = raw.variant.filter(|variant| !variant.is_empty());
                Some(Platform { os, architecture, variant })
            }
            _ => None,
        };
        let diff_ids = match raw.rootfs {
            Some(RawRootfs { kind, .. }) if kind != "layers" => {
                return Err(Error::refused(format!(
                    "{what}: its rootfs is of the type {kind:?}, not \"layers\""
                )));
            }
            Some(RawRootfs { diff_ids, .. }) => diff_ids.unwrap_or_default(),
            None => Vec::new(),
        };
        let diff_ids = diff_ids.iter().map(|digest| digest.parse()).collect::<Result<Vec<Digest>>>();
        Ok(ImageConfig {
            platform,
            config: raw.config.map(Config::from).unwrap_or_default(),
            diff_ids: diff_ids.map_err(|error| error.during(&what))?,
            parent: raw.parent,
            created: raw.created,
        })
    }
}
