//! A service in the ledger.

use super::{Service, Supervisor};
use crate::ledger::{Lines, Record};
use crate::pipelines::Input;
use crate::recover::left;
use crate::runtime::SERVICES;
use service::graph::Index;
use service::status::{State, Want};
use service::wire::Command;
use service::{Pid, Tick, WaitStatus};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

impl Service {
    /// What another init needs to know of it; and its descriptors are to live on.
    pub(crate) fn record(&self, record: &mut Record) {
        let keep = |descriptor: &OwnedFd| {
            sys::crash::keep(descriptor.as_fd());
            descriptor.as_raw_fd()
        };
        if let Some((reader, writer)) = &self.log {
            record.line("fd-log-reader", keep(reader));
            record.line("fd-log-writer", keep(writer));
        }
        if let Some(input) = &self.input {
            record.line("fd-input-reader", keep(&input.reader));
            record.option("fd-input-writer", input.writer.as_ref().map(keep));
        }
        if let Some(supervisor) = &self.supervisor {
            record.line("fd-channel", keep(&supervisor.channel));
            record.option("supervisor", supervisor.pid);
            record.line("new", supervisor.new);
            record.line("sent", supervisor.sent);
        }
        for (tag, descriptor) in &self.kept {
            record.line("kept", format_args!("{} {tag}", keep(descriptor)));
        }
        record.option("main", self.main);
        record.option("awaits", self.awaits);
        record.option("trouble", self.trouble);
        record.line("left-behind", self.left_behind);
        record.line("resume", self.resume);
        record.option("state", self.state.map(State::word));
        record.option("told", self.told.map(State::word));
        record.option("want", self.want.map(Want::word));
        record.line("starts", self.starts);
        record.line("starts-before", self.starts_before);
        record.option("started", self.started.map(|at| at.0));
        record.option("since", self.since.map(|at| at.0));
        record.line("restart", self.restart);
        for command in self.supervisor.iter().flat_map(|supervisor| &supervisor.waiting) {
            record.line("waiting", command);
        }
        for command in &self.unheard {
            record.line("unheard", command);
        }
    }

    /// The same service, from its record.
    pub(crate) fn restore(lines: Lines<'_>) -> Service {
        let descriptor = |key| left(lines, key);
        let log = descriptor("fd-log-reader").zip(descriptor("fd-log-writer"));
        let supervisor = descriptor("fd-channel").map(|channel| Supervisor {
            pid: lines.number("supervisor").and_then(Pid::new),
            channel,
            waiting: lines.all("waiting").filter_map(Command::parse).collect(),
            sent: lines.number("sent").unwrap_or(0),
            new: lines.flag("new"),
        });
        let kept = lines.all("kept").filter_map(|text| {
            let (number, tag) = text.split_once(' ')?;
            Some((tag.to_owned(), sys::fd::inherited(number.parse().ok()?).ok()?))
        });
        let input = descriptor("fd-input-reader")
            .map(|reader| Input { reader, writer: descriptor("fd-input-writer") });
        Service {
            log,
            input,
            supervisor,
            restart_at: None,
            started: lines.number("started").map(Tick),
            main: lines.number("main").and_then(Pid::new),
            trouble: lines.get("trouble").and_then(WaitStatus::parse),
            left_behind: lines.flag("left-behind"),
            resume: lines.flag("resume"),
            unheard: lines.all("unheard").filter_map(Command::parse).collect(),
            kept: kept.collect(),
            awaits: lines.number("awaits").and_then(Pid::new),
            state: lines.get("state").and_then(State::parse),
            starts: lines.number("starts").unwrap_or(0),
            starts_before: lines.number("starts-before").unwrap_or(0),
            want: lines.get("want").and_then(Want::parse),
            reason: String::new(),
            since: lines.number("since").map(Tick),
            restart: lines.flag("restart"),
            unstarted: None,
            closing: Vec::new(),
            told: lines.get("told").and_then(State::parse),
            recovered: true,
        }
    }

    /// Makes sure of the supervisor that the record names. True if it has yet to be told what is wanted: then the
    /// one before us failed while it was starting it.
    pub(crate) fn find_supervisor(&mut self, find: impl FnOnce() -> Option<Pid>) -> bool {
        let Some(supervisor) = &mut self.supervisor else { return false };
        let Some(pid) = supervisor.pid else {
            // If there is none after all, its channel has ended, and says so.
            supervisor.pid = find();
            return true;
        };
        if !sys::process::is_child(pid) {
            self.closing.extend(self.supervisor.take().map(|supervisor| supervisor.channel));
        }
        false
    }

    /// Hears what its supervisor says.
    pub(crate) fn watch(&self, poller: &sys::poll::Poller, index: Index) {
        if let Some(supervisor) = &self.supervisor {
            let _ = poller.add(&supervisor.channel, SERVICES + index as u64);
        }
    }

    /// Whether it should have a supervisor, and has none.
    pub(crate) fn lacks_supervisor(&self, runs: bool) -> bool {
        self.supervisor.is_none() && (runs || self.main.is_some()) && self.needs_supervisor()
    }
}
