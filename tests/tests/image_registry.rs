//! Pulls from Debian's docker-registry, of images that other people's tools have put there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use image::error::Result;
use image::platform::Platform;
use image::reference::Reference;
use image::settings::Settings;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use tests::images::{self, DebianRegistry};
use tests::registry::digest;

fn blob(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// The digests of the layers of an image in the layout.
fn layers(layout: &Path, tag: &str) -> Vec<String> {
    let read = |path: PathBuf| serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap();
    let index = read(layout.join("index.json"));
    let entries = index["manifests"].as_array().unwrap();
    let entry = entries
        .iter()
        .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == tag)
        .unwrap();
    let manifest = read(blob(layout, entry["digest"].as_str().unwrap()));
    manifest["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| layer["digest"].as_str().unwrap().to_owned())
        .collect()
}

/// The digests of the layers of an image, as they have come.
fn pull(settings: &Settings, reference: &str) -> Result<Vec<String>> {
    let reference: Reference = reference.parse()?;
    let Reference::Docker(docker) = &reference else { unreachable!() };
    let mut source = image::pull::source(settings, docker)?;
    let found = source.describe(&reference, &Platform::host())?;
    let blobs: Vec<_> = found.layers.iter().map(|layer| layer.blob.clone()).collect();
    source.expect(&blobs);
    blobs
        .iter()
        .map(|blob| {
            let mut bytes = Vec::new();
            source.open(blob)?.read_to_end(&mut bytes)?;
            Ok(digest(&bytes))
        })
        .collect()
}

fn settings(store: &Path, registry: &DebianRegistry) -> Settings {
    let mut settings = Settings { store: store.into(), registry: registry.address(), ..Settings::default() };
    settings.pull.quiet = true;
    settings
}

#[test]
fn images_of_both_formats_come_from_debians_registry_as_they_were_put_there() {
    let layout = images::directory().join("layout");
    let registry = DebianRegistry::start("");
    let store = tempfile::tempdir().unwrap();
    let settings = settings(store.path(), &registry);
    for name in ["odd", "inserted", "buildah", "debian"] {
        for tag in ["latest", "docker"] {
            assert_eq!(
                pull(&settings, &format!("{name}:{tag}")).unwrap(),
                layers(&layout, name),
                "{name}:{tag}"
            );
        }
    }
    let missing = pull(&settings, "odd:none").unwrap_err();
    assert_eq!(missing.kind, image::error::Kind::Missing, "{missing}");
    assert!(missing.to_string().contains("manifest unknown"), "{missing}");
}

#[test]
fn debians_registry_is_told_a_name_and_a_password_if_it_asks() {
    let layout = images::directory().join("layout");
    let registry = DebianRegistry::start("auth: { htpasswd: { realm: r, path: \"@T/htpasswd\" } }");
    let store = tempfile::tempdir().unwrap();
    let mut settings = settings(store.path(), &registry);
    assert!(pull(&settings, "odd:latest").unwrap_err().to_string().contains("a name and a password"));
    let login = |word: &str| {
        let path = store.path().join(word);
        // `u:p`, `u:q`
        let text = format!(r#"{{"auths": {{"{}": {{"auth": "{word}"}}}}}}"#, registry.address());
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    settings.pull.credentials = login("dTpx");
    assert!(pull(&settings, "odd:latest").unwrap_err().to_string().contains("status 401"));
    settings.pull.credentials = login("dTpw");
    assert_eq!(pull(&settings, "odd:latest").unwrap(), layers(&layout, "odd"));
}
