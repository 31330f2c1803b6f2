//! One service as init has it: its log pipe, its supervisor, and what that said last.

mod channel;
mod ended;
mod saved;
mod seen;
mod start;

use crate::pipelines::Input;
use service::status::{State, Want};
use service::wire::Command;
use service::{Pid, Tick, WaitStatus};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A supervisor that dies again within this time is started after it, not at once.
const RESPAWN_DELAY: Duration = Duration::from_secs(1);

/// What init holds for one service.
#[derive(Default)]
pub(crate) struct Service {
    /// Both ends of its log pipe, so that neither side's death closes it.
    pub(crate) log: Option<(OwnedFd, OwnedFd)>,
    /// The pipe that it reads what other services write from.
    pub(crate) input: Option<Input>,
    supervisor: Option<Supervisor>,
    /// When to start its supervisor again.
    pub(crate) restart_at: Option<Tick>,
    started: Option<Tick>,
    /// The process that is waited for, as last reported.
    pub(crate) main: Option<Pid>,
    /// What the supervisor before died of, if that has been told.
    trouble: Option<WaitStatus>,
    /// Something may run that has no supervisor now.
    left_behind: bool,
    /// The next supervisor is to go on where the one before it was.
    resume: bool,
    /// Commands that no supervisor has carried out yet, while there is none.
    pub(crate) unheard: VecDeque<Command>,
    /// Descriptors that are kept for its supervisors.
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// A process that its supervisor waits for, and we have yet to reap.
    pub(crate) awaits: Option<Pid>,
    state: Option<State>,
    /// How many runs there were, of all its supervisors together.
    starts: u32,
    /// How many of them the supervisor that it has knows nothing of.
    starts_before: u32,
    pub(crate) want: Option<Want>,
    reason: String,
    /// When init itself put it into its state.
    since: Option<Tick>,
    /// It was to be restarted when it had no supervisor that could be told.
    pub(crate) restart: bool,
    /// Why its supervisor could not be started.
    unstarted: Option<String>,
    /// What the console was told last.
    pub(crate) told: Option<State>,
    /// Descriptors that the ledger may still name: they are closed once it does not, so that none of these numbers
    /// means another by the time when somebody goes on from there.
    pub(crate) closing: Vec<OwnedFd>,
    /// It comes from a ledger, and its supervisor was asked how it is.
    recovered: bool,
}

struct Supervisor {
    /// None while it is being started.
    pid: Option<Pid>,
    channel: OwnedFd,
    /// Commands that it has not said to have carried out.
    waiting: VecDeque<Command>,
    /// How many of them it has been sent.
    sent: usize,
    /// It has yet to say how things are.
    new: bool,
}

impl Service {
    pub(crate) fn is_supervisor(&self, pid: Pid) -> bool {
        self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == Some(pid))
    }

    pub(crate) fn has_supervisor(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Whether nobody has ever had a supervisor of it started, so that nothing of it can run.
    pub(crate) fn is_untouched(&self) -> bool {
        self.started.is_none() && self.supervisor.is_none() && self.main.is_none() && !self.left_behind
    }

    /// Whether it is at rest.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_some() && !self.needs_supervisor()
    }

    /// Forgets everything, and closes what it held once that is on record.
    pub(crate) fn forget(&mut self) {
        let old = std::mem::take(self);
        self.closing = old.closing;
        self.closing.extend(old.log.into_iter().flat_map(|(reader, writer)| [reader, writer]));
        self.closing
            .extend(old.input.into_iter().flat_map(|input| [Some(input.reader), input.writer]).flatten());
        self.closing.extend(old.supervisor.map(|supervisor| supervisor.channel));
        self.closing.extend(old.kept.into_iter().map(|(_, descriptor)| descriptor));
    }

    /// So many more commands have been carried out.
    pub(crate) fn taken(&mut self, count: u32) {
        let Some(supervisor) = &mut self.supervisor else { return };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(supervisor.sent);
        supervisor.waiting.drain(..count);
        supervisor.sent -= count;
    }

    /// Whether its process lives, or will without anybody's doing: then it needs a supervisor.
    pub(crate) fn needs_supervisor(&self) -> bool {
        match self.state {
            None
            | Some(
                State::Starting
                | State::Listening
                | State::Up
                | State::Stopping
                | State::Finishing
                | State::Backoff,
            ) => true,
            Some(
                State::Down | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid,
            ) => self.main.is_some(),
        }
    }
}
