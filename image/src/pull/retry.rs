//! What follows from an attempt that failed: pure, and without a clock.

use std::time::Duration;

/// Attempts that bring nothing, in a row, before an address is given up.
const FRUITLESS: u32 = 5;
/// The same where another registry may have it.
const FRUITLESS_ELSEWHERE: u32 = 2;
/// Attempts at all: a connection that is cut after each byte is not worth its time.
const ATTEMPTS: u32 = 100;
/// The first pause. It doubles.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest that a registry may ask us to wait for.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an attempt ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setback {
    /// An answer with a status, and how long it asks us to wait.
    Status(u16, Option<Duration>),
    /// No connection, none any more, or nothing was heard on it.
    Broken,
}

/// How often something was tried, and what it brought.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    limit: u32,
    fruitless: u32,
    all: u32,
}

impl Attempts {
    /// None yet. Where there is another place to go to, we are less patient.
    #[must_use]
    pub fn new(last_resort: bool) -> Attempts {
        Attempts { limit: if last_resort { FRUITLESS } else { FRUITLESS_ELSEWHERE }, fruitless: 0, all: 0 }
    }

    /// Takes note of bytes that have arrived.
    pub fn progress(&mut self) {
        self.fruitless = 0;
    }

    /// How long to wait before the next attempt; none is that there should be none.
    pub fn after(&mut self, setback: Setback) -> Option<Duration> {
        self.all = self.all.saturating_add(1);
        self.fruitless = self.fruitless.saturating_add(1);
        let asked = match setback {
            Setback::Broken => None,
            Setback::Status(status, asked) if passes(status) => asked,
            Setback::Status(..) => return None,
        };
        if self.fruitless >= self.limit || self.all >= ATTEMPTS {
            return None;
        }
        let doubled = FIRST.saturating_mul(1 << self.fruitless.saturating_sub(1).min(10)).min(LONGEST);
        match asked {
            Some(asked) if asked > PATIENCE => None,
            Some(asked) => Some(asked.max(FIRST)),
            None => Some(doubled),
        }
    }
}

/// Whether what this status says may pass by itself.
#[must_use]
pub fn passes(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504)
}

/// Reads `Retry-After` in its form of seconds. A date is not worth a calendar: the pause is then our own.
#[must_use]
pub fn retry_after(header: &str) -> Option<Duration> {
    header.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let mut attempts = Attempts::new(true);
        let pauses: Vec<_> = std::iter::from_fn(|| attempts.after(Setback::Broken)).collect();
        assert_eq!(pauses.iter().map(Duration::as_millis).collect::<Vec<_>>(), [250, 500, 1000, 2000]);
    }

    #[test]
    fn what_brings_something_is_tried_on_but_not_for_ever() {
        let mut attempts = Attempts::new(true);
        let mut count = 0;
        while attempts.after(Setback::Broken) == Some(FIRST) {
            attempts.progress();
            count += 1;
        }
        assert_eq!(count, 99);
    }

    #[test]
    fn a_registry_is_waited_for_as_it_asks_within_reason() {
        let after = |status, header| Attempts::new(true).after(Setback::Status(status, retry_after(header)));
        assert_eq!(after(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(after(503, "0"), Some(FIRST));
        assert_eq!(after(429, "3600"), None);
        assert_eq!(after(429, "Fri, 31 Dec 1999 23:59:59 GMT"), Some(FIRST));
        for last in [400, 401, 403, 404, 416] {
            assert_eq!(after(last, "1"), None, "{last}");
        }
    }
}
