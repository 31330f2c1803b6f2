//! What an agent keeps on disk, at the paths where Mesos keeps it.

use std::io::Result;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Who an agent is: what must not change while the machine is up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Info {
    pub(crate) id: String,
    pub(crate) hostname: String,
    pub(crate) port: u16,
    pub(crate) resources: String,
    pub(crate) attributes: String,
}

impl Info {
    fn to_text(&self) -> String {
        let Self { id, hostname, port, resources, attributes } = self;
        format!("id={id}\nhostname={hostname}\nport={port}\nresources={resources}\nattributes={attributes}\n")
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |key| crate::http::field(text, key).map(str::to_owned);
        Some(Self {
            id: field("id").filter(|id| !id.is_empty())?,
            hostname: field("hostname")?,
            port: field("port")?.parse().ok()?,
            resources: field("resources")?,
            attributes: field("attributes")?,
        })
    }

    /// What differs between an old checkpoint and now, if that is not allowed under `policy`.
    pub(crate) fn incompatible(&self, now: &Self, policy: &str) -> Option<String> {
        if self.hostname != now.hostname {
            return Some(format!("hostname was {} and is {}", self.hostname, now.hostname));
        }
        if self.port != now.port {
            return Some(format!("port was {} and is {}", self.port, now.port));
        }
        let kept = |old: &str, new: &str| old == new || (policy == "additive" && is_additive(old, new));
        if !kept(&self.resources, &now.resources) {
            return Some(format!("resources were '{}' and are '{}'", self.resources, now.resources));
        }
        (!kept(&self.attributes, &now.attributes))
            .then(|| format!("attributes were '{}' and are '{}'", self.attributes, now.attributes))
    }
}

/// Whether every `name:value` of `old` is in `new`, and no number is smaller there.
fn is_additive(old: &str, new: &str) -> bool {
    old.split(';').filter_map(|pair| pair.split_once(':')).all(|(name, value)| {
        new.split(';').filter_map(|pair| pair.split_once(':')).any(|(other, now)| {
            name.trim() == other.trim()
                && match (thousandths(value), thousandths(now)) {
                    (Some(value), Some(now)) => now >= value,
                    _ => now.trim() == value.trim(),
                }
        })
    })
}

/// A scalar as Mesos keeps it: with three decimals.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, decimals) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let decimals: String = decimals.chars().chain("000".chars()).take(3).collect();
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(decimals.parse().ok()?)
}

/// The directory of the agent's state.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    work: PathBuf,
}

impl Meta {
    pub(crate) fn new(work: &str) -> Self {
        Self { work: PathBuf::from(work) }
    }

    /// The symbolic link to the directory of the current agent id.
    pub(crate) fn latest(&self) -> PathBuf {
        self.work.join("meta/slaves/latest")
    }

    pub(crate) fn boot_id(&self) -> PathBuf {
        self.work.join("meta/boot_id")
    }

    /// Where the checkpoints of executors begin.
    pub(crate) fn frameworks(&self, id: &str) -> PathBuf {
        self.work.join("meta/slaves").join(id).join("frameworks")
    }

    /// Where the files of one run are seen by its executor.
    pub(crate) fn sandbox(&self, id: &str, run: &str) -> PathBuf {
        self.work.join("slaves").join(id).join("frameworks").join(run)
    }

    /// The last checkpoint, or `None` if there never was one; an error if it is there and cannot be read.
    pub(crate) fn recover(&self) -> std::result::Result<Option<Info>, String> {
        let path = self.latest().join("slave.info");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                Info::parse(&text).map(Some).ok_or_else(|| format!("'{}' is corrupt", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("Failed to read '{}': {error}", path.display())),
        }
    }

    /// Writes a checkpoint, and then makes it the latest.
    pub(crate) fn checkpoint(&self, info: &Info) -> Result<()> {
        let directory = self.work.join("meta/slaves").join(&info.id);
        std::fs::create_dir_all(&directory)?;
        replace(&directory.join("slave.info"), &info.to_text())?;
        let link = self.work.join("meta/slaves/.latest");
        let _ = std::fs::remove_file(&link);
        symlink(&info.id, &link)?;
        std::fs::rename(link, self.latest())
    }
}

/// Replaces a file, so that a reader sees the old or the new content.
pub(crate) fn replace(path: &Path, content: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".tmp");
    std::fs::write(&temporary, content)?;
    std::fs::rename(temporary, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(resources: &str) -> Info {
        let (hostname, attributes) = ("h".to_owned(), "rack:a".to_owned());
        Info { id: "x-S0".to_owned(), hostname, port: 5051, resources: resources.to_owned(), attributes }
    }

    #[test]
    fn a_checkpoint_reads_back_as_it_was_written() {
        let here = info("cpus:2;mem:100");
        assert_eq!(Info::parse(&here.to_text()), Some(here));
        assert_eq!(Info::parse("id=\nhostname=h\nport=1\nresources=\nattributes=\n"), None);
        assert_eq!(Info::parse("torn"), None);
    }

    #[test]
    fn only_the_additive_policy_lets_resources_grow_and_none_lets_them_shrink() {
        let old = info("cpus:2;mem:100");
        let grown = info("cpus:2;mem:200;disk:5");
        assert_eq!(old.incompatible(&old, "equal"), None);
        assert!(old.incompatible(&grown, "equal").is_some());
        assert_eq!(old.incompatible(&grown, "additive"), None);
        assert_eq!(old.incompatible(&info("cpus:2.5;mem:100"), "additive"), None);
        assert!(grown.incompatible(&old, "additive").is_some());
        let moved = Info { port: 1, ..old.clone() };
        assert!(old.incompatible(&moved, "additive").is_some_and(|text| text.contains("port")));
        let renamed = Info { hostname: "i".to_owned(), ..old.clone() };
        assert!(old.incompatible(&renamed, "additive").is_some_and(|text| text.contains("hostname")));
    }
}
