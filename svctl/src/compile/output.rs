//! Writing what was compiled: each file whole or not at all, the plan last.

use super::Compiled;
use service::definition::Kind;
use service::plan;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub(super) fn write(compiled: &Compiled, run: &Path) -> Result<(), (PathBuf, io::Error)> {
    make(&run.join("service"))?;
    for service in &compiled.services {
        if service.invalid || service.definition.kind == Kind::Bundle {
            continue;
        }
        let directory = run.join("service").join(&service.definition.name);
        make(&directory)?;
        replace(&directory.join("definition"), &service.definition.encode())?;
    }
    let directory = run.join("init");
    make(&directory)?;
    replace(&directory.join("plan"), &plan::encode(&compiled.plan()))
}

fn make(directory: &Path) -> Result<(), (PathBuf, io::Error)> {
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    made.map_err(|error| (directory.to_owned(), error))
}

fn replace(path: &Path, text: &str) -> Result<(), (PathBuf, io::Error)> {
    // What is there already need not be written again, and keeps its time.
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    sys::fs::replace(path, text.as_bytes(), 0o644).map_err(|error| (path.to_owned(), error))
}
