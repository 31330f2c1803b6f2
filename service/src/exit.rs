//! How a process ended, and its number.

use crate::signal::Signal;
use std::fmt;

/// A process id: positive, so that it can never be mistaken for a group or for "everyone" (kill(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(i32);

impl Pid {
    /// Process 1.
    pub const INIT: Pid = Pid(1);

    /// The process with this number; none if it is not positive.
    #[must_use]
    pub fn new(number: i32) -> Option<Pid> {
        (number > 0).then_some(Pid(number))
    }

    /// The number, always positive.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a process ended, decoded once from the kernel's wait status (wait(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitStatus {
    /// It called exit with this code.
    Exited(u8),
    /// A signal ended it; `core` tells whether a core was dumped.
    Signalled {
        /// The signal.
        signal: Signal,
        /// Whether a core was dumped.
        core: bool,
    },
    /// It ended, and nobody could learn how.
    Unknown,
}

impl WaitStatus {
    /// Decodes the integer that wait4(2) stores, for a process that has ended.
    #[must_use]
    pub fn from_raw(raw: i32) -> WaitStatus {
        let low = raw & 0x7f;
        if low == 0 {
            return WaitStatus::Exited(u8::try_from((raw >> 8) & 0xff).unwrap_or(u8::MAX));
        }
        Signal::from_number(low)
            .map_or(WaitStatus::Unknown, |signal| WaitStatus::Signalled { signal, core: raw & 0x80 != 0 })
    }

    /// Whether it was exit 0.
    #[must_use]
    pub fn success(self) -> bool {
        self == WaitStatus::Exited(0)
    }

    /// The first argument of a finish script: the exit code, or 256 after a signal (s6's servicedir contract).
    #[must_use]
    pub fn finish_code(self) -> u16 {
        match self {
            WaitStatus::Exited(code) => u16::from(code),
            WaitStatus::Signalled { .. } | WaitStatus::Unknown => 256,
        }
    }

    /// The second argument of a finish script: the signal's number, or 0.
    #[must_use]
    pub fn finish_signal(self) -> i32 {
        match self {
            WaitStatus::Signalled { signal, .. } => signal.number(),
            WaitStatus::Exited(_) | WaitStatus::Unknown => 0,
        }
    }

    /// Reads what [`fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<WaitStatus> {
        let mut words = text.split(' ');
        match (words.next()?, words.next()) {
            ("exit", Some(code)) => code.parse().ok().map(WaitStatus::Exited),
            ("signal", Some(name)) => {
                Some(WaitStatus::Signalled { signal: Signal::parse(name)?, core: words.next().is_some() })
            }
            ("unknown", None) => Some(WaitStatus::Unknown),
            (_, _) => None,
        }
    }
}

impl fmt::Display for WaitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitStatus::Exited(code) => write!(f, "exit {code}"),
            WaitStatus::Signalled { signal, core } => {
                write!(f, "signal {signal}{}", if *core { " (core dumped)" } else { "" })
            }
            WaitStatus::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_statuses_decode_as_wait_macros_do() {
        assert_eq!(WaitStatus::from_raw(0), WaitStatus::Exited(0));
        assert_eq!(WaitStatus::from_raw(125 << 8), WaitStatus::Exited(125));
        assert_eq!(WaitStatus::from_raw(9), WaitStatus::Signalled { signal: Signal::KILL, core: false });
        assert_eq!(WaitStatus::from_raw(11 | 0x80).to_string(), "signal SEGV (core dumped)");
    }

    #[test]
    fn statuses_parse_back_from_their_text() {
        for raw in [0, 256, 9, 11 | 0x80, 37] {
            let status = WaitStatus::from_raw(raw);
            assert_eq!(WaitStatus::parse(&status.to_string()), Some(status));
        }
        assert_eq!(WaitStatus::parse("exit 256"), None);
        assert_eq!(WaitStatus::parse("bogus"), None);
    }
}
