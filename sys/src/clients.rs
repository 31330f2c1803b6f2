//! Everybody who is connected to a control socket.

use crate::connection::Connection;
use crate::poll::Poller;
use crate::socket;
use nix::errno::Errno;
use std::os::fd::{AsFd, OwnedFd};

/// The clients of one listener. Each is known by a token: that of the first place, and those after it.
#[derive(Debug)]
pub struct Clients {
    listener: Option<OwnedFd>,
    base: u64,
    slots: Vec<Option<Box<Connection>>>,
    /// Given up to accept, and turn away, a client that there is no descriptor for: it would be announced
    /// for ever otherwise.
    reserve: Option<OwnedFd>,
}

impl Clients {
    /// At most `most` clients of `listener` at a time, whose tokens begin at `base`. Without a listener
    /// nobody ever comes.
    #[must_use]
    pub fn new(listener: Option<OwnedFd>, base: u64, most: usize) -> Clients {
        Clients { listener, base, slots: (0..most).map(|_| None).collect(), reserve: reserve() }
    }

    /// Takes every connection that waits. Who finds no place is told so.
    pub fn accept(&mut self, poller: &Poller) {
        let Some(listener) = &self.listener else { return };
        self.reserve = self.reserve.take().or_else(reserve);
        loop {
            let connection = match socket::accept(listener) {
                Ok(socket) => Connection::new(socket),
                Err(error) if is_short_of_descriptors(&error) && self.reserve.take().is_some() => {
                    drop(socket::accept(listener));
                    self.reserve = reserve();
                    continue;
                }
                Err(_) => return,
            };
            let free = self.slots.iter_mut().enumerate().find(|(_, slot)| slot.is_none());
            let Some((index, slot)) = free else {
                connection.send("error too many clients\n");
                continue;
            };
            if poller.add(connection.as_fd(), self.base + index as u64).is_ok() {
                *slot = Some(Box::new(connection));
            }
        }
    }

    /// Reads what the client with this token sent: its whole lines. One that has gone is let go.
    pub fn read(&mut self, token: u64) -> Vec<String> {
        let Some(slot) = self.slot(token) else { return Vec::new() };
        let Some(connection) = slot else { return Vec::new() };
        let alive = connection.fill();
        let lines = std::iter::from_fn(|| connection.line()).collect();
        if !alive {
            *slot = None;
        }
        lines
    }

    /// The process and the user at the other end.
    pub fn peer(&mut self, token: u64) -> Option<(i32, u32)> {
        socket::peer(self.slot(token)?.as_ref()?.as_fd()).ok()
    }

    /// Answers a client. One that does not take the answer is let go.
    pub fn answer(&mut self, token: u64, text: &str) {
        if let Some(slot) = self.slot(token)
            && slot.as_ref().is_some_and(|connection| !connection.send(text))
        {
            *slot = None;
        }
    }

    /// Has a client told of every change.
    pub fn subscribe(&mut self, token: u64) {
        if let Some(Some(connection)) = self.slot(token) {
            connection.subscribed = true;
        }
    }

    /// Tells everybody who asked for it. Who does not read is let go.
    pub fn broadcast(&mut self, text: &str) {
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

fn reserve() -> Option<OwnedFd> {
    std::fs::File::open("/dev/null").ok().map(OwnedFd::from)
}

fn is_short_of_descriptors(error: &std::io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn who_comes_when_all_places_are_taken_is_told_so_and_a_place_becomes_free_again() {
        let path = std::env::temp_dir().join(format!("mainstay-clients-{}", std::process::id()));
        let poller = Poller::new().unwrap();
        let mut clients = Clients::new(Some(socket::listen_at(&path).unwrap()), 100, 1);
        let first = UnixStream::connect(&path).unwrap();
        let mut second = UnixStream::connect(&path).unwrap();
        clients.accept(&poller);
        let mut text = String::new();
        second.read_to_string(&mut text).unwrap();
        assert_eq!(text, "error too many clients\n");
        assert_eq!(clients.peer(100).map(|(pid, _)| pid), Some(crate::process::own()));
        drop(first);
        assert!(clients.read(100).is_empty() && clients.peer(100).is_none());
        let third = UnixStream::connect(&path).unwrap();
        clients.accept(&poller);
        assert!(clients.peer(100).is_some());
        drop(third);
        std::fs::remove_file(path).unwrap();
    }
}
