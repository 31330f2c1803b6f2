//! What the machine may never do, by name; and a model of the processes beside it, which finds out.
//!
//! Each has a bug that breaks it (see [`planted`](super::planted)), so that none of them is watched in vain.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for, not what it does not")]

use super::care::Check;
use super::phase::{Opening, Phase, Probe, Readiness, StopStep};
use super::reload::Reload;
use super::{Action, Actions, Event, Machine, Reason, Task};
use crate::definition::{Definition, Restart};
use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::status::{State, Want};
use crate::tick::Tick;
use std::fmt;
use std::time::Duration;

/// An invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "these are claims, and read as such")]
pub(super) enum Invariant {
    /// Two processes of a service never run at once: main, finish script, down command; nor two of a task.
    one_child_at_a_time,
    /// Nothing is started that is not wanted.
    no_spawn_unless_wanted,
    /// A stop that is not heeded gets to KILL, unless its definition says that it never shall.
    every_stop_ends,
    /// A death, or a failed start, adds one to the deaths in a row, and nothing else does.
    every_death_is_counted_once,
    /// From every state some sequence of time and deaths leads to one where nothing more is due.
    no_wedge,
    /// The finish script runs after each death of the main process, once.
    finish_runs_once_per_death,
    /// Nothing but the service's own word moves the next step of a stop to a later time.
    kill_is_never_postponed,
    /// What is stopped is not left where SIGSTOP holds it.
    a_paused_service_is_continued_when_it_is_stopped,
    /// Ready is said of a process that lives.
    ready_is_never_claimed_for_a_dead_process,
    /// The wait before a restart is as the definition says, or longer.
    backoff_delay_at_least_policy,
    /// A permanent failure is not followed by a start that nobody asked for.
    permanent_failure_stays,
    /// A supervisor that is to exit does so as soon as nothing runs, and does nothing after it.
    exiting_ends,
    /// What is saved can be restored, and is all that there is.
    restore_of_save_is_equal,
    /// A start that needs something is not made without it.
    nothing_starts_unprepared,
    /// What a start needs is made just while the machine says so.
    the_machine_knows_what_is_prepared,
    /// The commands beside a service end with it.
    no_task_outlives_the_service,
    /// Whatever others can see of a change they are told, and nothing else.
    every_change_is_published,
    /// Only what lives is signalled.
    only_the_living_are_signalled,
    /// What waits for a connection is started by one, unless somebody asks for more than to have it wait.
    no_start_without_a_connection,
    /// A service that ends and leaves somebody waiting is put off, as one that fails.
    who_leaves_somebody_waiting_is_put_off,
    /// The machine knows which processes there are.
    the_machine_knows_what_runs,
}

use Invariant as I;

/// An invariant that does not hold, and what was seen.
#[derive(Debug)]
pub(super) struct Violation {
    pub(super) invariant: Invariant,
    pub(super) seen: String,
}

/// Nothing, unless an invariant does not hold.
pub(super) type Held = Result<(), Violation>;

fn require(invariant: Invariant, holds: bool, seen: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(Violation { invariant, seen: seen() }) }
}

/// An answer that the machine waits for, before anything else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) enum Asked {
    #[default]
    Nothing,
    Listen,
    Spawn,
    Finish,
    Down,
}

/// What really runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub(super) struct World {
    pub(super) main: bool,
    /// The finish script, or the down command.
    pub(super) script: bool,
    /// Probe, health, reload, prepare.
    pub(super) tasks: [bool; 4],
    pub(super) asked: Asked,
    pub(super) exited: bool,
    /// KILL was sent.
    pub(super) killed: bool,
    /// STOP was sent, and no CONT since.
    pub(super) stopped: bool,
}

/// A machine and its world.
#[derive(Clone, Copy)]
pub(super) struct Node {
    pub(super) machine: Machine,
    pub(super) world: World,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {:?}]", self.machine.save(), self.world)
    }
}

const PREPARE: usize = 3;

fn place(task: Task) -> usize {
    match task {
        Task::Probe => 0,
        Task::Health => 1,
        Task::Reload => 2,
        Task::Prepare => PREPARE,
    }
}

impl World {
    /// What the event itself says of the processes.
    fn learn(&mut self, event: Event, machine: &Machine) {
        match event {
            Event::Spawned(_) | Event::Found(_) => {
                *self = World { main: true, tasks: self.tasks, ..World::default() };
            }
            Event::SpawnFailed | Event::Listening(_) => self.asked = Asked::Nothing,
            Event::FinishSpawned(pid) | Event::DownSpawned(pid) => {
                self.asked = Asked::Nothing;
                self.script = pid.is_some();
                self.killed = false;
            }
            Event::Died(pid, _) if machine.pid() == Some(pid) => (self.main, self.stopped) = (false, false),
            Event::Died(pid, _) if machine.script() == Some(pid) => self.script = false,
            Event::TaskEnded(task, _) => self.tasks[place(task)] = false,
            _ => {}
        }
    }

    fn nothing_runs(&self) -> bool {
        !self.main && !self.script && !self.prepares() && self.asked == Asked::Nothing
    }

    fn prepares(&self) -> bool {
        self.tasks[PREPARE]
    }
}

impl Node {
    /// Lets `event` happen at `now`, watches the invariants, and returns what has become of it.
    pub(super) fn step(&self, event: Event, now: Tick) -> Result<Node, Violation> {
        let mut next = *self;
        next.world.learn(event, &self.machine);
        let actions = next.machine.handle(now, event);
        for action in actions.iter() {
            next.perform(self, event, action).map_err(|violation| violation.at(self, event, now))?;
        }
        if actions.iter().any(|action| matches!(action, Action::Spawn | Action::StartTask(Task::Prepare))) {
            next.watch_unasked(self, event).map_err(|violation| violation.at(self, event, now))?;
        }
        next.watch(self, event, now, &actions).map_err(|violation| violation.at(self, event, now))?;
        Ok(next)
    }

    fn perform(&mut self, before: &Node, event: Event, action: Action) -> Held {
        let told = || format!("{action:?}");
        require(I::exiting_ends, !self.world.exited, told)?;
        let main_died = matches!(event, Event::Died(pid, _) if before.machine.pid() == Some(pid));
        let world = &mut self.world;
        match action {
            Action::Spawn => {
                require(I::one_child_at_a_time, world.nothing_runs(), told)?;
                require(I::no_spawn_unless_wanted, self.machine.want != Want::Down, told)?;
                let prepared = event == Event::TaskEnded(Task::Prepare, true);
                require(I::nothing_starts_unprepared, prepared == self.machine.policy.prepares, told)?;
                world.asked = Asked::Spawn;
            }
            Action::Listen => {
                require(I::one_child_at_a_time, world.nothing_runs(), told)?;
                require(I::no_spawn_unless_wanted, self.machine.want == Want::Up, told)?;
                world.asked = Asked::Listen;
            }
            Action::SpawnFinish(_) => {
                let again = event == Event::Tick; // For a supervisor that had no answer.
                require(I::finish_runs_once_per_death, main_died || again, told)?;
                require(I::one_child_at_a_time, world.nothing_runs(), told)?;
                world.asked = Asked::Finish;
            }
            Action::SpawnDown => {
                require(I::one_child_at_a_time, world.nothing_runs(), told)?;
                world.asked = Asked::Down;
            }
            Action::Signal(pid, signal, _) => {
                let main = before.machine.pid() == Some(pid) || event == Event::Found(pid);
                let alive = if main { world.main } else { world.script };
                require(I::only_the_living_are_signalled, alive, told)?;
                world.killed |= signal == Signal::KILL;
                world.stopped = (world.stopped || signal == Signal::STOP) && signal != Signal::CONT;
            }
            Action::StartTask(Task::Prepare) => {
                require(I::one_child_at_a_time, world.nothing_runs(), told)?;
                require(I::no_spawn_unless_wanted, self.machine.want != Want::Down, told)?;
                world.tasks[PREPARE] = true;
            }
            Action::StartTask(task) => {
                let runs = &mut world.tasks[place(task)];
                require(I::one_child_at_a_time, !*runs && world.main, told)?;
                *runs = true;
            }
            Action::EndTask(task) => {
                let runs = &mut world.tasks[place(task)];
                require(I::only_the_living_are_signalled, *runs, told)?;
                *runs = false;
            }
            Action::Sweep => require(I::only_the_living_are_signalled, main_died, told)?,
            Action::Publish => {}
            Action::Exit => {
                require(I::exiting_ends, world.nothing_runs(), told)?;
                world.exited = true;
            }
        }
        Ok(())
    }

    /// A start, or what is made for one, is begun by somebody who connects, or asks.
    fn watch_unasked(&self, before: &Node, event: Event) -> Held {
        let prepared = matches!(event, Event::TaskEnded(Task::Prepare, _));
        let waits = self.machine.policy.on_connection && self.machine.want == Want::Up && !prepared;
        let connected = matches!(event, Event::Connected | Event::Listening(true));
        let asked = event == Event::Restart || before.machine.start_again;
        require(I::no_start_without_a_connection, !waits || connected || asked, || format!("{self:?}"))
    }

    /// What holds after every event.
    fn watch(&self, before: &Node, event: Event, now: Tick, actions: &Actions) -> Held {
        let (machine, world) = (&self.machine, &self.world);
        let told = || format!("{self:?}");
        let main_died = matches!(event, Event::Died(pid, _) if before.machine.pid() == Some(pid));

        let changed = before.machine.visible() != machine.visible();
        let published = actions.iter().any(|action| action == Action::Publish);
        require(I::every_change_is_published, published == changed, told)?;
        if main_died {
            let finishes = world.asked == Asked::Finish;
            require(I::finish_runs_once_per_death, finishes == machine.policy.finish, told)?;
        }
        let known = machine.pid().is_some() == world.main && machine.script().is_some() == world.script;
        require(I::the_machine_knows_what_runs, known, told)?;
        let claimed = machine.ready_since.is_some() || machine.state() == State::Up;
        require(I::ready_is_never_claimed_for_a_dead_process, world.main || !claimed, told)?;
        let beside = world.tasks[..PREPARE] != [false; PREPARE];
        require(I::no_task_outlives_the_service, world.main || !beside, told)?;
        require(I::the_machine_knows_what_is_prepared, machine.preparing() == world.prepares(), told)?;
        let running = matches!(machine.phase, Phase::Running { .. });
        let held = world.stopped && !running;
        require(I::a_paused_service_is_continued_when_it_is_stopped, !held, told)?;
        require(
            I::a_paused_service_is_continued_when_it_is_stopped,
            world.stopped == machine.paused(),
            told,
        )?;
        require(I::no_spawn_unless_wanted, !running || machine.want != Want::Down, told)?;
        let at_rest = matches!(machine.phase, Phase::Down | Phase::Failed | Phase::Done);
        require(I::exiting_ends, !(at_rest && machine.exiting) || world.exited, told)?;

        self.watch_stop(before, event, now)?;
        self.watch_deaths(before, event, now)?;
        self.watch_failure(before, event)
    }

    /// The next step of a stop comes no later for anything but the service's own word.
    fn watch_stop(&self, before: &Node, event: Event, now: Tick) -> Held {
        let never = Tick(u64::MAX);
        let end = |node: &Node| node.machine.stop_deadline().unwrap_or(never);
        let same = before.machine.awaited().is_some() && before.machine.awaited() == self.machine.awaited();
        let stopping = |node: &Node| node.machine.stop_deadline().is_some() || node.stop_is_endless();
        if same && stopping(before) && end(before) > now && !matches!(event, Event::ExtendTimeout(_)) {
            require(I::kill_is_never_postponed, end(self) <= end(before), || format!("{self:?}"))?;
        }
        let policy = &self.machine.policy;
        let bounded = match self.machine.phase {
            Phase::Stopping { step: StopStep::Kill | StopStep::Halt, .. } => true,
            Phase::Stopping { .. } | Phase::Undoing { .. } => policy.stop.timeout.is_some(),
            Phase::Finishing { .. } => policy.finish_timeout.is_some(),
            Phase::Preparing { .. } => policy.prepare_timeout.is_some(),
            _ => false,
        };
        let ends = self.machine.deadline().is_some() || !bounded;
        require(I::every_stop_ends, ends, || format!("{self:?}"))
    }

    fn stop_is_endless(&self) -> bool {
        matches!(self.machine.phase, Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Undoing { .. })
    }

    fn watch_deaths(&self, before: &Node, event: Event, now: Tick) -> Held {
        let (old, new) = (&before.machine, &self.machine);
        let told = || format!("{self:?}");
        let unprepared = old.preparing()
            && (event == Event::TaskEnded(Task::Prepare, false) || event == Event::Tick && !new.preparing());
        let unstarted = event == Event::SpawnFailed || unprepared;
        let died = matches!(event, Event::Died(..) | Event::FinishSpawned(None)) || unstarted;
        let left = old.phase == Phase::Listening(Some(Opening::Idle)) && event == Event::Listening(true);
        let died = died || left;
        let again = Phase::Listening(Some(Opening::First));
        let goes_on = matches!(new.phase, Phase::Waiting { .. } | Phase::Spawning | Phase::Preparing { .. })
            || new.phase == again
            || (new.phase == Phase::Failed && new.reason == Reason::GaveUp);
        let (was, is) = (old.backoff.in_a_row(), new.backoff.in_a_row());
        let fresh = if unstarted { Duration::ZERO } else { now.since(old.started) };
        let row = if fresh >= new.policy.restart.reset_after { 0 } else { was };
        require(I::who_leaves_somebody_waiting_is_put_off, !left || is == row + 1, told)?;
        let asked = old.start_again || new.want != Want::Up;
        let right = if died && goes_on && !asked && old.phase != new.phase {
            is == row + 1
        } else {
            is == was || is == 0
        };
        require(I::every_death_is_counted_once, right, told)?;
        if let (Phase::Waiting { until }, false) = (new.phase, old.phase == new.phase) {
            let long_enough = until.since(now) >= least_wait(is, &new.policy.restart);
            require(I::backoff_delay_at_least_policy, long_enough, told)?;
        }
        Ok(())
    }

    fn watch_failure(&self, before: &Node, event: Event) -> Held {
        let (old, new) = (&before.machine, &self.machine);
        let told = || format!("{self:?}");
        if let (Phase::Finishing { pid: Some(script), .. }, Event::Died(pid, WaitStatus::Exited(125))) =
            (old.phase, event)
            && script == pid
            && old.want != Want::Down
            && !old.start_again
        {
            let failed = (new.phase, new.reason) == (Phase::Failed, Reason::Permanent);
            require(I::permanent_failure_stays, failed, told)?;
        }
        let asked = matches!(
            event,
            Event::Start | Event::Once | Event::Restart | Event::Stop | Event::Halt | Event::Found(_)
        );
        let left = old.phase == Phase::Failed && new.phase != Phase::Failed;
        require(I::permanent_failure_stays, asked || !left, told)
    }

    // --- what holds in a state, found out by going on from it ---

    /// A stop that the service ignores goes on to KILL.
    pub(super) fn stops(&self, now: Tick) -> Held {
        if self.machine.policy.stop.timeout.is_none() {
            return Ok(());
        }
        let mut node = self.step(Event::Stop, now)?;
        for _ in 0..5 {
            if !node.world.main || node.world.killed {
                return Ok(());
            }
            let Some(deadline) = node.machine.deadline() else { break };
            node = node.step(Event::Tick, deadline)?;
        }
        require(I::every_stop_ends, !node.world.main || node.world.killed, || format!("{self:?}"))
    }

    /// Time and deaths alone lead to where nothing more is due.
    pub(super) fn settles(&self, mut now: Tick) -> Held {
        let mut node = *self;
        for _ in 0..20 {
            if node.world.exited || matches!(node.machine.phase, Phase::Running { .. }) {
                return Ok(());
            }
            let done = WaitStatus::Exited(0);
            let event = match (node.world.asked, node.machine.awaited()) {
                (Asked::Listen, _) => Event::Listening(false),
                (Asked::Nothing, None) if node.world.prepares() => Event::TaskEnded(Task::Prepare, true),
                (Asked::Spawn, _) => Event::Spawned(MAIN),
                (Asked::Finish, _) => Event::FinishSpawned(None),
                (Asked::Down, _) => Event::DownSpawned(None),
                (Asked::Nothing, Some(pid)) => Event::Died(pid, done),
                (Asked::Nothing, None) => match node.machine.deadline() {
                    Some(deadline) => {
                        now = now.max(deadline);
                        Event::Tick
                    }
                    None => break,
                },
            };
            node = node.step(event, now)?;
        }
        require(I::no_wedge, node.machine.state().settled(), || format!("{self:?} comes to {node:?}"))
    }

    /// A supervisor that is killed here, and the one after it: the same machine, but for what nobody answers
    /// now.
    pub(super) fn survives(&self, definition: &Definition, now: Tick) -> Held {
        let saved = self.machine.save();
        let mut next = Machine::new(definition, now);
        let read = next.restore(now, &saved);
        let expected = after_a_kill(self.machine, now);
        require(I::restore_of_save_is_equal, read && next == expected, || {
            format!("{saved} becomes {} instead of {}", next.save(), expected.save())
        })
    }
}

/// The main process of a world in which numbers do not matter.
pub(super) const MAIN: Pid = Pid::INIT;

/// What the machine is to be after its supervisor was killed at `now`.
fn after_a_kill(mut machine: Machine, now: Tick) -> Machine {
    match &mut machine.phase {
        Phase::Finishing { pid: None, deadline, .. } | Phase::Undoing { pid: None, deadline } => {
            *deadline = Some(now);
        }
        Phase::Running { readiness: Readiness::Pending { probe: probe @ Probe::Running(_), .. }, .. } => {
            *probe = Probe::Again(now);
        }
        phase @ (Phase::Preparing { .. } | Phase::Spawning) => *phase = Phase::Waiting { until: now },
        Phase::Listening(opening) => *opening = Some(Opening::Again),
        phase @ Phase::Done if machine.policy.oneshot && !machine.policy.undo => *phase = Phase::Down,
        _ => {}
    }
    if machine.care.watchdog.is_some() {
        machine.care.watchdog = machine.policy.watchdog.map(|period| now.after(period));
    }
    if matches!(machine.care.check, Check::Running(_)) {
        machine.care.check = Check::Again(now);
    }
    if matches!(machine.care.reload, Some(Reload::ByCommand { .. })) {
        machine.care.reload = None;
        machine.reason = Reason::ReloadFailed;
    }
    machine
}

/// The least wait after so many deaths in a row.
fn least_wait(in_a_row: u32, restart: &Restart) -> Duration {
    match in_a_row.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => restart.delay.saturating_mul(1 << doublings.min(30)).min(restart.max_delay),
    }
}

impl Violation {
    fn at(mut self, before: &Node, event: Event, now: Tick) -> Violation {
        self.seen = format!("{event:?} at {now:?} in {before:?} leads to {}", self.seen);
        self
    }
}
