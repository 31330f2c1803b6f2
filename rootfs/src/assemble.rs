//! Puts the tree of an image together, in the order in which later things win.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::accounts;
use crate::apt::{Cache, run};
use crate::check::relative;
use crate::error::{Context, Error, Result};
use crate::libraries::{Libraries, check_scripts, missing_interpreter};
use crate::mesos::Mesos;
use crate::modules::{self, Summary};
use crate::recipe::{Busybox, Recipe, Services};
use crate::say;
use crate::tree::{Content, Node, Origin, Tree, split};
use crate::{Options, key::Keys};

/// What goes into an image, beside what its recipe says.
pub(crate) struct Parts<'a> {
    /// What was asked for.
    pub(crate) options: &'a Options,
    /// The recipe.
    pub(crate) recipe: &'a Recipe,
    /// Who may log in.
    pub(crate) keys: &'a Keys,
    /// Mesos, if there is any.
    pub(crate) mesos: Option<&'a Mesos>,
}

/// The kernel of an image.
#[derive(Debug, Default)]
pub(crate) struct Kernel {
    /// The name of its package.
    pub(crate) package: String,
    /// Its version.
    pub(crate) version: String,
    /// The kernel itself.
    pub(crate) bytes: Vec<u8>,
    /// Its modules.
    pub(crate) modules: Summary,
}

/// The names of the packages that an image takes files from; the kernel's own comes first.
pub(crate) fn packages(recipe: &Recipe, cache: &mut Cache) -> Result<Vec<String>> {
    let mut kernel = cache.get(&recipe.kernel.package)?;
    // A package without files of its own depends on the newest kernel.
    while let Some(next) = kernel.depends.iter().find(|name| name.starts_with("linux-image-")).cloned() {
        kernel = cache.get(&next)?;
    }
    Ok([kernel.name].into_iter().chain(recipe.packages.keys().cloned()).collect())
}

/// The whole tree, but for the shared libraries.
pub(crate) fn tree(parts: &Parts<'_>, kernel: &str, libraries: &mut Libraries<'_>) -> Result<(Tree, Kernel)> {
    let recipe = parts.recipe;
    let mut tree = Tree::default();
    skeleton(&mut tree, recipe)?;
    for (package, paths) in &recipe.packages {
        let shelf = libraries.shelf(package)?;
        for path in paths {
            tree.copy(shelf, path).map_err(|_| {
                Error::new(format_args!("take {path}"), format_args!("package {package} has no such file"))
            })?;
        }
    }
    let kernel = self::kernel(&mut tree, recipe, kernel, libraries)?;
    for (program, path) in &recipe.programs {
        add_program(&mut tree, &parts.options.programs, program, path, Origin::Program)?;
    }
    add_services(&mut tree, parts)?;
    match parts.mesos {
        Some(mesos) => lay(&mut tree, &mesos.selection)?,
        None => add_standin(&mut tree, parts)?,
    }
    tree.insert(
        "root/.ssh/authorized_keys",
        Node::file(parts.keys.authorized.as_str(), 0o600, Origin::Recipe),
    )?;
    for extra in &parts.options.extra {
        tree.graft(extra, "", &Origin::Extra)?;
    }
    tree.load()?;
    Ok((tree, kernel))
}

/// Links come first: what follows is placed through them.
fn skeleton(tree: &mut Tree, recipe: &Recipe) -> Result<()> {
    for (path, target) in &recipe.links {
        tree.insert(path, Node::link(target.as_str(), Origin::Recipe))?;
    }
    // The name of a user or group was looked up when the recipe was read.
    let ids = |user: &str, group: &str| {
        (recipe.user_id(user).unwrap_or_default(), recipe.group_id(group).unwrap_or_default())
    };
    for (path, directory) in &recipe.directories {
        let mut node = Node::directory(directory.mode, Origin::Recipe);
        (node.owner, node.group) = ids(&directory.owner, &directory.group);
        tree.insert(path, node)?;
    }
    for (path, device) in &recipe.devices {
        tree.insert(path, Node::character(device.major, device.minor, device.mode))?;
    }
    for (path, file) in &recipe.files {
        let content = match (&file.content, &file.source) {
            (Some(content), _) => content.clone().into_bytes(),
            (None, source) => {
                let source = recipe.directory.join(source.as_deref().unwrap_or(Path::new("")));
                fs::read(&source).context(|| format!("read {} for {path}", source.display()))?
            }
        };
        let mut node = Node::file(content, file.mode, Origin::Recipe);
        (node.owner, node.group) = ids(&file.owner, &file.group);
        tree.insert(path, node)?;
    }
    accounts::add(tree, recipe)
}

fn kernel(tree: &mut Tree, recipe: &Recipe, package: &str, libraries: &mut Libraries<'_>) -> Result<Kernel> {
    let shelf = libraries.shelf(package)?;
    let image = shelf.below("boot").find(|(path, _)| path.starts_with("boot/vmlinuz-"));
    let (path, node) = image.ok_or_else(|| {
        Error::new("find the kernel", format_args!("package {package} has no /boot/vmlinuz-*"))
    })?;
    let version = path.trim_start_matches("boot/vmlinuz-").to_owned();
    let bytes = node.loaded()?.bytes().unwrap_or_default().to_vec();
    let base = format!("usr/lib/modules/{version}");
    let modules = modules::add(tree, shelf, &base, &recipe.kernel.modules)?;
    Ok(Kernel { package: package.to_owned(), version, bytes, modules })
}

fn add_program(tree: &mut Tree, directory: &Path, program: &str, path: &str, origin: Origin) -> Result<()> {
    let file = directory.join(program);
    let bytes = fs::read(&file).map_err(|error| {
        Error::new(format_args!("read {}", file.display()), format_args!("{error} (build it first)"))
    })?;
    tree.insert(path, Node::file(bytes, 0o755, origin))
}

fn add_services(tree: &mut Tree, parts: &Parts<'_>) -> Result<()> {
    let mut all = Tree::default();
    for directory in &parts.options.services {
        replace(&mut all, directory)?;
    }
    if let Services::Named(names) = &parts.recipe.services {
        let mut named = Tree::default();
        for name in names {
            named.copy(&all, name).map_err(|_| {
                Error::new(format_args!("include the service {name}"), "no services directory has it")
            })?;
        }
        all = named;
    }
    for (path, node) in all.iter() {
        tree.insert(&format!("etc/services.d/{path}"), node.clone())?;
    }
    Ok(())
}

/// A service of a later directory replaces one of the same name as a whole.
fn replace(all: &mut Tree, directory: &Path) -> Result<()> {
    let mut these = Tree::default();
    these.graft(directory, "", &Origin::Service)?;
    let names: Vec<String> =
        these.iter().map(|(path, _)| path.to_owned()).filter(|path| !path.contains('/')).collect();
    for name in names {
        all.remove(&name);
        all.copy(&these, &name)?;
    }
    Ok(())
}

fn add_standin(tree: &mut Tree, parts: &Parts<'_>) -> Result<()> {
    let Some(standin) = &parts.recipe.standin else { return Ok(()) };
    add_program(tree, &parts.options.programs, &standin.program, &standin.path, Origin::StandIn)?;
    for link in &standin.links {
        tree.insert(link, Node::link(standin.path.as_str(), Origin::StandIn))?;
    }
    let notice = format!(
        "This image is without Apache Mesos. The programs below are a stand-in for it, for trying out and testing\n\
         what runs them; they run no tasks. An image with Mesos is built with MESOS=PATH.\n\n{}\n",
        standin.links.join("\n")
    );
    tree.insert(&standin.notice, Node::file(notice, 0o644, Origin::StandIn))
}

fn lay(tree: &mut Tree, over: &Tree) -> Result<()> {
    for (path, node) in over.iter().filter(|(_, node)| node.origin == Origin::Mesos) {
        tree.insert(path, node.clone())?;
    }
    Ok(())
}

/// Links the applets of busybox that nothing else in the image provides.
pub(crate) fn add_applets(tree: &mut Tree, busybox: &Busybox) -> Result<usize> {
    let program = busybox.program.trim_start_matches('/');
    let asking = || format!("ask {} for its applets", busybox.program);
    let node = tree.entry(program).ok_or_else(|| Error::new(asking(), "it is not in the image"))?;
    let list = applets(node.bytes().unwrap_or_default(), &asking())?;
    let mut count = 0;
    for path in list.lines().map(|path| path.trim().trim_start_matches('/')).filter(|path| !path.is_empty()) {
        let name = split(path).1;
        let left_out = busybox.leave_out.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        });
        let places = ["usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin"];
        if left_out || places.iter().any(|place| tree.entry(&format!("{place}/{name}")).is_some()) {
            continue;
        }
        let path = tree.resolve(path, false)?;
        tree.insert(&path, Node::link(relative(&path, &format!("/{program}")), Origin::Recipe))?;
        count += 1;
    }
    Ok(count)
}

/// The program is a static one, and so runs on the machine that builds.
fn applets(program: &[u8], asking: &str) -> Result<String> {
    let directory = tempfile::tempdir().context(|| asking.to_owned())?;
    let path: PathBuf = directory.path().join("busybox");
    fs::write(&path, program).context(|| asking.to_owned())?;
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .context(|| asking.to_owned())?;
    let output = run(Command::new(&path).arg("--list-full"), asking)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Scripts must be able to run; those of Mesos that cannot are left out, which is said.
pub(crate) fn settle_scripts(tree: &mut Tree) -> Result<Vec<String>> {
    let mut left_out = Vec::new();
    for (path, node) in tree.iter().filter(|(_, node)| node.origin == Origin::Mesos && node.is_program()) {
        if let Some(interpreter) = missing_interpreter(tree, node.bytes().unwrap_or_default()) {
            left_out.push((path.to_owned(), interpreter));
        }
    }
    let mut notes = Vec::new();
    for (path, interpreter) in left_out {
        let note = format!("/{path}: the image does not have {interpreter}");
        say!("leaving out {note}");
        tree.remove(&path);
        notes.push(note);
    }
    check_scripts(tree)?;
    Ok(notes)
}

/// How many regular files a tree has.
pub(crate) fn count_files(tree: &Tree) -> usize {
    tree.iter().filter(|(_, node)| matches!(node.content, Content::File(_))).count()
}
