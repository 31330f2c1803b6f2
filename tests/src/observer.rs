//! Who subscribes to a control socket and is told of every change.

use crate::wait::{DEADLINE, eventually_some};
use service::Pid;
use service::status::{State, Want};
use service::wire::Report;
use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// A [`Report`] to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The service.
    pub name: String,
    /// Where it stands now.
    pub state: State,
    /// What is wanted.
    pub want: Want,
    /// Whether it takes too long to become ready.
    pub overdue: bool,
    /// The main process.
    pub pid: Option<Pid>,
    /// How many times it has been started.
    pub starts: u32,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.state.word())
    }
}

/// A connection to a control socket.
#[derive(Debug)]
pub struct Observer {
    stream: BufReader<UnixStream>,
    /// What has been heard, in order; the same state twice in a row is there once.
    pub heard: Vec<Event>,
}

impl Observer {
    /// Connects to the control socket at `path`, as soon as somebody listens.
    ///
    /// # Panics
    /// If nobody does in time.
    #[must_use]
    pub fn connect(path: &Path) -> Observer {
        let what = format!("somebody listens at {}", path.display());
        let stream = eventually_some(&what, || UnixStream::connect(path).ok());
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Observer { stream: BufReader::new(stream), heard: Vec::new() }
    }

    /// Connects and subscribes.
    ///
    /// # Panics
    /// If it is not taken.
    #[must_use]
    pub fn subscribe(path: &Path) -> Observer {
        let mut observer = Observer::connect(path);
        observer.send("events\n");
        assert_eq!(observer.line().as_deref(), Some("ok"));
        observer
    }

    /// Sends bytes as they are.
    ///
    /// # Panics
    /// If the connection is closed.
    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Sends bytes as far as they are taken at once.
    ///
    /// # Errors
    /// `WouldBlock` when the other side does not read, `BrokenPipe` when it has closed the connection.
    ///
    /// # Panics
    /// If the socket cannot be made non-blocking.
    pub fn try_send(&mut self, text: &str) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.set_nonblocking(true).unwrap();
        let sent = stream.write_all(text.as_bytes());
        stream.set_nonblocking(false).unwrap();
        sent
    }

    /// Sends a command and returns the answer, which comes before any event that it causes.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(&format!("{command}\n"));
        loop {
            let line = self.line().unwrap_or_else(|| panic!("no answer to {command}"));
            match Report::parse(&line) {
                Some(report) => self.note(&report),
                None => return line,
            }
        }
    }

    /// The next line without its newline; none when the connection is closed.
    ///
    /// # Panics
    /// If nothing comes in time.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end_matches('\n').to_owned()),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => None,
            Err(error) => panic!("{error} after [{}]", self.transcript().join(", ")),
        }
    }

    fn note(&mut self, report: &Report<'_>) {
        self.heard.push(Event {
            name: report.name.to_owned(),
            state: report.state,
            want: report.want,
            overdue: report.overdue,
            pid: report.pid,
            starts: report.starts,
            reason: report.reason.to_owned(),
        });
    }

    /// The next event.
    ///
    /// # Panics
    /// If none comes in time.
    #[track_caller]
    pub fn event(&mut self) -> Event {
        let line = self.line().unwrap_or_else(|| panic!("closed after [{}]", self.transcript().join(", ")));
        let report = Report::parse(&line).unwrap_or_else(|| panic!("not an event: {line}"));
        self.note(&report);
        self.heard.last().unwrap().clone()
    }

    /// Waits for an event of which `wanted` is true.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.event();
            if wanted(&event) {
                return event;
            }
        }
    }

    /// Waits until `service` is in `state`.
    #[track_caller]
    pub fn until(&mut self, service: &str, state: State) -> Event {
        self.wait_for(|event| event.name == service && event.state == state)
    }

    /// The states of one service that follow must be exactly these; the same state of the same process twice in a
    /// row counts once.
    #[track_caller]
    pub fn expect(&mut self, states: &[State]) -> Vec<Event> {
        let mut found = Vec::new();
        for state in states {
            let event = loop {
                let before = self.heard.last().map(|event| (event.state, event.pid));
                let event = self.event();
                if before != Some((event.state, event.pid)) {
                    break event;
                }
            };
            found.push(event.clone());
            assert_eq!(event.state, *state, "in [{}]", self.transcript().join(", "));
        }
        found
    }

    /// What has been heard, in words.
    #[must_use]
    pub fn transcript(&self) -> Vec<String> {
        self.heard.iter().map(ToString::to_string).collect()
    }
}
