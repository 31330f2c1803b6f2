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

/// How long `Retry-After` asks us to wait (RFC 9110, section 10.2.3): so many seconds, or until a time, which counts
/// from what the one who answers says that it is (its header `Date`), and not from what our clock says.
#[must_use]
pub fn retry_after(header: &str, date: Option<&str>) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (until, now) = (moment(header)?, moment(date?.trim())?);
    Some(Duration::from_secs(until.saturating_sub(now)))
}

/// A time such as `Sun, 06 Nov 1994 08:49:37 GMT`, in seconds since the year 0. Older forms are not understood.
fn moment(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let mut word = || words.next();
    let (day, month, year, time) = (word()?, word()?, word()?, word()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let (day, year) = (number(day, 1, 31)?, number(year, 1, 9999)?);
    let mut parts = time.split(':').map(|part| number(part, 0, 60));
    let (hours, minutes, seconds) = (parts.next()??, parts.next()??, parts.next()??);
    if word() != Some("GMT") || word().is_some() || parts.next().is_some() {
        return None;
    }
    // Years that begin with March have their leap day at the end.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day;
    Some(((days * 24 + hours) * 60 + minutes) * 60 + seconds)
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_far_apart_as_they_are() {
        let since = |text: &str| moment(text).unwrap() - moment("Thu, 01 Jan 1970 00:00:00 GMT").unwrap();
        assert_eq!(since("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777);
        assert_eq!(since("Sat, 21 Nov 2026 20:22:39 GMT"), 1_795_292_559);
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 06 Non 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 06 Nov 1994 99:49:37 GMT",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

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
        const NOW: Option<&str> = Some("Tue, 29 Feb 2000 23:59:50 GMT");
        let after =
            |status, header| Attempts::new(true).after(Setback::Status(status, retry_after(header, NOW)));
        assert_eq!(after(429, "7"), Some(Duration::from_secs(7)));
        assert_eq!(after(503, "0"), Some(FIRST));
        assert_eq!(after(429, "3600"), None);
        assert_eq!(after(429, "Wed, 01 Mar 2000 00:00:07 GMT"), Some(Duration::from_secs(17)));
        assert_eq!(after(429, "Fri, 31 Dec 1999 23:59:59 GMT"), Some(FIRST), "it is over");
        assert_eq!(after(429, "Wed, 01 Mar 2000 02:00:00 GMT"), None, "too long");
        assert_eq!(after(429, "tomorrow"), Some(FIRST), "not understood");
        for last in [400, 401, 403, 404, 416] {
            assert_eq!(after(last, "1"), None, "{last}");
        }
    }
}
