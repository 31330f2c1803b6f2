//! The tree of files that a process sees: mounts, and what they are mounted on.

use super::{Action, call, text};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, stat};
use service::setup::{MountFlags, Setup};
use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// As many places may be left out of a restriction.
const EXCEPTIONS_MAX: usize = 64;

/// `AT_RECURSIVE`, `AT_EMPTY_PATH` (mount_setattr(2)).
const RECURSIVE: i64 = 0x8000;
const EMPTY_PATH: i64 = 0x1000;
/// `OPEN_TREE_CLONE` (open_tree(2)).
const CLONE: i64 = 1;
/// `MOVE_MOUNT_F_EMPTY_PATH`, and `MOVE_MOUNT_T_SYMLINKS`, without which no link is followed to the place (move_mount(2)).
const FROM_DESCRIPTOR: usize = 0x4 | 0x10;
/// Paths are seen from the working directory.
const HERE: i64 = libc::AT_FDCWD as i64;

/// The data of a tmpfs that holds nothing and lets nobody look.
const NOTHING: &CStr = c"mode=000,size=4k,nr_inodes=2";

pub(super) fn ready(setup: &Setup) -> Result<Action, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller knows which steps are about files")]
    match setup {
        Setup::Propagation { receive } => Ok(propagation(*receive)),
        Setup::Directory { path, mode } => directory(path, *mode),
        Setup::File { path, mode } => file(path, *mode),
        Setup::Link { path, to } => link(path, to),
        Setup::Bind { source, target, recursive, flags, optional } => {
            bind(source, target, *recursive, *flags, *optional)
        }
        Setup::Mount { kind, source, target, flags, data } => mounted(kind, source, target, *flags, data),
        Setup::Remount { target, flags, recursive, optional, except } => {
            remount(target, *flags, *recursive, *optional, except)
        }
        Setup::Hide { path, optional } => hide(path, *optional),
        Setup::Root(path) => root(path),
        _ => Err(Errno::ENOSYS),
    }
}

/// mount(2).
fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    data: Option<&CStr>,
) -> Result<(), Errno> {
    let address = |text: Option<&CStr>| text.map_or(0, |text| text.as_ptr().expose_provenance());
    let flags = usize::try_from(flags).map_err(|_| Errno::EINVAL)?;
    let arguments =
        [address(source), target.as_ptr().expose_provenance(), address(kind), flags, address(data)];
    // SAFETY: all are null or texts that outlive the call.
    unsafe { call::call(libc::SYS_mount, arguments) }.map(drop)
}

/// The flags as mount(2) has them.
fn old_flags(flags: MountFlags) -> libc::c_ulong {
    let one = |holds, flag| if holds { flag } else { 0 };
    one(flags.read_only, libc::MS_RDONLY)
        | one(flags.no_suid, libc::MS_NOSUID)
        | one(flags.no_dev, libc::MS_NODEV)
        | one(flags.no_exec, libc::MS_NOEXEC)
}

/// The flags as mount_setattr(2) has them, `MOUNT_ATTR_…`.
fn attributes(flags: MountFlags) -> u64 {
    u64::from(flags.read_only)
        | u64::from(flags.no_suid) << 1
        | u64::from(flags.no_dev) << 2
        | u64::from(flags.no_exec) << 3
}

/// Adds to what may not be done on a mount, and on those below it: `at` and `path` as for mount_setattr(2).
fn restrict(at: i64, path: &CStr, flags: MountFlags, how: i64) -> Result<(), Errno> {
    // struct mount_attr: what is set, what is cleared, the propagation, a user namespace.
    let wanted = [attributes(flags), 0, 0, 0_u64];
    let [at, how] = [at, how].map(call::word);
    let arguments = [
        at,
        path.as_ptr().expose_provenance(),
        how,
        wanted.as_ptr().expose_provenance(),
        size_of_val(&wanted),
    ];
    // SAFETY: `path` and `wanted` outlive the call, which is told their sizes.
    let done = unsafe { call::call(libc::SYS_mount_setattr, arguments) }.map(drop);
    match done {
        // Before Linux 5.12 one mount at a time could be restricted, by its path.
        Err(Errno::ENOSYS) if how & call::word(RECURSIVE) == 0 && !path.is_empty() => {
            mount(None, path, None, libc::MS_REMOUNT | libc::MS_BIND | old_flags(flags), None)
        }
        other => other,
    }
}

/// A copy of what is mounted at a place and below, which is mounted nowhere yet (open_tree(2)).
fn copy(path: &CStr) -> Result<OwnedFd, Errno> {
    let how = CLONE | RECURSIVE | i64::from(libc::O_CLOEXEC);
    let [here, how] = [HERE, how].map(call::word);
    // SAFETY: the path outlives the call.
    let descriptor =
        unsafe { call::call(libc::SYS_open_tree, [here, path.as_ptr().expose_provenance(), how, 0, 0]) }?;
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::EBADF)?;
    // SAFETY: the call has made it, and only we know of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Mounts such a copy (move_mount(2)).
fn put(tree: &OwnedFd, path: &CStr) -> Result<(), Errno> {
    let (from, here) = (call::word(i64::from(tree.as_raw_fd())), call::word(HERE));
    let empty = c"".as_ptr().expose_provenance();
    let arguments = [from, empty, here, path.as_ptr().expose_provenance(), FROM_DESCRIPTOR];
    // SAFETY: both paths outlive the call.
    unsafe { call::call(libc::SYS_move_mount, arguments) }.map(drop)
}

fn missing<T>(result: &Result<T, Errno>) -> bool {
    matches!(result, Err(Errno::ENOENT | Errno::ENOTDIR))
}

fn propagation(receive: bool) -> Action {
    let kind = if receive { libc::MS_SLAVE } else { libc::MS_PRIVATE };
    Box::new(move || mount(None, c"/", None, libc::MS_REC | kind, None))
}

fn directory(path: &str, mode: u32) -> Result<Action, Errno> {
    // Every directory on the way, the outermost first.
    let ends = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0).chain([path.len()]);
    let steps = ends.filter_map(|end| path.get(..end)).map(text).collect::<Result<Vec<CString>, Errno>>()?;
    Ok(Box::new(move || {
        for (index, step) in steps.iter().enumerate() {
            let mode = Mode::from_bits_truncate(if index + 1 == steps.len() { mode } else { 0o755 });
            match nix::unistd::mkdir(step.as_c_str(), mode) {
                // Whatever mask for new files there is.
                Ok(()) => chmod(step, mode)?,
                Err(Errno::EEXIST) => {}
                // What is there need not be in a place that can be written to.
                Err(errno) => stat(step.as_c_str()).map(drop).map_err(|_| errno)?,
            }
        }
        Ok(())
    }))
}

fn chmod(path: &CStr, mode: Mode) -> Result<(), Errno> {
    let arguments = [call::word(HERE), path.as_ptr().expose_provenance(), mode.bits() as usize, 0, 0];
    // SAFETY: the path outlives the call.
    unsafe { call::call(libc::SYS_fchmodat, arguments) }.map(drop)
}

fn file(path: &str, mode: u32) -> Result<Action, Errno> {
    let path = text(path)?;
    let mode = Mode::from_bits_truncate(mode);
    Ok(Box::new(move || {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        match open(path.as_c_str(), flags, mode) {
            Ok(_) => chmod(&path, mode),
            Err(Errno::EEXIST) => Ok(()),
            Err(errno) => stat(path.as_c_str()).map(drop).map_err(|_| errno),
        }
    }))
}

fn link(path: &str, to: &str) -> Result<Action, Errno> {
    let (path, to) = (text(path)?, text(to)?);
    Ok(Box::new(move || match nix::unistd::symlinkat(to.as_c_str(), nix::fcntl::AT_FDCWD, path.as_c_str()) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }))
}

fn bind(
    source: &str,
    target: &str,
    recursive: bool,
    flags: MountFlags,
    optional: bool,
) -> Result<Action, Errno> {
    let (source, target) = (text(source)?, text(target)?);
    let below = if recursive { libc::MS_REC } else { 0 };
    let how = if recursive { RECURSIVE } else { 0 };
    Ok(Box::new(move || {
        if optional && (missing(&stat(source.as_c_str())) || missing(&stat(target.as_c_str()))) {
            return Ok(());
        }
        mount(Some(&source), &target, None, libc::MS_BIND | below, None)?;
        if flags == MountFlags::default() { Ok(()) } else { restrict(HERE, &target, flags, how) }
    }))
}

fn mounted(kind: &str, source: &str, target: &str, flags: MountFlags, data: &str) -> Result<Action, Errno> {
    let source = text(if source.is_empty() { kind } else { source })?;
    let (kind, target, data) = (text(kind)?, text(target)?, text(data)?);
    let flags = old_flags(flags);
    Ok(Box::new(move || mount(Some(&source), &target, Some(&kind), flags, Some(&data))))
}

fn remount(
    target: &str,
    flags: MountFlags,
    recursive: bool,
    optional: bool,
    except: &[String],
) -> Result<Action, Errno> {
    let target = text(target)?;
    if except.len() > EXCEPTIONS_MAX {
        return Err(Errno::E2BIG);
    }
    let exception = |path: &String| -> Result<(bool, CString), Errno> {
        let required = path.strip_prefix('-');
        Ok((required.is_some(), text(required.unwrap_or(path))?))
    };
    let except = except.iter().map(exception).collect::<Result<Vec<_>, Errno>>()?;
    let how = if recursive { RECURSIVE } else { 0 };
    Ok(Box::new(move || {
        if optional && missing(&stat(target.as_c_str())) {
            return Ok(());
        }
        // What is left out is taken up as it is, and put back over what it has become.
        let mut kept = [const { None }; EXCEPTIONS_MAX];
        for (place, (optional, path)) in kept.iter_mut().zip(&except) {
            let tree = copy(path);
            if !(*optional && missing(&tree)) {
                *place = Some(tree?);
            }
        }
        restrict_place(&target, flags, how)?;
        for (tree, (_, path)) in kept.iter().zip(&except) {
            if let Some(tree) = tree {
                put(tree, path)?;
            }
        }
        Ok(())
    }))
}

/// Restricts what is mounted at a place, which need not be a mount of its own.
fn restrict_place(target: &CStr, flags: MountFlags, how: i64) -> Result<(), Errno> {
    if target == c"/" {
        return restrict(HERE, target, flags, how);
    }
    match copy(target) {
        Ok(tree) => {
            restrict(i64::from(tree.as_raw_fd()), c"", flags, how | EMPTY_PATH)?;
            put(&tree, target)
        }
        Err(Errno::ENOSYS) => {
            mount(Some(target), target, None, libc::MS_BIND | libc::MS_REC, None)?;
            restrict(HERE, target, flags, how)
        }
        Err(errno) => Err(errno),
    }
}

fn hide(path: &str, optional: bool) -> Result<Action, Errno> {
    let path = text(path)?;
    let all = MountFlags { read_only: true, no_suid: true, no_dev: true, no_exec: true };
    Ok(Box::new(move || {
        let found = stat(path.as_c_str());
        if optional && missing(&found) {
            return Ok(());
        }
        if found?.st_mode & libc::S_IFMT == libc::S_IFDIR {
            return mount(Some(c"tmpfs"), &path, Some(c"tmpfs"), old_flags(all), Some(NOTHING));
        }
        // A device on a mount without devices is opened by nobody, be it root.
        mount(Some(c"/dev/null"), &path, None, libc::MS_BIND, None)?;
        restrict(HERE, &path, all, 0)
    }))
}

fn root(path: &str) -> Result<Action, Errno> {
    let path = text(path)?;
    Ok(Box::new(move || {
        match pivot(&path) {
            // It is no mount of its own.
            Err(Errno::EINVAL) => {
                mount(Some(&path), &path, None, libc::MS_BIND | libc::MS_REC, None)?;
                pivot(&path)?;
            }
            other => other?,
        }
        nix::unistd::chdir(c"/")
    }))
}

/// Makes a mount the root and lets go of the old one, which it lies upon for a moment (pivot_root(2)).
fn pivot(path: &CStr) -> Result<(), Errno> {
    nix::unistd::chdir(path)?;
    let here = c".".as_ptr().expose_provenance();
    // SAFETY: a constant text.
    unsafe { call::call(libc::SYS_pivot_root, [here, here, 0, 0, 0]) }?;
    let detach = libc::MNT_DETACH.unsigned_abs() as usize;
    // SAFETY: a constant text.
    unsafe { call::call(libc::SYS_umount2, [here, detach, 0, 0, 0]) }.map(drop)
}
