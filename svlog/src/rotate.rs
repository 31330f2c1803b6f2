//! Names of rotated files, and which of them go.
//!
//! `20261121T105837.123456Z.log`: the moment of the rotation. Names sort in the order of writing, always: when the
//! clock has not moved on from the newest file's name, or has stepped back, the next name is one microsecond later than that
//! one. The stamps inside tell what the clock said.

use crate::stamp::{Moment, put};
use std::time::Duration;

const BLANK: [u8; 27] = *b"00000000T000000.000000Z.log";

/// A rotated file, by its moment in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archive(u64);

impl Archive {
    /// The name for a file that is rotated now, after `newest`.
    #[must_use]
    pub fn next(wall: Duration, newest: Option<Archive>) -> Archive {
        let now = u64::try_from(Moment::new(wall).wall().as_micros()).unwrap_or(u64::MAX);
        Archive(newest.map_or(now, |newest| now.max(newest.0.saturating_add(1))))
    }

    /// Reads a file's name; None for every file that is not exactly what [`Archive::name`] writes.
    #[must_use]
    pub fn parse(name: &str) -> Option<Archive> {
        let field = |at: usize, width: usize| name.get(at..at + width)?.parse::<u64>().ok();
        let second = field(9, 2)? * 3600 + field(11, 2)? * 60 + field(13, 2)?;
        let (year, month, day) = (field(0, 4)?, field(4, 2)?, field(6, 2)?);
        let moment = Moment { year, month, day, second, micros: field(16, 6)? };
        // The last year is foreign: no name sorts after its end.
        let archive = Archive(u64::try_from(moment.wall().as_micros()).ok()?);
        (archive.name() == name && year < 9999).then_some(archive)
    }

    /// The file's name.
    #[must_use]
    pub fn name(self) -> String {
        let moment = Moment::new(Duration::from_micros(self.0));
        let mut text = BLANK;
        put(&mut text, 0, 4, moment.year);
        put(&mut text, 4, 2, moment.month);
        put(&mut text, 6, 2, moment.day);
        put(&mut text, 9, 2, moment.second / 3600);
        put(&mut text, 11, 2, moment.second / 60 % 60);
        put(&mut text, 13, 2, moment.second % 60);
        put(&mut text, 16, 6, moment.micros);
        String::from_utf8_lossy(&text).into_owned()
    }
}

/// How many of `count` files are too many.
#[must_use]
pub fn surplus(count: usize, keep: u32) -> usize {
    count.saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_the_moment_in_basic_form() {
        let archive = Archive::next(Duration::from_micros(1_795_258_717_123_456), None);
        assert_eq!(archive.name(), "20261121T105837.123456Z.log");
    }

    #[test]
    fn only_our_own_names_are_recognised() {
        let good = "20261121T105837.123456Z.log";
        assert_eq!(Archive::parse(good).map(Archive::name).as_deref(), Some(good));
        for foreign in [
            "",
            "current",
            "notes.txt",
            "20261121T105837.123456Z.log.gz",
            "20261121T105837.123456Z",
            "20261131T105837.123456Z.log",
            "20261121T245837.123456Z.log",
            "20261121 105837.123456Z.log",
            "+0261121T105837.123456Z.log",
            "2026112\u{e9}T05837.123456Z.log",
            "99991231T235959.999999Z.log",
            "19691231T235959.999999Z.log",
        ] {
            assert_eq!(Archive::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn the_oldest_beyond_the_limit_go() {
        assert_eq!((surplus(3, 10), surplus(10, 10), surplus(12, 10), surplus(2, 0)), (0, 0, 2, 2));
    }

    proptest! {
        /// Standing still and stepping back included.
        #[test]
        fn names_sort_in_the_order_of_writing(clock in prop::collection::vec(0..2_000_000_000_000_000u64, 1..50), still in any::<bool>()) {
            let mut newest: Option<Archive> = None;
            for micros in clock {
                let wall = Duration::from_micros(if still { 7 } else { micros });
                let next = Archive::next(wall, newest);
                if let Some(newest) = newest {
                    prop_assert!(next.name() > newest.name());
                }
                prop_assert_eq!(Archive::parse(&next.name()), Some(next));
                newest = Some(next);
            }
        }

        #[test]
        fn no_name_makes_the_parser_panic(name in ".{0,40}") {
            let _ = Archive::parse(&name);
        }
    }
}
