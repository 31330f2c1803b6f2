//! What the programs say to each other: one line of text a message, on unix sockets.
//!
//! - `/run/service/NAME/control` (stream): a line with a [`Command`] is answered by a line `ok` or
//!   `error REASON`; after `events` the connection also carries a [`Report`] for every change.
//! - `/run/init/control` (stream): the same for [`InitCommand`]s.
//! - the channel between init and a supervisor (seqpacket, inherited): [`Command`]s one way,
//!   [`Report`]s the other.
//! - the channel between init and the logger (seqpacket, inherited): [`LogCommand`]s.

use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::status::{State, Want};
use std::fmt;

/// The longest line that any of the sockets takes, in bytes; a longer one is answered with an error.
pub const LINE_MAX: usize = 1024;

/// What a supervisor can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Want the service up.
    Start,
    /// Want it to run until it ends.
    Once,
    /// Want it down.
    Stop,
    /// Stop it and start it again.
    Restart,
    /// Send the reload signal.
    Reload,
    /// Send this signal.
    Kill(Signal),
    /// The machine goes down: the halt signal first, then stop, then exit.
    Halt,
    /// Exit as soon as the service is down.
    Exit,
    /// Answer with the status file's text.
    Status,
    /// Send a report for every change from now on, and one at once.
    Events,
    /// From init only: this process, which was reaped by init, ended so.
    Died(Pid, WaitStatus),
}

impl Command {
    /// Reads a line without its newline.
    #[must_use]
    pub fn parse(line: &str) -> Option<Command> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match (verb, rest) {
            ("start", "") => Some(Command::Start),
            ("once", "") => Some(Command::Once),
            ("stop", "") => Some(Command::Stop),
            ("restart", "") => Some(Command::Restart),
            ("reload", "") => Some(Command::Reload),
            ("kill", signal) => Signal::parse(signal).map(Command::Kill),
            ("halt", "") => Some(Command::Halt),
            ("exit", "") => Some(Command::Exit),
            ("status", "") => Some(Command::Status),
            ("events", "") => Some(Command::Events),
            ("died", rest) => {
                let (pid, status) = rest.split_once(' ')?;
                Some(Command::Died(Pid::new(pid.parse().ok()?)?, WaitStatus::parse(status)?))
            }
            (_, _) => None,
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Start => f.write_str("start"),
            Command::Once => f.write_str("once"),
            Command::Stop => f.write_str("stop"),
            Command::Restart => f.write_str("restart"),
            Command::Reload => f.write_str("reload"),
            Command::Kill(signal) => write!(f, "kill {signal}"),
            Command::Halt => f.write_str("halt"),
            Command::Exit => f.write_str("exit"),
            Command::Status => f.write_str("status"),
            Command::Events => f.write_str("events"),
            Command::Died(pid, status) => write!(f, "died {pid} {status}"),
        }
    }
}

/// How the machine is to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Switch the machine off.
    PowerOff,
    /// Boot it anew.
    Reboot,
    /// Stop the processor and leave the power on.
    Halt,
}

impl Power {
    /// The verb for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Power::PowerOff => "poweroff",
            Power::Reboot => "reboot",
            Power::Halt => "halt",
        }
    }

    /// The power state that the verb `word` asks for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Power> {
        [Power::PowerOff, Power::Reboot, Power::Halt].into_iter().find(|power| power.word() == word)
    }
}

/// What init can be told. Names are borrowed from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitCommand<'a> {
    /// Start the service and what it needs.
    Start(&'a str),
    /// Stop the service, after what requires it.
    Stop(&'a str),
    /// Stop the service if it runs, and start it; what requires it stays. A oneshot is run again.
    Restart(&'a str),
    /// Take the machine down.
    Power(Power),
    /// Send a report of every service at once, then one for every change.
    Events,
}

impl<'a> InitCommand<'a> {
    /// Reads a line without its newline.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<InitCommand<'a>> {
        match line.split_once(' ') {
            Some(("start", name)) => Some(InitCommand::Start(name)),
            Some(("stop", name)) => Some(InitCommand::Stop(name)),
            Some(("restart", name)) => Some(InitCommand::Restart(name)),
            Some(_) => None,
            None if line == "events" => Some(InitCommand::Events),
            None => Power::parse(line).map(InitCommand::Power),
        }
    }
}

impl fmt::Display for InitCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InitCommand::Start(name) => write!(f, "start {name}"),
            InitCommand::Stop(name) => write!(f, "stop {name}"),
            InitCommand::Restart(name) => write!(f, "restart {name}"),
            InitCommand::Power(power) => f.write_str(power.word()),
            InitCommand::Events => f.write_str("events"),
        }
    }
}

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
    /// The main process.
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

/// What init tells the logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogCommand<'a> {
    /// Keep the log of this service. The read end of its pipe comes with the message; a service that is
    /// known already keeps its pipe and takes the new limits.
    Keep {
        /// The service.
        name: &'a str,
        /// Rotate `current` at this many bytes.
        size: u64,
        /// Keep this many rotated files.
        keep: u32,
    },
    /// Write what the pipes still hold, make it durable, and exit.
    Finish,
}

impl<'a> LogCommand<'a> {
    /// Reads a message.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<LogCommand<'a>> {
        if line == "finish" {
            return Some(LogCommand::Finish);
        }
        let mut words = line.strip_prefix("keep ")?.split(' ');
        let (name, size, keep) = (words.next()?, words.next()?, words.next()?);
        Some(LogCommand::Keep { name, size: size.parse().ok()?, keep: keep.parse().ok()? })
    }
}

impl fmt::Display for LogCommand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogCommand::Keep { name, size, keep } => write!(f, "keep {name} {size} {keep}"),
            LogCommand::Finish => f.write_str("finish"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_command_parses_back_from_its_text() {
        let pid = Pid::new(7).unwrap();
        for command in [
            Command::Start,
            Command::Once,
            Command::Stop,
            Command::Restart,
            Command::Reload,
            Command::Kill(Signal::USR1),
            Command::Halt,
            Command::Exit,
            Command::Status,
            Command::Events,
            Command::Died(pid, WaitStatus::Exited(3)),
        ] {
            assert_eq!(Command::parse(&command.to_string()), Some(command));
        }
        for command in [
            InitCommand::Start("a"),
            InitCommand::Stop("b"),
            InitCommand::Restart("c"),
            InitCommand::Power(Power::Halt),
            InitCommand::Events,
        ] {
            assert_eq!(InitCommand::parse(&command.to_string()), Some(command));
        }
        for command in [LogCommand::Finish, LogCommand::Keep { name: "a", size: 1, keep: 0 }] {
            assert_eq!(LogCommand::parse(&command.to_string()), Some(command));
        }
    }

    #[test]
    fn a_report_parses_back_from_its_text() {
        for reason in ["", "unable to execute x: No such file or directory"] {
            let report = Report {
                name: "sshd",
                state: State::Backoff,
                want: Want::Up,
                overdue: false,
                pid: Pid::new(12),
                starts: 4,
                reason,
            };
            assert_eq!(Report::parse(&report.to_string()), Some(report));
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_a_parser_panic(line in ".*") {
            let _ = (Command::parse(&line), InitCommand::parse(&line), LogCommand::parse(&line), Report::parse(&line));
        }
    }
}
