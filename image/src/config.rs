//! What an image says of the process that runs from it, the same for all kinds of images.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an image says of its process. What is not said is empty.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The program with its first arguments, which arguments of the service follow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments that follow the entrypoint unless the service has its own; without an entrypoint, the program.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// `NAME=VALUE`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it is run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// `USER[:GROUP]`, by names of the image's own or by numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Further groups, by number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<u32>,
    /// What stops it: `SIGQUIT`, `3`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// The ports that it listens at: `80/tcp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// The directories that are meant to be volumes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// What else it says of itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}
