//! The words for durations and sizes.

use std::collections::BTreeSet;
use std::time::Duration;

/// Units of time, the longest first, in milliseconds.
const TIME: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size, in bytes.
const SIZE: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Reads `200ms`, `10s`, `5m`, `1h30m`: numbers with units, the longest first, each at most once.
///
/// # Errors
/// What is wrong, for people.
pub fn duration(text: &str) -> Result<Duration, String> {
    let form = || format!("\"{text}\" is not a duration such as \"200ms\", \"10s\" or \"1h30m\"");
    let mut total: u64 = 0;
    let mut allowed: &[(&str, u64)] = &TIME;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, after) = part(rest).ok_or_else(form)?;
        let index = allowed.iter().position(|(name, _)| *name == unit).ok_or_else(form)?;
        let (_, factor) = allowed.get(index).ok_or_else(form)?;
        total = number
            .checked_mul(*factor)
            .and_then(|product| total.checked_add(product))
            .ok_or_else(|| format!("\"{text}\" is too long a time"))?;
        allowed = allowed.get(index + 1..).unwrap_or_default();
        rest = after;
    }
    if text.is_empty() { Err(form()) } else { Ok(Duration::from_millis(total)) }
}

/// Reads `4096`, `64KiB`, `1MiB`.
///
/// # Errors
/// What is wrong, for people.
pub fn size(text: &str) -> Result<u64, String> {
    let form = || format!("\"{text}\" is not a size such as 4096, \"64KiB\" or \"1MiB\"");
    let (number, unit, rest) = part(text).ok_or_else(form)?;
    let unit = if unit.is_empty() { "B" } else { unit };
    let (_, factor) = SIZE.iter().find(|(name, _)| *name == unit && rest.is_empty()).ok_or_else(form)?;
    number.checked_mul(*factor).ok_or_else(|| format!("\"{text}\" is too large a size"))
}

/// Reads a list of processors as the kernel writes them, `0-3,8` (cpuset(7)), all below `limit`.
///
/// # Errors
/// What is wrong, for people.
pub fn processors(text: &str, limit: u16) -> Result<BTreeSet<u16>, String> {
    let form = || format!("\"{text}\" is not a list of numbers such as \"0-3,8\"");
    let mut all = BTreeSet::new();
    for part in text.split(',').map(str::trim) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number < limit);
        let (first, last) = (number(first).ok_or_else(form)?, number(last).ok_or_else(form)?);
        if first > last {
            return Err(form());
        }
        all.extend(first..=last);
    }
    Ok(all)
}

/// Reads a share of the processors, `50%` or `2 cores`, as the text of `cpu.max`: so many microseconds of each tenth of
/// a second.
///
/// # Errors
/// What is wrong, for people.
pub fn share(text: &str) -> Result<String, String> {
    const PERIOD: u64 = 100_000;
    let form = || format!("\"{text}\" is not a share such as \"50%\", \"1.5 cores\" or \"max\"");
    let cores =
        text.strip_suffix("cores").or_else(|| text.strip_suffix("core")).map(|number| (number, PERIOD));
    let (number, whole) = cores.or_else(|| Some((text.strip_suffix('%')?, PERIOD / 100))).ok_or_else(form)?;
    let (units, fraction) = number.trim().split_once('.').unwrap_or((number.trim(), "0"));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()) && (1..=4).contains(&text.len());
    if !digits(units) || !digits(fraction) {
        return Err(form());
    }
    let parse = |text: &str| text.parse::<u64>().unwrap_or(0);
    let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let quota = parse(units) * whole + parse(fraction) * whole / scale;
    // The kernel refuses less than a millisecond.
    if quota < 1000 { Err(format!("\"{text}\" is less than 1%")) } else { Ok(format!("{quota} {PERIOD}")) }
}

/// A size that would be read if its unit were spelled as units are.
pub(super) fn size_unit(text: &str) -> Option<String> {
    let (number, unit, rest) = part(text)?;
    let known = |short: &str| SIZE.iter().find(|(name, _)| name.eq_ignore_ascii_case(short));
    // The units of others, K and M, are powers of two as a rule.
    let (name, _) = known(unit).or_else(|| known(&format!("{unit}iB")))?;
    rest.is_empty().then(|| format!("{number}{name}"))
}

/// The first number, the letters after it, and the rest.
fn part(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at_checked(digits)?;
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at_checked(letters)?;
    Some((number.parse().ok()?, unit, rest))
}

/// A duration as people read it: `840 us`, `12 ms`, `1.2 s`, `5 min 3 s`, `3 h 2 min`, `2 d 4 h`.
#[must_use]
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() == 0 => format!("{} us", duration.as_micros()),
        0 if duration.as_millis() < 10 => {
            let tenths = duration.as_micros() / 100;
            format!("{}.{} ms", tenths / 10, tenths % 10)
        }
        0 => format!("{} ms", duration.as_millis()),
        1..60 => {
            let tenths = duration.as_millis() / 100;
            format!("{}.{} s", tenths / 10, tenths % 10)
        }
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let expected = [
            ("200ms", 200),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1d", 86_400_000),
            ("1s500ms", 1500),
        ];
        for (text, milliseconds) in expected {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in
            ["", "10", "s", "10 s", "1.5s", "-1s", "1m1h", "1s1s", "5min", "99999999999999999999s", "1sx"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration("18446744073709551615d").unwrap_err().contains("too long"));
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("4096", 4096), ("64KiB", 65_536), ("1MiB", 1 << 20), ("1kB", 1000), ("2GiB", 2 << 30)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "KiB", "1 MiB", "1mib", "1KiB2", "-1", "1.5MiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_and_processors_are_read_as_people_write_them() {
        for (text, quota) in [
            ("50%", 50_000),
            ("2 cores", 200_000),
            ("1core", 100_000),
            ("1.5 cores", 150_000),
            ("2.5%", 2500),
        ] {
            assert_eq!(share(text), Ok(format!("{quota} 100000")), "{text}");
        }
        for text in ["", "%", "50", "x%", "0%", "-5%", "1.%", ".5%", "99999%", "cores", "0.1%"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(processors("0-2,5", 9), Ok(BTreeSet::from([0, 1, 2, 5])));
        for text in ["", "3-1", "a", "1-", "9", "1,,2"] {
            assert!(processors(text, 9).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_shown_with_the_precision_that_matters() {
        for (milliseconds, text) in [
            (0, "0 us"),
            (9, "9.0 ms"),
            (12, "12 ms"),
            (1234, "1.2 s"),
            (303_000, "5 min 3 s"),
            (10_920_000, "3 h 2 min"),
            (187_200_000, "2 d 4 h"),
        ] {
            assert_eq!(show(Duration::from_millis(milliseconds)), text);
        }
    }

    proptest! {
        #[test]
        fn no_word_makes_it_panic(text in ".*") {
            let _ = (duration(&text), size(&text), share(&text), processors(&text, 64));
        }
    }
}
