//! Writing what was compiled: each file whole or not at all, the plan last.

use super::Compiled;
use crate::loaded;
use service::definition::Kind;
use service::plan;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where a tree is compiled to that init is to take over later, as a whole.
pub(super) fn stage(compiled: &Compiled, run: &Path) -> Result<(), (PathBuf, io::Error)> {
    let stage = run.join("init/next");
    match fs::remove_dir_all(&stage) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err((stage, error)),
        Ok(()) | Err(_) => {}
    }
    make(&stage.join("definitions"))?;
    for service in &compiled.services {
        if service.invalid || service.definition.kind == Kind::Bundle {
            continue;
        }
        let (name, text) = (&service.definition.name, service.definition.encode());
        let current = run.join("service").join(name).join("definition");
        // What is the same need not be taken over.
        if !fs::read(current).is_ok_and(|old| old == text.as_bytes()) {
            replace(&stage.join("definitions").join(name), &text)?;
        }
    }
    replace(&stage.join("settings"), &compiled.settings.encode())?;
    replace(&stage.join("sources"), &sources(compiled))?;
    replace(&stage.join("plan"), &plan::encode(&compiled.plan()))
}

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
    replace(&directory.join("settings"), &compiled.settings.encode())?;
    replace(&directory.join("sources"), &sources(compiled))?;
    replace(&directory.join("plan"), &plan::encode(&compiled.plan()))
}

/// What the services were read from.
fn sources(compiled: &Compiled) -> String {
    let all = compiled.services.iter();
    let known = all.filter_map(|service| Some((service.definition.name.as_str(), service.source.as_ref()?)));
    loaded::encode(compiled.tree.as_ref(), known)
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
