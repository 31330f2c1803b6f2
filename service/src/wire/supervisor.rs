//! What supervisors are told, and what they say to init besides reports.

use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use std::fmt;

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
    /// Stop the service's processes where they are (SIGSTOP).
    Pause,
    /// Let them go on.
    Continue,
    /// The machine goes down: the halt signal first, then stop, then exit.
    Halt,
    /// Exit as soon as the service is down.
    Exit,
    /// Execute the program on disk in place of this one, and read the definition again. The service stays.
    Reexec,
    /// Answer with the status file's text.
    Status,
    /// Send a report for every change from now on, and one at once.
    Events,
    /// From init only: this process, which was reaped by init, ended so.
    Died(Pid, WaitStatus),
    /// From init only, with a descriptor: that end of a pipe to or from another service is the service's from its next
    /// start on.
    Connect(PipeEnd),
    /// From init only: its output goes to its log again.
    Disconnect,
}

/// Which side of a service a pipe to another is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PipeEnd {
    /// Its standard input.
    Input,
    /// Its standard output.
    Output,
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
            ("pause", "") => Some(Command::Pause),
            ("continue", "") => Some(Command::Continue),
            ("reexec", "") => Some(Command::Reexec),
            ("halt", "") => Some(Command::Halt),
            ("exit", "") => Some(Command::Exit),
            ("status", "") => Some(Command::Status),
            ("events", "") => Some(Command::Events),
            ("connect", "input") => Some(Command::Connect(PipeEnd::Input)),
            ("connect", "output") => Some(Command::Connect(PipeEnd::Output)),
            ("disconnect", "output") => Some(Command::Disconnect),
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
            Command::Pause => f.write_str("pause"),
            Command::Continue => f.write_str("continue"),
            Command::Reexec => f.write_str("reexec"),
            Command::Halt => f.write_str("halt"),
            Command::Exit => f.write_str("exit"),
            Command::Status => f.write_str("status"),
            Command::Events => f.write_str("events"),
            Command::Died(pid, status) => write!(f, "died {pid} {status}"),
            Command::Connect(PipeEnd::Input) => f.write_str("connect input"),
            Command::Connect(PipeEnd::Output) => f.write_str("connect output"),
            Command::Disconnect => f.write_str("disconnect output"),
        }
    }
}

/// What a supervisor tells init besides reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SupervisorMessage<'a> {
    /// Hold this descriptor, which comes with the message, and give it to the supervisor after this one as
    /// `--kept TAG=NUMBER`. It takes the place of the one of the same tag.
    Keep(&'a str),
    /// Close the descriptor of this tag.
    Drop(&'a str),
    /// Tell how this process ended, which is not ours to reap: at once if that is known.
    Awaits(Pid),
    /// This many more of the commands have been taken, and what came of them is on disk: they need not be repeated
    /// to another supervisor.
    Taken(u32),
}

impl<'a> SupervisorMessage<'a> {
    /// Reads a message.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<SupervisorMessage<'a>> {
        let (verb, rest) = line.split_once(' ')?;
        match verb {
            "keep" => Some(SupervisorMessage::Keep(rest)),
            "drop" => Some(SupervisorMessage::Drop(rest)),
            "taken" => rest.parse().ok().map(SupervisorMessage::Taken),
            "awaits" => Some(SupervisorMessage::Awaits(Pid::new(rest.parse().ok()?)?)),
            _ => None,
        }
    }
}

impl fmt::Display for SupervisorMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SupervisorMessage::Keep(tag) => write!(f, "keep {tag}"),
            SupervisorMessage::Drop(tag) => write!(f, "drop {tag}"),
            SupervisorMessage::Awaits(pid) => write!(f, "awaits {pid}"),
            SupervisorMessage::Taken(count) => write!(f, "taken {count}"),
        }
    }
}
