//! Packages of the distribution: looked up, fetched into a cache, unpacked there, never installed.
//!
//! A record in the cache holds the exact version of everything used. While the record and the files beside it
//! satisfy the recipe, the package manager is not asked at all.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::digest;
use crate::error::{Context, Error, Result};
use crate::say;

const RECORD: &str = "packages.json";

/// One package, as the package manager describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its exact version.
    pub(crate) version: String,
    /// Its architecture.
    pub(crate) architecture: String,
    /// The digest of its file.
    pub(crate) sha256: String,
    /// The size of its file.
    pub(crate) size: u64,
    /// What it depends on; alternatives are listed one after the other.
    pub(crate) depends: Vec<String>,
}

impl Package {
    fn file(&self) -> String {
        format!("{}.deb", self.stem())
    }

    fn stem(&self) -> String {
        format!("{}_{}_{}", self.name, self.version.replace(':', "%3a"), self.architecture)
    }
}

/// The cache of packages.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// `None`: no such package. That, too, is not asked twice in one build.
    known: BTreeMap<String, Option<Package>>,
    updated: bool,
    /// Keeps a second builder out.
    _lock: Flock<File>,
}

impl Cache {
    /// Opens a cache, creating it when it is not there; waits for another builder that uses it.
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let opening = || format!("open the package cache {}", directory.display());
        fs::create_dir_all(directory).context(opening)?;
        let directory = fs::canonicalize(directory).context(opening)?;
        let file = File::create(directory.join(".lock")).context(opening)?;
        let lock =
            Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, error)| Error::new(opening(), error))?;
        let known = match fs::read(directory.join(RECORD)) {
            // A damaged record is a missing record: the packages are looked up again.
            Ok(text) => serde_json::from_slice::<Vec<Package>>(&text).unwrap_or_default(),
            Err(_) => Vec::new(),
        };
        let known = known.into_iter().map(|package| (package.name.clone(), Some(package))).collect();
        Ok(Self { directory, known, updated: false, _lock: lock })
    }

    /// What is known of a package; `None` when there is no such package.
    pub(crate) fn find(&mut self, name: &str) -> Result<Option<Package>> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let found = describe(name)?;
        self.known.insert(name.to_owned(), found.clone());
        self.record()?;
        Ok(found)
    }

    /// The version on record, if there is one: the package manager is not asked.
    pub(crate) fn version(&self, name: &str) -> Option<&str> {
        let package = self.known.get(name)?.as_ref()?;
        Some(package.version.as_str())
    }

    /// A package that must exist.
    pub(crate) fn get(&mut self, name: &str) -> Result<Package> {
        if let Some(package) = self.find(name)? {
            return Ok(package);
        }
        self.update()?;
        self.known.remove(name);
        self.find(name)?
            .ok_or_else(|| Error::new(format_args!("find package {name}"), "there is none of this name"))
    }

    /// Fetches and unpacks whichever of these packages are not in the cache.
    pub(crate) fn unpack(&mut self, names: &[String]) -> Result<()> {
        let mut absent = Vec::new();
        for name in names {
            let package = self.get(name)?;
            if !self.tree(&package).is_dir() && !self.holds(&package) {
                absent.push(package);
            }
        }
        if !absent.is_empty() {
            self.fetch(absent)?;
        }
        for name in names {
            let package = self.get(name)?;
            if !self.tree(&package).is_dir() {
                self.open_package(&package)?;
            }
        }
        Ok(())
    }

    /// Where a package's files are once it is unpacked.
    pub(crate) fn tree(&self, package: &Package) -> PathBuf {
        self.directory.join(package.stem())
    }

    fn holds(&self, package: &Package) -> bool {
        let file = self.directory.join(package.file());
        fs::metadata(file).is_ok_and(|metadata| metadata.len() == package.size)
    }

    fn record(&self) -> Result<()> {
        let packages: Vec<&Package> = self.known.values().flatten().collect();
        let text = serde_json::to_vec_pretty(&packages).context(|| "encode the record of packages")?;
        let path = self.directory.join(RECORD);
        let new = path.with_extension("new");
        fs::write(&new, text)
            .and_then(|()| fs::rename(&new, &path))
            .context(|| format!("write {}", path.display()))
    }

    fn fetch(&mut self, packages: Vec<Package>) -> Result<()> {
        let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
        say!("fetching {}: {}", plural(names.len(), "package"), names.join(" "));
        if self.download(&packages).is_ok() {
            return Ok(());
        }
        // The usual cause is that the archive has moved on: ask for what it has now.
        self.update()?;
        let mut newest = Vec::new();
        for package in packages {
            self.known.remove(&package.name);
            newest.push(self.get(&package.name)?);
        }
        self.download(&newest)
    }

    fn download(&self, packages: &[Package]) -> Result<()> {
        let names: Vec<String> =
            packages.iter().map(|package| format!("{}={}", package.name, package.version)).collect();
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-o", "APT::Sandbox::User=root", "download"]);
        run(command.args(&names).current_dir(&self.directory), "fetch packages")?;
        for package in packages {
            if !self.holds(package) {
                let what = format!("fetch package {}", package.name);
                return Err(Error::new(
                    what,
                    format_args!("there is no {} of the right size", package.file()),
                ));
            }
        }
        Ok(())
    }

    /// Brings the list of packages up to date, once in a build.
    fn update(&mut self) -> Result<()> {
        if self.updated {
            return Ok(());
        }
        self.updated = true;
        say!("the list of packages is missing or old: running apt-get update");
        let mut command = if nix::unistd::geteuid().is_root() {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.arg("apt-get");
            sudo
        };
        run(command.args(["-qq", "update"]), "update the list of packages")?;
        self.known.retain(|_, package| package.is_some());
        Ok(())
    }

    fn open_package(&self, package: &Package) -> Result<()> {
        let opening = || format!("unpack package {}", package.name);
        let file = self.directory.join(package.file());
        if digest::of_file(&file)? != package.sha256 {
            // The next run fetches it again.
            let _ = fs::remove_file(&file);
            return Err(Error::new(opening(), "its file was damaged (it is removed; run this again)"));
        }
        let partial = self.directory.join(format!("{}.partial", package.stem()));
        let _ = fs::remove_dir_all(&partial);
        fs::create_dir(&partial).context(opening)?;
        unpack_deb(&file, &partial).map_err(|error| Error::new(opening(), error))?;
        fs::rename(&partial, self.tree(package)).context(opening)
    }
}

/// Unpacks a package file; what is documentation stays behind.
fn unpack_deb(file: &Path, into: &Path) -> Result<()> {
    let reading = || format!("read {}", file.display());
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "run dpkg-deb")?;
    let stream = child.stdout.take().ok_or_else(|| Error::new(reading(), "no output"))?;
    let mut archive = tar::Archive::new(stream);
    archive.set_preserve_mtime(false);
    for entry in archive.entries().context(reading)? {
        let mut entry = entry.context(reading)?;
        let path = entry.path().context(reading)?.into_owned();
        if !path.starts_with("./usr/share/doc") && !path.starts_with("./usr/share/man") {
            entry.unpack_in(into).context(reading)?;
        }
    }
    drop(archive);
    let status = child.wait().context(|| "wait for dpkg-deb")?;
    if status.success() { Ok(()) } else { Err(Error::new(reading(), format_args!("dpkg-deb: {status}"))) }
}

/// Asks the package manager what it knows of a package.
fn describe(name: &str) -> Result<Option<Package>> {
    let mut command = Command::new("apt-cache");
    command.args(["show", "--no-all-versions", name]);
    let output = command.output().context(|| "run apt-cache")?;
    if !output.status.success() {
        return Ok(None);
    }
    Ok(parse(&String::from_utf8_lossy(&output.stdout)).filter(|package| package.name == name))
}

/// Reads the first paragraph of a package's description.
pub(crate) fn parse(text: &str) -> Option<Package> {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let field = |key: &str| field(paragraph, key);
    Some(Package {
        name: field("Package")?.to_owned(),
        version: field("Version")?.to_owned(),
        architecture: field("Architecture")?.to_owned(),
        sha256: field("SHA256").unwrap_or_default().to_owned(),
        size: field("Size").unwrap_or_default().parse().unwrap_or(0),
        depends: depends(paragraph),
    })
}

fn field<'a>(paragraph: &'a str, key: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

/// The names of the packages that a description depends on.
pub(crate) fn depends(paragraph: &str) -> Vec<String> {
    let lists = [field(paragraph, "Pre-Depends"), field(paragraph, "Depends")];
    lists.into_iter().flatten().flat_map(names).collect()
}

/// The package names in a list such as `libc6 (>= 2.34), a | b:any`.
fn names(list: &str) -> Vec<String> {
    list.split([',', '|'])
        .filter_map(|one| one.split([' ', '(', ':']).find(|word| !word.is_empty()))
        .map(str::to_owned)
        .collect()
}

/// Runs a command to its end; what it said is shown when it fails.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<Output> {
    let output = command.stdin(Stdio::null()).output().context(|| what.to_owned())?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error::new(what, format_args!("{}: {}", output.status, said.trim())))
}

/// `1 package`, `2 packages`
pub(crate) fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOWN: &str = "Package: dropbear-bin\nVersion: 1:2022.83-1\nArchitecture: amd64\n\
        Pre-Depends: a\nDepends: libc6 (>= 2.34), x | y:any, z\nSize: 12\nSHA256: ab\n\nPackage: other\n";

    #[test]
    fn a_description_gives_version_and_every_dependency() {
        let package = parse(SHOWN).unwrap();
        assert_eq!(package.depends, ["a", "libc6", "x", "y", "z"]);
        assert_eq!(package.file(), "dropbear-bin_1%3a2022.83-1_amd64.deb");
    }

    #[test]
    fn a_description_without_a_version_is_no_package() {
        assert_eq!(parse("Package: virtual\n"), None);
    }

    #[test]
    fn a_damaged_record_is_a_missing_one() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(RECORD), "{").unwrap();
        assert!(Cache::open(directory.path()).unwrap().known.is_empty());
    }
}
