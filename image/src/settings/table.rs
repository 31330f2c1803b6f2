//! Every setting: what it is called, what its values are, and what it sets.

use super::{Settings, usage};
use crate::error::Result;
use std::path::PathBuf;
use std::time::Duration;

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
    pub(super) set: fn(&mut Settings, &str) -> Result<()>,
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

pub(super) fn without_file(value: &str) -> &str {
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

pub(super) fn place(to: &mut PathBuf, value: &str) -> Result<()> {
    *to = absolute(value)?;
    Ok(())
}

pub(super) fn list(value: &str) -> Vec<String> {
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
        .ok_or_else(|| usage(format!("{value:?} is no number, or size such as 65536, 64KiB or 1MiB")))
}
