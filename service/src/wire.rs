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

/// How the machine is to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// Switch the machine off.
    PowerOff,
    /// Boot it anew.
    Reboot,
    /// Stop the processor and leave the power on.
    Halt,
    /// Start the kernel that was loaded for it (kexec_load(2)).
    Kexec,
}

impl Power {
    /// The verb for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Power::PowerOff => "poweroff",
            Power::Reboot => "reboot",
            Power::Halt => "halt",
            Power::Kexec => "kexec",
        }
    }

    /// The power state that the verb `word` asks for.
    #[must_use]
    pub fn parse(word: &str) -> Option<Power> {
        [Power::PowerOff, Power::Reboot, Power::Halt, Power::Kexec]
            .into_iter()
            .find(|power| power.word() == word)
    }
}

/// What init can be told. Names are borrowed from the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitCommand<'a> {
    /// Start the service and what it needs.
    Start(&'a str),
    /// Start the service and what it needs, and leave it down once it has ended.
    Once(&'a str),
    /// Stop the service, after what requires it.
    Stop(&'a str),
    /// Stop the service if it runs, and start it; what requires it stays. A oneshot is run again.
    Restart(&'a str),
    /// Start the bundle and what it needs, and stop everything else.
    Switch(&'a str),
    /// Have the service reload its configuration.
    ReloadService(&'a str),
    /// Send the main process of the service a signal.
    Kill(&'a str, Signal),
    /// Stop its processes where they are.
    Pause(&'a str),
    /// Let them go on.
    Continue(&'a str),
    /// Read the tree of definitions again, and change what differs.
    Reload,
    /// Replace init and every supervisor in place by the programs on disk.
    Reexec,
    /// The same for one service's supervisor.
    ReexecService(&'a str),
    /// Answer with what this command would do, a line `plan VERB NAME` for each step, and do nothing.
    Plan(Planned<'a>),
    /// Take the machine down.
    Power(Power),
    /// Send a report of every service at once, then one for every change.
    Events,
    /// Fail in this way, to see what becomes of it. Only with the kernel argument `mainstay.debug`.
    Fault(Fault),
}

/// A command whose steps can be told before it is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planned<'a> {
    /// [`InitCommand::Start`].
    Start(&'a str),
    /// [`InitCommand::Stop`].
    Stop(&'a str),
    /// [`InitCommand::Restart`].
    Restart(&'a str),
    /// [`InitCommand::Switch`].
    Switch(&'a str),
    /// [`InitCommand::Reload`].
    Reload,
    /// [`InitCommand::Power`], whichever.
    PowerOff,
}

/// A way of failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A write to where there is no memory.
    Segv,
    /// abort(3).
    Abort,
    /// A panic.
    Panic,
    /// A recursion without an end.
    Overflow,
}

impl Fault {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Fault::Segv => "segv",
            Fault::Abort => "abort",
            Fault::Panic => "panic",
            Fault::Overflow => "overflow",
        }
    }

    /// The fault called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Fault> {
        let all = [Fault::Segv, Fault::Abort, Fault::Panic, Fault::Overflow];
        all.into_iter().find(|fault| fault.word() == word)
    }
}

impl<'a> Planned<'a> {
    /// Reads a line without its newline.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a new command cannot be planned until it is said how"
    )]
    pub fn parse(line: &'a str) -> Option<Planned<'a>> {
        match InitCommand::parse(line)? {
            InitCommand::Start(name) => Some(Planned::Start(name)),
            InitCommand::Stop(name) => Some(Planned::Stop(name)),
            InitCommand::Restart(name) => Some(Planned::Restart(name)),
            InitCommand::Switch(name) => Some(Planned::Switch(name)),
            InitCommand::Reload => Some(Planned::Reload),
            InitCommand::Power(_) => Some(Planned::PowerOff),
            _ => None,
        }
    }
}

impl fmt::Display for Planned<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Planned::Start(name) => write!(f, "start {name}"),
            Planned::Stop(name) => write!(f, "stop {name}"),
            Planned::Restart(name) => write!(f, "restart {name}"),
            Planned::Switch(name) => write!(f, "switch {name}"),
            Planned::Reload => f.write_str("reload"),
            Planned::PowerOff => f.write_str("poweroff"),
        }
    }
}

impl<'a> InitCommand<'a> {
    /// Reads a line without its newline.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<InitCommand<'a>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let one_word = !rest.is_empty() && !rest.contains(' ');
        match verb {
            "start" if one_word => Some(InitCommand::Start(rest)),
            "once" if one_word => Some(InitCommand::Once(rest)),
            "stop" if one_word => Some(InitCommand::Stop(rest)),
            "restart" if one_word => Some(InitCommand::Restart(rest)),
            "switch" if one_word => Some(InitCommand::Switch(rest)),
            "reload" if one_word => Some(InitCommand::ReloadService(rest)),
            "pause" if one_word => Some(InitCommand::Pause(rest)),
            "continue" if one_word => Some(InitCommand::Continue(rest)),
            "reexec" if one_word => Some(InitCommand::ReexecService(rest)),
            "fault" => Fault::parse(rest).map(InitCommand::Fault),
            "kill" => {
                let (name, signal) = rest.split_once(' ')?;
                Some(InitCommand::Kill(name, Signal::parse(signal)?))
            }
            // One level: no plan of a plan.
            "plan" if !rest.starts_with("plan") => Planned::parse(rest).map(InitCommand::Plan),
            "events" if line == verb => Some(InitCommand::Events),
            "reload" if line == verb => Some(InitCommand::Reload),
            "reexec" if line == verb => Some(InitCommand::Reexec),
            _ => Power::parse(line).map(InitCommand::Power),
        }
    }

    /// The word that access rules know the command by.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            InitCommand::Start(_) => "start",
            InitCommand::Once(_) => "once",
            InitCommand::Stop(_) => "stop",
            InitCommand::Restart(_) => "restart",
            InitCommand::Switch(_) => "switch",
            InitCommand::Reload | InitCommand::ReloadService(_) => "reload",
            InitCommand::Kill(..) => "kill",
            InitCommand::Pause(_) => "pause",
            InitCommand::Continue(_) => "continue",
            InitCommand::Reexec | InitCommand::ReexecService(_) => "reexec",
            InitCommand::Plan(_) => "plan",
            InitCommand::Power(power) => power.word(),
            InitCommand::Events => "events",
            InitCommand::Fault(_) => "fault",
        }
    }

    /// The service that it concerns, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&'a str> {
        match self {
            InitCommand::Start(name)
            | InitCommand::Once(name)
            | InitCommand::Stop(name)
            | InitCommand::Restart(name)
            | InitCommand::Switch(name)
            | InitCommand::ReloadService(name)
            | InitCommand::Kill(name, _)
            | InitCommand::Pause(name)
            | InitCommand::Continue(name)
            | InitCommand::ReexecService(name)
            | InitCommand::Plan(
                Planned::Start(name) | Planned::Stop(name) | Planned::Restart(name) | Planned::Switch(name),
            ) => Some(name),
            InitCommand::Plan(Planned::Reload | Planned::PowerOff)
            | InitCommand::Reload
            | InitCommand::Reexec
            | InitCommand::Power(_)
            | InitCommand::Events
            | InitCommand::Fault(_) => None,
        }
    }
}

impl fmt::Display for InitCommand<'_> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a verb and a name, unless there is more")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.verb())?;
        match self {
            InitCommand::Kill(name, signal) => write!(f, " {name} {signal}"),
            InitCommand::Plan(planned) => write!(f, " {planned}"),
            InitCommand::Fault(fault) => write!(f, " {}", fault.word()),
            _ => self.name().map_or(Ok(()), |name| write!(f, " {name}")),
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
    /// Write what the pipe of this service still holds, and forget it.
    Forget(&'a str),
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
        if let Some(name) = line.strip_prefix("forget ") {
            return Some(LogCommand::Forget(name));
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
            LogCommand::Forget(name) => write!(f, "forget {name}"),
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
            Command::Pause,
            Command::Continue,
            Command::Reexec,
            Command::Halt,
            Command::Exit,
            Command::Status,
            Command::Events,
            Command::Died(pid, WaitStatus::Exited(3)),
            Command::Connect(PipeEnd::Input),
            Command::Connect(PipeEnd::Output),
            Command::Disconnect,
        ] {
            assert_eq!(Command::parse(&command.to_string()), Some(command));
        }
        for command in [
            InitCommand::Start("a"),
            InitCommand::Stop("b"),
            InitCommand::Restart("c"),
            InitCommand::Once("d"),
            InitCommand::Switch("e"),
            InitCommand::ReloadService("f"),
            InitCommand::Kill("g", Signal::USR1),
            InitCommand::Pause("h"),
            InitCommand::Continue("i"),
            InitCommand::Reload,
            InitCommand::Reexec,
            InitCommand::ReexecService("j"),
            InitCommand::Plan(Planned::Switch("k")),
            InitCommand::Plan(Planned::Reload),
            InitCommand::Plan(Planned::PowerOff),
            InitCommand::Fault(Fault::Panic),
            InitCommand::Power(Power::Halt),
            InitCommand::Events,
        ] {
            assert_eq!(InitCommand::parse(&command.to_string()), Some(command));
        }
        for command in
            [LogCommand::Finish, LogCommand::Forget("b"), LogCommand::Keep { name: "a", size: 1, keep: 0 }]
        {
            assert_eq!(LogCommand::parse(&command.to_string()), Some(command));
        }
    }

    #[test]
    fn what_a_supervisor_says_parses_back_and_a_plan_of_a_plan_is_none() {
        let pid = Pid::new(7).unwrap();
        for message in [
            SupervisorMessage::Keep("ready"),
            SupervisorMessage::Drop("x"),
            SupervisorMessage::Awaits(pid),
            SupervisorMessage::Taken(2),
        ] {
            assert_eq!(SupervisorMessage::parse(&message.to_string()), Some(message));
        }
        for line in ["plan plan start a", "plan events", "start", "start a b", "kill a", "fault x"] {
            assert_eq!(InitCommand::parse(line), None, "{line}");
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
