//! What is asked of a definition, by subject, and how much it weighs.

use super::Standing;
use super::look::{Look, best, worst};
use service::setup::{Namespace, Setup};

/// One thing that a service could do.
pub(super) struct Check {
    pub(super) subject: &'static str,
    /// What it could do.
    pub(super) what: &'static str,
    /// How much that is, beside the others.
    pub(super) weight: u32,
    /// What would close it.
    pub(super) closed_by: &'static str,
    /// How it stands.
    pub(super) standing: fn(&Look<'_>) -> Standing,
}

/// Capabilities, by their numbers (linux/capability.h).
const SYS_ADMIN: u64 = 1 << 21;
const SYS_PTRACE: u64 = 1 << 19;
const NET_ADMIN: u64 = 1 << 12;
const SYS_MODULE: u64 = 1 << 16;
const SYS_TIME: u64 = 1 << 25;
const SYSLOG: u64 = 1 << 34;
/// Reading and writing anybody's files, and becoming anybody.
const FILES: u64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 7;

/// A number that no kernel has a call for yet.
const UNKNOWN: u32 = 1000;

const fn check(
    subject: &'static str,
    what: &'static str,
    weight: u32,
    closed_by: &'static str,
    standing: fn(&Look<'_>) -> Standing,
) -> Check {
    Check { subject, what, weight, closed_by, standing }
}

/// Both a call that is refused and a capability that it lacks are enough.
fn set_or_capability(look: &Look<'_>, set: &str, capability: u64) -> Standing {
    best([look.refused_set(set), look.lacks(capability)])
}

pub(super) const CHECKS: &[Check] = &[
    check("who it is", "be root on the machine", 20, "another user; private-users with a user-map", |look| {
        best([look.not_root()])
    }),
    check(
        "who it is",
        "administer the system (CAP_SYS_ADMIN)",
        8,
        "another user; fewer capabilities",
        |look| look.lacks(SYS_ADMIN),
    ),
    check(
        "who it is",
        "look into others' processes (CAP_SYS_PTRACE)",
        4,
        "another user; fewer capabilities",
        |look| best([look.lacks(SYS_PTRACE), look.refused_set("debug")]),
    ),
    check("who it is", "take anybody's files and identity", 6, "another user; fewer capabilities", |look| {
        look.lacks(FILES)
    }),
    check("who it is", "gain privileges by what it executes", 6, "system-calls; landlock", |look| {
        look.done_by(|setup| matches!(setup, Setup::NoNewPrivileges))
    }),
    check("files", "change the system's programs and settings", 10, "system = \"full\"", |look| {
        best([worst([look.read_only("/usr"), look.read_only("/etc")]), look.root()])
    }),
    check("files", "change any file that is not its own", 6, "system = \"strict\"", |look| {
        best([look.read_only_itself("/"), look.root(), landlock(look)])
    }),
    check("files", "read what is not listed", 4, "landlock; hidden", |look| {
        best([landlock(look), look.root()])
    }),
    check("files", "read people's home directories", 4, "home = \"hidden\"", |look| {
        best([worst([look.hidden("/home"), look.hidden("/root")]), look.root(), landlock(look)])
    }),
    check("files", "see and use the /tmp of everybody", 4, "private-tmp", |look| {
        best([look.own("/tmp"), look.root(), landlock(look)])
    }),
    check("files", "reach the machine's devices", 6, "private-devices", |look| {
        best([look.own("/dev"), look.root()])
    }),
    check("files", "make files that give away rights (setuid)", 3, "deny = [\"setuid-files\"]", |look| {
        look.refused("fchmod", [0, 0o4755, 0, 0, 0, 0])
    }),
    check("the kernel", "set its tunables", 4, "protect = [\"tunables\"]", |look| {
        worst([look.read_only_itself("/proc/sys"), look.read_only_itself("/sys")])
    }),
    check("the kernel", "load modules", 5, "protect = [\"modules\"]", |look| {
        set_or_capability(look, "modules", SYS_MODULE)
    }),
    check("the kernel", "read its log", 2, "protect = [\"logs\"]", |look| {
        set_or_capability(look, "logs", SYSLOG)
    }),
    check("the kernel", "set the clock", 3, "protect = [\"clock\"]", |look| {
        set_or_capability(look, "clock", SYS_TIME)
    }),
    check(
        "the kernel",
        "change others' control groups",
        3,
        "protect = [\"control-groups\"]; private-control-groups",
        |look| best([look.read_only_itself("/sys/fs/cgroup"), look.own("/sys/fs/cgroup"), look.root()]),
    ),
    check("the kernel", "name the machine", 1, "protect = [\"hostname\"]", |look| {
        best([look.apart(Namespace::Uts), look.refused_set("hostname")])
    }),
    check("others", "see and signal other processes", 5, "private-pids", |look| look.apart(Namespace::Pid)),
    check("others", "use others' queues and shared memory", 2, "private-ipc", |look| {
        look.apart(Namespace::Ipc)
    }),
    check("others", "look into them (ptrace and its like)", 3, "system-calls = [\"-@debug\"]", |look| {
        look.refused_set("debug")
    }),
    check("network", "use the machine's network", 8, "network = \"private\"", |look| {
        let families = worst([look.no_family(2), look.no_family(10)]);
        let joined = |setup: &Setup| matches!(setup, Setup::Join { kind: Namespace::Network, .. });
        best([look.apart(Namespace::Network), look.done_by(joined), families])
    }),
    check("network", "set it up (CAP_NET_ADMIN)", 4, "another user; private-users", |look| {
        best([look.lacks(NET_ADMIN), look.apart(Namespace::Network)])
    }),
    check("network", "read and forge packets", 3, "address-families", |look| {
        best([look.no_family(17), look.apart(Namespace::Network)])
    }),
    check("network", "make sockets of any other family", 2, "address-families", |look| look.no_family(45)),
    check("calls", "make calls that are not listed", 8, "system-calls = [\"@service\"]", |look| {
        look.refused_number(UNKNOWN, [0; 6])
    }),
    check("calls", "mount, and change its root", 3, "system-calls = [\"-@mount\"]", |look| {
        look.refused_set("mount")
    }),
    check("calls", "make namespaces of its own", 4, "deny = [\"namespaces\"]", |look| {
        worst([
            look.refused("unshare", [0x1000_0000, 0, 0, 0, 0, 0]),
            look.refused("clone", [0x1000_0000, 0, 0, 0, 0, 0]),
            look.refused("clone3", [0; 6]),
        ])
    }),
    check(
        "calls",
        "extend and watch the kernel (bpf and its like)",
        4,
        "system-calls = [\"-@kernel\"]",
        |look| look.refused_set("kernel"),
    ),
    check("calls", "go by io_uring, past filters", 2, "system-calls = [\"-@io-uring\"]", |look| {
        look.refused("io_uring_setup", [0; 6])
    }),
    check("calls", "use the kernel's keys", 1, "system-calls = [\"-@keyring\"]", |look| {
        look.refused_set("keyring")
    }),
    check("calls", "reboot, or load another kernel", 3, "system-calls = [\"-@reboot\"]", |look| {
        best([look.refused_set("reboot"), look.apart(Namespace::User)])
    }),
    check("calls", "write code and execute it", 3, "deny = [\"write-execute\"]", |look| {
        worst([
            look.refused("mmap", [0, 4096, 7, 0x22, 0, 0]),
            look.refused("mprotect", [0, 4096, 5, 0, 0, 0]),
        ])
    }),
    check("calls", "run before everybody else (real time)", 1, "deny = [\"real-time\"]", |look| {
        look.refused("sched_setscheduler", [0, 1, 0, 0, 0, 0])
    }),
    check("calls", "have the kernel behave as another one", 1, "deny = [\"personality\"]", |look| {
        look.refused("personality", [0x0040_0000, 0, 0, 0, 0, 0])
    }),
];

/// Whether landlock holds its files.
fn landlock(look: &Look<'_>) -> Standing {
    look.done_by(|setup| matches!(setup, Setup::Landlock(landlock) if landlock.handled != 0))
}
