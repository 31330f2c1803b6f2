//! The control socket's clients.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use sys::connection::Connection;
use sys::poll::Poller;

/// As many clients as one supervisor serves at a time; who comes then is told so.
const CLIENTS_MAX: usize = 16;

/// Those who are connected now. Their tokens are counted from a base.
pub(crate) struct Clients {
    listener: Option<OwnedFd>,
    base: u64,
    slots: [Option<Box<Connection>>; CLIENTS_MAX],
}

impl Clients {
    pub(crate) fn new(listener: Option<OwnedFd>, base: u64) -> Clients {
        Clients { listener, base, slots: [const { None }; CLIENTS_MAX] }
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
            if poller.add(connection.as_fd(), self.base + index as u64).is_ok() {
                *slot = Some(Box::new(connection));
            }
        }
    }

    /// Reads what the client with this token sent: its whole lines, and whether it is still there.
    pub(crate) fn read(&mut self, token: u64) -> Vec<String> {
        let Some(slot) = self.slot(token) else { return Vec::new() };
        let Some(connection) = slot else { return Vec::new() };
        let alive = connection.fill();
        let lines = std::iter::from_fn(|| connection.line()).collect();
        if !alive {
            *slot = None;
        }
        lines
    }

    /// Answers a client. One that does not take the answer is let go.
    pub(crate) fn answer(&mut self, token: u64, text: &str) {
        if let Some(slot) = self.slot(token)
            && slot.as_ref().is_some_and(|connection| !connection.send(text))
        {
            *slot = None;
        }
    }

    /// Has a client told of every change.
    pub(crate) fn subscribe(&mut self, token: u64) {
        if let Some(Some(connection)) = self.slot(token) {
            connection.subscribed = true;
        }
    }

    /// Tells everybody who asked for it.
    pub(crate) fn broadcast(&mut self, text: &str) {
        for slot in &mut self.slots {
            if slot.as_ref().is_some_and(|connection| connection.subscribed && !connection.send(text)) {
                *slot = None;
            }
        }
    }

    fn slot(&mut self, token: u64) -> Option<&mut Option<Box<Connection>>> {
        let index = usize::try_from(token.checked_sub(self.base)?).ok()?;
        self.slots.get_mut(index)
    }
}

/// Watches a listener.
pub(crate) fn watch(poller: &Poller, listener: Option<&OwnedFd>, token: u64) -> io::Result<()> {
    listener.map_or(Ok(()), |listener| poller.add(listener.as_fd(), token))
}
