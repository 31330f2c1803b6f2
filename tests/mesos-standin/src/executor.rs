//! `mesos-executor`: a process that outlives the agent that launched it, and waits for the next one.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use crate::{NOTICE, VERSION, flags, signals};

/// What the executor waits on.
struct Executor {
    name: String,
    listener: TcpListener,
    signals: SignalFd,
    agent: Option<TcpStream>,
    /// How long it lives without an agent.
    patience: Duration,
    alone_since: Instant,
}

/// Runs until it is told to end, or no agent has come back in time.
pub(crate) fn main() -> ExitCode {
    // First of all: from here on, a signal to the agent's process group is none to this one.
    let _ = nix::unistd::setsid();
    let signals = signals::listen(&[Signal::SIGTERM]);
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (name, endpoint) = (variable("MESOS_EXECUTOR_ID"), variable("MESOS_AGENT_ENDPOINT"));
    if name.is_empty() || endpoint.is_empty() {
        error!("An executor is launched by mesos-agent ({NOTICE}): expecting MESOS_AGENT_ENDPOINT");
        return ExitCode::FAILURE;
    }
    info!("This is {NOTICE}: mesos-executor {VERSION} '{name}', pid {}", std::process::id());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap_or_else(|error| fatal!("Failed to initialize: Failed to bind: {error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    let body = format!("executor={name}\naddress={address}\n");
    if let Err(error) = crate::http::post(&endpoint, "/slave(1)/standin/executor", &body) {
        error!("Failed to register with the agent at {endpoint}: {error}");
        return ExitCode::FAILURE;
    }
    let patience = flags::parse_duration(&variable("MESOS_RECOVERY_TIMEOUT"));
    let patience = patience.unwrap_or(Duration::from_secs(900));
    Executor { name, listener, signals, agent: None, patience, alone_since: Instant::now() }.run()
}

impl Executor {
    fn run(mut self) -> ExitCode {
        loop {
            let left = match &self.agent {
                Some(_) => PollTimeout::NONE,
                None => {
                    let left = self.patience.saturating_sub(self.alone_since.elapsed());
                    // Rounded up: a timer that fires early would spin.
                    PollTimeout::try_from(left + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
                }
            };
            let [signal, connection, agent] = self.wait(left);
            if signal && let Some(received) = signals::next(&self.signals) {
                info!("Received SIGTERM from process {}; shutting down", received.sender);
                return ExitCode::SUCCESS;
            }
            if agent {
                self.hear_agent();
            }
            if connection && let Ok((stream, _)) = self.listener.accept() {
                self.accept(stream);
            }
            if self.agent.is_none() && self.alone_since.elapsed() >= self.patience {
                info!("No agent within the recovery timeout of {:?}; shutting down", self.patience);
                return ExitCode::SUCCESS;
            }
        }
    }

    /// Which of the signals, the listener and the agent have something.
    fn wait(&self, timeout: PollTimeout) -> [bool; 3] {
        let mut fds = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(self.agent.as_ref().map(|agent| PollFd::new(agent.as_fd(), PollFlags::POLLIN)));
        if poll(&mut fds, timeout).is_err() {
            return [false; 3];
        }
        let ready = |index: usize| fds.get(index).and_then(PollFd::any).unwrap_or(false);
        [ready(0), ready(1), ready(2)]
    }

    /// The agent says nothing after its id, so this is its end.
    fn hear_agent(&mut self) {
        let read = self.agent.as_mut().map_or(Ok(0), |agent| agent.read(&mut [0; 256]));
        if !read.is_ok_and(|read| read > 0) {
            info!("Agent disconnected; waiting for it for {:?}", self.patience);
            self.agent = None;
            self.alone_since = Instant::now();
        }
    }

    fn accept(&mut self, mut stream: TcpStream) {
        let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
        let mut id = Vec::new();
        let mut byte = [0];
        while id.len() < 256 && stream.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            id.extend_from_slice(&byte);
        }
        if byte != *b"\n" || stream.write_all(format!("{}\n", self.name).as_bytes()).is_err() {
            return;
        }
        info!("Connected with agent {}", String::from_utf8_lossy(&id));
        self.agent = Some(stream);
    }
}
