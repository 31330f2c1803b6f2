//! Mistakes that tests plant into the graph, one at a time, to see that they are found.

use std::cell::Cell;

/// A mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// What a service requires may fail, and it goes on.
    AFailureTakesNothingDown,
    /// A service is started before what it requires.
    NothingIsWaitedFor,
    /// What is required is stopped before what requires it.
    StopsInAnyOrder,
    /// What conflicts with what is started goes on.
    ConflictsAreIgnored,
    /// What was taken down stays down when its cause is mended.
    NothingComesBack,
}

thread_local! {
    static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
}

/// Whether this mistake is to be made.
pub(super) fn is(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Makes this mistake while `work` is done.
pub(super) fn with<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
    PLANTED.set(Some(bug));
    let result = work();
    PLANTED.set(None);
    result
}
