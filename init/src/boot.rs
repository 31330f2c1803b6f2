//! The early boot: a list of named phases, each logged with its time. None is fatal that can be survived.

use crate::message::{Messages, reason};
use crate::places::Options;
use crate::{cgroups, command_line};
use nix::mount::{MsFlags, mount};
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use std::fs::{File, create_dir_all};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

/// A phase: its name and what it does.
type Phase = (&'static str, fn() -> io::Result<()>);

/// In this order: the root before anything is mounted on it, the devices before the console.
const PHASES: [Phase; 10] = [
    ("root", enter_real_root),
    ("devices", mount_devices),
    ("console", open_console),
    ("kernel filesystems", mount_kernel_filesystems),
    ("run", mount_run),
    ("control groups", cgroups::mount_all),
    ("shared mounts", share_mounts),
    ("hostname", set_hostname),
    ("loopback", sys::net::loopback_up),
    ("limits", raise_limits),
];

/// Boots as far as services can be started, and reads what the kernel's command line says.
pub(crate) fn boot(messages: &mut Messages, mut options: Options) -> Options {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let _ = nix::unistd::setsid();
    let mut early = Vec::new();
    for (name, work) in PHASES {
        let began = sys::clock::now();
        let outcome = work();
        let took = sys::clock::now().since(began).as_micros();
        let time = format!("{}.{} ms", took / 1000, took % 1000 / 100);
        early.push((name, outcome.map_err(|error| reason(&error)), time));
        if name == "kernel filesystems" {
            options = again(messages, options);
            // Otherwise the kernel drops what comes quickly, as at boot.
            let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
        }
    }
    messages.notice(&format!("mainstay {}", env!("CARGO_PKG_VERSION")));
    for (name, outcome, time) in early {
        match outcome {
            Ok(()) => messages.info(&format!("phase {name}: ok ({time})")),
            Err(problem) => messages.error(&format!("phase {name}: {problem} (going on without)")),
        }
    }
    options
}

/// What the kernel's command line says, which holds for an init that goes on in another's place as well.
pub(crate) fn again(messages: &mut Messages, mut options: Options) -> Options {
    let line = command_line::parse(&std::fs::read_to_string("/proc/cmdline").unwrap_or_default());
    messages.limit = line.log.unwrap_or(messages.limit);
    options.bundle = line.bundle.or(options.bundle);
    options.debug |= line.debug;
    options.watchdog = line.watchdog;
    options.emergency = line.emergency;
    messages.use_kernel_log();
    options
}

/// The root of an initramfs cannot be pivoted away from, which containers need. So it is bound to another
/// place, that mount is moved over `/`, and entered; nothing is copied (mount(2), `MS_MOVE`).
fn enter_real_root() -> io::Result<()> {
    let kind = statfs("/")?.filesystem_type();
    if kind != RAMFS_MAGIC && kind != TMPFS_MAGIC {
        return Ok(());
    }
    create_dir_all("/run")?;
    mount(Some("/"), "/run", None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    std::env::set_current_dir("/run")?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>)?;
    nix::unistd::chroot(".")?;
    std::env::set_current_dir("/")
}

/// Mounts a filesystem of the kernel's own; one that is there already is left as it is.
pub(crate) fn attach(kind: &str, place: &str, flags: MsFlags, data: &str) -> io::Result<()> {
    create_dir_all(place)?;
    match mount(Some(kind), place, Some(kind), flags, Some(data)) {
        Err(nix::errno::Errno::EBUSY) => Ok(()),
        other => Ok(other?),
    }
}

/// What is not in this kernel is no error.
fn attach_if_known(kind: &str, place: &str, flags: MsFlags, data: &str) {
    let _ = attach(kind, place, flags, data);
}

/// The filesystem of an initramfs in a kernel without tmpfs, or started with `root=` (linux/magic.h).
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

pub(crate) const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

fn mount_devices() -> io::Result<()> {
    attach("devtmpfs", "/dev", MsFlags::MS_NOSUID, "mode=0755")?;
    for (target, link) in [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
        ("/proc/kcore", "/dev/core"),
    ] {
        match symlink(target, link) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    attach("devpts", "/dev/pts", MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666")?;
    attach("tmpfs", "/dev/shm", MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    attach_if_known("mqueue", "/dev/mqueue", PLAIN, "");
    Ok(())
}

/// The kernel opened the console of the initramfs's own /dev, if that had one; with devtmpfs there is one.
/// Standard input is the null device: PID 1 reads from nobody.
fn open_console() -> io::Result<()> {
    let null = File::open("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    // Without O_NOCTTY the console would become ours, and its ^C with it.
    use std::os::unix::fs::OpenOptionsExt;
    let console = File::options().write(true).custom_flags(nix::libc::O_NOCTTY).open("/dev/console")?;
    nix::unistd::dup2_stdout(&console)?;
    Ok(nix::unistd::dup2_stderr(&console)?)
}

fn mount_kernel_filesystems() -> io::Result<()> {
    attach("proc", "/proc", PLAIN, "")?;
    attach("sysfs", "/sys", PLAIN, "")?;
    for (kind, place) in [
        ("securityfs", "/sys/kernel/security"),
        ("debugfs", "/sys/kernel/debug"),
        ("tracefs", "/sys/kernel/tracing"),
        ("bpf", "/sys/fs/bpf"),
        ("pstore", "/sys/fs/pstore"),
        ("efivarfs", "/sys/firmware/efi/efivars"),
    ] {
        if Path::new(place).exists() {
            attach_if_known(kind, place, PLAIN, "");
        }
    }
    Ok(())
}

/// Devices are allowed: the Mesos agent refuses a runtime directory on a mount that forbids them.
fn mount_run() -> io::Result<()> {
    attach("tmpfs", "/run", MsFlags::MS_NOSUID, "mode=0755,size=20%")?;
    std::fs::DirBuilder::new().recursive(true).mode(0o1777).create("/run/lock")
}

/// Mounts made later must be seen in namespaces made earlier, as systemd has it and Mesos expects.
fn share_mounts() -> io::Result<()> {
    Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_SHARED, None::<&str>)?)
}

fn set_hostname() -> io::Result<()> {
    let text = match std::fs::read_to_string("/etc/hostname") {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    let name = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    name.map_or(Ok(()), |name| Ok(nix::unistd::sethostname(name)?))
}

/// What the services begin with: the Mesos packages ask for 16384 files, and tasks may raise that.
fn raise_limits() -> io::Result<()> {
    use nix::sys::resource::{Resource, setrlimit};
    Ok(setrlimit(Resource::RLIMIT_NOFILE, 16_384, 1_048_576)?)
}
