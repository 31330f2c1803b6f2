//! One connection to init or to a supervisor: lines out, lines in, each with a deadline.

use crate::exit::{Exit, Failure};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest line that is taken from the other side.
const LINE_MAX: usize = 64 << 10;
/// The longest path that a socket address holds (unix(7)).
const PATH_MAX: usize = 107;
/// The ways in which the system tells that nobody listens.
const ABSENT: [ErrorKind; 3] = [ErrorKind::NotFound, ErrorKind::ConnectionRefused, ErrorKind::NotADirectory];
/// The ways in which it tells that a read has taken too long.
const LATE: [ErrorKind; 2] = [ErrorKind::WouldBlock, ErrorKind::TimedOut];

/// What is said to those for whom there is no place.
const TOO_MANY: &str = "error too many clients";
/// For how long a place is asked for again, and the pause between two times.
const CROWDED: Duration = Duration::from_secs(10);
/// For how long whoever has gone is waited for.
const AWAY: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(5);
/// How long the other side may take to let us in.
const CONNECT_TIME: Duration = Duration::from_secs(5);

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// The other side has closed the connection.
    End,
    /// The deadline has passed.
    TimedOut,
}

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: UnixStream,
    path: PathBuf,
    buffer: Vec<u8>,
    /// How much of the buffer has been handed out.
    used: usize,
    /// What was sent, as long as nothing has come back: then none of it has been taken.
    unheard: Option<String>,
}

impl Connection {
    /// Connects to the socket at `path`; none if nobody listens there.
    ///
    /// # Errors
    /// If the system refuses, for want of rights for example.
    pub fn open(path: &Path) -> Result<Option<Connection>, Failure> {
        Connection::connect(path).map_err(|error| unable_to_connect(path, &error))
    }

    /// The same, with the system's own error.
    ///
    /// # Errors
    /// Those of connect(2), but for those that tell that nobody listens.
    pub fn connect(path: &Path) -> io::Result<Option<Connection>> {
        match connect(path) {
            Ok(stream) => Ok(Some(Connection {
                stream,
                path: path.to_owned(),
                buffer: Vec::new(),
                used: 0,
                unheard: Some(String::new()),
            })),
            Err(error) if ABSENT.contains(&error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends a line. That the other side is gone is learnt by reading, after its last words.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn send(&mut self, line: impl std::fmt::Display) -> Result<(), Failure> {
        let text = format!("{line}\n");
        if let Some(unheard) = &mut self.unheard {
            unheard.push_str(&text);
        }
        match self.stream.write_all(text.as_bytes()) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            Err(error) => {
                Err(Failure::system(&format!("unable to write to {}", self.path.display()), &error))
            }
        }
    }

    /// The next line. Without a deadline it waits for ever.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn line(&mut self, deadline: Option<Instant>) -> Result<Line, Failure> {
        let limit = Instant::now() + CROWDED;
        loop {
            let line = self.any_line(deadline)?;
            let Some(unheard) = self.unheard.take() else { return Ok(line) };
            let turned_away = line == Line::Text(TOO_MANY.to_owned());
            let late = deadline.map_or(limit, |deadline| deadline.min(limit)) <= Instant::now();
            if !turned_away || late {
                return Ok(line);
            }
            // There are so many others that we had to go before we were heard: our turn comes.
            std::thread::sleep(PAUSE);
            let Ok(Some(again)) = Connection::connect(&self.path) else { return Ok(line) };
            *self = again;
            self.send(unheard.trim_end_matches('\n'))?;
        }
    }

    /// Connects anew to where whoever was there has gone from: killed, or replaced by another, who listens at the
    /// same place in a moment. False if nobody does for long. What was said has to be said again.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn reopen(&mut self) -> Result<bool, Failure> {
        let begun = Instant::now();
        loop {
            if let Some(again) = Connection::open(&self.path)? {
                *self = again;
                return Ok(true);
            }
            if begun.elapsed() > AWAY {
                return Ok(false);
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn any_line(&mut self, deadline: Option<Instant>) -> Result<Line, Failure> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let text = String::from_utf8_lossy(rest.get(..length).unwrap_or_default()).into_owned();
                self.used += length + 1;
                return Ok(Line::Text(text));
            }
            if rest.len() > LINE_MAX {
                return Err(self.broken(&io::Error::other("an endless line")));
            }
            self.buffer.drain(..self.used);
            self.used = 0;
            match self.fill(deadline) {
                Ok(0) => return Ok(Line::End),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if LATE.contains(&error.kind()) => return Ok(Line::TimedOut),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(Line::End),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    fn fill(&mut self, deadline: Option<Instant>) -> io::Result<usize> {
        if let Some(deadline) = deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
        }
        let mut part = [0; 16 << 10];
        let count = self.stream.read(&mut part)?;
        self.buffer.extend_from_slice(part.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::system(&format!("unable to read from {}", self.path.display()), error)
    }
}

/// Why there is no connection, other than that nobody listens.
pub(super) fn unable_to_connect(path: &Path, error: &io::Error) -> Failure {
    let what = format!("unable to connect to {}", path.display());
    if LATE.contains(&error.kind()) {
        return Failure::new(Exit::TimedOut, format!("{what}: whoever listens there hangs"));
    }
    Failure::system(&what, error)
}

/// A path that is too long for a socket address is reached through its directory.
fn connect(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= PATH_MAX {
        return sys::socket::connect(path, CONNECT_TIME);
    }
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(ErrorKind::NotFound.into());
    };
    let directory = File::open(parent)?;
    let short = Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    sys::socket::connect(&short, CONNECT_TIME)
}
