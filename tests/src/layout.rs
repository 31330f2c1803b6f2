//! OCI layouts with one small image, made without anybody's tools.

use crate::fixture::Fixture;
use sha2::{Digest, Sha256};
use std::fmt::Write;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes a blob, and says how it is referred to.
fn blob(fixture: &Fixture, place: &str, kind: &str, bytes: &[u8]) -> String {
    let digest = digest(bytes);
    let path = fixture.path(&format!("{place}/blobs/{}", digest.replace(':', "/")));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
    format!("\"mediaType\": \"{kind}\", \"digest\": \"{digest}\", \"size\": {}", bytes.len())
}

/// Makes a layout in a directory of the fixture, whose image `1` has this layer, and `config` of its configuration.
///
/// # Panics
/// If it cannot be written.
pub fn write(fixture: &Fixture, place: &str, layer: &[u8], config: &str) {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = format!(
        "{{\"os\": \"linux\", \"architecture\": \"{architecture}\", \"config\": {config}, \
         \"rootfs\": {{\"type\": \"layers\", \"diff_ids\": [\"{}\"]}}}}",
        digest(layer)
    );
    let config = blob(fixture, place, "application/vnd.oci.image.config.v1+json", config.as_bytes());
    let layer = blob(fixture, place, "application/vnd.oci.image.layer.v1.tar", layer);
    let manifest = format!("{{\"schemaVersion\": 2, \"config\": {{{config}}}, \"layers\": [{{{layer}}}]}}");
    let manifest = blob(fixture, place, MANIFEST, manifest.as_bytes());
    let index = format!(
        "{{\"schemaVersion\": 2, \"manifests\": [{{{manifest}, \
         \"annotations\": {{\"org.opencontainers.image.ref.name\": \"1\"}}}}]}}"
    );
    fixture.write(&format!("{place}/index.json"), &index);
    fixture.write(&format!("{place}/oci-layout"), "{\"imageLayoutVersion\": \"1.0.0\"}");
}
