//! What people and registries write: references, manifests, headers. Whatever it is, it is read or refused.

use super::random::Random;
use image::oci::{ImageConfig, Media, document};
use image::pull::credentials::File;
use image::pull::endpoint::Endpoint;
use image::pull::{address, challenge};
use image::reference::Reference;

const REFERENCES: [&str; 10] = [
    "docker:///ubuntu:13.04",
    "docker://my.registry.com:5000/foo/bar:tag",
    "ubuntu@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "appc:example.com/app,version=1.0,os=linux,arch=amd64",
    "appc:example.com/app:1.0",
    "oci:/path/to/layout:tag",
    "oci:../x",
    "localhost/a/b/c",
    "a__b/c--d.e:T",
    "index.docker.io/library/busybox",
];
const DOCUMENTS: [&str; 4] = [
    r#"{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 7143, "platform": {"os": "linux", "architecture": "amd64", "variant": "v8"}}]}"#,
    r#"{"schemaVersion": 2, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 1}, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "size": 32654}]}"#,
    r#"{"architecture": "amd64", "os": "linux", "config": {"User": "1000:8", "Env": ["PATH=/bin", "A"], "Entrypoint": ["/x"], "Cmd": null, "WorkingDir": "/", "StopSignal": "SIGTERM", "Volumes": {"/x": {}}, "Labels": {"a": "b"}}, "rootfs": {"type": "layers", "diff_ids": ["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]}}"#,
    r#"{"auths": {"https://index.docker.io/v1/": {"auth": "dTpw"}, "r:5000": {"identitytoken": "x"}}, "credHelpers": {"g": "x"}}"#,
];
const HEADERS: [&str; 4] = [
    r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#,
    r#"Basic realm="x", Negotiate"#,
    "https://cdn.example.com:8443/path?query#part",
    "[::1]:5000/prefix",
];

/// One of several, changed here and there.
fn changed(random: &mut Random, of: &[&str]) -> Vec<u8> {
    let mut bytes = random.one(of).as_bytes().to_vec();
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len().max(1));
        let end = (at + random.below(20)).min(bytes.len());
        let letters: [&[u8]; 16] = [
            b"/",
            b":",
            b"@",
            b"..",
            b"%00",
            b"\0",
            b"\"",
            b"=",
            b",",
            b"{",
            b"]",
            b"-1",
            b"99999999999999999999",
            b"null",
            b"\xff",
            "\u{202e}".as_bytes(),
        ];
        match random.below(4) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy).for_each(drop);
            }
            2 => bytes.splice(at..at, random.one(&letters).iter().copied()).for_each(drop),
            _ => bytes.splice(at..end, random.one(&letters).iter().copied()).for_each(drop),
        }
    }
    bytes
}

/// Reads one of each.
pub(crate) fn case(random: &mut Random) {
    let reference = String::from_utf8_lossy(&changed(random, &REFERENCES)).into_owned();
    if let Ok(read) = reference.parse::<Reference>() {
        let shown = read.to_string();
        assert_eq!(shown.parse::<Reference>().as_ref(), Ok(&read), "{reference:?} is shown as {shown:?}");
        assert!(!shown.contains('\0') && !shown.split('/').any(|part| part == ".."), "{shown:?}");
    }
    let bytes = changed(random, &DOCUMENTS);
    for media in [Media::Index, Media::Manifest] {
        let _ = document(&bytes, media, "x");
    }
    let _ = ImageConfig::parse(&bytes, "x");
    let _ = image::appc::ImageManifest::parse(&bytes);
    let endpoint = Endpoint::parse("r:5000", &[]).unwrap();
    if let Ok(file) = File::parse(&String::from_utf8_lossy(&bytes)) {
        let _ = file.find(&endpoint, |_, _| Ok(None));
    }
    let header = String::from_utf8_lossy(&changed(random, &HEADERS)).into_owned();
    let _ = challenge::parse(&header);
    if let Ok(endpoint) = Endpoint::parse(&header, &[]) {
        assert!(endpoint.is_local() || endpoint.to_string().starts_with("https://"), "{endpoint}");
    }
    if let Some(url) = address::follow("https://h/a/b", &header) {
        let rest = url.strip_prefix("https://h").unwrap_or("elsewhere");
        assert_eq!(
            address::same_origin(&url, "https://h/"),
            rest.is_empty() || rest.starts_with(['/', '?']),
            "{url}"
        );
    }
}
