//! Waiting, with a deadline.

use std::time::{Duration, Instant};

/// How long anything may take before it counts as hung: far longer than it ever does.
pub const DEADLINE: Duration = Duration::from_secs(30);
/// The pause between two looks at a fact that nobody announces.
pub(crate) const PAUSE: Duration = Duration::from_millis(1);

/// Waits until `condition` holds; `what` says what was waited for if it never does.
///
/// # Panics
/// If it does not hold in time.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    eventually_some(what, || condition().then_some(()));
}

/// Waits until there is a value.
///
/// # Panics
/// If there is none in time.
#[track_caller]
pub fn eventually_some<T>(what: &str, value: impl FnMut() -> Option<T>) -> T {
    some_within(DEADLINE, what, value)
}

/// The same, for what may take longer.
///
/// # Panics
/// If there is none in time.
#[track_caller]
pub fn some_within<T>(deadline: Duration, what: &str, mut value: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(begun.elapsed() < deadline, "waited too long until {what}");
        std::thread::sleep(PAUSE);
    }
}
