//! Where the provisioner keeps things, and where it looks for images.

use std::path::PathBuf;

/// The settings: `/etc/mainstay/image.toml`, overridden by options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where layers and images are kept.
    pub store: PathBuf,
    /// Where the roots of containers are made.
    pub containers: PathBuf,
    /// Where archives and layouts are looked for.
    pub local: PathBuf,
    /// The registry that is asked if a reference names none.
    pub registry: String,
    /// What the names of App Container Images are appended to, to find them: `http://…` or a directory.
    pub appc_prefix: Option<String>,
    /// The kinds of images that are allowed.
    pub kinds: Vec<Kind>,
    /// Registries.
    pub pull: crate::pull::Options,
    /// How roots are made; none is the first way that works.
    pub backend: Option<String>,
}

/// Kinds of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Docker's.
    Docker,
    /// App Container Images.
    Appc,
    /// OCI layouts.
    Oci,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            store: "/var/lib/mainstay/images".into(),
            containers: "/var/lib/mainstay/containers".into(),
            local: "/var/lib/images".into(),
            registry: "https://registry-1.docker.io".to_owned(),
            appc_prefix: None,
            kinds: vec![Kind::Docker, Kind::Appc, Kind::Oci],
            pull: crate::pull::Options::default(),
            backend: None,
        }
    }
}
