//! A client of a control socket: lines in, lines out, and never a wait for it.

use crate::socket::{self, Peer};
use service::wire::LINE_MAX;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One accepted connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    buffer: [u8; LINE_MAX],
    used: usize,
    /// Whether it asked to be told of changes.
    pub subscribed: bool,
    /// Who it is; none if the kernel does not tell.
    pub peer: Option<Peer>,
    /// When it was served last: a number that grows.
    pub(crate) served: u64,
    /// Tells it from every other connection of the same listener.
    pub(crate) identity: u64,
}

impl Connection {
    /// A client that has just connected.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Connection {
        let peer = socket::peer(&socket).ok();
        Connection { socket, buffer: [0; LINE_MAX], used: 0, subscribed: false, peer, served: 0, identity: 0 }
    }

    /// Reads what has come. False when the client has gone, or sends a line without end, of which it is told.
    pub fn fill(&mut self) -> bool {
        let Some(free) = self.buffer.get_mut(self.used..).filter(|free| !free.is_empty()) else {
            return false;
        };
        match socket::read(&self.socket, free) {
            Ok(0) => false,
            Ok(count) => {
                self.used += count;
                let endless = self.used == LINE_MAX && !self.buffer.contains(&b'\n');
                if endless {
                    self.send("error line too long\n");
                }
                !endless
            }
            Err(error) => matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted),
        }
    }

    /// The next whole line that has come, without its newline. Bytes that are not UTF-8 are replaced, and
    /// then are no command.
    pub fn line(&mut self) -> Option<String> {
        let filled = self.buffer.get(..self.used)?;
        let end = filled.iter().position(|byte| *byte == b'\n')?;
        let line = String::from_utf8_lossy(filled.get(..end)?).trim_end_matches('\r').to_owned();
        self.buffer.copy_within(end + 1..self.used, 0);
        self.used -= end + 1;
        Some(line)
    }

    /// Sends text. False when the client has gone or does not read: it is not waited for.
    pub fn send(&self, text: &str) -> bool {
        socket::send_all(&self.socket, text.as_bytes()).is_ok()
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut connection = Connection::new(server.into());
        assert!(connection.fill(), "nothing yet is not the end");
        for (sent, lines) in
            [("sta", vec![]), ("rt a\nst", vec!["start a"]), ("op b\r\nx\n", vec!["stop b", "x"])]
        {
            client.write_all(sent.as_bytes()).unwrap();
            assert!(connection.fill());
            let got: Vec<String> = std::iter::from_fn(|| connection.line()).collect();
            assert_eq!(got, lines);
        }
        drop(client);
        assert!(!connection.fill());
    }

    #[test]
    fn an_endless_line_ends_the_connection_and_a_silent_reader_is_not_waited_for() {
        let (mut client, server) = UnixStream::pair().unwrap();
        server.set_nonblocking(true).unwrap();
        let mut connection = Connection::new(server.into());
        client.write_all(&[b'x'; LINE_MAX - 1]).unwrap();
        assert!(connection.fill() && connection.line().is_none());
        client.write_all(b"x").unwrap();
        assert!(!connection.fill() && connection.line().is_none());
        let mut answer = [0; 20];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"error line too long\n");
        assert!((0..100_000).any(|_| !connection.send("event\n")));
    }
}
