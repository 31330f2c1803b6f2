//! Where the provisioner keeps things, and where it looks for images: defaults, a file, and options.
//!
//! Every setting has one name, as `appc-prefix`. Those of Mesos's provisioner, from its first draft to its last release,
//! are other names of the same settings.

#[cfg(test)]
mod tests;

use crate::backend::Backend;
use crate::error::{Context, Error, Kind as Wrong, Result};
use crate::unpack;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the settings of the machine are.
pub const FILE: &str = "/etc/mainstay/image.toml";

/// A setting: its name, its other names, and what it is.
pub struct Setting {
    /// The name.
    pub name: &'static str,
    /// Those of Mesos.
    pub aliases: &'static [&'static str],
    /// What stands for its value.
    pub value: &'static str,
    /// For people.
    pub help: &'static str,
    set: fn(&mut Settings, &str) -> Result<()>,
}

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

/// A row of the table.
macro_rules! setting {
    ($name:literal, [$($alias:literal),*], $value:literal, $help:literal, $set:expr) => {
        Setting { name: $name, aliases: &[$($alias),*], value: $value, help: $help, set: $set }
    };
}

/// Every setting.
pub const ALL: &[Setting] = &[
    setting!(
        "store",
        ["provisioner_store_dir", "docker_store_dir", "appc_store_dir"],
        "DIR",
        "where images are kept",
        |all, value| place(&mut all.store, value)
    ),
    setting!(
        "containers",
        ["provisioner_rootfs_dir"],
        "DIR",
        "where the roots of containers are made",
        |all, value| place(&mut all.containers, value)
    ),
    setting!(
        "local",
        ["provisioner_local_dir", "docker_local_archives_dir"],
        "DIR",
        "where archives and layouts are looked for",
        |all, value| place(&mut all.local, value)
    ),
    setting!(
        "default-image",
        ["default_container_image"],
        "REFERENCE",
        "the image of services that name none",
        |all, value| {
            all.default_image = Some(value.to_owned()).filter(|text| !text.is_empty());
            Ok(())
        }
    ),
    setting!(
        "kinds",
        ["provisioners", "image_providers"],
        "LIST",
        "the kinds of images that are allowed: docker,appc,oci",
        Settings::set_kinds
    ),
    setting!(
        "backend",
        ["provisioner_backend", "image_provisioner_backend"],
        "NAME",
        "how roots are made: bind, overlay, copy, or auto for the first that works",
        Settings::set_backend
    ),
    setting!(
        "registry",
        ["docker_registry"],
        "URL|DIR",
        "the registry that is asked if a reference names none; a directory is that of local images",
        Settings::set_registry
    ),
    setting!(
        "appc-prefix",
        ["appc_simple_discovery_uri_prefix"],
        "URL|DIR",
        "what names of App Container Images are appended to",
        |all, value| {
            all.appc_prefix = Some(without_file(value).to_owned()).filter(|prefix| !prefix.is_empty());
            Ok(())
        }
    ),
    setting!(
        "discovery",
        ["provisioner_discovery"],
        "WORD",
        "how App Container Images are found: local, or simple (by appc-prefix)",
        Settings::set_discovery
    ),
    setting!("devices", [], "BOOL", "whether images may have device files", |all, value| {
        all.unpack.devices = yes(value)?;
        Ok(())
    }),
    setting!("max-bytes", [], "SIZE", "how many bytes a layer may have, uncompressed", |all, value| {
        all.unpack.limits.bytes = size(value)?;
        Ok(())
    }),
    setting!("max-entries", [], "NUMBER", "how many files a layer may have", |all, value| {
        all.unpack.limits.entries = size(value)?;
        Ok(())
    }),
    setting!(
        "max-ratio",
        [],
        "NUMBER",
        "how many times as long a layer may become by decompression",
        |all, value| {
            all.unpack.limits.ratio = size(value)?;
            Ok(())
        }
    ),
    setting!(
        "mirrors",
        [],
        "LIST",
        "registries that are asked before the registry: URL, or REGISTRY=URL",
        |all, value| {
            all.pull.mirrors = list(value);
            Ok(())
        }
    ),
    setting!(
        "insecure-registries",
        [],
        "LIST",
        "registries that are spoken to without TLS: HOST[:PORT]",
        |all, value| {
            all.pull.insecure = list(value);
            Ok(())
        }
    ),
    setting!("ca", [], "FILE", "certificates to trust besides the system's", |all, value| {
        all.pull.ca = Some(absolute(value)?);
        Ok(())
    }),
    setting!(
        "docker-config",
        ["docker_config"],
        "FILE",
        "the config.json with the credentials for registries",
        |all, value| {
            all.pull.credentials = Some(absolute(value)?);
            Ok(())
        }
    ),
    setting!("max-download", [], "SIZE", "how many bytes of one layer are fetched at most", |all, value| {
        all.pull.largest = size(value)?;
        Ok(())
    }),
    setting!(
        "timeout",
        ["docker_stall_timeout"],
        "SECONDS",
        "how long nothing may be heard from a registry",
        |all, value| {
            all.pull.silence = Duration::from_secs(size(value.trim_end_matches("secs"))?);
            Ok(())
        }
    ),
];

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
        let text = std::fs::read_to_string(path).context(what)?;
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

fn without_file(value: &str) -> &str {
    value.strip_prefix("file://").unwrap_or(value)
}

fn absolute(value: &str) -> Result<PathBuf> {
    let value = without_file(value);
    if value.starts_with('/') {
        Ok(value.into())
    } else {
        Err(usage(format!("{value:?} is no absolute path")))
    }
}

fn place(to: &mut PathBuf, value: &str) -> Result<()> {
    *to = absolute(value)?;
    Ok(())
}

fn list(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn yes(value: &str) -> Result<bool> {
    match value {
        "true" | "yes" => Ok(true),
        "false" | "no" => Ok(false),
        _ => Err(usage(format!("{value:?} is neither true nor false"))),
    }
}

/// A number, or one of KiB, MiB or GiB.
fn size(value: &str) -> Result<u64> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("", 0)];
    let (number, shift) = units
        .iter()
        .find_map(|(unit, shift)| Some((value.strip_suffix(unit)?, *shift)))
        .unwrap_or((value, 0));
    let number = number.trim().parse::<u64>().ok().filter(|number| *number > 0);
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| usage(format!("{value:?} is no size")))
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
