//! What goes over the channel between init and a supervisor.

use crate::runtime::{Init, SERVICES};
use crate::store::COMMANDS_MAX;
use service::WaitStatus;
use service::graph::{Index, Node};
use service::status::State;
use service::wire::{Command, LINE_MAX, Report, SupervisorMessage};

impl Init {
    /// Tells a supervisor something. What does not fit now is sent when it does, and what one has not carried out
    /// when it dies is told to the next.
    pub(crate) fn tell(&mut self, index: Index, command: Command) {
        let Some(service) = self.services.get_mut(index) else { return };
        let waiting = match &mut service.supervisor {
            Some(supervisor) => &mut supervisor.waiting,
            None if service.left_behind => &mut service.unheard,
            None => return self.tell_nobody(index, command),
        };
        if waiting.len() < COMMANDS_MAX {
            waiting.push_back(command);
        }
        self.send_waiting(index);
    }

    fn send_waiting(&mut self, index: Index) {
        while let Some(supervisor) = self.services.get(index).and_then(|service| service.supervisor.as_ref())
            && let Some(command) = supervisor.waiting.get(supervisor.sent).copied()
        {
            let (command, descriptor) = self.with_pipe(index, command);
            let sent = sys::socket::send(&supervisor.channel, command.to_string().as_bytes(), descriptor);
            if sent.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock) {
                break;
            }
            // That it is gone is learnt by reaping it.
            if let Some(supervisor) =
                self.services.get_mut(index).and_then(|service| service.supervisor.as_mut())
            {
                supervisor.sent += 1;
            }
        }
        if let Some(supervisor) = self.services.get(index).and_then(|service| service.supervisor.as_ref()) {
            let full = supervisor.sent < supervisor.waiting.len();
            let _ = self.poller.modify(&supervisor.channel, SERVICES + index as u64, true, full);
        }
    }

    /// Something has happened on the channel of a supervisor.
    pub(crate) fn channel_is_ready(&mut self, index: Index, writable: bool) {
        let ended = self.read_channel(index, writable);
        let service = self.services.get(index).and_then(|service| service.supervisor.as_ref());
        // One that was being started when the init before us failed, and was not: there is nobody to reap.
        if ended && service.is_some_and(|supervisor| supervisor.pid.is_none()) {
            self.supervisor_ended(index, WaitStatus::Unknown);
        }
    }

    /// Reads all that a supervisor has to say. True if its end of the channel is closed.
    pub(super) fn read_channel(&mut self, index: Index, writable: bool) -> bool {
        if writable {
            self.send_waiting(index);
        }
        let mut buffer = [0; LINE_MAX + 1024];
        loop {
            let Some(supervisor) = self.services.get(index).and_then(|service| service.supervisor.as_ref())
            else {
                return false;
            };
            match sys::socket::receive(&supervisor.channel, &mut buffer) {
                Ok(Some((length, passed))) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                    if let Some(report) = Report::parse(&text) {
                        self.take_report(index, &report);
                    } else if let Some(message) = SupervisorMessage::parse(&text) {
                        self.take_message(index, message, passed);
                    }
                }
                Ok(None) => {
                    // Its death is yet to be reaped; until then it has no more to say.
                    let _ = self.poller.remove(&supervisor.channel);
                    return true;
                }
                Err(_) => return false,
            }
        }
    }

    fn take_report(&mut self, index: Index, report: &Report<'_>) {
        let runs = self.graph.nodes().get(index).is_some_and(Node::runs);
        let Some(service) = self.services.get_mut(index) else { return };
        service.main = report.pid;
        service.state = Some(report.state);
        service.left_behind = false;
        service.want = Some(report.want);
        if service.supervisor.as_mut().is_some_and(|supervisor| std::mem::take(&mut supervisor.new)) {
            // One that could not read what the one before knew begins to count anew.
            service.starts_before = if report.starts < service.starts { service.starts } else { 0 };
        }
        service.starts = service.starts_before.saturating_add(report.starts);
        report.reason.clone_into(&mut service.reason);
        // A recovered init has asked how things are: that what does not run is down, and not wanted by its
        // supervisor, is no wish of anybody's. It may have asked more than once.
        if service.recovered && !runs && report.state == State::Down {
            return;
        }
        let crosses = self.graph.crosses_a_start(index, report.state, report.want);
        self.graph.report(index, report.state, report.want, report.overdue);
        if !crosses {
            self.announce(index, report.state, report.reason);
        }
        self.dismiss(index);
    }
}
