//! The command line.

use crate::report::Cause;
use std::ffi::OsString;
use std::path::PathBuf;

/// How the program is used.
pub const USAGE: &str = "\
usage: svlog [--size BYTES] [--keep COUNT] DIRECTORY
       svlog [--logs DIRECTORY] --channel DESCRIPTOR
       svlog --compatible VERSION

Reads lines from standard input and appends them, each behind a UTC time stamp,
to DIRECTORY/current, until the input ends.

  --size BYTES    rotate current at this length; KiB, MiB and GiB may follow (1MiB)
  --keep COUNT    keep this many rotated files (10)
  --logs DIR      as the logger of all services: write to DIR/NAME/ (/var/log)
  --channel FD    as the logger of all services: take orders from init on FD
  --compatible N  only say whether this program can go on where one whose state has version N was
";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Mode {
    /// Log standard input.
    Alone {
        /// Where to.
        directory: PathBuf,
        /// Rotate at this length.
        size: u64,
        /// Keep this many rotated files.
        keep: u32,
    },
    /// Log all services.
    Channel {
        /// Above their directories.
        logs: PathBuf,
        /// The descriptor that init's orders come from.
        channel: i32,
    },
    /// Say, by ending well, that it can take the place of another.
    Compatible,
    /// Say how it is used.
    Help,
    /// Say which version it is.
    Version,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Mode, String> {
    let (mut size, mut keep, mut logs, mut channel, mut directory) = (None, None, None, None, None);
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value =
            || arguments.next().ok_or_else(|| format!("{} needs a value", argument.to_string_lossy()));
        match argument.to_str() {
            Some("--help" | "-h") => return Ok(Mode::Help),
            Some("--version" | "-V") => return Ok(Mode::Version),
            Some("--compatible") => {
                let (own, version) = (service::STATE_VERSION, value()?);
                if version.to_str() == Some(&own.to_string()) {
                    return Ok(Mode::Compatible);
                }
                return Err(format!("it goes on from version {own}, not {}", version.to_string_lossy()));
            }
            Some("--size") => size = Some(bytes(&value()?)?),
            Some("--keep") => keep = Some(number(&value()?)?),
            Some("--channel") => channel = Some(number(&value()?)?),
            Some("--logs") => logs = Some(PathBuf::from(value()?)),
            Some(option) if option.starts_with('-') => return Err(format!("there is no option {option}")),
            _ if directory.is_none() => directory = Some(PathBuf::from(argument)),
            _ => return Err(format!("one directory too many: {}", argument.to_string_lossy())),
        }
    }
    match (directory, channel, logs) {
        (Some(directory), None, None) => {
            Ok(Mode::Alone { directory, size: size.unwrap_or(1 << 20), keep: keep.unwrap_or(10) })
        }
        (None, Some(channel), logs) if size.is_none() && keep.is_none() => {
            Ok(Mode::Channel { logs: logs.unwrap_or_else(|| PathBuf::from(service::LOG_DIRECTORY)), channel })
        }
        (None, None, _) => Err("a directory is needed".to_owned()),
        _ => Err("a directory, --size and --keep do not go with --channel and --logs".to_owned()),
    }
}

fn number<T: std::str::FromStr>(text: &OsString) -> Result<T, String> {
    let parsed = text.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| format!("{} is not a number that fits", text.to_string_lossy()))
}

fn bytes(text: &OsString) -> Result<u64, String> {
    let wrong = || format!("{} is not a length such as 65536 or 1MiB", text.to_string_lossy());
    let text = text.to_str().ok_or_else(wrong)?;
    let (digits, shift) = [("KiB", 10), ("MiB", 20), ("GiB", 30)]
        .into_iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, shift)))
        .unwrap_or((text, 0));
    let count: u64 = digits.parse().map_err(|_| wrong())?;
    count.checked_mul(1 << shift).ok_or_else(wrong)
}

/// The sentence for a start that failed.
#[must_use]
pub fn unable(what: &str, error: &std::io::Error) -> String {
    format!("unable to {what}: {}", Cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Mode, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_defaults_are_those_that_the_usage_names() {
        let alone = Mode::Alone { directory: "d".into(), size: 1 << 20, keep: 10 };
        assert_eq!(read("d"), Ok(alone));
        assert_eq!(read("--channel 3"), Ok(Mode::Channel { logs: "/var/log".into(), channel: 3 }));
        let named = Mode::Alone { directory: "d".into(), size: 8192, keep: 0 };
        assert_eq!(read("--size 8KiB --keep 0 d"), Ok(named));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        for (line, reason) in [
            ("", "a directory is needed"),
            ("a b", "one directory too many: b"),
            ("--size", "--size needs a value"),
            ("--size 1MB d", "1MB is not a length such as 65536 or 1MiB"),
            ("--size 99999999999GiB d", "99999999999GiB is not a length such as 65536 or 1MiB"),
            ("--keep -1 d", "-1 is not a number that fits"),
            ("--colour d", "there is no option --colour"),
            ("--channel 3 d", "a directory, --size and --keep do not go with --channel and --logs"),
            ("--logs x", "a directory is needed"),
        ] {
            assert_eq!(read(line), Err(reason.to_owned()), "{line}");
        }
    }
}
