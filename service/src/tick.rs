//! Time as the machines see it.

use std::time::Duration;

/// A point in time: nanoseconds of `CLOCK_BOOTTIME`, which never steps and counts suspension (clock_gettime(2)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The point `wait` after this one; saturates at the end of time.
    #[must_use]
    pub fn after(self, wait: Duration) -> Tick {
        Tick(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was, zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}
