//! A control group for the service (cgroups(7), version 2): everything that it starts is in it, whatever session
//! or group it goes to, and can be signalled and killed there. The supervisor itself is not.

use crate::launch;
use crate::supervisor::Supervisor;
use service::definition::Scope;
use service::{Pid, Signal};
use std::collections::BTreeSet;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Where version 2 is: alone, or beside version 1.
const ROOTS: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];

/// A service with more groups than this is looked at no further: it must not keep its supervisor busy for ever.
const GROUPS_MAX: usize = 4096;

/// How often those are looked for that have come, or have gone from one group to another, while the rest was
/// signalled.
const PASSES_MAX: usize = 8;

/// The group, and its directory, by which a process enters it.
#[derive(Debug)]
pub(crate) struct Group {
    /// Where version 2 is.
    root: PathBuf,
    path: PathBuf,
    entry: OwnedFd,
}

/// Where the group of a service is, or would be.
fn place(run: &Path, name: &str) -> io::Result<(PathBuf, PathBuf)> {
    let root = ROOTS.iter().find(|root| Path::new(root).join("cgroup.controllers").exists());
    let root = PathBuf::from(root.ok_or(io::ErrorKind::NotFound)?);
    let path = root.join(tree(run)).join(name);
    Ok((root, path))
}

impl Group {
    /// Makes it, unless it is there: a service that was left behind is in it.
    fn open(run: &Path, name: &str) -> io::Result<Group> {
        let (root, path) = place(run, name)?;
        std::fs::create_dir_all(&path)?;
        let entry = File::open(&path)?.into();
        Ok(Group { root, path, entry })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes it away with all groups below it, and makes it again.
    pub(crate) fn renew(&mut self) -> io::Result<()> {
        self.remove();
        match std::fs::create_dir(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.entry = File::open(&self.path)?.into();
        Ok(())
    }

    /// Hands the controllers of these settings on to it, from the root down. One that cannot be had is missed when the
    /// setting is written.
    pub(crate) fn enable(&self, settings: &[(String, String)]) {
        for (file, _) in settings {
            let controller = service::limits::controller(file);
            for group in [Some(self.root.as_path()), self.path.parent()].into_iter().flatten() {
                let _ = std::fs::write(group.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
    }

    /// Hands on to it what counts: memory, whose lack is told by a file of it, and processes.
    fn count(&self) {
        let Some(parent) = self.path.parent() else { return };
        for controller in ["+memory", "+pids"] {
            let _ = std::fs::write(parent.join("cgroup.subtree_control"), controller);
        }
    }

    /// Why it has no files of a controller, if that is so: another hierarchy may have it, or processes are in a group
    /// above, which can then hand on nothing (cgroups(7), "no internal processes").
    pub(crate) fn lacks(&self, controller: &str) -> Option<String> {
        let has = |group: &Path| {
            let all = std::fs::read_to_string(group.join("cgroup.controllers")).unwrap_or_default();
            all.split_whitespace().any(|one| one == controller)
        };
        if !has(&self.root) {
            return Some(format!("there is no controller \"{controller}\""));
        }
        (!has(&self.path)).then(|| format!("the controller \"{controller}\" cannot be handed on to it"))
    }

    /// What has been set in it.
    pub(crate) fn settings(&self) -> Vec<(String, String)> {
        let read = |file| std::fs::read_to_string(self.path.join(file)).unwrap_or_default();
        service::limits::FILES.iter().flat_map(|file| service::limits::settings(file, &read(file))).collect()
    }

    /// Takes it away with all groups below it, but for those with processes in them.
    fn remove(&self) {
        // What is below it comes later in the list.
        for group in tree_of(&self.path).into_iter().rev() {
            let _ = std::fs::remove_dir(group);
        }
    }

    pub(crate) fn entry(&self) -> BorrowedFd<'_> {
        self.entry.as_fd()
    }

    pub(crate) fn populated(&self) -> bool {
        let events = std::fs::read_to_string(self.path.join("cgroup.events"));
        events.is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    /// Those in it, and in the groups below it.
    fn processes(&self) -> Vec<Pid> {
        let mut found = Vec::new();
        for group in tree_of(&self.path) {
            let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| Pid::new(line.parse().ok()?)));
        }
        found
    }

    /// Sends a signal once to each process that is in it, or in a group below. KILL goes to all of them at once where
    /// the kernel does that (Linux 5.14).
    fn signal(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::KILL && std::fs::write(self.path.join("cgroup.kill"), "1").is_ok() {
            return Ok(());
        }
        let mut result = Ok(());
        let mut signalled = BTreeSet::new();
        for _ in 0..PASSES_MAX {
            let found = self.processes();
            let new: Vec<Pid> = found.into_iter().filter(|pid| signalled.insert(pid.number())).collect();
            if new.is_empty() {
                break;
            }
            for pid in new {
                match sys::process::signal(pid, signal) {
                    // One that has ended meanwhile needs no signal.
                    Err(error) if error.raw_os_error() != Some(3) => result = Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
        }
        result
    }
}

impl Drop for Group {
    /// A group with processes in it stays, for the supervisor after us.
    fn drop(&mut self) {
        self.remove();
        // Unless it is another service's too.
        let _ = self.path.parent().map(std::fs::remove_dir);
    }
}

/// A group and all that are below it, each before those below it.
fn tree_of(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    let mut next = 0;
    while let Some(group) = found.get(next).filter(|_| found.len() < GROUPS_MAX).cloned() {
        next += 1;
        let below = std::fs::read_dir(&group).into_iter().flatten().flatten();
        let groups = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        let room = GROUPS_MAX - found.len();
        found.extend(groups.map(|entry| entry.path()).take(room));
    }
    found
}

/// The groups of one run directory are below one of their own.
fn tree(run: &Path) -> String {
    if run == Path::new(service::RUN_DIRECTORY) {
        return "mainstay".to_owned();
    }
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    format!("mainstay-{:016x}", hasher.finish())
}

impl Supervisor {
    /// Makes the group, if one is asked for; without one the process group has to do.
    pub(crate) fn open_group(&mut self, resume: bool) {
        let stop = &self.definition.stop;
        let signalled = stop.scope == Scope::Cgroup || stop.kill_scope == Scope::Cgroup;
        let limited = self.definition.process.group.wanted;
        // One that the definition asks for no longer, and whose limits are to go.
        let left = || place(&self.run, &self.definition.name).is_ok_and(|(_, path)| path.exists());
        let counted = self.definition.process.group.counted;
        if !(signalled || limited || counted || resume && left()) {
            return;
        }
        match Group::open(&self.run, &self.definition.name) {
            Ok(group) => {
                if counted {
                    group.count();
                }
                self.limits = group.settings();
                self.group = Some(group);
            }
            // It is no worse off than on a machine without.
            Err(_) if !(signalled || limited) => {}
            Err(error) => {
                let none = error.kind() == io::ErrorKind::NotFound;
                let why = if none { "there is no version 2".to_owned() } else { launch::reason(&error) };
                let problem = format!("unable to make its control group: {why}");
                let instead = match (signalled, limited) {
                    (_, true) if self.definition.process.group.strict => {
                        "its limits are strict: it is not started"
                    }
                    (true, true) => "its process group is signalled instead, without limits",
                    (true, false) => "its process group is signalled instead",
                    (false, _) => "going on without",
                };
                self.say(&format!("warning: {problem} ({instead})"));
                self.no_group = Some(problem);
            }
        }
    }

    /// Sends a signal to every process of the service.
    pub(crate) fn signal_all(&self, leader: Pid, signal: Signal) -> io::Result<()> {
        match &self.group {
            Some(group) => group.signal(signal),
            None => sys::process::signal_group(leader, signal),
        }
    }

    /// Kills what the main process has left behind.
    pub(crate) fn sweep(&mut self) {
        let Some(group) = self.group.as_ref().filter(|group| group.populated()) else { return };
        let left = group.processes().len();
        let killed = group.signal(Signal::KILL);
        self.say(&format!("notice: {left} processes were left in its control group (killing them)"));
        if let Err(error) = killed {
            self.say(&format!("warning: unable to kill them: {} (going on)", launch::reason(&error)));
        }
    }
}
