//! Bugs that tests plant into the machine of one service.

bugs! {
    /// A start goes on although what it needs could not be prepared.
    UnpreparedStart,
    /// The command that prepares a start outlives the stop.
    PrepareLeftBehind,
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
    /// What is to wait for a connection is started without one.
    StartedUnasked,
    /// That somebody was left waiting counts for nothing.
    WaitingUnseen,
    /// What could not be started is thought to run.
    SpawnForgotten,
}
