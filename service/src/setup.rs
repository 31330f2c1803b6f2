//! What a process is made of between its clone and its exec: a list of steps, each one system call or a few.
//!
//! The compiler of definitions turns words (`user = "nobody"`, `private-tmp = true`) into these steps, in the order in
//! which they have to be done; so does the provisioner for the root of a container. The supervisor reads them, looks
//! up the names of users, and does them one after the other. A step that fails is named, with its reason.

pub mod capability;
mod text;

use std::fmt;

/// A step, and what its failure means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    /// What is done.
    pub setup: Setup,
    /// Whether the program is executed even if this fails, with a warning: what a kernel may lack.
    pub lenient: bool,
}

/// What can be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// The niceness, -20 to 19 (setpriority(2)).
    Nice(i32),
    /// The class and the level of its I/O (ioprio_set(2)).
    IoPriority {
        /// In which class.
        class: IoClass,
        /// From 0, the first, to 7.
        level: u8,
    },
    /// The scheduling policy and its priority: 1 to 99 for a real-time one, else 0 (sched_setscheduler(2)).
    Scheduler {
        /// By which policy.
        policy: Policy,
        /// Of what priority.
        priority: u8,
    },
    /// The processors that it may run on (sched_setaffinity(2)).
    Affinity(Vec<u16>),
    /// How readily it is killed for want of memory, -1000 to 1000 (proc(5), `oom_score_adj`).
    OomScore(i32),
    /// A resource limit (setrlimit(2)); [`u64::MAX`] is none.
    Limit {
        /// Of what.
        resource: Resource,
        /// What it is held to.
        soft: u64,
        /// How far it may raise that by itself.
        hard: u64,
    },
    /// The file mode creation mask (umask(2)).
    Umask(u32),
    /// Enters a namespace that is there (setns(2)): the file that it is known by.
    Join {
        /// Of which kind.
        kind: Namespace,
        /// The file, as /proc/PID/ns/KIND or below /run/netns.
        path: String,
    },
    /// Leaves a namespace for one of its own (unshare(2)): that of control groups, whose root is the group that it is in by
    /// then, which a clone would take from its parent.
    Leave(Namespace),
    /// The host name, in a UTS namespace of its own.
    Hostname(String),
    /// Brings up the loopback interface of a network namespace of its own.
    Loopback,
    /// What is mounted from now on is not seen outside; what is mounted outside still comes in (`MS_SLAVE`), or not (`MS_PRIVATE`).
    Propagation {
        /// Whether it still comes in.
        receive: bool,
    },
    /// A directory, with those above it; one that is there is left as it is.
    Directory {
        /// Where.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// An empty file; one that is there is left as it is.
    File {
        /// Where.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// A symbolic link; what is there is left as it is.
    Link {
        /// Where.
        path: String,
        /// What it says.
        to: String,
    },
    /// Shows a file or a directory at another place as well (`MS_BIND`).
    Bind {
        /// What is shown.
        source: String,
        /// Where.
        target: String,
        /// Whether the mounts below it come along.
        recursive: bool,
        /// What may not be done there.
        flags: MountFlags,
        /// Nothing is done if the source or the place is missing.
        optional: bool,
    },
    /// Mounts a filesystem (mount(2)).
    Mount {
        /// Its type, which is its source's name too unless there is one.
        kind: String,
        /// The device or what stands for it.
        source: String,
        /// Where.
        target: String,
        /// What may not be done there.
        flags: MountFlags,
        /// The filesystem's own options.
        data: String,
    },
    /// Forbids more below a place (mount_setattr(2)), which is made a mount of its own if it is none.
    Remount {
        /// Where.
        target: String,
        /// What may not be done there.
        flags: MountFlags,
        /// Whether also in the mounts below it.
        recursive: bool,
        /// Nothing is done if it is missing.
        optional: bool,
        /// Places below it that stay as they are; one after `-` may be missing.
        except: Vec<String>,
    },
    /// Makes a file or a directory impossible to look into.
    Hide {
        /// Which.
        path: String,
        /// Nothing is done if it is missing.
        optional: bool,
    },
    /// Makes a mount the root, and lets go of the old one (pivot_root(2)). Paths after this are seen from there.
    Root(String),
    /// The terminal on its standard input becomes its own (ioctl_tty(2), `TIOCSCTTY`).
    Terminal,
    /// Enters a directory (chdir(2)).
    WorkingDirectory(String),
    /// Restricts it to what may be done below some paths, and to some ports (landlock(7)).
    Landlock(Landlock),
    /// Capabilities that neither it nor what it executes can ever have again are all but these (capabilities(7)): a bit for each.
    Bounding(u64),
    /// Whose it is. Names are looked up at each start.
    Credentials(Credentials),
    /// Capabilities that it has although it is not root, and hands on (`PR_CAP_AMBIENT`): a bit for each.
    Ambient(u64),
    /// Nothing that it executes gives it a privilege (`PR_SET_NO_NEW_PRIVS`).
    NoNewPrivileges,
    /// The filter of its system calls, an instruction of classic BPF each (seccomp(2)).
    Seccomp(Vec<u64>),
}

/// The classes of I/O (ioprio_set(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoClass {
    /// Before all others.
    RealTime,
    /// As usual.
    BestEffort,
    /// Only what others leave.
    Idle,
}

/// The scheduling policies (sched(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Policy {
    /// As usual.
    Other,
    /// For what computes for a long time.
    Batch,
    /// Only what others leave.
    Idle,
    /// Real time, until it yields.
    Fifo,
    /// Real time, by turns.
    RoundRobin,
}

/// What is limited for a process (setrlimit(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// Its address space, in bytes.
    As,
    /// A core file, in bytes.
    Core,
    /// Processor time, in seconds.
    Cpu,
    /// Its data, in bytes.
    Data,
    /// A file that it writes, in bytes.
    Fsize,
    /// Locks.
    Locks,
    /// Memory that is locked, in bytes.
    Memlock,
    /// POSIX message queues, in bytes.
    Msgqueue,
    /// How far it may raise its priority: 20 minus the niceness.
    Nice,
    /// Open descriptors.
    Nofile,
    /// Processes of its user.
    Nproc,
    /// Resident pages; without effect today.
    Rss,
    /// Real-time priority.
    Rtprio,
    /// Real time without a pause, in microseconds.
    Rttime,
    /// Signals that are waiting.
    Sigpending,
    /// The stack, in bytes.
    Stack,
}

/// Kinds of namespaces (namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Namespace {
    /// Control groups.
    Cgroup,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// Mounts.
    Mount,
    /// The network.
    Network,
    /// Process ids.
    Pid,
    /// Users and groups.
    User,
    /// Host name.
    Uts,
}

/// What may not be done on a mount (mount(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct MountFlags {
    /// Writing.
    pub read_only: bool,
    /// Gaining a user's or a group's rights by executing.
    pub no_suid: bool,
    /// Using device files.
    pub no_dev: bool,
    /// Executing.
    pub no_exec: bool,
}

/// Whose a process is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// The user, by name or by number.
    pub user: String,
    /// The group; none is that of the user.
    pub group: Option<String>,
    /// The supplementary groups; none is those that the user is in (initgroups(3)).
    pub groups: Option<Vec<String>>,
}

/// What a process is restricted to by itself (landlock(7)). The rights are the kernel's bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Landlock {
    /// The rights on files that are refused wherever no path below grants them.
    pub handled: u64,
    /// What is granted below which paths; one after `-` may be missing.
    pub paths: Vec<(u64, String)>,
    /// The rights on ports that are refused unless granted below (Linux 6.7).
    pub handled_ports: u64,
    /// What is granted for which TCP ports.
    pub ports: Vec<(u64, u16)>,
}

/// The order of the steps: every one belongs to a stage, and a stage's steps stay as they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// What a process is given by a number; raising some takes a privilege that is given up later.
    Numbers,
    /// Namespaces, and what is in them.
    Namespaces,
    /// The tree of files that it sees.
    Files,
    /// Where it is, and what it may reach from now on.
    Place,
    /// Whose it is, and what it may do.
    Rights,
    /// What it may ask the kernel for: the last, since the steps themselves ask for things.
    Calls,
}

impl Setup {
    /// When it is done.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Setup::Nice(_)
            | Setup::IoPriority { .. }
            | Setup::Scheduler { .. }
            | Setup::Affinity(_)
            | Setup::OomScore(_)
            | Setup::Limit { .. }
            | Setup::Terminal => Stage::Numbers,
            Setup::Join { .. } | Setup::Leave(_) | Setup::Hostname(_) | Setup::Loopback => Stage::Namespaces,
            Setup::Propagation { .. }
            | Setup::Directory { .. }
            | Setup::File { .. }
            | Setup::Link { .. }
            | Setup::Bind { .. }
            | Setup::Mount { .. }
            | Setup::Remount { .. }
            | Setup::Hide { .. }
            | Setup::Root(_) => Stage::Files,
            Setup::Umask(_) | Setup::WorkingDirectory(_) | Setup::Landlock(_) => Stage::Place,
            Setup::Bounding(_) | Setup::Credentials(_) | Setup::Ambient(_) | Setup::NoNewPrivileges => {
                Stage::Rights
            }
            Setup::Seccomp(_) => Stage::Calls,
        }
    }
}

impl Setup {
    /// The order of rights among themselves: each takes what the next ones do without.
    #[allow(clippy::wildcard_enum_match_arm, reason = "the others stay as they were written")]
    fn rank(&self) -> u8 {
        match self {
            Setup::Credentials(_) => 1,
            Setup::Ambient(_) => 2,
            Setup::NoNewPrivileges => 3,
            _ => 0,
        }
    }
}

/// Puts steps into the order in which they have to be done; those of one stage stay as they were, but for rights.
pub fn order(steps: &mut [Step]) {
    steps.sort_by_key(|step| (step.setup.stage(), step.setup.rank()));
}

impl fmt::Display for Setup {
    /// What could not be done, after "unable to".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setup::Nice(value) => write!(f, "set the niceness to {value}"),
            Setup::IoPriority { .. } => f.write_str("set the priority of its I/O"),
            Setup::Scheduler { policy, .. } => write!(f, "be scheduled by the policy {}", policy.word()),
            Setup::Affinity(_) => f.write_str("choose its processors"),
            Setup::OomScore(value) => write!(f, "set the OOM score to {value}"),
            Setup::Limit { resource, .. } => write!(f, "set the limit {}", resource.word()),
            Setup::Umask(mask) => write!(f, "set the umask to {mask:03o}"),
            Setup::Join { kind, path } => write!(f, "enter the {} namespace of {path}", kind.word()),
            Setup::Leave(kind) => write!(f, "make its own {} namespace", kind.word()),
            Setup::Hostname(name) => write!(f, "set the host name {name}"),
            Setup::Loopback => f.write_str("bring up the loopback interface"),
            Setup::Propagation { .. } => f.write_str("keep its mounts to itself"),
            Setup::Directory { path, .. } => write!(f, "make the directory {path}"),
            Setup::File { path, .. } => write!(f, "make the file {path}"),
            Setup::Link { path, .. } => write!(f, "make the link {path}"),
            Setup::Bind { source, target, .. } => write!(f, "show {source} at {target}"),
            Setup::Mount { kind, target, .. } => write!(f, "mount {kind} at {target}"),
            Setup::Remount { target, except, .. } if except.is_empty() => {
                write!(f, "restrict the mount at {target}")
            }
            Setup::Remount { target, except, .. } => {
                write!(f, "restrict the mount at {target} except {}", except.join(", "))
            }
            Setup::Hide { path, .. } => write!(f, "hide {path}"),
            Setup::Root(path) => write!(f, "make {path} its root"),
            Setup::Terminal => f.write_str("take its terminal"),
            Setup::WorkingDirectory(path) => write!(f, "enter the directory {path}"),
            Setup::Landlock(_) => f.write_str("restrict itself by landlock"),
            Setup::Bounding(_) => f.write_str("give up capabilities"),
            Setup::Credentials(credentials) => write!(f, "become user {}", credentials.user),
            Setup::Ambient(_) => f.write_str("keep capabilities"),
            Setup::NoNewPrivileges => f.write_str("forgo new privileges"),
            Setup::Seccomp(_) => f.write_str("filter its system calls"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_a_privilege_comes_before_it_is_given_up() {
        let mut steps: Vec<Step> = [
            Setup::Seccomp(vec![6]),
            Setup::NoNewPrivileges,
            Setup::Ambient(1),
            Setup::Credentials(Credentials { user: "nobody".to_owned(), group: None, groups: None }),
            Setup::Bounding(1),
            Setup::Root("/r".to_owned()),
            Setup::WorkingDirectory("/".to_owned()),
            Setup::Hostname("h".to_owned()),
            Setup::Nice(-5),
            Setup::Nice(-6),
        ]
        .map(|setup| Step { setup, lenient: false })
        .to_vec();
        order(&mut steps);
        let stages: Vec<Stage> = steps.iter().map(|step| step.setup.stage()).collect();
        assert!(stages.is_sorted());
        let setups: Vec<&Setup> = steps.iter().map(|step| &step.setup).collect();
        assert_eq!(setups[..2], [&Setup::Nice(-5), &Setup::Nice(-6)]);
        let nobody = Credentials { user: "nobody".to_owned(), group: None, groups: None };
        let rights = [
            &Setup::Bounding(1),
            &Setup::Credentials(nobody),
            &Setup::Ambient(1),
            &Setup::NoNewPrivileges,
            &Setup::Seccomp(vec![6]),
        ];
        assert_eq!(setups[5..], rights);
    }
}
