//! How long to wait before a service that died is started again, and when to give up.

use crate::definition::Restart;
use crate::tick::Tick;
use std::time::Duration;

/// The largest number of deaths that `give-up` can count.
pub const DEATHS_MAX: usize = 32;

/// What to do after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after this long.
    Wait(Duration),
    /// Do not start again.
    GiveUp,
}

/// The deaths so far, as far as they matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Backoff {
    in_a_row: u32,
    /// The last deaths, oldest first; the unused rest is zero.
    deaths: [Tick; DEATHS_MAX],
    count: usize,
}

impl Backoff {
    /// No deaths yet.
    #[must_use]
    pub fn new() -> Backoff {
        Backoff { in_a_row: 0, deaths: [Tick(0); DEATHS_MAX], count: 0 }
    }

    /// A death after `uptime`. The first in a row waits for nothing, the second for the delay, which then
    /// doubles up to its maximum; a run of `reset-after` begins a new row.
    pub fn died(&mut self, now: Tick, uptime: Duration, restart: &Restart) -> Verdict {
        if uptime >= restart.reset_after {
            self.in_a_row = 0;
        }
        let wait = match self.in_a_row.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => restart.delay.saturating_mul(1 << doublings.min(30)).min(restart.max_delay),
        };
        self.in_a_row = self.in_a_row.saturating_add(1);
        if self.too_many(now, restart) { Verdict::GiveUp } else { Verdict::Wait(wait) }
    }

    /// How many deaths there were in a row.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Sets that number anew.
    pub fn set_in_a_row(&mut self, number: u32) {
        self.in_a_row = number;
    }

    /// The times of the last deaths, oldest first, as far as they count.
    pub fn deaths(&self) -> impl Iterator<Item = Tick> + '_ {
        self.deaths.iter().copied().take(self.count)
    }

    /// Adds a time to those; false if there are too many.
    pub fn remember(&mut self, death: Tick) -> bool {
        let Some(slot) = self.deaths.get_mut(self.count) else { return false };
        *slot = death;
        self.count += 1;
        true
    }

    /// Notes a death, and tells whether it is the one too many.
    fn too_many(&mut self, now: Tick, restart: &Restart) -> bool {
        let limit = usize::try_from(restart.give_up_deaths).unwrap_or(DEATHS_MAX).min(DEATHS_MAX);
        if limit == 0 {
            return false;
        }
        if self.count >= limit {
            // One, or more if the limit was higher when they were noted.
            self.deaths.rotate_left((self.count + 1 - limit).min(DEATHS_MAX));
            self.count = limit - 1;
            self.deaths.iter_mut().skip(self.count).for_each(|rest| *rest = Tick(0));
        }
        if let Some(slot) = self.deaths.get_mut(self.count) {
            *slot = now;
        }
        self.count += 1;
        let oldest = self.deaths.first().copied().unwrap_or_default();
        self.count == limit && now.since(oldest) <= restart.give_up_within
    }

    /// Replaces every remembered time, for tests that compare machines at different times.
    #[cfg(test)]
    pub(crate) fn map_ticks(&mut self, map: impl Fn(Tick) -> Tick) {
        for tick in self.deaths.iter_mut().take(self.count) {
            *tick = map(*tick);
        }
        self.in_a_row = self.in_a_row.min(4);
        for tick in self.deaths.iter_mut().skip(self.count) {
            *tick = Tick(0);
        }
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(n: u64) -> Tick {
        Tick(n * 1_000_000_000)
    }

    #[test]
    fn the_first_restart_waits_for_nothing_and_the_next_ones_double() {
        let restart = Restart { max_delay: Duration::from_secs(1), ..Restart::default() };
        let mut backoff = Backoff::new();
        let waits: Vec<Verdict> =
            (0..6).map(|n| backoff.died(seconds(n), Duration::ZERO, &restart)).collect();
        let expected = [0, 200, 400, 800, 1000, 1000];
        assert_eq!(waits, expected.map(|ms| Verdict::Wait(Duration::from_millis(ms))));
    }

    #[test]
    fn a_long_run_begins_a_new_row() {
        let restart = Restart::default();
        let mut backoff = Backoff::new();
        for n in 0..5 {
            backoff.died(seconds(n), Duration::ZERO, &restart);
        }
        assert_eq!(backoff.died(seconds(99), restart.reset_after, &restart), Verdict::Wait(Duration::ZERO));
    }

    #[test]
    fn enough_deaths_in_a_short_time_end_it_and_spread_out_ones_do_not() {
        let restart =
            Restart { give_up_deaths: 3, give_up_within: Duration::from_secs(10), ..Restart::default() };
        let mut backoff = Backoff::new();
        let verdicts: Vec<bool> = [0, 20, 40, 45, 49]
            .map(|n| backoff.died(seconds(n), Duration::ZERO, &restart) == Verdict::GiveUp)
            .to_vec();
        assert_eq!(verdicts, [false, false, false, false, true]);
    }

    proptest! {
        #[test]
        fn no_wait_exceeds_the_maximum(uptimes in proptest::collection::vec(0_u64..200, 1..200)) {
            let restart = Restart::default();
            let (mut backoff, mut now) = (Backoff::new(), Tick(0));
            for uptime in uptimes {
                let uptime = Duration::from_secs(uptime);
                now = now.after(uptime);
                match backoff.died(now, uptime, &restart) {
                    Verdict::Wait(wait) => {
                        prop_assert!(wait <= restart.max_delay);
                        now = now.after(wait);
                    }
                    Verdict::GiveUp => prop_assert!(false, "no limit was set"),
                }
            }
        }
    }
}
