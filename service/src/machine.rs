//! One service: what its supervisor does about it.
//!
//! [`Machine::handle`] takes the time and an event and returns actions; [`Machine::deadline`] tells when it
//! wants to be called with [`Event::Tick`] at the latest. What is *wanted* of the service is kept apart from
//! the *phase* that it is in:
//!
//! | phase | means | left by |
//! | --- | --- | --- |
//! | `Down` | nothing runs, nothing is due | `Start`, `Once`, `Restart` |
//! | `Waiting` | died; started again at a deadline | the deadline, any start; `Stop` |
//! | `Spawning` | a spawn was asked for | `Spawned`, `SpawnFailed` |
//! | `Running` | the main process lives; pending, overdue or ready | its death; `Stop`, `Restart`, `Halt` |
//! | `Stopping` | signalled: halt signal, stop signal, then KILL, each with a deadline | its death |
//! | `Finishing` | dead; the finish script runs | the script's death |
//! | `Done` | ended with success, and is not to be started again | `Restart`; any start, unless it is a oneshot |
//! | `Failed` | given up | any start; `Stop` |
//!
//! Commands are taken in every phase. A stop in progress is never put off by repeating it.

#[cfg(test)]
mod explore;
mod phase;
mod ready;
mod save;
#[cfg(test)]
mod tests;
mod view;

use crate::backoff::{Backoff, Verdict};
use crate::definition::{Definition, Kind, Ready, ReadyMethod, Restart, RestartWhen, Scope, Stop};
use crate::exit::{Pid, WaitStatus};
use crate::list::List;
use crate::signal::Signal;
use crate::status::Want;
use crate::tick::Tick;
use phase::{Phase, Probe, Readiness, StopStep};
use std::time::Duration;

/// How long a finish script may take before it is killed, as under s6.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often KILL is repeated for a process that does not die of it: one that hangs in the kernel.
const KILL_AGAIN: Duration = Duration::from_secs(5);
/// The exit code by which a finish script declares that restarting is of no use (s6's servicedir contract).
const PERMANENT_FAILURE: WaitStatus = WaitStatus::Exited(125);

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Want it up.
    Start,
    /// Want it to run until it ends.
    Once,
    /// Want it down.
    Stop,
    /// Stop it if it runs, and start it.
    Restart,
    /// Have it reload its configuration.
    Reload,
    /// Send it a signal.
    Kill(Signal),
    /// The machine goes down.
    Halt,
    /// Exit once it is down.
    Exit,
    /// The answer to [`Action::Spawn`].
    Spawned(Pid),
    /// The other answer to [`Action::Spawn`].
    SpawnFailed,
    /// A process ended: the main one, or the finish script.
    Died(Pid, WaitStatus),
    /// It told that it is ready.
    Ready,
    /// The readiness command ended, with success or not.
    ProbeEnded(bool),
    /// The answer to [`Action::SpawnFinish`]; none if there is no process.
    FinishSpawned(Option<Pid>),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the main process, and answer with `Spawned` or `SpawnFailed` before any other event.
    Spawn,
    /// Send a signal.
    Signal(Pid, Signal, Scope),
    /// Start the finish script for this death, and answer with `FinishSpawned` before any other event.
    SpawnFinish(WaitStatus),
    /// Start the readiness command; its end is told as `ProbeEnded`.
    StartProbe,
    /// End the readiness command, whose end is then of no interest.
    StopProbe,
    /// Write the status, then tell whoever listens.
    Publish,
    /// The supervisor's work is done.
    Exit,
}

/// The most actions that one event causes.
pub const ACTIONS_MAX: usize = 6;

/// What one event causes, in order.
pub type Actions = List<Action, ACTIONS_MAX>;

/// Why a service is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is nothing to explain.
    None,
    /// The main process could not be started.
    SpawnFailed,
    /// It died by itself.
    Died,
    /// It died too often.
    GaveUp,
    /// Its finish script declared a permanent failure.
    Permanent,
    /// It was stopped since it took too long to become ready, or to be done.
    TimedOut,
    /// It takes long to become ready, and is waited for.
    Overdue,
}

/// The parts of a definition that decide what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    oneshot: bool,
    finish: bool,
    ready_by: Readiness,
    probe_interval: Duration,
    ready_timeout: Option<Duration>,
    restart_when_overdue: bool,
    start_timeout: Option<Duration>,
    restart: Restart,
    stop: Stop,
}

impl Policy {
    /// The policy that `definition` declares.
    #[must_use]
    pub fn new(definition: &Definition) -> Policy {
        let Ready { method, timeout, restart_when_overdue } = &definition.ready;
        let (ready_by, probe_interval) = match method {
            ReadyMethod::Immediate => (Readiness::Immediate, Duration::ZERO),
            ReadyMethod::Descriptor(_) | ReadyMethod::Notify(_) => {
                (Readiness::Pending { overdue: false, probe: Probe::None }, Duration::ZERO)
            }
            ReadyMethod::Command { interval, .. } => {
                (Readiness::Pending { overdue: false, probe: Probe::Running }, *interval)
            }
        };
        Policy {
            oneshot: definition.kind == Kind::Oneshot,
            finish: definition.finish,
            ready_by,
            probe_interval,
            ready_timeout: *timeout,
            restart_when_overdue: *restart_when_overdue,
            start_timeout: definition.start_timeout,
            restart: definition.restart,
            stop: definition.stop,
        }
    }
}

/// One service under supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    policy: Policy,
    want: Want,
    phase: Phase,
    reason: Reason,
    backoff: Backoff,
    /// Start again as soon as what runs has ended: somebody asked for it.
    start_again: bool,
    /// Exit once nothing runs.
    exiting: bool,
    since: Tick,
    started: Tick,
    ready_since: Option<Tick>,
    starts: u32,
    last_exit: Option<(WaitStatus, Tick)>,
}

impl Machine {
    /// A service that is down and not wanted.
    #[must_use]
    pub fn new(definition: &Definition, now: Tick) -> Machine {
        Machine {
            policy: Policy::new(definition),
            want: Want::Down,
            phase: Phase::Down,
            reason: Reason::None,
            backoff: Backoff::new(),
            start_again: false,
            exiting: false,
            since: now,
            started: now,
            ready_since: None,
            starts: 0,
            last_exit: None,
        }
    }

    /// A service whose main process runs already: a supervisor before this one started it at `started`.
    /// `ready_since` tells whether it is known to be ready.
    pub fn adopt(
        &mut self,
        now: Tick,
        pid: Pid,
        want: Want,
        started: Tick,
        ready_since: Option<Tick>,
        starts: u32,
    ) {
        let readiness = if ready_since.is_some() { Readiness::Ready } else { self.policy.ready_by };
        self.want = want;
        self.phase = Phase::Running { pid, readiness };
        self.since = ready_since.unwrap_or(now);
        self.started = started;
        self.ready_since = ready_since;
        self.starts = starts;
    }

    /// Whether an adopted service has a readiness command that has to be started for it.
    #[must_use]
    pub fn awaits_probe(&self) -> bool {
        matches!(
            self.phase,
            Phase::Running { readiness: Readiness::Pending { probe: Probe::Running, .. }, .. }
        )
    }

    /// Takes an event, and returns what is to be done about it.
    pub fn handle(&mut self, now: Tick, event: Event) -> Actions {
        let mut actions = Actions::new();
        let before = self.visible();
        self.dispatch(now, event, &mut actions);
        let after = self.visible();
        if before.0 != after.0 {
            self.since = now;
        }
        if before != after {
            actions.push(Action::Publish);
        }
        if self.may_exit() {
            actions.push(Action::Exit);
        }
        actions
    }

    fn dispatch(&mut self, now: Tick, event: Event, actions: &mut Actions) {
        match event {
            Event::Start => self.start(Want::Up, actions),
            Event::Once => self.start(Want::Once, actions),
            Event::Stop => self.stop(now, actions),
            Event::Restart => self.restart(now, actions),
            Event::Reload => self.send(self.policy.stop.reload_signal, actions),
            Event::Kill(signal) => self.send(signal, actions),
            Event::Halt => self.halt(now, actions),
            Event::Exit => self.exiting = true,
            Event::Spawned(pid) => self.spawned(now, pid, actions),
            Event::SpawnFailed => self.spawn_failed(now, actions),
            Event::Died(pid, status) => self.died(now, pid, status, actions),
            Event::Ready => self.became_ready(now, actions),
            Event::ProbeEnded(success) => self.probe_ended(now, success, actions),
            Event::FinishSpawned(pid) => self.finish_spawned(now, pid, actions),
            Event::Tick => self.tick(now, actions),
        }
    }

    // --- what is wanted ---

    fn start(&mut self, want: Want, actions: &mut Actions) {
        if self.exiting {
            return;
        }
        self.want = want;
        match self.phase {
            Phase::Down | Phase::Waiting { .. } | Phase::Failed => self.begin_anew(actions),
            // A oneshot that is done has done what it is wanted for.
            Phase::Done if !self.policy.oneshot => self.begin_anew(actions),
            Phase::Stopping { .. } | Phase::Finishing { .. } => self.start_again = true,
            Phase::Spawning | Phase::Running { .. } | Phase::Done => {}
        }
    }

    fn restart(&mut self, now: Tick, actions: &mut Actions) {
        if self.exiting {
            return;
        }
        if self.want == Want::Down {
            self.want = Want::Up;
        }
        match self.phase {
            Phase::Down | Phase::Waiting { .. } | Phase::Failed | Phase::Done => self.begin_anew(actions),
            Phase::Running { pid, .. } => {
                self.start_again = true;
                self.begin_stop(now, pid, StopStep::Stop, actions);
            }
            Phase::Stopping { .. } | Phase::Finishing { .. } => self.start_again = true,
            Phase::Spawning => {}
        }
    }

    fn stop(&mut self, now: Tick, actions: &mut Actions) {
        self.want = Want::Down;
        self.start_again = false;
        match self.phase {
            Phase::Waiting { .. } | Phase::Failed | Phase::Done => self.rest(Phase::Down, Reason::None),
            Phase::Running { pid, .. } => self.begin_stop(now, pid, StopStep::Stop, actions),
            Phase::Down | Phase::Spawning | Phase::Stopping { .. } | Phase::Finishing { .. } => {}
        }
    }

    /// Going down with the machine is a stop that may begin with a signal of its own.
    fn halt(&mut self, now: Tick, actions: &mut Actions) {
        self.exiting = true;
        if let (Phase::Running { pid, .. }, Some(_)) = (self.phase, self.policy.stop.halt_signal) {
            self.want = Want::Down;
            self.begin_stop(now, pid, StopStep::Halt, actions);
        } else {
            self.stop(now, actions);
        }
    }

    fn send(&self, signal: Signal, actions: &mut Actions) {
        if let Phase::Running { pid, .. } | Phase::Stopping { pid, .. } = self.phase {
            actions.push(Action::Signal(pid, signal, Scope::Main));
        }
    }

    // --- the main process ---

    /// A start that somebody asked for: what went wrong before is forgotten.
    fn begin_anew(&mut self, actions: &mut Actions) {
        self.backoff = Backoff::new();
        self.begin(actions);
    }

    fn begin(&mut self, actions: &mut Actions) {
        self.start_again = false;
        self.phase = Phase::Spawning;
        actions.push(Action::Spawn);
    }

    fn spawned(&mut self, now: Tick, pid: Pid, actions: &mut Actions) {
        if self.phase != Phase::Spawning {
            return;
        }
        self.starts = self.starts.saturating_add(1);
        self.started = now;
        self.reason = Reason::None;
        self.ready_since =
            (self.policy.ready_by == Readiness::Immediate && !self.policy.oneshot).then_some(now);
        self.phase = Phase::Running { pid, readiness: self.policy.ready_by };
        if self.awaits_probe() {
            actions.push(Action::StartProbe);
        }
    }

    fn spawn_failed(&mut self, now: Tick, actions: &mut Actions) {
        if self.phase == Phase::Spawning {
            self.reason = Reason::SpawnFailed;
            self.started = now;
            self.after_failure(now, actions);
        }
    }

    fn died(&mut self, now: Tick, pid: Pid, status: WaitStatus, actions: &mut Actions) {
        match self.phase {
            Phase::Running { pid: main, .. } | Phase::Stopping { pid: main, .. } if main == pid => {
                self.end_probe(actions);
                self.last_exit = Some((status, now));
                self.ready_since = None;
                if let Phase::Running { .. } = self.phase {
                    self.reason = Reason::Died;
                }
                if self.policy.finish {
                    self.phase =
                        Phase::Finishing { died: status, pid: None, deadline: now.after(FINISH_TIMEOUT) };
                    actions.push(Action::SpawnFinish(status));
                } else {
                    self.after_death(now, status, actions);
                }
            }
            Phase::Finishing { died, pid: Some(finish), .. } if finish == pid => {
                self.finished(now, died, status, actions);
            }
            Phase::Down
            | Phase::Waiting { .. }
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Stopping { .. }
            | Phase::Finishing { .. }
            | Phase::Done
            | Phase::Failed => {}
        }
    }

    fn finish_spawned(&mut self, now: Tick, pid: Option<Pid>, actions: &mut Actions) {
        if let Phase::Finishing { died, pid: current @ None, .. } = &mut self.phase {
            *current = pid;
            let died = *died;
            if pid.is_none() {
                self.after_death(now, died, actions);
            }
        }
    }

    fn finished(&mut self, now: Tick, died: WaitStatus, finish: WaitStatus, actions: &mut Actions) {
        let asked = self.start_again || self.want == Want::Down;
        if finish == PERMANENT_FAILURE && !asked {
            self.rest(Phase::Failed, Reason::Permanent);
        } else {
            self.after_death(now, died, actions);
        }
    }

    /// Nothing of the service runs any more: what now?
    fn after_death(&mut self, now: Tick, status: WaitStatus, actions: &mut Actions) {
        match self.want {
            Want::Down => self.rest(Phase::Down, Reason::None),
            Want::Up | Want::Once if self.start_again => self.begin_anew(actions),
            Want::Once => {
                self.want = Want::Down;
                self.rest_by(status);
            }
            Want::Up if self.policy.oneshot && status.success() => self.rest(Phase::Done, Reason::None),
            Want::Up => match (self.policy.restart.when, status.success()) {
                (RestartWhen::Never, _) | (RestartWhen::OnFailure, true) => self.rest_by(status),
                (RestartWhen::Always, _) | (RestartWhen::OnFailure, false) => {
                    self.after_failure(now, actions);
                }
            },
        }
    }

    fn after_failure(&mut self, now: Tick, actions: &mut Actions) {
        if self.policy.restart.when == RestartWhen::Never || self.want == Want::Once {
            return self.rest(Phase::Failed, self.reason);
        }
        match self.backoff.died(now, now.since(self.started), &self.policy.restart) {
            Verdict::GiveUp => self.rest(Phase::Failed, Reason::GaveUp),
            // A failing spawn is answered at once: beginning again here would recurse for ever.
            Verdict::Wait(wait) if wait.is_zero() && self.reason != Reason::SpawnFailed => {
                self.begin(actions);
            }
            Verdict::Wait(wait) => self.phase = Phase::Waiting { until: now.after(wait) },
        }
    }

    fn rest_by(&mut self, status: WaitStatus) {
        if status.success() {
            self.rest(Phase::Done, Reason::None);
        } else {
            self.rest(Phase::Failed, self.reason);
        }
    }

    fn rest(&mut self, phase: Phase, reason: Reason) {
        self.phase = phase;
        self.reason = reason;
        self.start_again = false;
    }

    // --- stopping ---

    fn begin_stop(&mut self, now: Tick, pid: Pid, step: StopStep, actions: &mut Actions) {
        self.end_probe(actions);
        self.ready_since = None;
        let Stop { signal, timeout, scope, halt_signal, halt_timeout, .. } = self.policy.stop;
        let wait = match step {
            StopStep::Halt => {
                actions.push(Action::Signal(pid, halt_signal.unwrap_or(signal), Scope::Main));
                Some(halt_timeout)
            }
            StopStep::Stop => {
                actions.push(Action::Signal(pid, signal, scope));
                timeout
            }
            StopStep::Kill => {
                actions.push(Action::Signal(pid, Signal::KILL, scope));
                Some(KILL_AGAIN)
            }
        };
        // A stopped process hears nothing until it is continued.
        actions.push(Action::Signal(pid, Signal::CONT, scope));
        self.phase = Phase::Stopping { pid, step, deadline: now.after(wait.unwrap_or(Duration::MAX)) };
    }
}
