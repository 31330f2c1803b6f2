//! One service as init has it: its log pipe, its supervisor, and what that said last.

use crate::message::reason;
use crate::pipelines::Input;
use crate::runtime::{Init, SERVICES};
use service::definition::Kind;
use service::graph::Index;
use service::status::{State, Status, Want};
use service::wire::{Command, LINE_MAX, Report};
use service::{Pid, Tick, WaitStatus};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

/// A supervisor that dies again within this time is started after it, not at once.
const RESPAWN_DELAY: Duration = Duration::from_secs(1);

/// What init holds for one service.
#[derive(Default)]
pub(crate) struct Service {
    /// Both ends of its log pipe, so that neither side's death closes it.
    pub(crate) log: Option<(OwnedFd, OwnedFd)>,
    /// The pipe that it reads what other services write from.
    pub(crate) input: Option<Input>,
    supervisor: Option<Supervisor>,
    /// When to start its supervisor again.
    pub(crate) restart_at: Option<Tick>,
    started: Option<Tick>,
    /// Its main process, as last reported.
    pub(crate) main: Option<Pid>,
    /// How that ended, if its supervisor could not be told yet.
    unheard_death: Option<(Pid, WaitStatus)>,
    state: Option<State>,
    /// How many runs there were, of all its supervisors together.
    starts: u32,
    /// How many of them before the supervisor that it has.
    starts_before: u32,
    pub(crate) want: Option<Want>,
    reason: String,
    /// When init itself put it into its state.
    since: Option<Tick>,
    /// It was to be restarted when it had no supervisor that could be told.
    pub(crate) restart: bool,
    /// What the console was told last.
    pub(crate) told: Option<State>,
}

struct Supervisor {
    pid: Pid,
    channel: OwnedFd,
    /// Commands that did not fit into the channel.
    waiting: VecDeque<Command>,
}

impl Service {
    pub(crate) fn is_supervisor(&self, pid: Pid) -> bool {
        self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == pid)
    }

    pub(crate) fn has_supervisor(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Whether a process of it may live that its next supervisor will find.
    pub(crate) fn may_live(&self) -> bool {
        self.main.is_some() || self.state.is_some()
    }

    /// Whether it is at rest.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_some() && !self.needs_supervisor()
    }

    /// Whether its process lives, or will without anybody's doing: then it needs a supervisor.
    pub(crate) fn needs_supervisor(&self) -> bool {
        match self.state {
            None
            | Some(State::Starting | State::Up | State::Stopping | State::Finishing | State::Backoff) => true,
            Some(
                State::Down | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid,
            ) => self.main.is_some(),
        }
    }
}

impl Init {
    /// Opens the log pipe of a service that has processes.
    pub(crate) fn new_service(&mut self, index: Index) -> Service {
        let mut service = Service::default();
        let Some(node) = self.graph.nodes().get(index) else { return service };
        if node.entry.kind == Kind::Bundle || node.entry.problem.is_some() {
            return service;
        }
        match sys::pipe::pair() {
            Ok(pipe) => service.log = Some(pipe),
            Err(error) => {
                let name = node.entry.name.clone();
                let reason = reason(&error);
                self.messages.error(&format!(
                    "{name}: unable to make its log pipe: {reason} (it logs to the console)"
                ));
            }
        }
        service
    }

    /// Has a service started: by its supervisor, which is started first if there is none.
    pub(crate) fn launch(&mut self, index: Index) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.state = None;
        if service.has_supervisor() {
            self.tell(index, self.begin(index));
        } else {
            self.start_supervisor(index);
        }
    }

    /// What a supervisor is told for its service to run.
    fn begin(&self, index: Index) -> Command {
        if self.graph.once(index) { Command::Once } else { Command::Start }
    }

    /// Starts the supervisor, and tells it everything it has to know.
    pub(crate) fn start_supervisor(&mut self, index: Index) {
        let now = sys::clock::now();
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get_mut(index))
        else {
            return;
        };
        service.restart_at = None;
        if service.has_supervisor() {
            return;
        }
        let name = node.entry.name.clone();
        service.started = Some(now);
        match self.spawn_supervisor(index, &name) {
            Ok(supervisor) => {
                let token = SERVICES + index as u64;
                let _ = self.poller.add(&supervisor.channel, token);
                let Some(service) = self.services.get_mut(index) else { return };
                service.supervisor = Some(supervisor);
                service.starts_before = service.starts;
                let (death, restart) = (service.unheard_death.take(), std::mem::take(&mut service.restart));
                if self.graph.going_down() {
                    self.tell(index, Command::Halt);
                } else if self.graph.stopping(index) {
                    // The one before it may have died before it heard of that.
                    self.tell(index, Command::Stop);
                } else if self.graph.wanted(index) {
                    self.tell(index, self.begin(index));
                    if restart {
                        self.tell(index, Command::Restart);
                    }
                }
                // After what is wanted: what a death means depends on it, and a start after it would be a new one.
                if let Some((pid, status)) = death {
                    self.tell(index, Command::Died(pid, status));
                }
            }
            Err(problem) => {
                self.messages
                    .error(&format!("{name}: unable to start its supervisor: {problem} (trying again)"));
                if let Some(service) = self.services.get_mut(index) {
                    service.restart_at = Some(now.after(RESPAWN_DELAY));
                }
            }
        }
    }

    fn spawn_supervisor(&self, index: Index, name: &str) -> Result<Supervisor, String> {
        let (ours, theirs) = sys::socket::pair().map_err(|error| reason(&error))?;
        let run = self.options.run.as_os_str();
        let mut arguments = vec![OsStr::new("--run"), run, OsStr::new("--channel"), OsStr::new("3")];
        let log = self.services.get(index).and_then(|service| service.log.as_ref());
        let (output, error) = (std::io::stdout(), std::io::stderr());
        let mut descriptors = match log {
            Some((_, writer)) => vec![(writer.as_fd(), 1), (writer.as_fd(), 2), (theirs.as_fd(), 3)],
            None => vec![(output.as_fd(), 1), (error.as_fd(), 2), (theirs.as_fd(), 3)],
        };
        self.connect(index, &mut arguments, &mut descriptors);
        arguments.push(OsStr::new(name));
        let pid = self.spawn_program("supervise", &arguments, &descriptors)?;
        Ok(Supervisor { pid, channel: ours, waiting: VecDeque::new() })
    }

    /// Tells a supervisor something. What does not fit now is sent when it does.
    pub(crate) fn tell(&mut self, index: Index, command: Command) {
        let Some(service) = self.services.get_mut(index) else { return };
        match &mut service.supervisor {
            Some(supervisor) => {
                supervisor.waiting.push_back(command);
                self.send_waiting(index);
            }
            None => self.tell_nobody(index, command),
        }
    }

    fn send_waiting(&mut self, index: Index) {
        let Some(supervisor) = self.services.get_mut(index).and_then(|service| service.supervisor.as_mut())
        else {
            return;
        };
        while let Some(command) = supervisor.waiting.front() {
            match sys::socket::send(&supervisor.channel, command.to_string().as_bytes(), None) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
                // That it is gone is learnt by reaping it.
                Ok(()) | Err(_) => supervisor.waiting.pop_front(),
            };
        }
        let full = !supervisor.waiting.is_empty();
        let _ = self.poller.modify(&supervisor.channel, SERVICES + index as u64, true, full);
    }

    /// Reads all that a supervisor has to say.
    pub(crate) fn read_channel(&mut self, index: Index, writable: bool) {
        if writable {
            self.send_waiting(index);
        }
        let mut buffer = [0; LINE_MAX + 1024];
        loop {
            let Some(supervisor) = self.services.get(index).and_then(|service| service.supervisor.as_ref())
            else {
                return;
            };
            match sys::socket::receive(&supervisor.channel, &mut buffer) {
                Ok(Some((length, _))) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                    if let Some(report) = Report::parse(&text) {
                        self.take_report(index, &report);
                    }
                }
                Ok(None) => {
                    // Its death is yet to be reaped; until then it has no more to say.
                    let _ = self.poller.remove(&supervisor.channel);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    fn take_report(&mut self, index: Index, report: &Report<'_>) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.main = report.pid;
        service.state = Some(report.state);
        service.want = Some(report.want);
        service.starts = service.starts_before.saturating_add(report.starts);
        report.reason.clone_into(&mut service.reason);
        self.graph.report(index, report.state, report.want, report.overdue);
        self.announce(index, report.state, report.reason);
    }

    /// A supervisor has died: it is started again, and takes over what it left behind.
    pub(crate) fn supervisor_ended(&mut self, index: Index, status: WaitStatus) {
        // Its last words may still lie in the channel.
        self.read_channel(index, false);
        let now = sys::clock::now();
        let going_down = self.graph.going_down();
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get_mut(index))
        else {
            return;
        };
        if let Some(supervisor) = service.supervisor.take() {
            let _ = self.poller.remove(&supervisor.channel);
        }
        let name = node.entry.name.clone();
        if service.needs_supervisor() || self.graph.stopping(index) {
            let soon = service.started.is_some_and(|started| now.since(started) < RESPAWN_DELAY);
            service.restart_at = Some(if soon { now.after(RESPAWN_DELAY) } else { now });
            self.messages.warning(&format!("{name}: its supervisor ended with {status} (starting it again)"));
        } else if going_down && service.state.is_none() {
            self.graph.report(index, State::Down, Want::Down, false);
        }
        self.forget_if_left(index);
    }

    /// The main process of a service was ours to reap, since the supervisor that started it is gone. The
    /// supervisor that has adopted it, or will, is told.
    pub(crate) fn main_process_ended(&mut self, index: Index, pid: Pid, status: WaitStatus) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.main = None;
        if service.has_supervisor() {
            self.tell(index, Command::Died(pid, status));
        } else {
            service.unheard_death = Some((pid, status));
        }
    }

    // --- what others see ---

    /// Writes the status file in the place of a supervisor.
    pub(crate) fn write_status(
        &mut self,
        index: Index,
        name: &str,
        kind: Kind,
        state: State,
        wanted: bool,
        why: &str,
    ) {
        let Some(service) = self.services.get_mut(index) else { return };
        // That it waits for another now does not begin its wait anew.
        let since = service.since.filter(|_| service.state == Some(state)).unwrap_or_else(sys::clock::now);
        service.since = Some(since);
        service.state = Some(state);
        why.clone_into(&mut service.reason);
        let mut status = Status::new(name, kind);
        status.state = state;
        status.want = if wanted { Want::Up } else { Want::Down };
        service.want = Some(status.want);
        status.since = since;
        why.clone_into(&mut status.reason);
        let directory = self.options.run.join("service").join(name);
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| sys::fs::replace(&directory.join("status"), status.encode().as_bytes(), 0o644));
        if let Err(error) = written {
            let place = directory.display();
            let reason = reason(&error);
            self.messages.warning(&format!("unable to write {place}/status: {reason} (going on without)"));
        }
    }

    /// A service's report as a line without its newline.
    pub(crate) fn report_line(&self, index: Index) -> String {
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get(index)) else {
            return String::new();
        };
        let wanted = if self.graph.wanted(index) { Want::Up } else { Want::Down };
        let reason = service.reason.replace(['\n', '\r'], " ");
        Report {
            name: &node.entry.name,
            state: node.state,
            want: service.want.filter(|_| service.has_supervisor()).unwrap_or(wanted),
            overdue: false,
            pid: service.main,
            starts: service.starts,
            reason: &reason,
        }
        .to_string()
    }
}
