//! From what the section says to the steps that do it. No more than a table of what each word means.

use super::{Home, Network, Protect, Sandbox, System, below, plain};
use crate::calls::{Rule, table};
use service::definition::{Apart, Process};
use service::setup::{MountFlags, Namespace, Setup, Step, order};

/// What packages and administrators put there; what is not there is passed over.
const FULL: [&str; 8] = ["/usr", "/etc", "/boot", "/bin", "/sbin", "/lib", "/lib64", "/efi"];
/// Those that may be links to places below one of them: what is writable below one is left out of each.
const LINKED: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];
/// Where people are at home.
pub(super) const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// What stays as it is in a system that is read-only otherwise: it is about devices and processes, not about files.
const NOT_FILES: [&str; 3] = ["-/dev", "-/proc", "-/sys"];
/// The kernel's own trees in which something can be set.
const TUNABLES: [&str; 8] = [
    "/proc/sys",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/acpi",
    "/proc/scsi",
    "/proc/mtrr",
    "/proc/sysrq-trigger",
];
/// The devices that do nothing but what every process may ask for.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Where a directory of devices is put together before it is shown: whoever looks there later sees the result.
const WORKSHOP: &str = "/dev/shm";

/// Capabilities, by their numbers (linux/capability.h).
const SYS_MODULE: u64 = 1 << 16;
const SYS_RAWIO: u64 = 1 << 17;
const SYS_TIME: u64 = 1 << 25;
const MKNOD: u64 = 1 << 27;
const SYSLOG: u64 = 1 << 34;
const WAKE_ALARM: u64 = 1 << 35;

const READ_ONLY: MountFlags = MountFlags { read_only: true, no_suid: false, no_dev: false, no_exec: false };
const PLAIN: MountFlags = MountFlags { read_only: false, no_suid: true, no_dev: true, no_exec: false };
const DATA: MountFlags = MountFlags { read_only: false, no_suid: true, no_dev: true, no_exec: true };

/// Adds what the sandbox asks for.
pub(super) fn apply(sandbox: &Sandbox, process: &mut Process) {
    let files = files(sandbox);
    let mut setups = Vec::new();
    let mut apart = |kind, wanted: bool| {
        if wanted && !process.apart(kind) {
            process.namespaces.push(Apart { kind, lenient: sandbox.lenient });
        }
    };
    apart(Namespace::User, sandbox.private_users);
    apart(Namespace::Mount, !files.is_empty());
    apart(Namespace::Pid, sandbox.private_pids);
    apart(Namespace::Ipc, sandbox.private_ipc);
    apart(Namespace::Network, sandbox.network == Some(Network::Private));
    apart(Namespace::Uts, sandbox.hostname.is_some() || sandbox.protect.contains(&Protect::Hostname));
    process.user_map.extend(maps(sandbox));
    // Without a group of its own it would be that of whoever is outside which it takes for the root.
    process.group.wanted |= sandbox.private_control_groups;

    match &sandbox.network {
        Some(Network::Private) => setups.push(Setup::Loopback),
        Some(Network::Of(path)) => {
            setups.push(Setup::Join { kind: Namespace::Network, path: path.clone() });
        }
        None => {}
    }
    setups.extend(sandbox.private_control_groups.then_some(Setup::Leave(Namespace::Cgroup)));
    setups.extend(sandbox.hostname.iter().cloned().map(Setup::Hostname));
    setups.extend(files);
    setups.extend(sandbox.landlock.clone().map(Setup::Landlock));
    let refused = refused_capabilities(sandbox);
    setups.extend((refused != 0).then_some(Setup::Bounding(!refused)));
    let mut filter = sandbox.filter.clone();
    filter.rules.extend(refused_calls(sandbox));
    if !filter.is_empty() || sandbox.landlock.is_some() {
        setups.push(Setup::NoNewPrivileges);
    }
    setups.extend((!filter.is_empty()).then(|| Setup::Seccomp(filter.program())));
    // Mounts that are not kept to itself would be made for the machine: those are not done without.
    let lenient = |setup: &Setup| sandbox.lenient && !matches!(setup, Setup::Propagation { .. });
    let steps = setups.into_iter().map(|setup| Step { lenient: lenient(&setup), setup });
    process.setup.extend(steps);
    order(&mut process.setup);
}

/// What is said of its users, and for groups the same unless more is said.
fn maps(sandbox: &Sandbox) -> Vec<String> {
    let groups = if sandbox.group_map.is_empty() { &sandbox.user_map } else { &sandbox.group_map };
    let lines = |kind: &'static str, map: &'_ [String]| -> Vec<String> {
        map.iter().map(|line| format!("{kind} {line}")).collect()
    };
    [lines("u", &sandbox.user_map), lines("g", groups)].concat()
}

/// The tree of files: what is mounted first, then what is read-only, then what is hidden.
fn files(sandbox: &Sandbox) -> Vec<Setup> {
    let mut steps = Vec::new();
    // It shows the processes of the namespace that it is mounted in; what is hidden in ours would be seen in it.
    if sandbox.private_pids {
        steps.push(mount("proc", "/proc", DATA, ""));
    }
    if sandbox.private_devices {
        steps.extend(devices());
    }
    // One that is mounted later shows the groups below its own, and no others. The same filesystem is not mounted twice at one
    // place (EBUSY), and that of version 2 is there already where it should be: something else comes between.
    if sandbox.private_control_groups {
        steps.push(mount("tmpfs", "/sys/fs/cgroup", DATA, "mode=0555,size=4k"));
        steps.push(mount("cgroup2", "/sys/fs/cgroup", DATA, ""));
    }
    if sandbox.private_tmp {
        steps.push(mount("tmpfs", "/tmp", PLAIN, "mode=1777"));
        steps.push(Setup::Bind {
            source: "/tmp".to_owned(),
            target: "/var/tmp".to_owned(),
            recursive: false,
            flags: MountFlags::default(),
            optional: true,
        });
    }
    steps.extend(read_only(sandbox));
    // After what is read-only, since they are not.
    steps.extend(sandbox.temporary.iter().map(|path| mount("tmpfs", plain(path), PLAIN, "mode=0755")));
    for what in &sandbox.protect {
        steps.extend(protect(*what));
    }
    if sandbox.home == Some(Home::Hidden) {
        steps.extend(HOMES.map(|path| hide(path, true)));
    }
    steps.extend(sandbox.hidden.iter().map(|path| hide(plain(path), path.starts_with('-'))));
    if !steps.is_empty() {
        steps.insert(0, Setup::Propagation { receive: true });
    }
    steps
}

fn mount(kind: &str, target: &str, flags: MountFlags, data: &str) -> Setup {
    Setup::Mount {
        kind: kind.to_owned(),
        source: kind.to_owned(),
        target: target.to_owned(),
        flags,
        data: data.to_owned(),
    }
}

fn hide(path: &str, optional: bool) -> Setup {
    Setup::Hide { path: path.to_owned(), optional }
}

/// A directory of devices with those alone that everybody may have, put together where the old ones can still be seen.
fn devices() -> Vec<Setup> {
    let at = |name: &str| format!("{WORKSHOP}/{name}");
    let flags = MountFlags { no_suid: true, no_exec: true, ..MountFlags::default() };
    let mut steps = vec![
        Setup::Directory { path: WORKSHOP.to_owned(), mode: 0o1777 },
        mount("tmpfs", WORKSHOP, flags, "mode=0755,size=1m"),
    ];
    for name in DEVICES {
        steps.push(Setup::File { path: at(name), mode: 0o666 });
        steps.push(Setup::Bind {
            source: format!("/dev/{name}"),
            target: at(name),
            recursive: false,
            flags: MountFlags::default(),
            optional: true,
        });
    }
    steps.push(Setup::Directory { path: at("pts"), mode: 0o755 });
    steps.push(mount("devpts", &at("pts"), flags, "newinstance,mode=0620,ptmxmode=0666"));
    steps.push(Setup::Directory { path: at("shm"), mode: 0o1777 });
    steps.push(mount("tmpfs", &at("shm"), PLAIN, "mode=1777"));
    for (name, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        steps.push(Setup::Link { path: at(name), to: to.to_owned() });
    }
    steps.push(Setup::Bind {
        source: WORKSHOP.to_owned(),
        target: "/dev".to_owned(),
        recursive: true,
        flags: MountFlags::default(),
        optional: false,
    });
    // Only the directory: what is mounted in it stays as it is.
    steps.push(remount("/dev", false, false, Vec::new()));
    steps
}

fn remount(target: &str, recursive: bool, optional: bool, except: Vec<String>) -> Setup {
    Setup::Remount { target: target.to_owned(), flags: READ_ONLY, recursive, optional, except }
}

/// What cannot be written to.
fn read_only(sandbox: &Sandbox) -> Vec<Setup> {
    let places = |over: &str| -> Vec<String> {
        sandbox.writable.iter().filter(|path| below(plain(path), over)).cloned().collect()
    };
    let mut steps = Vec::new();
    match sandbox.system {
        Some(System::Strict) => {
            let mut except = places("/");
            except.extend(NOT_FILES.map(str::to_owned));
            if sandbox.private_tmp {
                except.extend(["/tmp".to_owned(), "-/var/tmp".to_owned()]);
            }
            steps.push(remount("/", true, false, except));
        }
        Some(System::Full) => {
            let linked = LINKED.map(places).concat();
            let except = |path| if LINKED.contains(&path) { linked.clone() } else { places(path) };
            steps.extend(FULL.map(|path| remount(path, true, true, except(path))));
        }
        None => {}
    }
    if sandbox.home == Some(Home::ReadOnly) {
        steps.extend(HOMES.map(|path| remount(path, true, true, places(path))));
    }
    for path in &sandbox.read_only {
        // What is writable although it is below need not be said again where a step above has left it out.
        steps.push(remount(plain(path), true, path.starts_with('-'), places(plain(path))));
    }
    steps
}

/// The files by which something of the kernel's can be changed or read.
fn protect(what: Protect) -> Vec<Setup> {
    match what {
        Protect::Tunables => {
            let groups = vec!["-/sys/fs/cgroup".to_owned()];
            let mut steps = vec![remount("/sys", true, true, groups)];
            steps.extend(TUNABLES.map(|path| remount(path, true, true, Vec::new())));
            steps
        }
        Protect::Modules => vec![hide("/lib/modules", true), hide("/usr/lib/modules", true)],
        Protect::Logs => vec![hide("/dev/kmsg", true), hide("/proc/kmsg", true)],
        Protect::ControlGroups => vec![remount("/sys/fs/cgroup", true, true, Vec::new())],
        Protect::Clock => vec![hide("/dev/rtc0", true), hide("/dev/rtc", true)],
        Protect::Hostname => Vec::new(),
    }
}

/// The capabilities that go with what is not to be had.
fn refused_capabilities(sandbox: &Sandbox) -> u64 {
    let devices = if sandbox.private_devices { MKNOD | SYS_RAWIO } else { 0 };
    sandbox.protect.iter().fold(devices, |refused, what| {
        refused
            | match what {
                Protect::Modules => SYS_MODULE,
                Protect::Logs => SYSLOG,
                Protect::Clock => SYS_TIME | WAKE_ALARM,
                Protect::Tunables | Protect::ControlGroups | Protect::Hostname => 0,
            }
    })
}

/// The calls that go with it.
fn refused_calls(sandbox: &Sandbox) -> Vec<Rule> {
    let mut sets: Vec<&str> = Vec::new();
    if sandbox.private_devices {
        sets.push("raw-io");
    }
    for what in &sandbox.protect {
        match what {
            Protect::Modules => sets.push("modules"),
            Protect::Logs => sets.push("logs"),
            Protect::Clock => sets.push("clock"),
            Protect::Hostname => sets.push("hostname"),
            Protect::Tunables | Protect::ControlGroups => {}
        }
    }
    let calls = |set: &str| table::set(set).unwrap_or_default();
    let numbers = |set: &&str| calls(set).into_iter().filter_map(table::number).collect();
    sets.iter().map(numbers).map(Rule::Calls).collect()
}
