//! Every form in which Mesos may be given, with a made-up Mesos.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on is a test that fails"
)]

mod fixture;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::Command;

use fixture::Fixture;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

const LIBRARY: &str = r#"const char *helpers = "/opt/made-up/libexec/mesos"; int mesos(void) { return 0; }"#;
const PROGRAM: &str = "int mesos(void); int main(void) { return mesos(); }";

/// An installation below a directory of the fixture.
fn install(fixture: &Fixture, prefix: &str) {
    let library = format!("{prefix}/lib/libmesos-1.0.so");
    fixture.program(&library, LIBRARY, &["-shared", "-fPIC", "-Wl,-soname,libmesos-1.0.so"]);
    for name in ["mesos-master", "mesos-agent"] {
        fixture.program(&format!("{prefix}/sbin/{name}"), PROGRAM, &[&library]);
    }
    fixture.script(&format!("{prefix}/bin/mesos-cat"), "#!/usr/bin/python\n");
    fixture.script(&format!("{prefix}/libexec/mesos/mesos-fetcher"), "#!/bin/sh\n");
    fixture.write(&format!("{prefix}/include/mesos/mesos.hpp"), "");
}

fn assert_is_not_a_standin(fixture: &Fixture, from: &str) {
    let manifest = fixture.manifest("out");
    assert_eq!(manifest["mesos"]["stand_in"], false);
    assert_eq!(manifest["mesos"]["from"], from);
    let text = manifest["files"].to_string();
    assert!(!text.contains("stand"), "the stand-in is in an image with Mesos");
}

#[test]
fn without_mesos_the_stand_in_says_so() {
    let fixture = Fixture::new();
    assert!(fixture.build("out", &[]).contains("with a stand-in for Mesos"));
    assert_eq!(fixture.manifest("out")["mesos"]["stand_in"], true);
    assert!(fixture.entry("out", "/etc/mesos-standin.txt").is_some());
    assert_eq!(fixture.entry("out", "/usr/sbin/mesos-agent").unwrap()["from"], "mesos stand-in");
}

#[test]
fn an_install_prefix_goes_where_mesos_looks_for_its_helpers() {
    let fixture = Fixture::new();
    install(&fixture, "prefix");
    let said = fixture.build("out", &["--mesos", "prefix"]);
    assert!(said.contains("leaving out /opt/made-up/bin/mesos-cat: the image does not have /usr/bin/python"));
    assert_is_not_a_standin(&fixture, "install prefix prefix");
    for path in ["sbin/mesos-agent", "libexec/mesos/mesos-fetcher", "lib/libmesos-1.0.so"] {
        assert!(fixture.entry("out", &format!("/opt/made-up/{path}")).is_some(), "no {path}");
    }
    let link = fixture.entry("out", "/usr/sbin/mesos-master").unwrap();
    assert_eq!(link["target"], "/opt/made-up/sbin/mesos-master");
    assert!(fixture.entry("out", "/usr/lib/libmesos-1.0.so").is_some(), "not where the linker looks");
    assert!(fixture.entry("out", "/opt/made-up/include/mesos/mesos.hpp").is_none());
}

#[test]
fn a_prefix_without_an_agent_is_refused() {
    let fixture = Fixture::new();
    install(&fixture, "prefix");
    fs::remove_file(fixture.path("prefix/sbin/mesos-agent")).unwrap();
    let said = fixture.fail(&["--mesos", "prefix"]);
    assert!(said.contains("use prefix as Mesos: it holds no program mesos-agent"), "{said}");
}

#[test]
fn a_library_that_is_nowhere_is_named_with_the_program_of_mesos() {
    let fixture = Fixture::new();
    install(&fixture, "prefix");
    fs::remove_file(fixture.path("prefix/lib/libmesos-1.0.so")).unwrap();
    let said = fixture.fail(&["--mesos", "prefix"]);
    assert!(said.contains("mesos-agent") && said.contains("libmesos-1.0.so"), "{said}");
}

#[test]
fn a_debian_package_brings_its_files_and_what_it_depends_on() {
    let fixture = Fixture::new();
    install(&fixture, "deb/usr");
    // In a root that is not merged, as packages have it.
    fs::create_dir_all(fixture.path("deb/lib/x86_64-linux-gnu")).unwrap();
    fs::rename(fixture.path("deb/usr/lib/libmesos-1.0.so"), fixture.path("deb/lib/libmesos-1.0.so")).unwrap();
    fixture.package("libextra1", &[]);
    let shared = ["-shared", "-fPIC", "-Wl,-soname,libextra.so.1"];
    fixture.program(
        "cache/libextra1_1_amd64/usr/lib/libextra.so.1",
        "int extra(void) { return 0; }",
        &shared,
    );
    fixture.program(
        "deb/usr/sbin/mesos-agent",
        "int extra(void); int main(void) { return extra(); }",
        &["cache/libextra1_1_amd64/usr/lib/libextra.so.1"],
    );
    fixture.write(
        "deb/DEBIAN/control",
        "Package: mesos\nVersion: 1.0\nArchitecture: amd64\nMaintainer: x\nDepends: libextra1 (>= 1)\nDescription: x\n",
    );
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build", "deb", "mesos.deb"]).current_dir(fixture.directory.path());
    assert!(command.output().unwrap().status.success());
    fixture.build("out", &["--mesos", "mesos.deb"]);
    assert_is_not_a_standin(&fixture, "Debian package mesos.deb");
    assert_eq!(fixture.entry("out", "/usr/sbin/mesos-agent").unwrap()["from"], "mesos");
    assert_eq!(fixture.entry("out", "/usr/lib/libextra.so.1").unwrap()["package"], "libextra1");
    assert_eq!(fixture.entry("out", "/lib").unwrap()["target"], "usr/lib");
}

/// The layers of a made-up image: a machine, Mesos on top, and a last one that takes a file away.
fn layers(fixture: &Fixture) -> Vec<Vec<u8>> {
    install(fixture, "machine/usr/local");
    fixture.write("machine/usr/local/etc/mesos/gone", "x");
    fixture.write("machine/usr/share/other/file", "x");
    let mut below = tar::Builder::new(Vec::new());
    below.append_dir_all(".", fixture.path("machine")).unwrap();
    let mut above = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o644);
    above.append_data(&mut header, "usr/local/etc/mesos/.wh.gone", std::io::empty()).unwrap();
    [below, above].map(|builder| builder.into_inner().unwrap()).to_vec()
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn assert_came_through(fixture: &Fixture, name: &str) {
    fixture.build("out", &["--mesos", name]);
    assert_is_not_a_standin(fixture, &format!("container image {name}"));
    for path in ["sbin/mesos-agent", "libexec/mesos/mesos-fetcher", "lib/libmesos-1.0.so"] {
        assert!(fixture.entry("out", &format!("/usr/local/{path}")).is_some(), "no {path}");
    }
    assert!(fixture.entry("out", "/usr/lib/libmesos-1.0.so").is_some(), "not where the linker looks");
    assert!(fixture.entry("out", "/usr/local/etc/mesos/gone").is_none(), "a whiteout was not applied");
    assert!(fixture.entry("out", "/usr/share/other/file").is_none(), "the rest of the machine came along");
}

#[test]
fn an_archive_with_a_manifest_gives_its_mesos() {
    let fixture = Fixture::new();
    let layers = layers(&fixture);
    let config = bytes(&json!({ "rootfs": { "diff_ids":
        layers.iter().map(|layer| format!("sha256:{}", digest(layer))).collect::<Vec<_>>() } }));
    let names = ["one/layer.tar", "two/layer.tar"];
    let mut files = BTreeMap::from([
        ("config.json".to_owned(), config),
        ("manifest.json".to_owned(), bytes(&json!([{ "Config": "config.json", "Layers": names }]))),
    ]);
    for (name, layer) in names.iter().zip(&layers) {
        files.insert((*name).to_owned(), layer.clone());
    }
    fs::write(fixture.path("saved.tar.gz"), gzip(&archive(&files))).unwrap();
    assert_came_through(&fixture, "saved.tar.gz");
    files.insert("one/layer.tar".to_owned(), layers[1].clone());
    fs::write(fixture.path("saved.tar"), archive(&files)).unwrap();
    let said = fixture.fail(&["--mesos", "saved.tar"]);
    assert!(said.contains("one/layer.tar: its content does not have the digest it should"), "{said}");
}

#[test]
fn an_oci_layout_gives_its_mesos_and_a_damaged_blob_is_refused() {
    let fixture = Fixture::new();
    let layers = layers(&fixture);
    let mut files =
        BTreeMap::from([("oci-layout".to_owned(), bytes(&json!({ "imageLayoutVersion": "1.0.0" })))]);
    let mut blob = |bytes: Vec<u8>| {
        let hash = digest(&bytes);
        let descriptor = json!({ "digest": format!("sha256:{hash}"), "size": bytes.len() });
        files.insert(format!("blobs/sha256/{hash}"), bytes);
        descriptor
    };
    let config = blob(bytes(&json!({ "rootfs": { "diff_ids":
        layers.iter().map(|layer| format!("sha256:{}", digest(layer))).collect::<Vec<_>>() } })));
    let zipped = [blob(gzip(&layers[0])), blob(zstd::encode_all(layers[1].as_slice(), 1).unwrap())];
    let image = blob(bytes(&json!({ "config": config, "layers": zipped })));
    let mut ours = image.clone();
    ours["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    let other = json!({ "digest": "sha256:00", "platform": { "architecture": "arm64", "os": "linux" } });
    let index = blob(bytes(&json!({ "manifests": [other, ours] })));
    files.insert("index.json".to_owned(), bytes(&json!({ "manifests": [index] })));
    fs::write(fixture.path("saved.tar"), archive(&files)).unwrap();
    assert_came_through(&fixture, "saved.tar");
    let name = format!("blobs/sha256/{}", image["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    files.get_mut(&name).unwrap().push(b' ');
    fs::write(fixture.path("saved.tar"), archive(&files)).unwrap();
    assert!(fixture.fail(&["--mesos", "saved.tar"]).contains("does not have the digest it should"));
}

#[test]
fn an_old_archive_gives_its_mesos_and_parents_in_a_circle_are_refused() {
    let fixture = Fixture::new();
    let layers = layers(&fixture);
    let mut files = BTreeMap::from([
        ("repositories".to_owned(), bytes(&json!({ "mesos": { "latest": "above" } }))),
        ("above/json".to_owned(), bytes(&json!({ "parent": "below" }))),
        ("below/json".to_owned(), bytes(&json!({}))),
        ("below/layer.tar".to_owned(), layers[0].clone()),
        ("above/layer.tar".to_owned(), layers[1].clone()),
    ]);
    fs::write(fixture.path("saved.tar"), archive(&files)).unwrap();
    assert_came_through(&fixture, "saved.tar");
    files.insert("below/json".to_owned(), bytes(&json!({ "parent": "above" })));
    fs::write(fixture.path("saved.tar"), archive(&files)).unwrap();
    assert!(fixture.fail(&["--mesos", "saved.tar"]).contains("its parents form a circle"));
}

#[test]
fn a_file_that_is_none_of_these_is_refused() {
    let fixture = Fixture::new();
    fixture.write("mesos.txt", "hello");
    assert!(fixture.fail(&["--mesos", "mesos.txt"]).contains("use mesos.txt as Mesos"));
}
