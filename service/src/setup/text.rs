//! The text of steps: a word for what is done, and its arguments, in which a space is `%20` (RFC 3986).

use super::{Credentials, IoClass, Landlock, MountFlags, Namespace, Policy, Resource, Setup, Step};
use crate::codec::words::{join, split};
use std::fmt;
use std::str::FromStr;

/// A fixed set of values, each of which has a word.
macro_rules! words {
    ($type:ty, $($variant:ident $word:literal),+ $(,)?) => {
        impl $type {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word people write.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }

            /// The one called `word`.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words!(IoClass, RealTime "real-time", BestEffort "best-effort", Idle "idle");
words!(Policy, Other "other", Batch "batch", Idle "idle", Fifo "fifo", RoundRobin "round-robin");
words!(Resource, As "as", Core "core", Cpu "cpu", Data "data", Fsize "fsize", Locks "locks", Memlock "memlock",
    Msgqueue "msgqueue", Nice "nice", Nofile "nofile", Nproc "nproc", Rss "rss", Rtprio "rtprio", Rttime "rttime",
    Sigpending "sigpending", Stack "stack");
words!(Namespace, Cgroup "cgroup", Ipc "ipc", Mount "mount", Network "network", Pid "pid", User "user", Uts "uts");

/// The flags by their letters, in this order.
impl MountFlags {
    fn text(self) -> String {
        let letters = [(self.read_only, 'r'), (self.no_suid, 's'), (self.no_dev, 'd'), (self.no_exec, 'x')];
        letters.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect()
    }

    fn parse(text: &str) -> Option<MountFlags> {
        let mut flags = MountFlags::default();
        for letter in text.chars() {
            match letter {
                'r' => flags.read_only = true,
                's' => flags.no_suid = true,
                'd' => flags.no_dev = true,
                'x' => flags.no_exec = true,
                _ => return None,
            }
        }
        Some(flags)
    }
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, arguments) = parts(&self.setup);
        let name = if self.lenient { format!("try-{name}") } else { name.to_owned() };
        f.write_str(&join(std::iter::once(name).chain(arguments)))
    }
}

/// The name of a step, and its arguments.
fn parts(setup: &Setup) -> (&'static str, Vec<String>) {
    match setup {
        Setup::Nice(value) => ("nice", vec![value.to_string()]),
        Setup::IoPriority { class, level } => {
            ("io-priority", vec![class.word().to_owned(), level.to_string()])
        }
        Setup::Scheduler { policy, priority } => {
            ("scheduler", vec![policy.word().to_owned(), priority.to_string()])
        }
        Setup::Affinity(processors) => ("affinity", processors.iter().map(u16::to_string).collect()),
        Setup::OomScore(value) => ("oom-score", vec![value.to_string()]),
        Setup::Limit { resource, soft, hard } => {
            ("limit", vec![resource.word().to_owned(), soft.to_string(), hard.to_string()])
        }
        Setup::Umask(mask) => ("umask", vec![mask.to_string()]),
        Setup::Join { kind, path } => ("join", vec![kind.word().to_owned(), path.clone()]),
        Setup::Leave(kind) => ("leave", vec![kind.word().to_owned()]),
        Setup::Hostname(name) => ("hostname", vec![name.clone()]),
        Setup::Loopback => ("loopback", Vec::new()),
        Setup::Terminal => ("terminal", Vec::new()),
        Setup::WorkingDirectory(path) => ("working-directory", vec![path.clone()]),
        Setup::Landlock(landlock) => ("landlock", landlock_text(landlock)),
        Setup::Bounding(set) => ("bounding", vec![set.to_string()]),
        Setup::Credentials(credentials) => ("credentials", credentials_text(credentials)),
        Setup::Ambient(set) => ("ambient", vec![set.to_string()]),
        Setup::NoNewPrivileges => ("no-new-privileges", Vec::new()),
        Setup::Seccomp(program) => {
            ("seccomp", program.iter().map(|instruction| format!("{instruction:x}")).collect())
        }
        Setup::Propagation { .. }
        | Setup::Directory { .. }
        | Setup::File { .. }
        | Setup::Link { .. }
        | Setup::Bind { .. }
        | Setup::Mount { .. }
        | Setup::Remount { .. }
        | Setup::Hide { .. }
        | Setup::Root(_) => parts_of_files(setup),
    }
}

/// The same for the steps that make the tree of files.
#[allow(clippy::wildcard_enum_match_arm, reason = "`parts` has all the others")]
fn parts_of_files(setup: &Setup) -> (&'static str, Vec<String>) {
    match setup {
        Setup::Propagation { receive } => ("propagation", vec![yes(*receive)]),
        Setup::Directory { path, mode } => ("directory", vec![path.clone(), mode.to_string()]),
        Setup::File { path, mode } => ("file", vec![path.clone(), mode.to_string()]),
        Setup::Link { path, to } => ("link", vec![path.clone(), to.clone()]),
        Setup::Bind { source, target, recursive, flags, optional } => {
            ("bind", vec![source.clone(), target.clone(), yes(*recursive), flags.text(), yes(*optional)])
        }
        Setup::Mount { kind, source, target, flags, data } => {
            ("mount", vec![kind.clone(), source.clone(), target.clone(), flags.text(), data.clone()])
        }
        Setup::Remount { target, flags, recursive, optional, except } => {
            let mut words = vec![target.clone(), flags.text(), yes(*recursive), yes(*optional)];
            words.extend(except.iter().cloned());
            ("remount", words)
        }
        Setup::Hide { path, optional } => ("hide", vec![path.clone(), yes(*optional)]),
        Setup::Root(path) => ("root", vec![path.clone()]),
        _ => ("", Vec::new()),
    }
}

/// The user, the group, whether there are groups, and the groups.
fn credentials_text(credentials: &Credentials) -> Vec<String> {
    let mut words = vec![
        credentials.user.clone(),
        credentials.group.clone().unwrap_or_default(),
        yes(credentials.groups.is_some()),
    ];
    words.extend(credentials.groups.iter().flatten().cloned());
    words
}

/// What is handled, then what is granted: `RIGHTS /PATH` or `RIGHTS PORT` pairs.
fn landlock_text(landlock: &Landlock) -> Vec<String> {
    let mut words = vec![landlock.handled.to_string(), landlock.handled_ports.to_string()];
    for (rights, path) in &landlock.paths {
        words.extend([rights.to_string(), path.clone()]);
    }
    for (rights, port) in &landlock.ports {
        words.extend([rights.to_string(), port.to_string()]);
    }
    words
}

/// A step that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl FromStr for Step {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Step, Unreadable> {
        let words = split(text);
        let (name, arguments) = words.split_first().ok_or(Unreadable)?;
        let (name, lenient) = name.strip_prefix("try-").map_or((name.as_str(), false), |name| (name, true));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let setup = read(name, &arguments).or_else(|| read_files(name, &arguments)).ok_or(Unreadable)?;
        Ok(Step { setup, lenient })
    }
}

fn numbers<T: FromStr>(words: &[&str]) -> Option<Vec<T>> {
    words.iter().map(|word| word.parse().ok()).collect()
}

fn yes_or_no(word: &str) -> Option<bool> {
    match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

fn read(name: &str, arguments: &[&str]) -> Option<Setup> {
    Some(match (name, arguments) {
        ("nice", [value]) => Setup::Nice(value.parse().ok()?),
        ("io-priority", [class, level]) => {
            Setup::IoPriority { class: IoClass::parse(class)?, level: level.parse().ok()? }
        }
        ("scheduler", [policy, priority]) => {
            Setup::Scheduler { policy: Policy::parse(policy)?, priority: priority.parse().ok()? }
        }
        ("affinity", processors) => Setup::Affinity(numbers(processors)?),
        ("oom-score", [value]) => Setup::OomScore(value.parse().ok()?),
        ("limit", [resource, soft, hard]) => Setup::Limit {
            resource: Resource::parse(resource)?,
            soft: soft.parse().ok()?,
            hard: hard.parse().ok()?,
        },
        ("umask", [mask]) => Setup::Umask(mask.parse().ok()?),
        ("join", [kind, path]) => Setup::Join { kind: Namespace::parse(kind)?, path: (*path).to_owned() },
        ("leave", [kind]) => Setup::Leave(Namespace::parse(kind)?),
        ("hostname", [name]) => Setup::Hostname((*name).to_owned()),
        ("loopback", []) => Setup::Loopback,
        ("terminal", []) => Setup::Terminal,
        ("working-directory", [path]) => Setup::WorkingDirectory((*path).to_owned()),
        ("landlock", [handled, ports, rules @ ..]) => Setup::Landlock(read_landlock(handled, ports, rules)?),
        ("bounding", [set]) => Setup::Bounding(set.parse().ok()?),
        ("credentials", [user, group, chosen, groups @ ..]) => {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            Setup::Credentials(Credentials {
                user: (*user).to_owned(),
                group: (!group.is_empty()).then(|| (*group).to_owned()),
                groups: yes_or_no(chosen)?.then_some(groups),
            })
        }
        ("ambient", [set]) => Setup::Ambient(set.parse().ok()?),
        ("no-new-privileges", []) => Setup::NoNewPrivileges,
        ("seccomp", program) => Setup::Seccomp(
            program.iter().map(|word| u64::from_str_radix(word, 16).ok()).collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

fn read_files(name: &str, arguments: &[&str]) -> Option<Setup> {
    let own = |word: &str| word.to_owned();
    Some(match (name, arguments) {
        ("propagation", [receive]) => Setup::Propagation { receive: yes_or_no(receive)? },
        ("directory", [path, mode]) => Setup::Directory { path: own(path), mode: mode.parse().ok()? },
        ("file", [path, mode]) => Setup::File { path: own(path), mode: mode.parse().ok()? },
        ("link", [path, to]) => Setup::Link { path: own(path), to: own(to) },
        ("bind", [source, target, recursive, flags, optional]) => Setup::Bind {
            source: own(source),
            target: own(target),
            recursive: yes_or_no(recursive)?,
            flags: MountFlags::parse(flags)?,
            optional: yes_or_no(optional)?,
        },
        ("mount", [kind, source, target, flags, data]) => Setup::Mount {
            kind: own(kind),
            source: own(source),
            target: own(target),
            flags: MountFlags::parse(flags)?,
            data: own(data),
        },
        ("remount", [target, flags, recursive, optional, except @ ..]) => Setup::Remount {
            target: own(target),
            flags: MountFlags::parse(flags)?,
            recursive: yes_or_no(recursive)?,
            optional: yes_or_no(optional)?,
            except: except.iter().map(|path| own(path)).collect(),
        },
        ("hide", [path, optional]) => Setup::Hide { path: own(path), optional: yes_or_no(optional)? },
        ("root", [path]) => Setup::Root(own(path)),
        _ => return None,
    })
}

fn read_landlock(handled: &str, handled_ports: &str, rules: &[&str]) -> Option<Landlock> {
    let mut landlock = Landlock {
        handled: handled.parse().ok()?,
        handled_ports: handled_ports.parse().ok()?,
        ..Landlock::default()
    };
    let (pairs, []) = rules.as_chunks::<2>() else { return None };
    for [rights, what] in pairs {
        let rights = rights.parse().ok()?;
        if what.starts_with(['/', '-']) {
            landlock.paths.push((rights, (*what).to_owned()));
        } else {
            landlock.ports.push((rights, what.parse().ok()?));
        }
    }
    Some(landlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of every kind: a new kind that is left out here is still held to the match in [`parts`].
    fn every() -> Vec<Setup> {
        let flags = MountFlags { read_only: true, no_suid: true, no_dev: false, no_exec: true };
        let path = || "/a b%/c".to_owned();
        vec![
            Setup::Nice(-20),
            Setup::IoPriority { class: IoClass::Idle, level: 7 },
            Setup::Scheduler { policy: Policy::RoundRobin, priority: 99 },
            Setup::Affinity(vec![0, 5]),
            Setup::OomScore(-1000),
            Setup::Limit { resource: Resource::Nofile, soft: 1024, hard: u64::MAX },
            Setup::Umask(0o027),
            Setup::Join { kind: Namespace::Network, path: path() },
            Setup::Leave(Namespace::Cgroup),
            Setup::Hostname("h".to_owned()),
            Setup::Loopback,
            Setup::Propagation { receive: true },
            Setup::Directory { path: path(), mode: 0o755 },
            Setup::File { path: path(), mode: 0 },
            Setup::Link { path: path(), to: path() },
            Setup::Bind { source: path(), target: path(), recursive: true, flags, optional: true },
            Setup::Mount {
                kind: "tmpfs".to_owned(),
                source: String::new(),
                target: path(),
                flags: MountFlags::default(),
                data: "mode=0755,size=10m".to_owned(),
            },
            Setup::Remount {
                target: path(),
                flags,
                recursive: false,
                optional: false,
                except: vec![path(), "-/d".to_owned()],
            },
            Setup::Hide { path: path(), optional: true },
            Setup::Root(path()),
            Setup::Terminal,
            Setup::WorkingDirectory("/\n".to_owned()),
            Setup::Landlock(Landlock {
                handled: 15,
                paths: vec![(3, path()), (1, "-/x".to_owned())],
                handled_ports: 2,
                ports: vec![(1, 80)],
            }),
            Setup::Bounding(u64::MAX),
            Setup::Credentials(Credentials { user: "a".to_owned(), group: None, groups: Some(Vec::new()) }),
            Setup::Credentials(Credentials {
                user: "1".to_owned(),
                group: Some("g".to_owned()),
                groups: Some(vec!["x".to_owned(), "2".to_owned()]),
            }),
            Setup::Credentials(Credentials { user: "a".to_owned(), group: None, groups: None }),
            Setup::Ambient(1 << 10),
            Setup::NoNewPrivileges,
            Setup::Seccomp(vec![0x7fff_0000_0000_0006, 0]),
        ]
    }

    #[test]
    fn every_step_comes_back_from_its_text() {
        for setup in every() {
            for lenient in [false, true] {
                let step = Step { setup: setup.clone(), lenient };
                let text = step.to_string();
                assert_eq!(text.parse(), Ok(step), "{text}");
            }
        }
    }

    #[test]
    fn a_step_that_cannot_be_read_is_refused() {
        for text in
            ["", "fly", "nice", "nice x", "bind /a /b yes q no", "landlock 1 2 3", "limit nofiles 1 2"]
        {
            assert_eq!(text.parse::<Step>(), Err(Unreadable), "{text}");
        }
    }
}
