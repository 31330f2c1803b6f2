//! The two clocks: one for deadlines, one for what people read.

use nix::time::{ClockId, clock_gettime};
use service::Tick;
use std::time::Duration;

/// The time now on the clock that never steps (`CLOCK_BOOTTIME`, clock_gettime(2)).
#[must_use]
pub fn now() -> Tick {
    Tick(u64::try_from(read(ClockId::CLOCK_BOOTTIME).as_nanos()).unwrap_or(u64::MAX))
}

/// The time of day since 1970, which may step (`CLOCK_REALTIME`).
#[must_use]
pub fn wall() -> Duration {
    read(ClockId::CLOCK_REALTIME)
}

/// Both clocks exist on every Linux that can run this, so that a failure reads as zero.
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).map_or(Duration::ZERO, Duration::from)
}

/// What names this boot and no other (random(4), `boot_id`): ticks and processes of another mean nothing in it.
/// Empty where there is no `/proc`.
#[must_use]
pub fn boot() -> String {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim_end().to_owned()
}
