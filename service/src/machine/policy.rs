//! The parts of a definition that decide what is done.

use crate::definition::{Definition, Health, Kind, ReadyMethod, Restart, Scope, Stop, Style};
use std::time::Duration;

/// What [`super::Machine`] goes by. Nothing in it changes while a machine lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) oneshot: bool,
    pub(super) finish: bool,
    pub(super) finish_timeout: Option<Duration>,
    /// Whether a finish script can declare that restarting is of no use.
    pub(super) finish_gives_up: bool,
    /// It has a down command.
    pub(super) undo: bool,
    pub(super) ready_by: ReadyBy,
    pub(super) ready_timeout: Option<Duration>,
    pub(super) restart_when_overdue: bool,
    pub(super) start_timeout: Option<Duration>,
    /// Something is done before each start.
    pub(super) prepares: bool,
    pub(super) prepare_timeout: Option<Duration>,
    pub(super) restart: Restart,
    pub(super) stop: Stop,
    pub(super) reload_by_command: bool,
    pub(super) reload_timeout: Duration,
    pub(super) health: Option<Checks>,
    pub(super) watchdog: Option<Duration>,
    /// It is started when somebody connects to one of its sockets.
    pub(super) on_connection: bool,
}

/// How readiness is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadyBy {
    /// It is ready as soon as it runs.
    Running,
    /// It tells so.
    Message,
    /// A command finds out, again and again. One that takes longer than `timeout` is killed.
    Probe { interval: Duration, timeout: Option<Duration> },
}

/// How health is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checks {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    /// At least one.
    pub(super) threshold: u32,
    pub(super) restart: bool,
}

impl Checks {
    fn new(health: &Health) -> Checks {
        Checks {
            interval: health.interval,
            timeout: health.timeout,
            threshold: health.threshold.max(1),
            restart: health.restart,
        }
    }
}

impl Policy {
    /// The policy that `definition` declares.
    pub(super) fn new(definition: &Definition) -> Policy {
        let oneshot = definition.kind == Kind::Oneshot;
        let ready = &definition.ready;
        Policy {
            oneshot,
            finish: definition.finish,
            finish_timeout: definition.finish_timeout,
            finish_gives_up: definition.style != Style::Runit,
            undo: oneshot && !definition.down_command.is_empty(),
            ready_by: match ready.method {
                ReadyMethod::Immediate => ReadyBy::Running,
                ReadyMethod::Descriptor(_) | ReadyMethod::Notify(_) => ReadyBy::Message,
                ReadyMethod::Command { interval, .. } => {
                    ReadyBy::Probe { interval, timeout: ready.probe_timeout }
                }
            },
            ready_timeout: ready.timeout,
            restart_when_overdue: ready.restart_when_overdue,
            start_timeout: definition.start_timeout.filter(|_| oneshot),
            prepares: !definition.prepare_command.is_empty(),
            prepare_timeout: definition.prepare_timeout,
            restart: definition.restart,
            stop: definition.stop,
            reload_by_command: !definition.reload_command.is_empty(),
            reload_timeout: definition.reload_timeout,
            health: definition.health.as_ref().filter(|_| !oneshot).map(Checks::new),
            watchdog: definition.watchdog.filter(|_| !oneshot),
            on_connection: definition.start_on_connection && !definition.sockets.is_empty() && !oneshot,
        }
    }

    /// Whether going down with the machine begins with more than the stop signal.
    pub(super) fn halts_gently(&self) -> bool {
        self.stop.halt_signal.is_some() || self.stop.halt_by_end_of_input
    }

    /// Whether what is left in the control group after a death is ours to kill.
    pub(super) fn sweeps(&self) -> bool {
        self.stop.scope == Scope::Cgroup || self.stop.kill_scope == Scope::Cgroup
    }
}
