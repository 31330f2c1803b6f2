//! Telling where the service stands: first on disk, then to init and to whoever listens.

use crate::narrate;
use crate::supervisor::{CHANNEL, Supervisor};
use service::status::{State, Status};
use service::wire::{Report, SupervisorMessage};
use service::{Pid, Tick};
use std::time::Duration;

/// The pause between two tries to write what could not be written.
const FILE_AGAIN: Duration = Duration::from_secs(1);

impl Supervisor {
    /// Writes the status file, if it does not say already how things are.
    pub(crate) fn file(&mut self) {
        if std::mem::replace(&mut self.filed, true) {
            return;
        }
        let status = self.status();
        self.on_file.clone_from(&status.saved);
        let known = self.file_again.take().is_some();
        if let Err(error) = sys::fs::replace(&self.status_path, status.encode().as_bytes(), 0o644) {
            let path = self.status_path.display();
            let reason = crate::launch::reason(&error);
            self.on_file.clear();
            // It is the whole truth for whoever reads it: there may be room again, and no change for long.
            self.file_again = Some(sys::clock::now().after(FILE_AGAIN));
            if !known {
                self.say(&format!("warning: unable to write {path}: {reason} (retrying every second)"));
            }
        }
    }

    /// Writes the status file that could not be written, when it is time for that.
    pub(crate) fn file_again_if_due(&mut self, now: Tick) {
        if self.file_again.is_some_and(|due| due <= now) {
            self.filed = false;
            self.file();
        }
    }

    /// The same where nobody is told, for the supervisor after us. What init has written in our place since then
    /// stays, unless there is something new.
    pub(crate) fn file_for_the_next(&mut self) {
        if self.machine.save() != self.on_file {
            self.file();
        }
    }

    /// Writes the status file, then sends the report.
    pub(crate) fn publish(&mut self) {
        self.file();
        self.report_pending = true;
        self.send_report();
        let line = self.report_line();
        self.clients.broadcast(&format!("{line}\n"));
    }

    /// The status as it is now.
    pub(crate) fn status(&self) -> Status {
        let machine = &self.machine;
        let (last_exit, last_exit_at) = machine.last_exit().unzip();
        Status {
            kind: self.definition.kind,
            state: self.state(),
            want: machine.want(),
            has_readiness: self.definition.ready.method != service::definition::ReadyMethod::Immediate,
            pid: machine.pid(),
            pid_start: self.pid_start,
            pid_inode: self.pid_inode,
            finish: machine.script().map(|pid| (pid, self.after_start)),
            boot: self.boot.clone(),
            saved: machine.save(),
            supervisor: Pid::new(sys::process::own()).filter(|_| !self.exiting),
            since: machine.since(),
            started: machine.started(),
            ready_since: machine.ready_since(),
            restarts: machine.starts().saturating_sub(1),
            last_exit,
            last_exit_at,
            next_start: machine.next_start(),
            paused: machine.paused(),
            reloading: machine.reloading(),
            preparing: machine.preparing(),
            unhealthy: machine.unhealthy(),
            text: self.text(),
            group: self.group.as_ref().map(|group| group.path().display().to_string()).unwrap_or_default(),
            unlimited: self.unlimited(),
            oom_kills: self.killed(),
            starved: self.starved,
            reason: self.reason(),
            ..Status::new(&self.definition.name, self.definition.kind)
        }
    }

    /// Where the service stands, skipped included, of which the machine knows nothing.
    pub(crate) fn state(&self) -> State {
        if self.skipped.is_some() { State::Skipped } else { self.machine.state() }
    }

    fn reason(&self) -> String {
        self.skipped.clone().unwrap_or_else(|| narrate::reason(&self.machine, &self.problem, self.starved))
    }

    /// The report as a line without its newline.
    pub(crate) fn report_line(&self) -> String {
        let reason = self.reason().replace(['\n', '\r'], " ");
        let report = Report {
            name: &self.definition.name,
            state: self.state(),
            want: self.machine.want(),
            overdue: self.machine.overdue(),
            pid: self.machine.awaited(),
            starts: self.machine.starts(),
            reason: &reason,
        };
        report.to_string()
    }

    /// Tells init, after the report, how many of its commands have been taken, and what came of them is on disk: it
    /// repeats the others to the supervisor after us.
    pub(crate) fn acknowledge(&mut self) {
        if self.taken == 0 || self.channel.is_none() {
            return;
        }
        // Not every command changes what others see.
        self.file_for_the_next();
        let Some(channel) = &self.channel else { return };
        let message = SupervisorMessage::Taken(self.taken).to_string();
        if sys::socket::send(channel, message.as_bytes(), None).is_ok() {
            self.taken = 0;
        }
    }

    /// Sends the report to init. If init does not keep up, the newest one is sent once it does.
    pub(crate) fn send_report(&mut self) {
        let Some(channel) = self.channel.as_ref().filter(|_| self.report_pending) else { return };
        let sent = sys::socket::send(channel, self.report_line().as_bytes(), None);
        let full = matches!(&sent, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        // Init being gone is noticed by reading.
        self.report_pending = full;
        let _ = self.poller.modify(channel, CHANNEL, !self.inattentive(), full);
    }
}
