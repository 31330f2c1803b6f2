//! What stands before each line, `2026-11-21T10:58:37.123456Z `, and the calendar behind it.

use std::time::Duration;

/// A stamp with the space that follows it.
pub type Stamp = [u8; 28];

const BLANK: Stamp = *b"0000-00-00T00:00:00.000000Z ";
const DAY: u64 = 86_400;
/// The end of the year 9999: a later clock is broken, and its stamp would be too wide.
const LAST_SECOND: u64 = 253_402_300_799;

/// A moment in UTC, as people write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// 1970 to 9999.
    pub year: u64,
    /// 1 to 12.
    pub month: u64,
    /// 1 to 31.
    pub day: u64,
    /// 0 to 86,399: the second of the day.
    pub second: u64,
    /// 0 to 999,999.
    pub micros: u64,
}

impl Moment {
    /// From the time since 1970. A clock beyond the year 9999 stands still at its end.
    #[must_use]
    pub fn new(wall: Duration) -> Moment {
        let seconds = wall.as_secs().min(LAST_SECOND);
        let (year, month, day) = civil(seconds / DAY);
        Moment { year, month, day, second: seconds % DAY, micros: u64::from(wall.subsec_micros()) }
    }

    /// The time since 1970.
    #[must_use]
    pub fn wall(&self) -> Duration {
        let seconds = days(self.year, self.month, self.day) * DAY + self.second;
        Duration::from_secs(seconds) + Duration::from_micros(self.micros)
    }
}

/// Writes stamps, and keeps the part that changes once a second.
#[derive(Debug)]
pub struct Stamper {
    second: Option<u64>,
    text: Stamp,
}

impl Default for Stamper {
    fn default() -> Self {
        Stamper { second: None, text: BLANK }
    }
}

impl Stamper {
    /// The stamp of this moment.
    pub fn at(&mut self, wall: Duration) -> Stamp {
        if self.second != Some(wall.as_secs()) {
            self.second = Some(wall.as_secs());
            self.text = BLANK;
            let moment = Moment::new(wall);
            put(&mut self.text, 0, 4, moment.year);
            put(&mut self.text, 5, 2, moment.month);
            put(&mut self.text, 8, 2, moment.day);
            put(&mut self.text, 11, 2, moment.second / 3600);
            put(&mut self.text, 14, 2, moment.second / 60 % 60);
            put(&mut self.text, 17, 2, moment.second % 60);
        }
        put(&mut self.text, 20, 6, u64::from(wall.subsec_micros()));
        self.text
    }
}

/// Whether `text` is a stamp or the beginning of one, and nothing else.
#[must_use]
pub fn is_beginning(text: &[u8]) -> bool {
    let alike = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    text.len() <= BLANK.len() && text.iter().zip(&BLANK).all(alike)
}

/// Writes `value` in decimal, `width` digits wide, at `at`.
pub(crate) fn put(text: &mut [u8], at: usize, width: usize, mut value: u64) {
    let Some(field) = text.get_mut(at..at + width) else { return };
    for digit in field.iter_mut().rev() {
        *digit = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}

/// The date of a day since 1970-01-01. The year is counted from the first of March, so that the leap day
/// is its last, in eras of 400 years, which are all alike.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // from 0000-03-01
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The day since 1970-01-01 of a date: [`civil`] backwards.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = year.saturating_sub(u64::from(month <= 2));
    let (era, year_of_era) = (year / 400, year % 400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day.saturating_sub(1);
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stamp(seconds: u64, micros: u32) -> String {
        let wall = Duration::new(seconds, micros * 1000);
        String::from_utf8(Stamper::default().at(wall).to_vec()).unwrap()
    }

    #[test]
    fn known_moments_have_their_known_dates() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (951_868_800, "2000-03-01T00:00:00"),
            (1_234_567_890, "2009-02-13T23:31:30"),
            (1_709_164_800, "2024-02-29T00:00:00"),
            (1_795_258_717, "2026-11-21T10:58:37"),
            (2_147_483_648, "2038-01-19T03:14:08"),
            (4_107_542_400, "2100-03-01T00:00:00"),
            (LAST_SECOND, "9999-12-31T23:59:59"),
        ] {
            assert_eq!(stamp(seconds, 42), format!("{expected}.000042Z "));
        }
        assert_eq!(stamp(u64::MAX, 0), "9999-12-31T23:59:59.000000Z ");
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for number in 0..146_097 + 1 {
            assert_eq!(civil(number), (year, month, day));
            assert_eq!(days(year, month, day), number);
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn every_beginning_of_a_stamp_is_recognised_and_nothing_else() {
        let stamp = b"2026-11-21T10:58:37.123456Z ";
        assert!((0..=stamp.len()).all(|length| is_beginning(&stamp[..length])));
        for other in
            [&b"x"[..], b"2026-11-21 ", b"2026-11-21T10:58:37.123456Z  ", b"2026-11-21T10:58:37.123456Z x"]
        {
            assert!(!is_beginning(other));
        }
    }

    #[test]
    fn the_kept_part_of_a_stamp_is_never_stale() {
        let mut stamper = Stamper::default();
        for seconds in [5, 5, 6, 86_400, 6, 5] {
            let wall = Duration::new(seconds, 7000);
            assert_eq!(String::from_utf8_lossy(&stamper.at(wall)), stamp(seconds, 7));
        }
    }

    proptest! {
        #[test]
        fn stamps_sort_as_their_moments(a in 0..=LAST_SECOND, b in 0..=LAST_SECOND, m in 0..1_000_000u32, n in 0..1_000_000u32) {
            prop_assert_eq!(stamp(a, m).cmp(&stamp(b, n)), (a, m).cmp(&(b, n)));
        }

        #[test]
        fn a_moment_leads_back_to_its_time(seconds in 0..=LAST_SECOND, micros in 0..1_000_000u32) {
            let wall = Duration::new(seconds, micros * 1000);
            prop_assert_eq!(Moment::new(wall).wall(), wall);
        }
    }
}
