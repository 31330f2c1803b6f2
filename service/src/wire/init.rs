//! What init is told.

use super::{Fault, Power};
use crate::signal::Signal;
use std::fmt;

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
    /// Read the tree, and change what differs of this service alone: it may be new, another, or gone.
    Refresh(&'a str),
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
            "refresh" if one_word => Some(InitCommand::Refresh(rest)),
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
            InitCommand::Refresh(_) => "refresh",
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
            | InitCommand::Refresh(name)
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
