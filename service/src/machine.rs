//! One service: what its supervisor does about it.
//!
//! [`Machine::handle`] takes the time and an event and returns actions; [`Machine::deadline`] tells when it
//! wants to be called with [`Event::Tick`] at the latest. What is *wanted* of the service is kept apart from
//! the *phase* that it is in:
//!
//! | phase | means | left by |
//! | --- | --- | --- |
//! | `Down` | nothing runs, nothing is due | `Start`, `Once`, `Restart`; `Found`, as every phase in which nothing runs |
//! | `Waiting` | died; started again at a deadline | the deadline, any start; `Stop` |
//! | `Preparing` | what it runs in is being made, by a command with a deadline | the command's end, the deadline; `Stop` |
//! | `Listening` | its sockets are open; started when somebody connects | a connection; `Restart`, `Once`, `Stop`; `SpawnFailed` |
//! | `Spawning` | a spawn was asked for | `Spawned`, `SpawnFailed` |
//! | `Running` | the main process lives; pending, overdue or ready | its death; `Stop`, `Restart`, `Halt`, `Stopping`; what it is condemned for |
//! | `Stopping` | its end is awaited, by steps that each have a deadline: halt signal, stop signal, KILL | its death |
//! | `Finishing` | dead; the finish script runs | the script's death |
//! | `Undoing` | a oneshot that was done; its down command runs | the command's death |
//! | `Done` | ended with success, and is not to be started again | `Restart`; any start, unless it is a oneshot; `Stop` |
//! | `Failed` | given up | any start; `Stop` |
//!
//! Commands are taken in every phase. A stop in progress is never put off by repeating it. What goes on beside
//! a process that runs (health checks, a reload, a pause, the watchdog) ends with the run: see [`care`].

mod care;
#[cfg(test)]
mod explore;
#[cfg(test)]
mod invariants;
mod life;
mod listen;
mod pause;
mod phase;
#[cfg(test)]
mod planted;
mod policy;
mod prepare;
mod ready;
mod reload;
mod resume;
mod save;
mod stop;
#[cfg(test)]
mod tests;
mod time;
#[cfg(test)]
mod traces;
mod view;

use crate::backoff::Backoff;
use crate::definition::{Definition, Scope};
use crate::exit::{Pid, WaitStatus};
use crate::list::List;
use crate::signal::Signal;
use crate::status::Want;
use crate::tick::Tick;
use care::Care;
use phase::{Phase, StopStep};
use policy::Policy;
pub use resume::STATE_VERSION;
use std::time::Duration;

/// What has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Stop its processes where they are.
    Pause,
    /// Let them go on.
    Continue,
    /// The machine goes down.
    Halt,
    /// Exit once it is down.
    Exit,
    /// The answer to [`Action::Spawn`].
    Spawned(Pid),
    /// The other answer to [`Action::Spawn`].
    SpawnFailed,
    /// The answer to [`Action::Listen`]: its sockets are open; whether somebody waits at one of them already. The other
    /// answer is [`Event::SpawnFailed`].
    Listening(bool),
    /// Somebody waits at one of its sockets.
    Connected,
    /// A main process that a supervisor before this one had started, and not told of; nothing else runs.
    Found(Pid),
    /// A process ended: the main one, the finish script, or the down command.
    Died(Pid, WaitStatus),
    /// It told that it is ready, or that it has reloaded (sd_notify(3), READY=1).
    Ready,
    /// It told that it reloads (RELOADING=1).
    Reloading,
    /// It told that it stops by itself (STOPPING=1).
    Stopping,
    /// It told that it needs so much more time for what it does (EXTEND_TIMEOUT_USEC).
    ExtendTimeout(Duration),
    /// It told that it lives (WATCHDOG=1).
    Watchdog,
    /// It told that it is broken (WATCHDOG=trigger).
    WatchdogTrigger,
    /// A command beside the service ended, with success or not; or could not be started, which is no success.
    TaskEnded(Task, bool),
    /// The answer to [`Action::SpawnFinish`]; none if there is no process.
    FinishSpawned(Option<Pid>),
    /// The answer to [`Action::SpawnDown`]; none if there is no process.
    DownSpawned(Option<Pid>),
    /// Time has passed.
    Tick,
}

/// A command that runs beside the service, once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// It finds out whether the service is ready.
    Probe,
    /// It finds out whether the service still does its work.
    Health,
    /// It has the service reload its configuration.
    Reload,
    /// It makes what the main process runs in, before it is started.
    Prepare,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the main process, and answer with `Spawned` or `SpawnFailed` before any other event.
    Spawn,
    /// Open the sockets and watch them, and answer with `Listening` or `SpawnFailed` before any other event.
    Listen,
    /// Send a signal.
    Signal(Pid, Signal, Scope),
    /// Kill what is left of the service's control group.
    Sweep,
    /// Start the finish script for this death, and answer with `FinishSpawned` before any other event.
    SpawnFinish(WaitStatus),
    /// Start the down command, and answer with `DownSpawned` before any other event.
    SpawnDown,
    /// Start this command; its end is told as `TaskEnded`.
    StartTask(Task),
    /// Kill it; its end is then of no interest.
    EndTask(Task),
    /// Write the status, then tell whoever listens.
    Publish,
    /// The supervisor's work is done.
    Exit,
}

impl Action {
    /// Whether it starts what the supervisor then has to stay for, even if it was about to exit.
    #[must_use]
    pub fn starts(self) -> bool {
        matches!(
            self,
            Action::Spawn | Action::SpawnFinish(_) | Action::SpawnDown | Action::StartTask(Task::Prepare)
        )
    }
}

/// The most actions that one event causes.
pub const ACTIONS_MAX: usize = 8;

/// What one event causes, in order.
pub type Actions = List<Action, ACTIONS_MAX>;

/// Why a service is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is nothing to explain.
    None,
    /// The main process could not be started.
    SpawnFailed,
    /// The command that prepares its start failed.
    PrepareFailed,
    /// That command took too long.
    PrepareTimedOut,
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
    /// Its health checks fail.
    Unhealthy,
    /// Its watchdog was not heard of in time, or was pulled.
    Watchdog,
    /// Its reload command failed, or took too long.
    ReloadFailed,
    /// It takes long to reload, and is waited for.
    ReloadOverdue,
    /// Its down command failed, or took too long.
    DownFailed,
}

/// One service under supervision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    policy: Policy,
    want: Want,
    phase: Phase,
    reason: Reason,
    backoff: Backoff,
    /// What goes on beside the main process.
    care: Care,
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
            care: Care::default(),
            start_again: false,
            exiting: false,
            since: now,
            started: now,
            ready_since: None,
            starts: 0,
            last_exit: None,
        }
    }

    /// Takes an event, and returns what is to be done about it.
    pub fn handle(&mut self, now: Tick, event: Event) -> Actions {
        let mut actions = Actions::new();
        let before = self.visible();
        self.dispatch(now, event, &mut actions);
        let after = self.visible();
        if before.state != after.state {
            self.since = now;
        }
        if before != after && !planted!(machine::UntoldChange) {
            actions.push(Action::Publish);
        }
        if self.may_exit() {
            actions.push(Action::Exit);
        }
        actions
    }

    fn dispatch(&mut self, now: Tick, event: Event, actions: &mut Actions) {
        match event {
            Event::Start => self.start(now, Want::Up, actions),
            Event::Once => self.start(now, Want::Once, actions),
            Event::Stop => self.stop(now, actions),
            Event::Restart => self.restart(now, actions),
            Event::Reload => self.reload(now, actions),
            Event::Kill(signal) => self.kill(now, signal, actions),
            Event::Pause => self.pause(now, actions),
            Event::Continue => self.go_on(now, actions),
            Event::Halt => self.halt(now, actions),
            Event::Exit => self.exiting = true,
            Event::Spawned(pid) => self.spawned(now, pid),
            Event::SpawnFailed => self.spawn_failed(now, actions),
            Event::Listening(pending) => self.listening(now, pending, actions),
            Event::Connected => self.connected(now, actions),
            Event::Found(pid) => self.found(now, pid, actions),
            Event::Died(pid, status) => self.died(now, pid, status, actions),
            Event::Ready => self.told_ready(now, actions),
            Event::Reloading => self.told_reloading(now),
            Event::Stopping => self.told_stopping(now, actions),
            Event::ExtendTimeout(by) => self.extend(now, by),
            Event::Watchdog => self.watchdog_heard(now),
            Event::WatchdogTrigger => self.watchdog_missed(now, actions),
            Event::TaskEnded(task, success) => self.task_ended(now, task, success, actions),
            Event::FinishSpawned(pid) => self.finish_spawned(now, pid, actions),
            Event::DownSpawned(pid) => self.down_spawned(now, pid, actions),
            Event::Tick => self.tick(now, actions),
        }
    }

    fn task_ended(&mut self, now: Tick, task: Task, success: bool, actions: &mut Actions) {
        match task {
            Task::Probe => self.probe_ended(now, success, actions),
            Task::Health => self.check_ended(now, success, actions),
            Task::Reload => self.reload_ended(success),
            Task::Prepare => self.prepare_ended(now, success, actions),
        }
    }

    // --- what is wanted ---

    fn start(&mut self, now: Tick, want: Want, actions: &mut Actions) {
        if self.exiting {
            return;
        }
        self.want = want;
        match self.phase {
            Phase::Down | Phase::Waiting { .. } | Phase::Failed => self.begin_as_wanted(now, actions),
            // Whoever wants it to run does not want it to wait.
            Phase::Listening(_) if want == Want::Once => self.begin_anew(now, actions),
            // A oneshot that is done has done what it is wanted for.
            Phase::Done if !self.policy.oneshot => self.begin_as_wanted(now, actions),
            Phase::Stopping { .. } | Phase::Finishing { .. } | Phase::Undoing { .. } => {
                self.start_again = true;
            }
            Phase::Preparing { .. }
            | Phase::Listening(_)
            | Phase::Spawning
            | Phase::Running { .. }
            | Phase::Done => {}
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
            Phase::Done if self.policy.undo => {
                self.start_again = true;
                self.begin_undo(now, actions);
            }
            Phase::Down | Phase::Waiting { .. } | Phase::Listening(_) | Phase::Failed | Phase::Done => {
                self.begin_anew(now, actions);
            }
            Phase::Running { .. } if planted!(machine::RestartAtOnce) => self.begin_anew(now, actions),
            Phase::Running { pid, .. } => {
                self.start_again = true;
                self.begin_stop(now, pid, StopStep::Stop, actions);
            }
            Phase::Stopping { pid, step, deadline } => {
                self.start_again = true;
                self.stop_already(now, pid, step, deadline, actions);
            }
            Phase::Finishing { .. } | Phase::Undoing { .. } => self.start_again = true,
            Phase::Preparing { .. } | Phase::Spawning => {}
        }
    }

    fn stop(&mut self, now: Tick, actions: &mut Actions) {
        self.want = Want::Down;
        self.start_again = false;
        match self.phase {
            Phase::Done if self.policy.undo => self.begin_undo(now, actions),
            Phase::Waiting { .. } | Phase::Listening(_) | Phase::Failed | Phase::Done => {
                self.rest(Phase::Down, Reason::None);
            }
            Phase::Preparing { .. } => self.stop_preparing(actions),
            Phase::Running { pid, .. } => self.begin_stop(now, pid, StopStep::Stop, actions),
            Phase::Stopping { pid, step, deadline } => {
                self.stop_already(now, pid, step, deadline, actions);
            }
            Phase::Down | Phase::Spawning | Phase::Finishing { .. } | Phase::Undoing { .. } => {}
        }
    }

    /// Going down with the machine is a stop that may begin with a step of its own.
    fn halt(&mut self, now: Tick, actions: &mut Actions) {
        self.exiting = true;
        if let Phase::Running { pid, .. } = self.phase
            && self.policy.halts_gently()
        {
            self.want = Want::Down;
            self.begin_stop(now, pid, StopStep::Halt, actions);
        } else {
            self.stop(now, actions);
        }
    }

    fn kill(&mut self, now: Tick, signal: Signal, actions: &mut Actions) {
        let Some(pid) = self.pid() else { return };
        let stopping = matches!(self.phase, Phase::Stopping { .. });
        match signal {
            // A stop is not held up.
            Signal::STOP if stopping => {}
            Signal::STOP => self.pause(now, actions),
            Signal::CONT => self.go_on(now, actions),
            _ => actions.push(Action::Signal(pid, signal, Scope::Main)),
        }
    }

    fn rest(&mut self, phase: Phase, reason: Reason) {
        self.phase = phase;
        self.reason = reason;
        self.start_again = false;
    }
}
