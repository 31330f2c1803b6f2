//! The control socket: who asks for what, and who is told of changes.

use crate::runtime::{CLIENTS, Init};
use service::status::State;
use service::wire::{Command, InitCommand};
use std::os::fd::{AsFd, OwnedFd};
use sys::connection::Connection;
use sys::poll::Poller;

/// As many clients as are served at a time; who comes then is told so.
const CLIENTS_MAX: usize = 64;

/// Those who are connected now.
pub(crate) struct Clients {
    listener: Option<OwnedFd>,
    slots: Vec<Option<Box<Connection>>>,
}

impl Clients {
    pub(crate) fn new(listener: Option<OwnedFd>) -> Clients {
        Clients { listener, slots: (0..CLIENTS_MAX).map(|_| None).collect() }
    }

    /// Takes every connection that waits.
    pub(crate) fn accept(&mut self, poller: &Poller) {
        let Some(listener) = &self.listener else { return };
        while let Ok(socket) = sys::socket::accept(listener) {
            let connection = Connection::new(socket);
            let Some((index, slot)) = self.slots.iter_mut().enumerate().find(|(_, slot)| slot.is_none())
            else {
                connection.send("error too many clients\n");
                continue;
            };
            if poller.add(connection.as_fd(), CLIENTS + index as u64).is_ok() {
                *slot = Some(Box::new(connection));
            }
        }
    }

    /// Tells everybody who asked for it. Who does not read is let go.
    pub(crate) fn broadcast(&mut self, text: &str) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|connection| connection.subscribed && !connection.send(text)) {
                *slot = None;
            }
        }
    }

    fn slot(&mut self, token: u64) -> Option<&mut Option<Box<Connection>>> {
        let index = usize::try_from(token.checked_sub(CLIENTS)?).ok()?;
        self.slots.get_mut(index)
    }

    fn answer(&mut self, token: u64, text: &str) {
        if let Some(slot) = self.slot(token)
            && slot.as_ref().is_some_and(|connection| !connection.send(text))
        {
            *slot = None;
        }
    }
}

impl Init {
    pub(crate) fn read_client(&mut self, token: u64) {
        let Some(Some(connection)) = self.clients.slot(token) else { return };
        let alive = connection.fill();
        let lines: Vec<String> = std::iter::from_fn(|| connection.line()).collect();
        let by = sys::socket::peer(connection.as_fd())
            .map_or_else(|_| "somebody".to_owned(), |(pid, user)| format!("process {pid} of user {user}"));
        for line in lines {
            let answer = self.obey(token, &line, &by);
            self.clients.answer(token, &answer);
            self.change_graph(&line);
        }
        if !alive && let Some(slot) = self.clients.slot(token) {
            *slot = None;
        }
    }

    /// Does what a line asks for, and returns the answer.
    fn obey(&mut self, token: u64, line: &str, by: &str) -> String {
        match InitCommand::parse(line) {
            None => format!("error unknown command \"{line}\"\n"),
            Some(InitCommand::Power(power)) => {
                self.go_down(power, by);
                "ok\n".to_owned()
            }
            Some(InitCommand::Events) => {
                if let Some(Some(connection)) = self.clients.slot(token) {
                    connection.subscribed = true;
                }
                let reports = (0..self.services.len()).map(|index| self.report_line(index) + "\n");
                format!("ok\n{}", reports.collect::<String>())
            }
            Some(InitCommand::Start(name) | InitCommand::Stop(name) | InitCommand::Restart(name))
                if self.graph.find(name).is_none() =>
            {
                format!("error no such service {name}\n")
            }
            Some(InitCommand::Start(_) | InitCommand::Restart(_)) if self.graph.going_down() => {
                "error the machine is going down\n".to_owned()
            }
            Some(InitCommand::Start(_) | InitCommand::Stop(_) | InitCommand::Restart(_)) => {
                self.messages.info(&format!("{line}: asked for by {by}"));
                "ok\n".to_owned()
            }
        }
    }

    /// Changes the graph after the answer, so that the client hears of the changes after it.
    fn change_graph(&mut self, line: &str) {
        let Some(InitCommand::Start(name) | InitCommand::Stop(name) | InitCommand::Restart(name)) =
            InitCommand::parse(line)
        else {
            return;
        };
        let Some(index) = self.graph.find(name).filter(|_| !self.graph.going_down()) else { return };
        let supervised = self.services.get(index).is_some_and(crate::services::Service::has_supervisor);
        let waits = self.graph.nodes().get(index).is_some_and(|node| node.state == State::Backoff);
        if line.starts_with("stop") {
            self.graph.stop(index);
        } else if line.starts_with("restart") {
            self.graph.start_again(index);
            if supervised {
                self.tell(index, Command::Restart);
            }
        } else {
            self.graph.start(index);
            if waits && supervised {
                // It would come by itself, but somebody wants it now.
                self.tell(index, Command::Start);
            }
        }
    }
}
