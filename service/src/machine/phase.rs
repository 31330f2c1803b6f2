//! The phases of the machine, with just the data that each of them has.

use crate::exit::{Pid, WaitStatus};
use crate::tick::Tick;

/// What is going on with the service's processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Down,
    Waiting {
        until: Tick,
    },
    Spawning,
    Running {
        pid: Pid,
        readiness: Readiness,
    },
    Stopping {
        pid: Pid,
        step: StopStep,
        deadline: Tick,
    },
    /// The finish script has no pid until its spawn has been answered.
    Finishing {
        died: WaitStatus,
        pid: Option<Pid>,
        deadline: Tick,
    },
    Done,
    Failed,
}

/// How far a running service is on its way to being ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Readiness {
    /// It declares nothing, and is ready as soon as it runs.
    Immediate,
    /// It has not told yet.
    Pending { overdue: bool, probe: Probe },
    /// It has.
    Ready,
}

/// The command that finds out whether a service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Probe {
    /// There is none.
    None,
    /// It runs.
    Running,
    /// It said no; it is run again then.
    Again(Tick),
}

/// What a service that is being stopped was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StopStep {
    /// The halt signal.
    Halt,
    /// The stop signal.
    Stop,
    /// KILL.
    Kill,
}

impl StopStep {
    /// What comes when that has not helped in time.
    pub(super) fn next(self) -> StopStep {
        match self {
            StopStep::Halt => StopStep::Stop,
            StopStep::Stop | StopStep::Kill => StopStep::Kill,
        }
    }
}
