//! The logger's process, and handing it the pipes.

use crate::message::reason;
use crate::runtime::{Init, LOGGER};
use service::graph::Index;
use service::wire::{LINE_MAX, LogAnswer, LogCommand};
use service::{Pid, Tick, WaitStatus};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use sys::poll::Ready;

/// A logger that dies again within this time is started after it, not at once.
const RESPAWN_DELAY: Duration = Duration::from_secs(1);

/// The logger as init has it.
#[derive(Default)]
pub(crate) struct Logger {
    pub(crate) pid: Option<Pid>,
    pub(crate) channel: Option<OwnedFd>,
    pub(crate) started: Option<Tick>,
    pub(crate) restart_at: Option<Tick>,
    /// Why it could not be started the last time.
    unstarted: Option<String>,
    /// Descriptors that the ledger may still name.
    pub(crate) closing: Vec<OwnedFd>,
    /// What it has not been told yet.
    owed: VecDeque<Owed>,
}

/// Something that the logger has to be told.
enum Owed {
    /// To keep the log of this service.
    Keep(Index),
    /// To forget the log of the service that had this name.
    Forget(String),
}

impl Init {
    /// Starts the logger, and hands it every pipe: what it had not written yet is still in them.
    pub(crate) fn start_logger(&mut self) {
        let now = sys::clock::now();
        self.logger.restart_at = None;
        if self.options.logs_to_output {
            return;
        }
        self.logger.started = Some(now);
        match self.spawn_logger() {
            Ok(pid) => {
                self.logger.pid = Some(pid);
                self.logger.unstarted = None;
                self.take_logger();
            }
            Err(problem) => {
                self.logger.closing.extend(self.logger.channel.take());
                self.logger.restart_at = Some(now.after(RESPAWN_DELAY));
                // Told once: it may last, and is tried every second.
                if self.logger.unstarted.as_ref() != Some(&problem) {
                    self.messages.error(&format!("unable to start the logger: {problem} (trying again)"));
                    self.logger.unstarted = Some(problem);
                }
            }
        }
    }

    /// Begins to talk to the logger.
    pub(crate) fn take_logger(&mut self) {
        if let Some(channel) = &self.logger.channel {
            let _ = self.poller.add(channel, LOGGER);
        }
        self.owe_logs();
    }

    fn spawn_logger(&mut self) -> Result<Pid, String> {
        let (ours, theirs) = sys::socket::pair().map_err(|error| reason(&error))?;
        self.logger.channel = Some(ours);
        // From here on there may be one, whatever becomes of us.
        self.write_ledger();
        let logs = self.options.logs.as_os_str();
        let arguments = [OsStr::new("--logs"), logs, OsStr::new("--channel"), OsStr::new("3")];
        let [_, output, error] = sys::fd::standard();
        let descriptors = [(output, 1), (error, 2), (theirs.as_fd(), 3)];
        self.spawn_program("svlog", &arguments, &descriptors)
    }

    /// Hands a logger that knows nothing yet every pipe.
    pub(crate) fn owe_logs(&mut self) {
        self.logger.owed = (0..self.services.len()).map(Owed::Keep).collect();
        self.hand_over_logs();
        // The one before it may have been asked to forget some of them.
        for index in 0..self.services.len() {
            self.forget_if_left(index);
        }
    }

    /// Hands the logger one pipe, or new limits for it.
    pub(crate) fn owe_log(&mut self, index: Index) {
        self.logger.owed.push_back(Owed::Keep(index));
        self.hand_over_logs();
    }

    /// Has the logger write what is left of a service's lines, and forget it; whether there is anything that it has to
    /// answer. Until then the pipe stays: a logger that is killed meanwhile leaves them to the next one.
    pub(crate) fn forget_log(&mut self, index: Index) -> bool {
        let kept = self.services.get(index).is_some_and(|service| service.log.is_some());
        if !kept || self.options.logs_to_output {
            return false;
        }
        self.logger.owed.push_back(Owed::Forget(self.graph.name(index).to_owned()));
        self.hand_over_logs();
        true
    }

    /// Takes the logger's answers.
    fn take_answers(&mut self) {
        let mut buffer = [0; LINE_MAX];
        loop {
            let Some(channel) = &self.logger.channel else { return };
            let Ok(Some((length, _))) = sys::socket::receive(channel, &mut buffer) else { return };
            let line = buffer.get(..length).and_then(|bytes| str::from_utf8(bytes).ok()).unwrap_or("");
            let Some(LogAnswer::Forgotten(name)) = LogAnswer::parse(line) else { continue };
            let named = |(_, node): &(Index, &service::graph::Node)| node.entry.name == name;
            let nodes = self.graph.nodes().iter().enumerate();
            let Some((index, _)) = nodes.filter(named).find(|(index, _)| !self.graph.gone(*index)) else {
                continue;
            };
            if self.has_left(index) {
                self.forget_service(index);
            } else {
                // It has come back meanwhile.
                self.owe_log(index);
            }
        }
    }

    /// Tells the logger what it has not been told yet, as much as its channel takes; the rest follows when it
    /// has read that.
    pub(crate) fn hand_over_logs(&mut self) {
        let Some(channel) = &self.logger.channel else { return };
        let mut full = false;
        while let Some(owed) = self.logger.owed.front() {
            let sent = match owed {
                Owed::Keep(index) => self.keep_log(channel, *index),
                Owed::Forget(name) => {
                    sys::socket::send(channel, LogCommand::Forget(name).to_string().as_bytes(), None)
                }
            };
            full = sent.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
            if full {
                break;
            }
            self.logger.owed.pop_front();
        }
        let _ = self.poller.modify(channel, LOGGER, true, full);
    }

    fn keep_log(&self, channel: &OwnedFd, index: Index) -> std::io::Result<()> {
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get(index)) else {
            return Ok(());
        };
        let Some((reader, _)) = &service.log else { return Ok(()) };
        let log = node.entry.log;
        let command = LogCommand::Keep { name: &node.entry.name, size: log.size, keep: log.keep };
        sys::socket::send(channel, command.to_string().as_bytes(), Some(reader.as_fd()))
    }

    /// The logger's channel has room again, or has ended: then its death is about to be reaped.
    pub(crate) fn logger_is_ready(&mut self, ready: &Ready) {
        if ready.hangup
            && let Some(channel) = &self.logger.channel
        {
            let _ = self.poller.remove(channel);
        } else {
            self.take_answers();
            self.hand_over_logs();
        }
    }

    pub(crate) fn logger_ended(&mut self, status: WaitStatus) {
        let now = sys::clock::now();
        self.logger.pid = None;
        self.logger.closing.extend(self.logger.channel.take());
        if self.going.as_ref().is_some_and(crate::power::Going::logger_may_end) {
            return;
        }
        let soon = self.logger.started.is_some_and(|started| now.since(started) < RESPAWN_DELAY);
        self.logger.restart_at = Some(if soon { now.after(RESPAWN_DELAY) } else { now });
        self.messages.warning(&format!("the logger ended with {status} (starting it again)"));
    }

    /// Has the logger write what it has and end.
    pub(crate) fn finish_logger(&mut self) {
        if let Some(channel) = &self.logger.channel {
            let _ = sys::socket::send(channel, LogCommand::Finish.to_string().as_bytes(), None);
        }
    }
}
