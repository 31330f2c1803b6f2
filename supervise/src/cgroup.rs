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
    path: PathBuf,
    entry: OwnedFd,
}

impl Group {
    /// Makes it, unless it is there: a service that was left behind is in it.
    fn open(run: &Path, name: &str) -> io::Result<Group> {
        let root = ROOTS.iter().find(|root| Path::new(root).join("cgroup.controllers").exists());
        let root = root.ok_or(io::ErrorKind::NotFound)?;
        let path = Path::new(root).join(tree(run)).join(name);
        std::fs::create_dir_all(&path)?;
        let entry = File::open(&path)?.into();
        Ok(Group { path, entry })
    }

    pub(crate) fn entry(&self) -> BorrowedFd<'_> {
        self.entry.as_fd()
    }

    fn populated(&self) -> bool {
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
        // What is below it comes later in the list.
        for group in tree_of(&self.path).into_iter().skip(1).rev() {
            let _ = std::fs::remove_dir(group);
        }
        if std::fs::remove_dir(&self.path).is_ok() {
            let _ = self.path.parent().map(std::fs::remove_dir);
        }
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
    pub(crate) fn open_group(&mut self) {
        let stop = &self.definition.stop;
        if stop.scope != Scope::Cgroup && stop.kill_scope != Scope::Cgroup {
            return;
        }
        match Group::open(&self.run, &self.definition.name) {
            Ok(group) => self.group = Some(group),
            Err(error) => {
                let reason = launch::reason(&error);
                self.say(&format!(
                    "warning: unable to make its control group: {reason} (its process group is signalled instead)"
                ));
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
