//! What init says of itself: `/run/init/status`.

use crate::codec::{Writer, pairs};
use crate::exit::Pid;
use crate::signal::Signal;
use crate::tick::Tick;

/// The first line; the number is the version of the format.
pub const HEADER: &str = "mainstay-init 1";

/// What init says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitStatus {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: Option<Pid>,
    /// How often it has recovered from a fault.
    pub recovered: u32,
    /// The signal of the last fault, and when that was.
    pub last_fault: Option<(Signal, Tick)>,
    /// How often it was replaced in place.
    pub replaced: u32,
    /// When it was last.
    pub replaced_at: Option<Tick>,
}

impl InitStatus {
    /// The text of the file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Writer::new(HEADER);
        out.line("version", &self.version);
        out.lines("pid", self.pid);
        out.line("recovered", self.recovered);
        if let Some((signal, at)) = self.last_fault {
            out.line("last-fault", signal);
            out.line("last-fault-at", at.0);
        }
        out.line("replaced", self.replaced);
        out.lines("replaced-at", self.replaced_at.map(|at| at.0));
        out.finish()
    }

    /// Reads the text; none if it is not such a file, or of another version. Unknown keys are passed over.
    #[must_use]
    pub fn decode(text: &str) -> Option<InitStatus> {
        if text.lines().next()? != HEADER {
            return None;
        }
        let mut status = InitStatus::default();
        let (mut signal, mut at) = (None, None);
        for (key, value) in pairs(text).skip(1) {
            match key {
                "version" => value.clone_into(&mut status.version),
                "pid" => status.pid = Pid::new(value.parse().ok()?),
                "recovered" => status.recovered = value.parse().ok()?,
                "last-fault" => signal = Some(Signal::parse(value)?),
                "last-fault-at" => at = Some(Tick(value.parse().ok()?)),
                "replaced" => status.replaced = value.parse().ok()?,
                "replaced-at" => status.replaced_at = Some(Tick(value.parse().ok()?)),
                _ => {}
            }
        }
        status.last_fault = signal.zip(at);
        Some(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_comes_back_from_its_text() {
        let fresh = InitStatus { version: "0.1.0".to_owned(), ..InitStatus::default() };
        let later = InitStatus {
            pid: Pid::new(1),
            recovered: 2,
            last_fault: Signal::parse("SEGV").map(|signal| (signal, Tick(7))),
            replaced: 1,
            replaced_at: Some(Tick(9)),
            ..fresh.clone()
        };
        for status in [fresh, later] {
            assert_eq!(InitStatus::decode(&status.encode()), Some(status));
        }
        assert_eq!(InitStatus::decode("mainstay-init 0\n"), None);
    }
}
