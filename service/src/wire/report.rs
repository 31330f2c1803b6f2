//! What a supervisor tells of its service.

use crate::exit::Pid;
use crate::status::{State, Want};
use std::fmt;

/// A change of a service, told to init by its supervisor and to clients by both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report<'a> {
    /// The service.
    pub name: &'a str,
    /// Where it stands now.
    pub state: State,
    /// What is wanted.
    pub want: Want,
    /// Whether a service that was to become ready has taken too long: others need not wait for it.
    pub overdue: bool,
    /// The process that is waited for: the main one, or the finish script while that runs.
    pub pid: Option<Pid>,
    /// How many processes this supervisor has started for it: tells a new run from the one before.
    pub starts: u32,
    /// Why, for people; may be empty, and has no newline.
    pub reason: &'a str,
}

impl<'a> Report<'a> {
    /// Reads a line without its newline.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Report<'a>> {
        let mut words = line.strip_prefix("event ")?.splitn(7, ' ');
        let name = words.next()?;
        let state = State::parse(words.next()?)?;
        let want = Want::parse(words.next()?)?;
        let overdue = words.next()? == "overdue";
        let pid = Pid::new(words.next()?.parse().ok()?);
        let starts = words.next()?.parse().ok()?;
        Some(Report { name, state, want, overdue, pid, starts, reason: words.next().unwrap_or("") })
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let overdue = if self.overdue { "overdue" } else { "timely" };
        let pid = self.pid.map_or(0, Pid::number);
        let (state, want) = (self.state.word(), self.want.word());
        write!(f, "event {} {state} {want} {overdue} {pid} {}", self.name, self.starts)?;
        if self.reason.is_empty() { Ok(()) } else { write!(f, " {}", self.reason) }
    }
}
