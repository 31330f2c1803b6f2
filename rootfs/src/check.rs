//! Has the suite's own checker look at the services of an image before it is written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::error::{Context, Error, Result};
use crate::tree::{Content, Node, Tree, components};

const SERVICES: &str = "etc/services.d";
/// What the settings of the machine are checked with.
const SETTINGS: [&str; 3] = ["etc/init.toml", "etc/passwd", "etc/group"];

/// Runs `svctl check` on the services of a tree. Of the rest it sees what is where, and what may be executed.
pub(crate) fn services(tree: &Tree, svctl: &Path) -> Result<()> {
    let staging = stage(tree)?;
    let mut command = Command::new(svctl);
    command.arg("check").arg("--root").arg(staging.path()).arg(staging.path().join(SERVICES));
    let output = command.output().context(|| format!("run {}", svctl.display()))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    let said = said.replace(&format!("{}/", staging.path().display()), "/");
    Err(Error::new(
        "accept the services",
        format_args!("svctl check: {}\n{}", output.status, said.trim_end()),
    ))
}

/// A copy of the tree on disk: real services, and empty files in place of everything else.
fn stage(tree: &Tree) -> Result<TempDir> {
    let staging = TempDir::new().context(|| "stage the services")?;
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        put(tree, path, node, &staging.path().join(path)).context(|| format!("stage /{path}"))?;
    }
    Ok(staging)
}

fn put(tree: &Tree, path: &str, node: &Node, to: &Path) -> std::io::Result<()> {
    let end = tree.follow(path).map(|(_, end)| end);
    match &node.content {
        Content::Directory => fs::create_dir(to),
        // An absolute link would lead out of the copy.
        Content::Link(target) if end.is_some_and(|end| end.content == Content::Directory) => {
            symlink(relative(path, target), to)
        }
        Content::File(_) | Content::Link(_) | Content::Character { .. } => {
            let read = path.starts_with(SERVICES) || SETTINGS.contains(&path);
            let bytes = node.bytes().filter(|_| read).unwrap_or_default();
            let Some(end) = end else { return Ok(()) };
            fs::write(to, bytes)?;
            fs::set_permissions(to, fs::Permissions::from_mode(end.mode & 0o777 | 0o400))
        }
    }
}

/// An absolute target as seen from where the link is.
pub(crate) fn relative(path: &str, target: &str) -> String {
    if !target.starts_with('/') {
        return target.to_owned();
    }
    let here: Vec<&str> = components(path).collect();
    let there: Vec<&str> = components(target).collect();
    let common = here.iter().zip(&there).take_while(|(one, other)| one == other).count();
    let common = common.min(here.len().saturating_sub(1));
    let up = here.len().saturating_sub(common + 1);
    let down = there.get(common..).unwrap_or_default();
    std::iter::repeat_n("..", up).chain(down.iter().copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.insert("usr/bin/busybox", Node::file("x", 0o755, Origin::Recipe)).unwrap();
        tree.insert("usr/sbin/udhcpc", Node::link("/usr/bin/busybox", Origin::Recipe)).unwrap();
        tree.insert("sbin", Node::link("/usr/sbin", Origin::Recipe)).unwrap();
        tree.insert("etc/services.d/net/service.toml", Node::file("broken", 0o644, Origin::Service)).unwrap();
        tree
    }

    fn checker(directory: &Path, script: &str) -> std::path::PathBuf {
        let path = directory.join("svctl");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn what_the_checker_says_is_passed_on_without_the_place_of_the_copy() {
        let directory = tempfile::tempdir().unwrap();
        let svctl = checker(
            directory.path(),
            "echo \"$4/net/service.toml: bad\"; cat \"$4/net/service.toml\"; exit 1",
        );
        let error = services(&tree(), &svctl).unwrap_err().to_string();
        assert!(error.ends_with("\n/etc/services.d/net/service.toml: bad\nbroken"), "{error}");
    }

    #[test]
    fn the_checker_sees_the_settings_and_who_there_is() {
        let mut tree = tree();
        tree.insert("etc/init.toml", Node::file("a", 0o644, Origin::Recipe)).unwrap();
        tree.insert("etc/passwd", Node::file("b", 0o644, Origin::Recipe)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let svctl = checker(directory.path(), "test \"$(cat \"$3/etc/init.toml\" \"$3/etc/passwd\")\" = ab");
        services(&tree, &svctl).unwrap();
    }

    #[test]
    fn the_checker_finds_programs_where_the_image_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let svctl = checker(directory.path(), "test -x \"$3/sbin/udhcpc\" && test -d \"$3/sbin\"");
        services(&tree(), &svctl).unwrap();
    }

    #[test]
    fn an_absolute_target_becomes_relative() {
        assert_eq!(relative("usr/sbin/udhcpc", "/usr/bin/busybox"), "../bin/busybox");
        assert_eq!(relative("usr/bin/ls", "/usr/bin/busybox"), "busybox");
        assert_eq!(relative("init", "/usr/sbin/init"), "usr/sbin/init");
        assert_eq!(relative("a", "b/c"), "b/c");
    }
}
