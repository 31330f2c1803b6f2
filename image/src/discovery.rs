//! Where an image is looked for: among local archives and layouts, then in registries.

use crate::appc;
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::reference::{Appc, Docker, Layout, Reference};
use crate::settings::{Kind, Settings};
use crate::source::{self, Aci, Finder, Located, Source};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

/// The source of an image.
///
/// # Errors
/// There is none, its kind is not allowed, or it cannot be read.
pub fn find(settings: &Settings, reference: &Reference) -> Result<Box<dyn Source>> {
    allowed(settings, reference)?;
    match reference {
        Reference::Docker(docker) => match local(settings, docker) {
            Some(path) => open(settings, &path),
            None => crate::pull::source(settings, docker),
        },
        Reference::Oci(layout) => open(settings, &layout_path(settings, layout)),
        Reference::Appc(wanted) => {
            let mut find = finder(settings);
            let found = find(wanted)?;
            // Whoever found it may hold what it is in.
            Ok(Box::new(Aci::new(found, find)))
        }
    }
}

/// The source of what is at a path.
///
/// # Errors
/// It cannot be read.
pub fn open(settings: &Settings, path: &Path) -> Result<Box<dyn Source>> {
    source::open(path, &settings.store.join("staging"), finder(settings))
}

fn allowed(settings: &Settings, reference: &Reference) -> Result<()> {
    let (kind, word) = match reference {
        Reference::Docker(_) => (Kind::Docker, "docker"),
        Reference::Appc(_) => (Kind::Appc, "appc"),
        Reference::Oci(_) => (Kind::Oci, "oci"),
    };
    if settings.kinds.contains(&kind) {
        return Ok(());
    }
    Err(Error::refused(format!("{reference}: images of the kind {word} are not allowed (setting kinds)")))
}

fn layout_path(settings: &Settings, layout: &Layout) -> PathBuf {
    // An absolute path stays as it is.
    settings.local.join(&layout.path)
}

/// The archive or the layout of an image of Docker's, by any of the names that it may have.
fn local(settings: &Settings, docker: &Docker) -> Option<PathBuf> {
    let names = names(docker);
    let files =
        names.iter().map(|name| settings.local.join(format!("{name}.tar"))).filter(|path| path.is_file());
    let directories =
        names.iter().map(|name| settings.local.join(name)).filter(|path| path.join("oci-layout").is_file());
    files.chain(directories).next()
}

/// With its tag and without, and with what is left out when it is normalised.
fn names(docker: &Docker) -> Vec<String> {
    let mut stems = vec![docker.name()];
    if docker.registry.is_none() {
        if !docker.repository.contains('/') {
            stems.push(format!("library/{}", docker.repository));
        }
        let whole: Vec<String> = stems.iter().map(|stem| format!("docker.io/{stem}")).collect();
        stems.extend(whole);
    }
    let mut names = Vec::new();
    for stem in stems {
        if let Some(digest) = &docker.digest {
            names.push(format!("{stem}@{digest}"));
        }
        if let Some(tag) = &docker.tag {
            names.push(format!("{stem}:{tag}"));
            if tag == "latest" {
                names.push(stem);
            }
        }
    }
    names
}

/// What an archive of an App Container Image is called (App Container specification, simple discovery).
#[must_use]
pub fn aci_name(wanted: &Appc, platform: &Platform) -> String {
    let label = |key: &str| wanted.labels.get(key).map(String::as_str);
    let version = label("version").unwrap_or("latest");
    let os = label("os").unwrap_or(&platform.os);
    let arch = label("arch").unwrap_or_else(|| appc::arch(platform));
    format!("{}-{version}-{os}-{arch}.aci", wanted.name)
}

/// Finds archives of App Container Images: among the local ones, then where the settings say.
fn finder(settings: &Settings) -> Finder {
    let settings = settings.clone();
    let mut held: Vec<File> = Vec::new();
    Box::new(move |wanted: &Appc| {
        let name = aci_name(wanted, &Platform::host());
        let mut places = vec![format!("{}/{name}", settings.local.display())];
        if let Some(prefix) = settings.appc_prefix.as_ref().filter(|prefix| prefix.starts_with('/')) {
            places.insert(0, format!("{prefix}{name}"));
        }
        if let Some(path) = places.iter().map(PathBuf::from).find(|path| path.is_file()) {
            return Ok(path.into());
        }
        if let Some((file, name)) = fetched(&settings, wanted)? {
            // It has no name; it is there as long as it is held.
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            held.push(file);
            return Ok(Located { path, name });
        }
        if let Some(prefix) = settings.appc_prefix.as_ref().filter(|prefix| !prefix.starts_with('/')) {
            places.push(format!("{prefix}{name}"));
        }
        Err(Error::missing(format!("appc:{wanted} is not here: there is no {}", places.join(", nor "))))
    })
}

/// One that is fetched, if the settings say where from.
fn fetched(settings: &Settings, wanted: &Appc) -> Result<Option<(File, String)>> {
    let Some(prefix) = settings.appc_prefix.as_ref().filter(|prefix| !prefix.starts_with('/')) else {
        return Ok(None);
    };
    crate::pull::appc::fetch(settings, prefix, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_archives_may_be_named_with_and_without_what_is_left_out() {
        let names = |text: &str| match text.parse().unwrap() {
            Reference::Docker(docker) => names(&docker),
            Reference::Appc(_) | Reference::Oci(_) => Vec::new(),
        };
        let busybox = names("busybox");
        for name in ["busybox:latest", "busybox", "library/busybox", "docker.io/library/busybox:latest"] {
            assert!(busybox.iter().any(|found| found == name), "{name}");
        }
        assert_eq!(names("r.io/a/b:1"), ["r.io/a/b:1"]);
    }

    #[test]
    fn the_name_of_an_app_container_image_has_its_labels() {
        let platform = Platform { os: "linux".to_owned(), architecture: "arm64".to_owned(), variant: None };
        let name = |text: &str| aci_name(&text.parse().unwrap(), &platform);
        assert_eq!(name("example.com/app"), "example.com/app-latest-linux-aarch64.aci");
        assert_eq!(name("image,version=1.0,os=freebsd,arch=i386"), "image-1.0-freebsd-i386.aci");
    }
}
