//! The images that the machines boot: the shipped one, and one with broken services added.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The image of `make image`.
pub(crate) fn shipped() -> PathBuf {
    let image = project().join("target/image");
    assert!(image.join("vmlinuz").exists(), "there is no image: run make image");
    image
}

/// The same with the services of `tests/guest/services` besides.
pub(crate) fn broken() -> PathBuf {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    IMAGE.get_or_init(build_broken).clone()
}

fn build_broken() -> PathBuf {
    let image = project().join("target/image-broken");
    let output = Command::new(project().join("target/debug/rootfs"))
        .current_dir(project())
        .args([
            "build",
            "--no-check",
            "--services",
            "services.d",
            "--services",
            "tests/guest/services",
            "--out",
        ])
        .arg(&image)
        .output()
        .expect("the image builder runs: make build makes it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    image
}
