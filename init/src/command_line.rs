//! What the kernel's command line says to init.

use crate::message::Level;
use std::time::Duration;

/// The words that mean something to init.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// `mainstay.bundle=NAME`; `rescue`, `single`, `S` and `1` are the bundle `rescue`.
    pub(crate) bundle: Option<String>,
    /// `mainstay.log=LEVEL`.
    pub(crate) log: Option<Level>,
    /// `mainstay.watchdog=TIME`.
    pub(crate) watchdog: Option<Duration>,
    /// `mainstay.emergency`, or `mainstay.emergency=no`.
    pub(crate) emergency: Option<bool>,
    /// `mainstay.cgroup=v1`.
    pub(crate) cgroup_v1: bool,
    /// `mainstay.debug`.
    pub(crate) debug: bool,
}

/// Reads a command line. Later words win; what is not understood belongs to others.
pub(crate) fn parse(line: &str) -> CommandLine {
    let mut found = CommandLine::default();
    for word in line.split_whitespace() {
        match word.split_once('=') {
            Some(("mainstay.bundle", name)) => found.bundle = Some(name.to_owned()),
            Some(("mainstay.log", level)) => found.log = Level::parse(level).or(found.log),
            Some(("mainstay.watchdog", time)) => found.watchdog = duration(time).or(found.watchdog),
            Some(("mainstay.cgroup", version)) => found.cgroup_v1 = version == "v1",
            Some(("mainstay.emergency", answer)) => found.emergency = Some(answer != "no"),
            None if word == "mainstay.emergency" => found.emergency = Some(true),
            None if word == "mainstay.debug" => found.debug = true,
            None if ["rescue", "single", "S", "1"].contains(&word) => {
                found.bundle = Some("rescue".to_owned());
            }
            Some(_) | None => {}
        }
    }
    found
}

/// Whole seconds, or a number with `s` or `m`.
fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = match text.strip_suffix('m') {
        Some(number) => (number, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let seconds = number.parse::<u32>().ok().filter(|number| *number > 0)?;
    Some(Duration::from_secs(u64::from(seconds) * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_are_found_among_unknown_ones() {
        let found = parse("console=ttyS0 quiet mainstay.log=debug mainstay.bundle=small root=x\n");
        let bundle = Some("small".to_owned());
        assert_eq!(found, CommandLine { bundle, log: Some(Level::Debug), ..CommandLine::default() });
        assert!(parse("quiet mainstay.debug").debug);
        assert!(parse("mainstay.cgroup=v1").cgroup_v1 && !parse("mainstay.cgroup=v2 mainstay").cgroup_v1);
        assert_eq!(parse("ro single").bundle.as_deref(), Some("rescue"));
        assert_eq!(parse("mainstay.log=loud"), CommandLine::default());
    }

    #[test]
    fn times_and_answers_are_taken_and_nonsense_is_not() {
        for (word, seconds) in [("30", 30), ("30s", 30), ("2m", 120)] {
            let found = parse(&format!("mainstay.watchdog={word}"));
            assert_eq!(found.watchdog, Some(Duration::from_secs(seconds)), "{word}");
        }
        for word in ["", "0", "s", "-1", "1h", "99999999999"] {
            assert_eq!(parse(&format!("mainstay.watchdog={word}")).watchdog, None, "{word}");
        }
        assert_eq!(parse("mainstay.emergency").emergency, Some(true));
        assert_eq!(parse("mainstay.emergency=no").emergency, Some(false));
        assert_eq!(parse("emergency").emergency, None);
    }
}
