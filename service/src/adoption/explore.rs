//! A supervisor that is killed at every step of everything that it does, with the processes, the status file and
//! the record beside it.
//!
//! The invariants, by name:
//! - `never_two`: no main process is started while one runs, nor a script beside a script.
//! - `nothing_runs_unknown`: once all is settled, what runs is what the machine awaits.
//! - `one_finish_per_death`: the finish script runs once for each death, however often the supervisor dies.
//! - `starts_are_counted`: the machine has counted every process that was started.
//! - `every_end_is_told`: the machine awaits nothing that has ended.
//! - `made_for_none_that_runs`: what a start needs is not made under a process that runs.
//! - `a_stop_counts`: what was told to stop last is not wanted, and does not run once its process has ended.

use super::{Found, Leftovers};
use crate::definition::{Definition, Kind, RestartWhen};
use crate::exit::{Pid, WaitStatus};
use crate::machine::{Action, Event, Machine, Task};
use crate::status::Want;
use crate::tick::Tick;
use proptest::prelude::*;
use std::collections::{HashMap, VecDeque};

/// A way in which adoption could be wrong, for the tests of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    /// Processes are not put down in the record.
    NoRecord,
    /// The record is not looked at again once the status has told of it.
    OldRecord,
    /// What was found is not claimed.
    NoClaim,
    /// The status is written before the process is started, and not after.
    EarlyStatus,
    /// A death is reaped before what follows from it is on disk.
    EarlyReap,
    /// What was found is forgotten where nothing leads to it.
    Dropped,
    /// What was found is led to although a stop has been told since.
    LedAnyway,
    /// What was found is prepared for once more.
    MadeAgain,
    /// The supervisor exits before it has been told of what was found.
    EarlyExit,
}

/// What happens to a service.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Told(Event),
    MainEnds(WaitStatus),
    ScriptEnds(WaitStatus),
    TimePasses,
}

/// The supervisor has been killed.
struct Killed;

/// A supervisor and all that outlives it.
struct World<'a> {
    definition: &'a Definition,
    bug: Option<Bug>,
    machine: Machine,
    left: Leftovers<()>,
    queue: VecDeque<Event>,
    dirty: bool,
    /// From here on: what a kill leaves.
    status: Option<String>,
    record_main: Option<(Pid, Tick)>,
    record_after: Option<(Pid, Tick)>,
    main: Option<Pid>,
    script: Option<Pid>,
    /// What the next start needs is being made; it does not outlive the supervisor.
    prepares: bool,
    /// Ended, and not reaped by the supervisor: init will tell how.
    ended: Vec<(Pid, WaitStatus)>,
    now: Tick,
    processes: i32,
    starts: u32,
    deaths: Vec<Pid>,
    finishes: HashMap<Pid, u32>,
    /// As many steps until it is killed.
    fuse: Option<u32>,
    /// The supervisor has ended by itself.
    exited: bool,
    broken: Option<&'static str>,
}

impl<'a> World<'a> {
    fn new(definition: &'a Definition, bug: Option<Bug>) -> World<'a> {
        World {
            definition,
            bug,
            machine: Machine::new(definition, Tick(1)),
            left: Leftovers::default(),
            queue: VecDeque::new(),
            dirty: false,
            status: None,
            record_main: None,
            record_after: None,
            main: None,
            script: None,
            prepares: false,
            ended: Vec::new(),
            now: Tick(1),
            processes: 100,
            starts: 0,
            deaths: Vec::new(),
            finishes: HashMap::new(),
            fuse: None,
            exited: false,
            broken: None,
        }
    }

    fn require(&mut self, name: &'static str, holds: bool) {
        if !holds {
            self.broken.get_or_insert(name);
        }
    }

    /// A step after which the supervisor may be gone.
    fn step(&mut self) -> Result<(), Killed> {
        self.now.0 += 1;
        match &mut self.fuse {
            Some(0) => {
                self.fuse = None;
                Err(Killed)
            }
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn process(&mut self) -> Pid {
        self.processes += 1;
        Pid::new(self.processes).unwrap()
    }

    fn publish(&mut self) -> Result<(), Killed> {
        self.step()?;
        self.status = Some(self.machine.save());
        self.step()
    }

    fn spawn_main(&mut self) -> Result<(), Killed> {
        let claimed = self.left.claim_main().filter(|_| self.bug != Some(Bug::NoClaim));
        let pid = match claimed {
            Some(found) => found.pid,
            None => {
                if self.bug == Some(Bug::EarlyStatus) {
                    self.publish()?;
                }
                self.step()?;
                self.require("never_two", self.main.is_none() && self.script.is_none());
                let pid = self.process();
                self.main = Some(pid);
                self.starts += 1;
                if self.bug != Some(Bug::NoRecord) {
                    self.record_main = Some((pid, self.now));
                }
                self.step()?;
                pid
            }
        };
        self.queue.push_front(Event::Spawned(pid));
        Ok(())
    }

    fn spawn_script(&mut self, answer: fn(Option<Pid>) -> Event, finish: bool) -> Result<(), Killed> {
        let pid = match self.left.claim_after() {
            Some(found) => found.pid,
            None => {
                self.step()?;
                self.require("never_two", self.main.is_none() && self.script.is_none());
                let pid = self.process();
                self.script = Some(pid);
                if finish && let Some(dead) = self.deaths.last() {
                    *self.finishes.entry(*dead).or_default() += 1;
                }
                if self.bug != Some(Bug::NoRecord) {
                    self.record_after = Some((pid, self.now));
                }
                self.step()?;
                pid
            }
        };
        self.queue.push_front(answer(Some(pid)));
        Ok(())
    }

    fn perform(&mut self, action: Action) -> Result<(), Killed> {
        self.exited &= !action.starts();
        match action {
            Action::Spawn => self.spawn_main(),
            // Somebody always waits.
            Action::Listen => {
                self.queue.push_front(Event::Listening(true));
                self.step()
            }
            Action::SpawnFinish(_) => self.spawn_script(Event::FinishSpawned, true),
            Action::SpawnDown => self.spawn_script(Event::DownSpawned, false),
            Action::Publish => {
                self.dirty = true;
                Ok(())
            }
            Action::Exit => {
                self.exited = !self.left.has_main() || self.bug == Some(Bug::EarlyExit);
                Ok(())
            }
            Action::StartTask(Task::Prepare) if self.left.has_main() && self.bug != Some(Bug::MadeAgain) => {
                self.queue.push_front(Event::TaskEnded(Task::Prepare, true));
                Ok(())
            }
            Action::StartTask(Task::Prepare) => {
                self.step()?;
                self.require("made_for_none_that_runs", self.main.is_none());
                self.prepares = true;
                self.step()
            }
            Action::EndTask(Task::Prepare) => {
                self.prepares = false;
                self.step()
            }
            Action::Signal(..) | Action::Sweep | Action::StartTask(_) | Action::EndTask(_) => self.step(),
        }
    }

    /// Handles all that is queued, and writes the status once.
    fn settle(&mut self) -> Result<(), Killed> {
        loop {
            if self.queue.is_empty() {
                self.queue.extend(self.left.lead(&self.machine));
            }
            let Some(event) = self.queue.pop_front() else { break };
            self.step()?;
            if self.bug != Some(Bug::LedAnyway) {
                self.left.note(event);
            }
            if matches!(event, Event::Found(_)) {
                self.left.claim_main();
                if self.bug == Some(Bug::Dropped) {
                    continue;
                }
            }
            let now = self.left.time_of(&self.machine, event, self.now);
            let actions = self.machine.handle(now, event);
            for action in actions.iter() {
                self.perform(action)?;
            }
        }
        if std::mem::take(&mut self.dirty) {
            self.publish()?;
        }
        Ok(())
    }

    /// Delivers every death, each of which is reaped once what follows from it is on disk.
    fn deliver(&mut self) -> Result<(), Killed> {
        while let Some((pid, status)) = self.ended.first().copied().filter(|_| !self.exited) {
            if self.bug == Some(Bug::EarlyReap) {
                self.ended.remove(0);
                self.step()?;
            }
            self.queue.push_back(Event::Died(pid, status));
            self.settle()?;
            self.ended.retain(|(other, _)| *other != pid);
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Killed> {
        if self.exited {
            let Happening::Told(event) = happening else { return Ok(()) };
            self.begin_again(&[], event == Event::Stop)?;
        }
        match happening {
            Happening::Told(event) => self.queue.push_back(event),
            Happening::MainEnds(status) => {
                if let Some(pid) = self.main.take() {
                    self.deaths.push(pid);
                    self.ended.push((pid, status));
                }
            }
            Happening::ScriptEnds(status) => {
                if let Some(pid) = self.script.take() {
                    self.ended.push((pid, status));
                }
            }
            Happening::TimePasses if std::mem::take(&mut self.prepares) => {
                self.queue.push_back(Event::TaskEnded(Task::Prepare, true));
            }
            Happening::TimePasses => {
                if let Some(deadline) = self.machine.deadline() {
                    self.now = self.now.max(deadline);
                    self.queue.push_back(Event::Tick);
                }
            }
        }
        self.settle()?;
        self.deliver()
    }

    /// A new supervisor takes the place of the one that was killed, or has exited; it is told `commands` before
    /// it is told how anything ended.
    fn begin_again(&mut self, commands: &[Event], resume: bool) -> Result<(), Killed> {
        self.queue.clear();
        (self.dirty, self.exited, self.prepares) = (false, false, false);
        self.machine = Machine::new(self.definition, self.now);
        let mut written = Tick(0);
        if let Some(text) = self.status.clone() {
            assert!(self.machine.restore(self.now, &text), "{text}");
            if !resume {
                self.machine.renew();
            }
            written = self.machine.since().max(self.machine.started().unwrap_or(Tick(0)));
        }
        let found =
            |record: Option<(Pid, Tick)>| record.map(|(pid, started)| Found { pid, started, with: () });
        let main =
            found(self.record_main).filter(|_| self.bug != Some(Bug::OldRecord) || self.status.is_none());
        self.left = Leftovers::new(&self.machine, main, found(self.record_after), written);
        self.settle()?;
        for command in commands {
            self.queue.push_back(*command);
            self.settle()?;
        }
        self.deliver()
    }

    /// Lets something happen, with a kill after so many steps of it, and checks what has become of it. `crossing`
    /// are commands that were on their way when the supervisor was killed.
    fn advance(&mut self, happening: Happening, fuse: Option<u32>, crossing: &[Event]) {
        self.fuse = fuse;
        if self.happen(happening).is_err() {
            // What init or a client had asked for, and has not seen done, it asks for again.
            let told = if let Happening::Told(event) = happening { Some(event) } else { None };
            let before = told.into_iter().filter(|_| !crossing.is_empty());
            let commands: Vec<Event> = before.chain(crossing.iter().copied()).collect();
            assert!(self.begin_again(&commands, true).is_ok(), "killed once");
            if !crossing.is_empty() {
                self.require("a_stop_counts", self.machine.want() == Want::Down);
            } else if let Some(event) = told {
                let _ = self.happen(Happening::Told(event));
            }
        }
        self.fuse = None;
        if self.exited {
            self.require("nothing_runs_unknown", self.main.is_none() && self.script.is_none());
        }
        let known = self.machine.awaited();
        self.require("nothing_runs_unknown", self.main.is_none() || self.machine.pid() == self.main);
        self.require("nothing_runs_unknown", self.script.is_none() || self.machine.script() == self.script);
        self.require("every_end_is_told", known.is_none() || known == self.main || known == self.script);
        self.require("starts_are_counted", self.machine.starts() == self.starts);
        let twice = self.finishes.values().any(|count| *count > 1);
        let missed = self.definition.finish
            && self.definition.kind == Kind::Longrun
            && self.deaths.iter().any(|pid| !self.finishes.contains_key(pid));
        self.require("one_finish_per_death", !twice && !missed);
    }
}

fn definitions() -> Vec<Definition> {
    let plain = Definition::new("plain", "/");
    let finishing = Definition { finish: true, ..Definition::new("finishing", "/") };
    let mut once = Definition::new("once", "/");
    once.restart.when = RestartWhen::OnFailure;
    let oneshot = Definition {
        kind: Kind::Oneshot,
        down_command: vec!["undo".to_owned()],
        ..Definition::new("oneshot", "/")
    };
    let prepare_command = vec!["make".to_owned()];
    let prepared = Definition { finish: true, prepare_command, ..Definition::new("prepared", "/") };
    vec![plain, finishing, once, oneshot, prepared]
}

const HAPPENINGS: [Happening; 9] = [
    Happening::Told(Event::Start),
    Happening::Told(Event::Once),
    Happening::Told(Event::Stop),
    Happening::Told(Event::Restart),
    Happening::MainEnds(WaitStatus::Exited(0)),
    Happening::MainEnds(WaitStatus::Exited(1)),
    Happening::ScriptEnds(WaitStatus::Exited(0)),
    Happening::ScriptEnds(WaitStatus::Exited(125)),
    Happening::TimePasses,
];

/// The longest thing that happens takes fewer steps.
const STEPS: u32 = 12;

/// What may be on its way to a supervisor when it is killed.
const CROSSINGS: [&[Event]; 3] = [&[], &[Event::Stop], &[Event::Stop, Event::Exit]];

/// What happens, after how many steps of it the supervisor is killed, and which of the crossings it is.
type Step = (Happening, Option<u32>, usize);

/// The last step of so many, in all its ways: killed at each step of the last two, so that an adopted service is
/// seen to be killed once more; and the first time with a command on its way.
fn ways(depth: usize) -> Vec<(Option<u32>, usize)> {
    let crossings = if depth == 2 { CROSSINGS.len() } else { 1 };
    let killed = |steps| (0..crossings).map(move |crossing| (Some(steps), crossing));
    let kills = (0..STEPS).filter(|_| depth <= 2).flat_map(killed);
    kills.chain([(None, 0)]).collect()
}

/// What an exploration finds to be broken first, and what had happened.
fn first_broken(bug: Option<Bug>, depth: usize) -> Option<(&'static str, String)> {
    fn descend(
        definition: &Definition,
        bug: Option<Bug>,
        depth: usize,
        path: &mut Vec<Step>,
    ) -> Option<(&'static str, String)> {
        for happening in HAPPENINGS {
            for (fuse, crossing) in ways(depth) {
                path.push((happening, fuse, crossing));
                let mut world = World::new(definition, bug);
                for (happening, fuse, crossing) in &*path {
                    world.advance(*happening, *fuse, CROSSINGS[*crossing]);
                }
                let broken = world.broken.map(|name| (name, format!("{}: {path:?}", definition.name)));
                let deeper = if broken.is_none() && depth > 1 {
                    descend(definition, bug, depth - 1, path)
                } else {
                    None
                };
                path.pop();
                if let Some(found) = broken.or(deeper) {
                    return Some(found);
                }
            }
        }
        None
    }
    definitions().iter().find_map(|definition| descend(definition, bug, depth, &mut Vec::new()))
}

#[test]
fn a_supervisor_killed_at_any_step_leaves_nothing_that_the_next_does_not_know() {
    assert_eq!(first_broken(None, 4), None);
}

#[test]
fn each_way_of_adopting_wrongly_is_found() {
    for (bug, names) in [
        (Bug::NoRecord, &["never_two", "nothing_runs_unknown"][..]),
        (Bug::OldRecord, &["never_two", "nothing_runs_unknown"]),
        (Bug::NoClaim, &["never_two"]),
        (Bug::EarlyReap, &["every_end_is_told", "nothing_runs_unknown"]),
        (Bug::Dropped, &["starts_are_counted", "nothing_runs_unknown"]),
        (Bug::LedAnyway, &["a_stop_counts"]),
        (Bug::MadeAgain, &["made_for_none_that_runs"]),
        (Bug::EarlyExit, &["nothing_runs_unknown"]),
    ] {
        let found = first_broken(Some(bug), 4);
        assert!(found.as_ref().is_some_and(|(name, _)| names.contains(name)), "{bug:?}: {found:?}");
    }
    // Written too early is written in vain, and does no harm: the record is newer.
    assert_eq!(first_broken(Some(Bug::EarlyStatus), 3), None);
}

proptest! {
    #[test]
    fn long_lives_with_many_kills_break_nothing(
        which in 0_usize..5,
        steps in proptest::collection::vec(
            (0_usize..HAPPENINGS.len(), proptest::option::of(0..STEPS), 0_usize..CROSSINGS.len()),
            1..60,
        ),
    ) {
        let definitions = definitions();
        let mut world = World::new(&definitions[which], None);
        for (happening, fuse, crossing) in &steps {
            world.advance(HAPPENINGS[*happening], *fuse, CROSSINGS[*crossing]);
            prop_assert_eq!(world.broken, None);
        }
    }
}
