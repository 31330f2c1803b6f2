//! Bugs that tests plant into the graph.

bugs! {
    /// Nothing is ever wanted no longer.
    StopsAreForgotten,
    /// What conflicts is not waited for.
    RivalsAreNotWaitedFor,
    /// A service is started before what it requires.
    RequirementsAreNotWaitedFor,
    /// What a service requires may fail, and it goes on.
    AFailureTakesNothingDown,
    /// What is required is stopped before what requires it.
    StopsInAnyOrder,
    /// What waits to be started again counts as failed.
    ARestartTakesDependentsDown,
    /// What was done stays done when the machine goes down.
    NothingIsUndone,
    /// Who comes after a service waits until that is up, even if it has failed.
    FailuresAreWaitedFor,
    /// What was taken down stays down when its cause is mended.
    NothingComesBack,
    /// A plan ends with what can be done at once.
    PlansEndEarly,
    /// A new plan restarts what has not changed.
    AReloadRestartsEverything,
}
