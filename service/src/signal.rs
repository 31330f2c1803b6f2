//! Signals by number and by the names that people write.

use std::fmt;

/// A Linux signal number on x86-64, 1 to 64 (signal(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

/// Names in numerical order, the first being signal 1 (signal(7), the x86 column).
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

impl Signal {
    /// Hang-up: by convention, reload.
    pub const HUP: Signal = Signal(1);
    /// Interrupt; to PID 1 from the kernel, Ctrl-Alt-Del.
    pub const INT: Signal = Signal(2);
    /// Quit, from a terminal.
    pub const QUIT: Signal = Signal(3);
    /// Abort, with a core.
    pub const ABRT: Signal = Signal(6);
    /// Kill, which cannot be caught.
    pub const KILL: Signal = Signal(9);
    /// User signal 1; to PID 1 from busybox, halt.
    pub const USR1: Signal = Signal(10);
    /// User signal 2; to PID 1 from busybox, power off.
    pub const USR2: Signal = Signal(12);
    /// Alarm.
    pub const ALRM: Signal = Signal(14);
    /// Terminate; to PID 1 from busybox, reboot.
    pub const TERM: Signal = Signal(15);
    /// A child changed state.
    pub const CHLD: Signal = Signal(17);
    /// Continue a stopped process.
    pub const CONT: Signal = Signal(18);
    /// Stop where it is, which cannot be caught.
    pub const STOP: Signal = Signal(19);
    /// The size of a terminal's window has changed.
    pub const WINCH: Signal = Signal(28);
    /// Power failure.
    pub const PWR: Signal = Signal(30);
    /// `RTMIN+3`; to the first process of a container, by convention, stop.
    pub const RTMIN_3: Signal = Signal(37);

    /// The signal with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Signal> {
        u8::try_from(number).ok().filter(|n| (1..=64).contains(n)).map(Signal)
    }

    /// The signal called `name`: `TERM`, `SIGTERM`, `term` or `15`; `RTMIN+3`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Signal> {
        if let Ok(number) = name.parse() {
            return Signal::from_number(number);
        }
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        if let Some(offset) = bare.strip_prefix("RTMIN+") {
            // The libraries keep the first two real-time signals, 32 and 33, for themselves.
            return offset.parse::<i32>().ok().filter(|n| *n <= 30).and_then(|n| Signal::from_number(34 + n));
        }
        let index = NAMES.iter().position(|candidate| *candidate == bare)?;
        Signal::from_number(i32::try_from(index).ok()? + 1)
    }

    /// The number that the kernel uses.
    #[must_use]
    pub fn number(self) -> i32 {
        i32::from(self.0)
    }

    /// The names that [`Signal::parse`] knows, without `SIG`.
    #[must_use]
    pub fn names() -> &'static [&'static str] {
        &NAMES
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.get(usize::from(self.0) - 1) {
            Some(name) => f.write_str(name),
            None if self.0 >= 34 => write!(f, "RTMIN+{}", self.0 - 34),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signal_parses_back_from_its_name() {
        for number in (1..=31).chain(34..=64) {
            let signal = Signal::from_number(number).unwrap();
            assert_eq!(Signal::parse(&signal.to_string()), Some(signal));
        }
    }

    #[test]
    fn numbers_and_prefixes_are_accepted_and_nonsense_is_not() {
        assert_eq!(Signal::parse("SIGUSR1"), Some(Signal::USR1));
        assert_eq!(Signal::parse("usr1"), Some(Signal::USR1));
        assert_eq!(Signal::parse("9"), Some(Signal::KILL));
        assert_eq!(Signal::parse("RTMIN+3").map(Signal::number), Some(37));
        for bad in ["", "0", "65", "-1", "TERMX", "RTMIN+31", "RTMIN+-2000000000"] {
            assert_eq!(Signal::parse(bad), None, "{bad}");
        }
    }
}
