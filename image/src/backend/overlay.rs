//! Layers above one another by overlayfs (the kernel's documentation, filesystems/overlayfs).

use super::{Plan, trees};
use crate::error::{Context, Error, Result};
use crate::provision::Root;
use crate::store::Store;
use crate::unpack::tree::{self, OPAQUE, Tree};
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags,
};
use std::path::{Path, PathBuf};

/// How many layers overlayfs takes.
const LAYERS: usize = 500;

/// How the kernel is told of the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    /// One after the other (`lowerdir+`, Linux 6.8).
    Each,
    /// In one option, which may have no more than a page: by short names, that are links in a directory of ours.
    Links,
}

impl Telling {
    /// Whether this kernel may know how to be told of each.
    pub(super) fn each_is_known() -> bool {
        knows_each(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default())
    }
}

pub(super) fn make(store: &Store, plan: &Plan<'_>) -> Result<()> {
    if !Telling::each_is_known() {
        return make_by(store, plan, Telling::Links);
    }
    match make_by(store, plan, Telling::Each) {
        Ok(()) => Ok(()),
        Err(_) => {
            empty(plan)?;
            make_by(store, plan, Telling::Links)
        }
    }
}

/// Whether a kernel may know the option that names each layer: to be asked with it, one that does not would complain on
/// the console at every start.
fn knows_each(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map(|word| word.trim().parse::<u32>());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (6, 5),
        _ => true,
    }
}

/// Makes one, telling of the layers in a certain way.
pub(super) fn make_by(store: &Store, plan: &Plan<'_>, telling: Telling) -> Result<()> {
    let trees = trees(store, plan);
    if trees.len() > LAYERS {
        return Err(Error::refused(format!("it takes {LAYERS} layers, and there are {}", trees.len())));
    }
    for chain in plan.layers {
        let changes = store.layer_changes(chain)?;
        let takes_away = !changes.removed.is_empty() || !changes.opaque.is_empty();
        if takes_away && !store.layer_info(chain)?.marks {
            return Err(Error::refused("what a layer takes away could not be marked where it was unpacked"));
        }
    }
    let (upper, work) = (plan.scratch.join("upper"), plan.scratch.join("work"));
    for path in [&upper, &work] {
        std::fs::create_dir(path).context(|| format!("unable to make {}", path.display()))?;
    }
    probe(&upper)?;
    let top = trees.last().ok_or_else(|| Error::refused("no layers"))?;
    same_top(top, &upper)?;
    match telling {
        Telling::Each => mount_each(&trees, &upper, &work, plan.root),
        Telling::Links => mount_links(&trees, &upper, &work, plan),
    }?;
    let finished = finish(plan);
    if finished.is_err() {
        let _ = rustix::mount::unmount(plan.root, UnmountFlags::DETACH);
    }
    finished
}

/// Takes away what an attempt left.
fn empty(plan: &Plan<'_>) -> Result<()> {
    for name in ["upper", "work", "links"] {
        let path = plan.scratch.join(name);
        if path.exists() {
            std::fs::remove_dir_all(&path).context(|| format!("unable to remove {}", path.display()))?;
        }
    }
    Ok(())
}

/// Where something is written has to be able to say what is taken away: the kernel would mount it, and forget.
fn probe(upper: &Path) -> Result<()> {
    let no = |what: &str, error: rustix::io::Errno| {
        Error::refused(format!("the filesystem of {} cannot keep {what}: {error}", upper.display()))
    };
    let directory =
        rustix::fs::open(upper, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::mknodat(&directory, ".probe", FileType::CharacterDevice, Mode::empty(), 0)
        .map_err(|error| no("what is taken away", error))?;
    rustix::fs::unlinkat(&directory, ".probe", rustix::fs::AtFlags::empty())?;
    if !tree::set_xattr(directory.as_fd(), b".", OPAQUE.as_bytes(), b"n")? {
        return Err(no("the attributes that overlayfs needs", rustix::io::Errno::NOTSUP));
    }
    rustix::fs::removexattr(upper, OPAQUE).map_err(|error| no("the attributes that overlayfs needs", error))
}

/// The root has what the topmost layer says of it: the kernel shows what the directory on top has.
fn same_top(top: &Path, upper: &Path) -> Result<()> {
    let (_, meta) = Tree::open(top)?.meta(b"")?;
    let upper = Tree::open(upper)?;
    let directory = upper.directory(b"")?;
    tree::apply(directory.as_fd(), b".", FileType::Directory, &meta, true).map(drop)
}

fn mount_each(trees: &[PathBuf], upper: &Path, work: &Path, root: &Path) -> Result<()> {
    use rustix::mount::{fsconfig_create, fsconfig_set_string, fsmount, fsopen, move_mount};
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).context(|| "unable to use overlayfs")?;
    fsconfig_set_string(context.as_fd(), "source", "overlay")?;
    for tree in trees.iter().rev() {
        fsconfig_set_string(context.as_fd(), "lowerdir+", tree).context(|| "unable to name a layer")?;
    }
    fsconfig_set_string(context.as_fd(), "upperdir", upper).context(|| "unable to name where to write")?;
    fsconfig_set_string(context.as_fd(), "workdir", work).context(|| "unable to name where to work")?;
    // A root is thrown away in the end: no names of inodes are to be kept for other mounts of it.
    fsconfig_set_string(context.as_fd(), "index", "off")?;
    fsconfig_create(context.as_fd()).context(|| "unable to make the overlay")?;
    let mount = fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .context(|| "unable to make the overlay")?;
    let from_itself = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(mount.as_fd(), "", rustix::fs::CWD, root, from_itself)
        .context(|| "unable to mount the overlay")
}

fn mount_links(trees: &[PathBuf], upper: &Path, work: &Path, plan: &Plan<'_>) -> Result<()> {
    let links = plan.scratch.join("links");
    std::fs::create_dir(&links).context(|| format!("unable to make {}", links.display()))?;
    for (at, tree) in trees.iter().enumerate() {
        std::os::unix::fs::symlink(tree.canonicalize()?, links.join(format!("{at:x}")))
            .context(|| "unable to make a short name")?;
    }
    std::os::unix::fs::symlink(upper.canonicalize()?, links.join("u"))?;
    std::os::unix::fs::symlink(work.canonicalize()?, links.join("w"))?;
    let directory = rustix::fs::open(&links, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    // By way of the descriptor even the directory of the names is short.
    let at = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let lower: Vec<String> = (0..trees.len()).rev().map(|number| format!("{at}/{number:x}")).collect();
    let options = format!("index=off,upperdir={at}/u,workdir={at}/w,lowerdir={}", lower.join(":"));
    if options.len() > 4095 {
        return Err(Error::refused(format!("{} layers are too many for this kernel", trees.len())));
    }
    let options = std::ffi::CString::new(options).map_err(|_| Error::refused("a path with a NUL"))?;
    rustix::mount::mount("overlay", plan.root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .context(|| "unable to mount the overlay")
}

/// What has to be done in the root once it is mounted.
fn finish(plan: &Plan<'_>) -> Result<()> {
    rustix::mount::mount_change(plan.root, MountPropagationFlags::PRIVATE)
        .context(|| "unable to make it private")?;
    let inside = Root::open(plan.root)?;
    for place in plan.places {
        inside.ensure(place)?;
    }
    if !plan.writable {
        let read_only = MountFlags::BIND | MountFlags::RDONLY;
        rustix::mount::mount_remount(plan.root, read_only, c"").context(|| "unable to make it read-only")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::knows_each;

    #[test]
    fn a_kernel_that_cannot_know_an_option_is_not_asked_with_it() {
        for (release, knows) in [
            ("6.1.0-56-cloud-amd64\n", false),
            ("5.15.0", false),
            ("6.5.0", true),
            ("6.12-rc1", true),
            ("7.0", true),
            ("", true),
        ] {
            assert_eq!(knows_each(release), knows, "{release}");
        }
    }
}
