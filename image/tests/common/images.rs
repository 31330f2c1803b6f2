//! Makes images of every kind, good and bad ones.
#![allow(dead_code, missing_docs, unreachable_pub, reason = "each test takes what it needs")]

use super::archive::{Item, archive};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use std::io::Write;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn sha512(bytes: &[u8]) -> String {
    hex(&Sha512::digest(bytes))
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn blob(path: &str, bytes: &[u8]) -> Item {
    Item { data: bytes.to_vec(), ..Item::file(path, "") }
}

fn config(process: &Value, layers: &[Vec<u8>]) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    let whole = json!({
        "os": "linux", "architecture": architecture(), "config": process,
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    serde_json::to_vec(&whole).unwrap()
}

/// This machine's, by the name that images have for it.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The files of what `docker save` writes since 1.10; the layers are archives, uncompressed.
pub fn docker(names: &[&str], process: &Value, layers: &[Vec<u8>]) -> Vec<Item> {
    let config = config(process, layers);
    let config_name = format!("{}.json", sha256(&config));
    let files: Vec<String> = (0..layers.len()).map(|at| format!("{at}/layer.tar")).collect();
    let list = json!([{"Config": config_name, "RepoTags": names, "Layers": files}]);
    let mut items =
        vec![blob("manifest.json", &serde_json::to_vec(&list).unwrap()), blob(&config_name, &config)];
    items.extend(files.iter().zip(layers).map(|(name, layer)| blob(name, layer)));
    items
}

/// The files of what it wrote before: ids and layers, the lowest first, and what is said of the topmost one.
pub fn legacy(name: &str, tag: &str, layers: &[(&str, Vec<u8>)], process: &Value) -> Vec<Item> {
    let top = layers.last().unwrap().0;
    let mut items = vec![blob("repositories", json!({name: {tag: top}}).to_string().as_bytes())];
    for (at, (id, layer)) in layers.iter().enumerate() {
        let parent = at.checked_sub(1).map(|below| layers[below].0);
        let text = json!({"id": id, "parent": parent, "config": process, "os": "linux"}).to_string();
        items.push(blob(&format!("{id}/VERSION"), b"1.0"));
        items.push(blob(&format!("{id}/json"), text.as_bytes()));
        items.push(blob(&format!("{id}/layer.tar"), layer));
    }
    items
}

/// A layer of a layout: the archive, and the bytes and media type that it has there.
pub struct Layer {
    pub archive: Vec<u8>,
    pub bytes: Vec<u8>,
    pub media_type: String,
}

impl Layer {
    pub fn new(archive: Vec<u8>, how: &str) -> Layer {
        let bytes = match how {
            "+gzip" => gzip(&archive),
            "+zstd" => zstd(&archive),
            _ => archive.clone(),
        };
        Layer { archive, bytes, media_type: format!("application/vnd.oci.image.layer.v1.tar{how}") }
    }
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": format!("sha256:{}", sha256(bytes)), "size": bytes.len()})
}

/// The files of an OCI layout with one image of each name, or without one.
pub fn layout(names: &[Option<&str>], process: &Value, layers: &[Layer]) -> Vec<(String, Vec<u8>)> {
    let archives: Vec<Vec<u8>> = layers.iter().map(|layer| layer.archive.clone()).collect();
    let config = config(process, &archives);
    let mut blobs: Vec<Vec<u8>> = layers.iter().map(|layer| layer.bytes.clone()).collect();
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": layers.iter().map(|layer| descriptor(&layer.media_type, &layer.bytes)).collect::<Vec<Value>>(),
    }))
    .unwrap();
    // By way of a list for several platforms.
    let mut here = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    here["platform"] = json!({"os": "linux", "architecture": architecture()});
    let mut elsewhere = descriptor("application/vnd.oci.image.manifest.v1+json", b"not there");
    elsewhere["platform"] = json!({"os": "plan9", "architecture": "mips"});
    let list = serde_json::to_vec(&json!({"schemaVersion": 2, "manifests": [elsewhere, here]})).unwrap();
    let entry = |name: &Option<&str>| {
        let mut entry = descriptor("application/vnd.oci.image.index.v1+json", &list);
        if let Some(name) = name {
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        }
        entry
    };
    let entries: Vec<Value> = names.iter().map(entry).collect();
    let index = json!({"schemaVersion": 2, "manifests": entries}).to_string().into_bytes();
    blobs.extend([config, manifest, list]);
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index),
    ];
    files.extend(blobs.into_iter().map(|blob| (format!("blobs/sha256/{}", sha256(&blob)), blob)));
    files
}

/// The same files in an archive.
pub fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let items: Vec<Item> = files.iter().map(|(name, bytes)| blob(name, bytes)).collect();
    archive(&items)
}

/// An App Container Image; `rest` is added to its manifest.
pub fn aci(name: &str, version: &str, rest: &Value, items: &[Item]) -> Vec<u8> {
    let arch = if architecture() == "arm64" { "aarch64" } else { architecture() };
    let mut manifest = json!({
        "acKind": "ImageManifest", "acVersion": "0.8.10", "name": name,
        "labels": [{"name": "version", "value": version}, {"name": "os", "value": "linux"}, {"name": "arch", "value": arch}],
    });
    for (key, value) in rest.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    let mut all = vec![blob("manifest", manifest.to_string().as_bytes()), Item::directory("rootfs")];
    all.extend(items.iter().map(|item| {
        let path = [b"rootfs/", item.path.as_slice()].concat();
        Item { path, ..item.clone() }
    }));
    archive(&all)
}
