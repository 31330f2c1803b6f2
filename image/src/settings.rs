//! Where the provisioner keeps things, and where it looks for images: defaults, a file, and options.
//!
//! Every setting has one name, as `appc-prefix`. Those of Mesos's provisioner, from its first draft to its last release,
//! are other names of the same settings.

mod table;
#[cfg(test)]
mod tests;

pub use table::{ALL, Setting};

use crate::backend::Backend;
use crate::error::{Context, Error, Kind as Wrong, Result};
use crate::unpack;
use std::path::{Path, PathBuf};
use table::{list, place, without_file};

/// Where the settings of the machine are.
pub const FILE: &str = "/etc/mainstay/image.toml";

/// The settings: `/etc/mainstay/image.toml`, overridden by options.
#[derive(Clone, Debug)]
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
    /// The image of services that name none.
    pub default_image: Option<String>,
    /// The kinds of images that are allowed.
    pub kinds: Vec<Kind>,
    /// Registries.
    pub pull: crate::pull::Options,
    /// How roots are made; none is the first way that works.
    pub backend: Option<Backend>,
    /// How layers are unpacked.
    pub unpack: unpack::Options,
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
            default_image: None,
            kinds: vec![Kind::Docker, Kind::Appc, Kind::Oci],
            pull: crate::pull::Options::default(),
            backend: None,
            unpack: unpack::Options::default(),
        }
    }
}

impl Settings {
    /// Sets one by its name or another name of it.
    ///
    /// # Errors
    /// There is no such setting, or its value is wrong.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let known = ALL.iter().find(|setting| setting.name == name || setting.aliases.contains(&name));
        let setting = known.ok_or_else(|| usage(format!("there is no setting {name:?}")))?;
        (setting.set)(self, value).context(|| format!("setting {name}"))
    }

    /// Reads a file of settings. Lists may be written as such.
    ///
    /// # Errors
    /// It cannot be read, or a setting of it is wrong.
    pub fn read(&mut self, path: &Path) -> Result<()> {
        let what = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| {
            let error = Error::from(error);
            // It was named: that it is not there is no lack of an image.
            let kind = if error.kind == Wrong::Missing { Wrong::Usage } else { error.kind };
            Error::new(kind, format!("unable to read {}: {error}", path.display()))
        })?;
        let table: toml::Table =
            toml::from_str(&text).map_err(|error| usage(error.to_string()).during(what()))?;
        for (name, value) in table {
            let value = word(&value)
                .ok_or_else(|| usage(format!("setting {name}: no word, number or list")).during(what()))?;
            self.set(&name, &value).context(what)?;
        }
        Ok(())
    }

    fn set_kinds(&mut self, value: &str) -> Result<()> {
        let kind = |word: String| match word.to_ascii_lowercase().as_str() {
            "docker" => Ok(Kind::Docker),
            "appc" => Ok(Kind::Appc),
            "oci" => Ok(Kind::Oci),
            _ => Err(usage(format!("{word:?} is no kind of image (docker, appc and oci are)"))),
        };
        self.kinds = list(value).into_iter().map(kind).collect::<Result<_>>()?;
        Ok(())
    }

    fn set_backend(&mut self, value: &str) -> Result<()> {
        self.backend = if value == "auto" { None } else { Some(Backend::parse(value)?) };
        Ok(())
    }

    /// Mesos gave the directory of local images by the same setting as the registry.
    fn set_registry(&mut self, value: &str) -> Result<()> {
        let value = without_file(value);
        if value.starts_with('/') {
            return place(&mut self.local, value);
        }
        value.clone_into(&mut self.registry);
        Ok(())
    }

    fn set_discovery(&mut self, value: &str) -> Result<()> {
        match value {
            "simple" => Ok(()),
            "local" => {
                self.appc_prefix = None;
                Ok(())
            }
            _ => Err(usage(format!("{value:?} is no way to find images (local and simple are)"))),
        }
    }
}

fn usage(message: String) -> Error {
    Error::new(Wrong::Usage, message)
}

/// What a value is as one word.
fn word(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(yes) => Some(yes.to_string()),
        toml::Value::Array(values) => {
            Some(values.iter().map(word).collect::<Option<Vec<String>>>()?.join(","))
        }
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
