//! The phases of the machine, with just the data that each of them has.

use crate::exit::{Pid, WaitStatus};
use crate::tick::Tick;

/// What is going on with the service's processes. A deadline that is none never comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    Down,
    Waiting {
        until: Tick,
    },
    /// What the process runs in is made.
    Preparing {
        deadline: Option<Tick>,
    },
    /// What its sockets were opened for, until that has been answered.
    Listening(Option<Opening>),
    Spawning,
    Running {
        pid: Pid,
        readiness: Readiness,
    },
    Stopping {
        pid: Pid,
        step: StopStep,
        deadline: Option<Tick>,
    },
    /// The finish script has no pid until its spawn has been answered.
    Finishing {
        died: WaitStatus,
        pid: Option<Pid>,
        deadline: Option<Tick>,
    },
    /// Nor has the down command.
    Undoing {
        pid: Option<Pid>,
        deadline: Option<Tick>,
    },
    Done,
    Failed,
}

/// Why sockets are opened, or looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Opening {
    /// It is to begin listening.
    First,
    /// It has ended with success: it is put off if it has left somebody waiting.
    Idle,
    /// A supervisor before this one did that, and is gone: it is asked for again when time passes.
    Again,
}

/// How far a running service is on its way to being ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Readiness {
    /// It has not told yet.
    Pending { overdue: bool, probe: Probe },
    /// It has, or declares nothing.
    Ready,
}

/// The command that finds out whether a service is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Probe {
    /// There is none.
    None,
    /// It runs, and is killed at a deadline.
    Running(Option<Tick>),
    /// It said no; it is run again then.
    Again(Tick),
}

/// What a service that is being stopped was sent last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum StopStep {
    /// Nothing: it said that it stops by itself.
    Own,
    /// ABRT, since its watchdog was not heard of.
    Abort,
    /// The halt signal, or the end of its input.
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
            StopStep::Abort | StopStep::Halt => StopStep::Stop,
            StopStep::Own | StopStep::Stop | StopStep::Kill => StopStep::Kill,
        }
    }
}
