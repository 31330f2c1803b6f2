//! What the supervisor is told to do before it executes the program of a container.

use super::{Command, PATH, command, environment, program, resolve};
use crate::backend::Place;
use crate::config::Config;
use crate::error::{Context, Error, Result};
use crate::provision::{Provisioned, Root};
use crate::store::Image;
use service::Signal;
use service::definition::{Definition, Prepared};
use service::setup::{Credentials, MountFlags, Namespace, Setup, Step};

/// What of /proc nobody in a container has to see.
const HIDDEN: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/key-users",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
];
/// What of it nobody has to change.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// The devices that every program may expect.
const DEVICES: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
/// Links in /dev.
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];
/// What is the machine's, unless the container has a network of its own.
const NAMES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// A volume, seen in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// A path outside.
    pub source: String,
    /// A path inside.
    pub target: String,
    /// Whether it may be written to.
    pub writable: bool,
}

/// What a service says of its container.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    /// Its definition.
    pub definition: &'a Definition,
    /// What it says of its command.
    pub command: Command,
    /// Whether what the image says of its process is left out of account.
    pub ignore_runtime: bool,
    /// Whether its root may be written to.
    pub writable: bool,
    /// What of outside is seen inside.
    pub mounts: Vec<Mount>,
}

impl Service<'_> {
    /// Whether it uses the machine's network.
    fn shares_network(&self) -> bool {
        !self.definition.process.apart(Namespace::Network)
    }

    fn config<'c>(&self, image: &'c Image, empty: &'c Config) -> &'c Config {
        if self.ignore_runtime { empty } else { &image.config }
    }

    /// What has to be there in its root.
    #[must_use]
    pub fn places(&self, image: &Image) -> Vec<Place> {
        let directory = |path: &str| Place { path: path.to_owned(), file: false };
        let mut places: Vec<Place> = ["/proc", "/sys", "/dev"].map(directory).to_vec();
        if self.shares_network() {
            places.extend(NAMES.map(|path| Place { path: path.to_owned(), file: true }));
        }
        let empty = Config::default();
        let working = &self.config(image, &empty).working_dir;
        if !working.is_empty() {
            places.push(directory(working));
        }
        for mount in &self.mounts {
            let file = std::fs::metadata(&mount.source).is_ok_and(|found| !found.is_dir());
            places.push(Place { path: mount.target.clone(), file });
        }
        places
    }
}

/// What is left for the supervisor.
///
/// # Errors
/// There is nothing to run, or no such user.
pub fn prepare(service: &Service<'_>, image: &Image, made: &Provisioned) -> Result<Prepared> {
    let inside = Root::open(&made.root)?;
    let outside = path(&made.root)?;
    let empty = Config::default();
    let config = service.config(image, &empty);
    let mut words = command(&service.command, config)?;
    let mut variables = environment(config);
    let user = resolve(&inside, &config.user).context(|| "user of the image")?;
    let mut setup = files(service, image, &inside, &outside)?;
    let named = |step: &Step| matches!(step.setup, Setup::Credentials(_));
    if !service.definition.process.setup.iter().any(named) && !config.user.is_empty() {
        let groups = user.groups.iter().chain(&config.groups).map(u32::to_string).collect();
        setup.push(Step {
            setup: Setup::Credentials(Credentials {
                user: user.uid.to_string(),
                group: Some(user.gid.to_string()),
                groups: Some(groups),
            }),
            lenient: false,
        });
    }
    default(&mut variables, "PATH", PATH);
    if let Some(home) = &user.home {
        default(&mut variables, "HOME", home);
    }
    let path = variables.iter().find(|(name, _)| name == "PATH").map_or(PATH, |(_, value)| value);
    if let Some(first) = words.first_mut() {
        *first = program(&inside, first, path)?;
    }
    let stop_signal = match config.stop_signal.as_str() {
        "" => None,
        text => Some(signal(text)?),
    };
    Ok(Prepared {
        command: words,
        environment: variables,
        working_directory: Some(config.working_dir.clone()).filter(|directory| directory.starts_with('/')),
        setup,
        namespaces: vec![Namespace::Mount],
        stop_signal,
        root: outside,
        origin: format!("{} {}", image.reference, image.id),
    })
}

/// `SIGQUIT`, `QUIT` or a number.
fn signal(text: &str) -> Result<Signal> {
    let number = text.parse::<i32>().ok().and_then(Signal::from_number);
    let named = || Signal::parse(text.strip_prefix("SIG").unwrap_or(text));
    number.or_else(named).ok_or_else(|| Error::refused(format!("the image's stop signal {text:?} is none")))
}

/// A variable that is there unless the image says otherwise.
fn default(variables: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !variables.iter().any(|(found, _)| found == name) {
        variables.insert(0, (name.to_owned(), value.to_owned()));
    }
}

fn path(path: &std::path::Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| Error::refused(format!("{} is not UTF-8", path.display())))?;
    Ok(text.to_owned())
}

/// The steps that make the tree of files, and enter it.
fn files(service: &Service<'_>, image: &Image, inside: &Root, root: &str) -> Result<Vec<Step>> {
    let mut steps = Steps { root: root.to_owned(), steps: Vec::new() };
    steps.add(Setup::Propagation { receive: false });
    // Only a mount can become the root, and a directory that was copied is none.
    steps.add(Setup::Bind {
        source: root.to_owned(),
        target: root.to_owned(),
        recursive: true,
        flags: MountFlags::default(),
        optional: false,
    });
    steps.kernel();
    steps.devices();
    if service.shares_network() {
        for name in NAMES {
            let place = Place { path: name.to_owned(), file: true };
            let target = inside.ensure(&place)?;
            steps.bind(name, &target, true, true);
        }
    }
    for (mount, place) in
        service.mounts.iter().zip(service.places(image).iter().rev().take(service.mounts.len()).rev())
    {
        let target = inside.ensure(place)?;
        steps.bind(&mount.source, &target, !mount.writable, false);
    }
    if !service.writable {
        let flags = MountFlags { read_only: true, ..MountFlags::default() };
        steps.add(Setup::Remount {
            target: root.to_owned(),
            flags,
            recursive: false,
            optional: false,
            except: Vec::new(),
        });
    }
    steps.add(Setup::Root(root.to_owned()));
    Ok(steps.steps)
}

/// Steps, and the root that they are for.
struct Steps {
    root: String,
    steps: Vec<Step>,
}

impl Steps {
    fn add(&mut self, setup: Setup) {
        self.steps.push(Step { setup, lenient: false });
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    fn bind(&mut self, source: &str, target: &str, read_only: bool, optional: bool) {
        let flags = MountFlags { read_only, ..MountFlags::default() };
        let target = self.at(target);
        self.add(Setup::Bind { source: source.to_owned(), target, recursive: true, flags, optional });
    }

    fn mount(&mut self, kind: &str, target: &str, data: &str, flags: MountFlags) {
        let target = self.at(target);
        let (kind, source) = (kind.to_owned(), kind.to_owned());
        self.add(Setup::Mount { kind, source, target, flags, data: data.to_owned() });
    }

    /// /proc and /sys, of which much is the whole machine's.
    fn kernel(&mut self) {
        let inert = MountFlags { no_suid: true, no_dev: true, no_exec: true, read_only: false };
        let fixed = MountFlags { read_only: true, ..inert };
        self.mount("proc", "/proc", "", inert);
        self.mount("sysfs", "/sys", "", fixed);
        for name in READ_ONLY {
            let target = self.at(name);
            self.add(Setup::Remount {
                target,
                flags: fixed,
                recursive: false,
                optional: true,
                except: Vec::new(),
            });
        }
        for name in HIDDEN {
            let path = self.at(name);
            self.add(Setup::Hide { path, optional: true });
        }
        self.hide_groups(fixed);
    }

    /// Other services' control groups.
    fn hide_groups(&mut self, fixed: MountFlags) {
        let target = self.at("/sys/fs/cgroup");
        let kind = "tmpfs".to_owned();
        let setup = Setup::Mount {
            source: kind.clone(),
            kind,
            target,
            flags: fixed,
            data: "size=0k,mode=755".to_owned(),
        };
        // A kernel without control groups has no place for it.
        self.steps.push(Step { setup, lenient: true });
    }

    /// /dev: the devices that are harmless, terminals of its own, and shared memory.
    fn devices(&mut self) {
        let quiet = MountFlags { no_suid: true, no_exec: true, ..MountFlags::default() };
        self.mount("tmpfs", "/dev", "mode=755,size=64k", quiet);
        for name in DEVICES {
            let (source, target) = (format!("/dev/{name}"), self.at(&format!("/dev/{name}")));
            self.add(Setup::File { path: target.clone(), mode: 0o666 });
            self.add(Setup::Bind {
                source,
                target,
                recursive: false,
                flags: MountFlags::default(),
                optional: true,
            });
        }
        for (name, to) in LINKS {
            let path = self.at(&format!("/dev/{name}"));
            self.add(Setup::Link { path, to: to.to_owned() });
        }
        for (path, mode) in [("/dev/pts", 0o755), ("/dev/shm", 0o1777)] {
            let path = self.at(path);
            self.add(Setup::Directory { path, mode });
        }
        self.mount("devpts", "/dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", quiet);
        let shared = MountFlags { no_dev: true, ..quiet };
        self.mount("tmpfs", "/dev/shm", "mode=1777", shared);
    }
}
