//! Bugs that a test can plant into the machine, to show that each invariant is watched: the exploration must
//! report just the one that the bug breaks. In a program none of this exists.

use std::cell::Cell;

/// A bug. Where it is planted, the code asks `planted!(Name)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// A restart starts the next process beside the one that runs.
    RestartAtOnce,
    /// What died after a stop is started again.
    StopForgotten,
    /// A stop has no deadline.
    EndlessStop,
    /// A death counts as two.
    DeathCountedTwice,
    /// A finish script that could not be started is waited for.
    FinishAwaitedForEver,
    /// A finish script that failed is run again.
    FinishRunTwice,
    /// A stop that is asked for again begins again.
    StopPutOff,
    /// What is stopped is not continued.
    StopWithoutContinue,
    /// A dead service is still called ready.
    ReadyAfterDeath,
    /// The wait before a restart is half of what it should be.
    ShortDelay,
    /// A finish script's verdict is not heeded.
    PermanentFailureForgotten,
    /// A supervisor whose service has failed does not exit.
    FailedNeverExits,
    /// What is saved leaves out that a start was asked for.
    SavedByHalves,
    /// The commands beside a service outlive it.
    TaskLeftBehind,
    /// Nobody is told of a change.
    UntoldChange,
    /// A signal is sent to what has ended already.
    DeadSignalled,
    /// What could not be started is thought to run.
    SpawnForgotten,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

pub(super) fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Does something with a bug planted, in this thread alone.
pub(super) fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(bug));
    let result = work();
    PLANTED.set(None);
    result
}
