//! The programs under test.

use std::path::PathBuf;

/// Where they are: what `MAINSTAY_PROGRAMS` names, or what `make build` has built.
#[must_use]
pub fn directory() -> PathBuf {
    std::env::var_os("MAINSTAY_PROGRAMS").map_or_else(
        || {
            let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/x86_64-unknown-linux-musl/release");
            std::fs::canonicalize(built).unwrap_or_else(|_| built.into())
        },
        PathBuf::from,
    )
}

/// The program called `name`.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let path = directory().join(name);
    assert!(path.is_file(), "there is no program {}: run `make build`", path.display());
    path
}
