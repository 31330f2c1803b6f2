//! What happens to the services, and to the programs that keep them.

use crate::account;
use crate::model::Model;
use crate::random::Random;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};
use tests::{DEADLINE, Ending, Machine, Outcome, Pid, Signal, State, process};

/// The exit code of a tool that has waited as long as it was to.
const TIMED_OUT: i32 = 99;

/// Everything that can happen, and how often.
const DEEDS: [(Deed, u64); 17] = [
    (Deed::Start, 12),
    (Deed::Stop, 10),
    (Deed::Restart, 8),
    (Deed::RestartBySupervisor, 8),
    (Deed::Kill, 20),
    (Deed::Terminate, 6),
    (Deed::Reload, 4),
    (Deed::Pause, 5),
    (Deed::Continue, 5),
    (Deed::KillSupervisor, 10),
    (Deed::KillLogger, 2),
    (Deed::FaultOfInit, 2),
    (Deed::Reexec, 2),
    (Deed::ReexecOne, 3),
    (Deed::Tool, 3),
    (Deed::Tree, 2),
    (Deed::Look, 1),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Start,
    Stop,
    Restart,
    RestartBySupervisor,
    Kill,
    Terminate,
    Reload,
    Pause,
    Continue,
    KillSupervisor,
    KillLogger,
    FaultOfInit,
    Reexec,
    ReexecOne,
    Tool,
    Tree,
    Look,
}

/// A machine that has a hard time.
pub(crate) struct Chaos {
    pub(crate) machine: Machine,
    pub(crate) model: Model,
    pub(crate) logger_deaths: u64,
    /// How often the process of each service was ended by us, one way or another.
    pub(crate) ended: BTreeMap<String, u64>,
    done: BTreeMap<Deed, u64>,
    /// When init was made to fail last: one that fails again and again within seconds gives up, rightly.
    faulted: Option<Instant>,
    /// What was done last, for whoever has to find out why something went wrong.
    history: Vec<String>,
}

impl Chaos {
    pub(crate) fn new(machine: Machine, model: Model) -> Chaos {
        let (ended, done) = (BTreeMap::new(), BTreeMap::new());
        Chaos { machine, model, logger_deaths: 0, ended, done, faulted: None, history: Vec::new() }
    }

    pub(crate) fn summary(&self) -> String {
        let counts: Vec<String> = self.done.iter().map(|(deed, count)| format!("{deed:?} {count}")).collect();
        counts.join(", ")
    }

    /// Does one thing after the other; `init_too` tells whether init is executed anew now and then.
    #[track_caller]
    pub(crate) fn go_on(&mut self, random: &mut Random, until: Instant, init_too: bool) {
        let all: u64 = DEEDS.iter().map(|(_, weight)| weight).sum();
        while Instant::now() < until {
            let mut left = random.below(all);
            let chosen = DEEDS.iter().find(|(_, weight)| match left.checked_sub(*weight) {
                Some(rest) => {
                    left = rest;
                    false
                }
                None => true,
            });
            let deed = chosen.unwrap().0;
            if !init_too && [Deed::FaultOfInit, Deed::Reexec].contains(&deed) {
                continue;
            }
            let name = random.pick(&self.model.specs).name.clone();
            if deed != Deed::Tree && !self.model.is_there(&name) {
                continue;
            }
            self.history.push(format!("{deed:?} {name}"));
            if self.perform(deed, &name) {
                *self.done.entry(deed).or_insert(0) += 1;
            }
            // Sometimes all at once, sometimes with time to settle.
            std::thread::sleep(Duration::from_millis(
                [0, 0, 1, 5, 20][usize::try_from(random.below(5)).unwrap()],
            ));
        }
    }

    /// Whether it was possible.
    #[track_caller]
    fn perform(&mut self, deed: Deed, name: &str) -> bool {
        let ends =
            [Deed::Stop, Deed::Restart, Deed::RestartBySupervisor, Deed::Kill, Deed::Terminate, Deed::Tool];
        if ends.contains(&deed) {
            self.note_end(name);
        }
        match deed {
            Deed::Start => self.want(name),
            Deed::Stop => {
                self.tell(&format!("stop {name}"));
                self.model.stop(name);
            }
            Deed::Restart => {
                self.tell(&format!("restart {name}"));
                self.want(name);
            }
            Deed::RestartBySupervisor => {
                let control = self.machine.fixture.path(&format!("run/service/{name}/control"));
                return ask(&control, "restart").is_some();
            }
            Deed::Kill | Deed::Terminate => {
                let Some(pid) = self.machine.try_status(name).and_then(|status| status.pid) else {
                    return false;
                };
                let signal = if deed == Deed::Kill { Signal::KILL } else { Signal::TERM };
                // One that is killed has failed, and is not started again; or loses what it has read.
                let spec = self.model.spec(name);
                if spec.oneshot || (spec.sinks && deed == Deed::Kill) {
                    return false;
                }
                return self.send(pid, signal);
            }
            Deed::Reload => return self.try_tell(&format!("reload {name}")),
            Deed::Pause => return self.try_tell(&format!("pause {name}")),
            Deed::Continue => return self.try_tell(&format!("continue {name}")),
            Deed::KillSupervisor => {
                let supervisor = self.machine.try_status(name).and_then(|status| status.supervisor);
                return supervisor.is_some_and(|pid| self.send(pid, Signal::KILL));
            }
            Deed::KillLogger => {
                let Some(logger) = self.machine.logger() else { return false };
                self.logger_deaths += 1;
                return sys::process::signal(logger, Signal::KILL).is_ok();
            }
            Deed::FaultOfInit => return self.fault(),
            Deed::Reexec => return self.try_tell("reexec"),
            Deed::ReexecOne => return self.try_tell(&format!("reexec {name}")),
            Deed::Tool => self.use_tool(name),
            Deed::Tree => return self.change_tree(name),
            Deed::Look => {
                let outcome = self.machine.svctl(&["status"]);
                assert!([0, 1].contains(&outcome.code), "{outcome:?}\n{}", self.last_words());
            }
        }
        true
    }

    /// Starts a service, with what it needs: a restart of one that runs touches nothing else.
    #[track_caller]
    fn want(&mut self, name: &str) {
        self.tell(&format!("start {name}"));
        self.model.start(name);
    }

    /// Changes the definition of a service, takes one out of the tree or puts it back; and has init take that over.
    #[track_caller]
    fn change_tree(&mut self, name: &str) -> bool {
        let spec = self.model.spec(name);
        let (file, first) = (format!("services/{name}/service.toml"), spec.definition.clone());
        if spec.comes_and_goes {
            let there = !self.model.is_there(name);
            if there {
                self.machine.fixture.write(&file, &first);
            } else {
                std::fs::remove_dir_all(self.machine.fixture.path(&format!("services/{name}"))).unwrap();
            }
            self.reload_tree();
            self.model.set_there(name, there);
        } else if self.model.may_change(name) {
            // Its process would be another, so it is restarted if it runs.
            self.note_end(name);
            let count = self.done.get(&Deed::Tree).copied().unwrap_or(0);
            let text = format!("{first}[environment]\nCHANGED = \"{count}\"\n");
            self.machine.fixture.write(&file, &text);
            self.reload_tree();
        } else {
            return false;
        }
        true
    }

    #[track_caller]
    fn reload_tree(&self) {
        let begun = Instant::now();
        loop {
            let outcome = self.machine.svctl(&["reload", "-t", "30s"]);
            if outcome.code == 0 {
                return;
            }
            self.assert_in_time(&outcome);
            assert!(begun.elapsed() < DEADLINE, "{outcome:?}\n{}", self.last_words());
        }
    }

    /// A tool that waits for a run which never comes may do so since runs are not counted: that is told then.
    #[track_caller]
    fn assert_in_time(&self, outcome: &Outcome) {
        if outcome.code == TIMED_OUT {
            let wrong = account::wrong_runs(self).join("\n");
            panic!("{outcome:?}\n{}\nruns that do not add up:\n{wrong}", self.last_words());
        }
    }

    /// What requires a service ends with it.
    fn note_end(&mut self, name: &str) {
        for name in self.model.with_dependents(name) {
            *self.ended.entry(name).or_insert(0) += 1;
        }
    }

    /// What init must take sooner or later, whatever has happened to it.
    #[track_caller]
    fn tell(&self, line: &str) {
        let begun = Instant::now();
        loop {
            match ask(&self.machine.control(), line) {
                Some(answer) if answer == "ok" => return,
                Some(answer) => panic!("{line}: {answer}\n{}", self.last_words()),
                None => {
                    assert!(begun.elapsed() < DEADLINE, "init does not answer {line}\n{}", self.last_words());
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn try_tell(&self, line: &str) -> bool {
        ask(&self.machine.control(), line).is_some_and(|answer| answer == "ok")
    }

    /// Sends a signal to a process of the machine; false if it is gone.
    fn send(&self, pid: Pid, signal: Signal) -> bool {
        self.machine.try_outside(pid).is_some_and(|pid| sys::process::signal(pid, signal).is_ok())
    }

    /// A fault where init has a way to survive one.
    fn fault(&mut self) -> bool {
        if self.faulted.is_some_and(|last| last.elapsed() < Duration::from_secs(3)) {
            return false;
        }
        let init = self.machine.init();
        let segv = Signal::parse("SEGV").unwrap();
        let sent = process::survives_faults(init) && sys::process::signal(init, segv).is_ok();
        self.faulted = sent.then(Instant::now).or(self.faulted);
        sent
    }

    /// As a person would: the service is restarted when `svctl` says so.
    #[track_caller]
    fn use_tool(&mut self, name: &str) {
        let spec = self.model.specs.iter().find(|spec| spec.name == name).unwrap();
        let certain = !spec.crashes && !spec.oneshot && self.model.should_run(name);
        let outcome = self.machine.svctl(&["restart", "-t", "20s", name]);
        self.assert_in_time(&outcome);
        self.want(name);
        let expected: &[i32] = if certain { &[0] } else { &[0, 1] };
        assert!(expected.contains(&outcome.code), "{outcome:?}\n{}", self.last_words());
    }

    /// Lets everything come to rest, looks at it, and puts the services that die by themselves back.
    #[track_caller]
    pub(crate) fn at_rest<T>(&mut self, look: impl FnOnce(&Chaos) -> T) -> T {
        let dying = self.model.specs.iter().filter(|spec| spec.crashes && self.model.wanted(&spec.name));
        let dying: Vec<String> = dying.map(|spec| spec.name.clone()).collect();
        for name in &dying {
            self.tell(&format!("stop {name}"));
            self.model.stop(name);
        }
        // What there is to hold would differ otherwise.
        let others = self.model.specs.iter().filter(|spec| !spec.crashes);
        for name in others.map(|spec| spec.name.clone()).collect::<Vec<_>>() {
            if !self.model.is_there(&name) {
                self.change_tree(&name);
            }
            self.want(&name);
        }
        let begun = Instant::now();
        while let Some(wrong) = self.misfits() {
            assert!(begun.elapsed() < DEADLINE, "not where they are wanted:\n{wrong}\n{}", self.last_words());
            self.let_all_go_on();
            std::thread::sleep(Duration::from_millis(5));
        }
        let seen = look(self);
        for name in &dying {
            self.tell(&format!("start {name}"));
            self.model.start(name);
        }
        seen
    }

    /// Until it is so: a command may be lost with an init that fails at that moment.
    fn let_all_go_on(&self) {
        for spec in &self.model.specs {
            if self.machine.try_status(&spec.name).is_some_and(|status| status.paused) {
                self.try_tell(&format!("continue {}", spec.name));
            }
        }
    }

    /// Takes the machine down, and tells of what is left if that does not come to an end.
    #[track_caller]
    pub(crate) fn power_off(&mut self) {
        self.tell("poweroff");
        let begun = Instant::now();
        while self.machine.ended().is_none() {
            if begun.elapsed() > DEADLINE {
                let names = self.model.specs.iter().map(|spec| spec.name.as_str());
                let left = names.map(|name| (name, self.evidence(name)));
                let left = left.filter(|(_, evidence)| evidence.contains("supervise --run"));
                let left: Vec<String> = left
                    .map(|(name, evidence)| {
                        format!("{name}: {:?}\n{evidence}", self.machine.try_status(name))
                    })
                    .collect();
                panic!("the machine does not go down:\n{}", left.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.machine.ended(), Some(Ending::Off));
    }

    /// The services that are not where they should be by now, if there are any.
    fn misfits(&self) -> Option<String> {
        let lines: Vec<String> = self
            .model
            .specs
            .iter()
            .filter_map(|spec| {
                let status = self.machine.try_status(&spec.name);
                let state = status.as_ref().map_or(State::Down, |status| status.state);
                let paused = status.as_ref().is_some_and(|status| status.paused);
                let fits = self.model.fits(&spec.name, state) && !paused;
                let wanted = if self.model.wanted(&spec.name) { "wanted" } else { "not wanted" };
                (!fits).then(|| format!("{}: {wanted}: {status:?}\n{}", spec.name, self.evidence(&spec.name)))
            })
            .collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// What runs under the name of a service, and what its log has besides its own lines.
    pub(crate) fn evidence(&self, name: &str) -> String {
        let mut lines = Vec::new();
        for pid in self.machine.processes() {
            let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if words.split('\0').any(|word| word == name) {
                let inner = process::inner(pid).map(|(inner, _)| inner);
                let words = words.replace('\0', " ");
                lines.push(format!("  {inner:?} {:?}: {words}", process::stat(pid)));
            }
        }
        let violations = self.machine.fixture.read("violations");
        lines.extend(violations.lines().filter(|line| line.starts_with(name)).take(3).map(str::to_owned));
        if let Ok(held) = std::fs::metadata(self.machine.fixture.path(&format!("held/{name}"))) {
            let inode = format!(":{} ", std::os::unix::fs::MetadataExt::ino(&held));
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            lines.extend(locks.lines().filter(|line| line.contains(&inode)).map(str::to_owned));
        }
        let log = self.machine.log(name);
        let told: Vec<&String> = log.iter().filter(|line| !line.starts_with("L ")).collect();
        let from = told.len().saturating_sub(40);
        lines.extend(told[from..].iter().map(|line| format!("  | {line}")));
        lines.push(format!(
            "  record {:?}",
            self.machine.fixture.read(&format!("run/service/{name}/spawned"))
        ));
        lines.join("\n")
    }

    fn last_words(&self) -> String {
        let from = self.history.len().saturating_sub(60);
        format!("the last deeds: {}", self.history[from..].join(", "))
    }
}

/// Asks whoever listens at `control`; none if nobody does or nothing is answered.
fn ask(control: &Path, line: &str) -> Option<String> {
    let mut stream = UnixStream::connect(control).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    stream.write_all(format!("{line}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).ok().filter(|count| *count > 0)?;
    Some(answer.trim_end().to_owned())
}
