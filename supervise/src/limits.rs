//! What the control group of a service is held to, and what becomes of it: limits written before a process is in it and
//! whenever the definition changes, and the kernel's kills for want of memory.

use crate::cgroup::Group;
use crate::launch::reason;
use crate::supervisor::{LIMITS, Supervisor};
use service::limits::{change, controller, number};
use service::setup::Setup;
use service::{Signal, WaitStatus};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, chown};

/// What its user gets of a group that is delegated (cgroups(7), "delegation").
const DELEGATED: [&str; 4] = ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];

/// The kernel's kills in a group, which wake us when there is another.
#[derive(Debug)]
pub(crate) struct Kills {
    file: File,
    /// As many as we know of.
    known: u64,
    /// As many as there were when the main process started.
    at_start: u64,
}

impl Kills {
    /// How many there were; none if the group is gone.
    fn count(&self) -> Option<u64> {
        let mut buffer = [0; 512];
        let length = self.file.read_at(&mut buffer, 0).ok()?;
        let text = std::str::from_utf8(buffer.get(..length)?).ok()?;
        Some(number(text, "oom_kill").unwrap_or(0))
    }
}

/// A setting of a group: its file, and what is written there.
type Setting = (String, String);

/// Writes settings of a group; those that could not be set, and why, in words.
fn write(group: &Group, settings: &[Setting]) -> (Vec<Setting>, Vec<String>) {
    let (mut failed, mut problems) = (Vec::new(), Vec::new());
    for (file, value) in settings {
        // What is not there is not to be made.
        let opened = File::options().write(true).open(group.path().join(file));
        let written = opened.and_then(|mut opened| opened.write_all(with_number(value).as_bytes()));
        if let Err(error) = written {
            let missing = error.kind() == io::ErrorKind::NotFound;
            let lacking = if missing { group.lacks(controller(file)) } else { None };
            let why = lacking.unwrap_or_else(|| reason(&error));
            problems.push(format!("unable to set {file} of its control group: {why}"));
            failed.push((file.clone(), value.clone()));
        }
    }
    (failed, problems)
}

/// A device's numbers in the place of its path.
fn with_number(value: &str) -> String {
    let device = value.split_once(' ').filter(|(device, _)| device.starts_with('/'));
    let Some((device, rest)) = device else { return value.to_owned() };
    let number = std::fs::metadata(device).map(|file| sys::fs::device(file.rdev()));
    number.map_or_else(|_| value.to_owned(), |(major, minor)| format!("{major}:{minor} {rest}"))
}

impl Supervisor {
    /// Makes the group ready for a start.
    pub(crate) fn prepare_group(&mut self) -> Result<(), String> {
        if self.group.as_ref().is_some_and(|group| !group.path().exists()) {
            // Somebody has taken it away.
            self.renew_group();
        }
        let wanted = &self.definition.process.group;
        if !wanted.wanted {
            self.count_from_here();
            return Ok(());
        }
        if self.group.is_none() {
            // Without one it was said already, when there was none.
            let problem = self.no_group.as_ref().filter(|_| wanted.strict);
            return problem.map_or(Ok(()), |problem| Err(problem.clone()));
        }
        if wanted.delegate {
            self.renew_group();
        }
        let (Some(group), wanted) = (&self.group, &self.definition.process.group) else { return Ok(()) };
        // Those that could not be set are tried again: they are not in force, and may be insisted on by now.
        let settings = change(&self.limits, &wanted.files);
        if !settings.is_empty() {
            group.enable(&settings);
        }
        let (failed, mut problems) = write(group, &settings);
        problems.extend(self.delegate(group));
        if let Some(problem) = problems.first().filter(|_| wanted.strict) {
            return Err(problem.clone());
        }
        self.note_limits(&failed, &problems, "going on without");
        self.count_from_here();
        Ok(())
    }

    /// What is in force from now on: all but what has failed, of which is told what has not been told.
    fn note_limits(&mut self, failed: &[Setting], problems: &[String], instead: &str) {
        let set = self.definition.process.group.files.iter().filter(|setting| !failed.contains(setting));
        self.limits = set.cloned().collect();
        let known = std::mem::replace(&mut self.unlimited, problems.to_vec());
        for problem in problems.iter().filter(|problem| !known.contains(problem)) {
            self.say(&format!("warning: {problem} ({instead})"));
        }
    }

    /// Kills from now on are of the run that begins.
    fn count_from_here(&mut self) {
        self.watch_kills();
        if let Some(kills) = &mut self.kills {
            kills.at_start = kills.count().unwrap_or(kills.known);
        }
    }

    /// What it is not held to although the definition says so, and why; empty if there is nothing.
    pub(crate) fn unlimited(&self) -> String {
        let none = self.no_group.iter().filter(|_| self.definition.process.group.wanted);
        none.chain(&self.unlimited).map(String::as_str).collect::<Vec<_>>().join("; ")
    }

    /// Begins the group anew. A delegated one at every start: the service before may have made others in it, and a group that hands on
    /// controllers takes no process.
    fn renew_group(&mut self) {
        let Some(group) = self.group.as_mut().filter(|group| !group.populated()) else { return };
        self.kills = None;
        self.limits.clear();
        if let Err(error) = group.renew() {
            self.say(&format!(
                "warning: unable to make its control group anew: {} (going on)",
                reason(&error)
            ));
        }
    }

    /// Hands the group to the service's user.
    fn delegate(&self, group: &Group) -> Vec<String> {
        let process = &self.definition.process;
        let who = process.setup.iter().find_map(|step| {
            let Setup::Credentials(who) = &step.setup else { return None };
            Some(who)
        });
        let Some(who) = who.filter(|_| process.group.delegate) else { return Vec::new() };
        // A user that is not known makes the start fail, which says so.
        let Ok(identity) = crate::setup::find(who) else { return Vec::new() };
        let hand = |file: &&str| chown(group.path().join(file), Some(identity.user), Some(identity.group));
        let failure = DELEGATED.iter().map(hand).find_map(Result::err);
        failure
            .map(|error| format!("unable to delegate its control group: {}", reason(&error)))
            .into_iter()
            .collect()
    }

    /// Sets at once what a new definition says.
    pub(crate) fn change_limits(&mut self) {
        let Some(group) = &self.group else { return };
        let settings = change(&self.limits, &self.definition.process.group.files);
        if settings.is_empty() {
            return;
        }
        group.enable(&settings);
        let (failed, problems) = write(group, &settings);
        self.note_limits(&failed, &problems, "going on with what it was");
        if failed.len() < settings.len() {
            self.say("notice: the limits of its control group were changed");
        }
        self.watch_kills();
    }

    /// A supervisor that goes on, perhaps by another definition, sets what that says.
    pub(crate) fn resume_limits(&mut self, resume: bool) {
        if resume && self.group.as_ref().is_some_and(Group::populated) {
            self.change_limits();
        }
    }

    /// As many kills as the supervisor before us knew of: more are of the run that it left.
    pub(crate) fn recall_kills(&mut self, known: u64) {
        self.watch_kills();
        if let Some(kills) = &mut self.kills {
            kills.at_start = known;
        }
    }

    /// How a run of the main process has ended, in words.
    pub(crate) fn end_of(&self, status: WaitStatus) -> String {
        crate::narrate::end(status, self.starved)
    }

    /// Waits for the kernel's kills, if it tells of them.
    pub(crate) fn watch_kills(&mut self) {
        let Some(group) = self.group.as_ref().filter(|_| self.kills.is_none()) else { return };
        let Ok(file) = File::open(group.path().join("memory.events")) else { return };
        let mut kills = Kills { file, known: 0, at_start: 0 };
        kills.known = kills.count().unwrap_or(0);
        kills.at_start = kills.known;
        if self.poller.add_priority(&kills.file, LIMITS).is_ok() {
            self.kills = Some(kills);
        }
    }

    /// Reads how many there were. To be called whenever there may be another: it is told of until it is read.
    pub(crate) fn read_kills(&mut self) {
        let Some(kills) = &mut self.kills else { return };
        let Some(count) = kills.count() else {
            // A file that can be read no more would be told of for ever.
            self.kills = None;
            return;
        };
        let new = count.saturating_sub(kills.known);
        if new == 0 {
            return;
        }
        kills.known = count;
        (self.dirty, self.filed) = (true, false);
        let what = if new == 1 { "a process was".to_owned() } else { format!("{new} processes were") };
        self.say(&format!("warning: {what} killed for want of memory"));
    }

    /// How many processes of the service the kernel has killed.
    pub(crate) fn killed(&self) -> u64 {
        self.kills.as_ref().map_or(0, |kills| kills.known)
    }

    /// Notes how the main process has ended: by KILL after a kill of the kernel is for want of memory.
    pub(crate) fn note_end(&mut self, status: WaitStatus) {
        self.read_kills();
        let killed = matches!(status, WaitStatus::Signalled { signal, .. } if signal == Signal::KILL);
        self.starved = killed && self.kills.as_ref().is_some_and(|kills| kills.known > kills.at_start);
    }
}
