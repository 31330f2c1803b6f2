//! Log lines as glog writes them, each with one write to stderr.

use std::fmt::Arguments;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

macro_rules! info {
    ($($text:tt)*) => { $crate::log::line('I', file!(), line!(), format_args!($($text)*)) };
}
macro_rules! warning {
    ($($text:tt)*) => { $crate::log::line('W', file!(), line!(), format_args!($($text)*)) };
}
macro_rules! error {
    ($($text:tt)*) => { $crate::log::line('E', file!(), line!(), format_args!($($text)*)) };
}
/// A failed CHECK: a line, then SIGABRT.
macro_rules! fatal {
    ($($text:tt)*) => {{
        $crate::log::line('F', file!(), line!(), format_args!($($text)*));
        std::process::abort()
    }};
}

/// One line, at `severity` (I, W, E or F). An error of stderr is ignored, as glog does.
pub(crate) fn line(severity: char, file: &str, number: u32, text: Arguments<'_>) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let file = file.rsplit('/').next().unwrap_or(file);
    let thread = nix::unistd::gettid();
    let stamp = stamp(now.as_secs(), now.subsec_micros());
    let line = format!("{severity}{stamp} {thread:>5} {file}:{number}] {text}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// `0102 15:04:05.123456`, in UTC.
fn stamp(seconds: u64, micros: u32) -> String {
    let (month, day) = month_and_day(seconds / 86_400);
    let time = seconds % 86_400;
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{month:02}{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// The civil month and day of a day counted from 1970, in the calendar that begins its years in March.
fn month_and_day(days: u64) -> (u64, u64) {
    let era_day = (days + 719_468) % 146_097;
    let year = (era_day - era_day / 1460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * year + year / 4 - year / 100);
    let march_month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * march_month + 2) / 5 + 1;
    (if march_month < 10 { march_month + 3 } else { march_month - 9 }, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_month_day_and_time_to_the_microsecond() {
        assert_eq!(stamp(0, 0), "0101 00:00:00.000000");
        assert_eq!(stamp(951_782_400 + 3_661, 7), "0229 01:01:01.000007", "a leap day of a century");
        assert_eq!(stamp(1_704_207_845, 123_456), "0102 15:04:05.123456");
        assert_eq!(stamp(1_735_689_599, 999_999), "1231 23:59:59.999999");
    }
}
