//! One service as init has it: its log pipe, its supervisor, and what that said last.

mod saved;

use crate::message::reason;
use crate::pipelines::Input;
use crate::runtime::{Init, SERVICES};
use crate::store::{COMMANDS_MAX, KEPT_FROM, begins, may_be_repeated};
use service::definition::Kind;
use service::graph::{Index, Node};
use service::status::{State, Status, Want};
use service::wire::{Command, LINE_MAX, Report, SupervisorMessage};
use service::{Pid, Tick, WaitStatus};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;
use sys::spawn::Session;

/// The first descriptor of a supervisor after the standard ones.
const FIRST: i32 = 3;
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
    /// The process that is waited for, as last reported.
    pub(crate) main: Option<Pid>,
    /// What the supervisor before died of, if that has been told.
    trouble: Option<WaitStatus>,
    /// Something may run that has no supervisor now.
    left_behind: bool,
    /// The next supervisor is to go on where the one before it was.
    resume: bool,
    /// Commands that no supervisor has carried out yet, while there is none.
    pub(crate) unheard: VecDeque<Command>,
    /// Descriptors that are kept for its supervisors.
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// A process that its supervisor waits for, and we have yet to reap.
    pub(crate) awaits: Option<Pid>,
    state: Option<State>,
    /// How many runs there were, of all its supervisors together.
    starts: u32,
    /// How many of them the supervisor that it has knows nothing of.
    starts_before: u32,
    pub(crate) want: Option<Want>,
    reason: String,
    /// When init itself put it into its state.
    since: Option<Tick>,
    /// It was to be restarted when it had no supervisor that could be told.
    pub(crate) restart: bool,
    /// Why its supervisor could not be started.
    unstarted: Option<String>,
    /// What the console was told last.
    pub(crate) told: Option<State>,
    /// Descriptors that the ledger may still name: they are closed once it does not, so that none of these numbers
    /// means another by the time when somebody goes on from there.
    pub(crate) closing: Vec<OwnedFd>,
    /// It comes from a ledger, and its supervisor was asked how it is.
    recovered: bool,
}

struct Supervisor {
    /// None while it is being started.
    pid: Option<Pid>,
    channel: OwnedFd,
    /// Commands that it has not said to have carried out.
    waiting: VecDeque<Command>,
    /// How many of them it has been sent.
    sent: usize,
    /// It has yet to say how things are.
    new: bool,
}

impl Service {
    pub(crate) fn is_supervisor(&self, pid: Pid) -> bool {
        self.supervisor.as_ref().is_some_and(|supervisor| supervisor.pid == Some(pid))
    }

    pub(crate) fn has_supervisor(&self) -> bool {
        self.supervisor.is_some()
    }

    /// Whether it is at rest.
    pub(crate) fn has_ended(&self) -> bool {
        self.state.is_some() && !self.needs_supervisor()
    }

    /// Forgets everything, and closes what it held once that is on record.
    pub(crate) fn forget(&mut self) {
        let old = std::mem::take(self);
        self.closing = old.closing;
        self.closing.extend(old.log.into_iter().flat_map(|(reader, writer)| [reader, writer]));
        self.closing
            .extend(old.input.into_iter().flat_map(|input| [Some(input.reader), input.writer]).flatten());
        self.closing.extend(old.supervisor.map(|supervisor| supervisor.channel));
        self.closing.extend(old.kept.into_iter().map(|(_, descriptor)| descriptor));
    }

    /// So many more commands have been carried out.
    pub(crate) fn taken(&mut self, count: u32) {
        let Some(supervisor) = &mut self.supervisor else { return };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(supervisor.sent);
        supervisor.waiting.drain(..count);
        supervisor.sent -= count;
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
        let logged = !self.options.logs_to_output && !self.is_command(index);
        if node.entry.kind == Kind::Bundle || node.entry.problem.is_some() || !logged {
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
        service.resume = false;
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

    /// Starts a supervisor that goes on where the last one was.
    pub(crate) fn resume_supervisor(&mut self, index: Index) {
        if let Some(service) = self.services.get_mut(index) {
            service.resume = true;
        }
        self.start_supervisor(index);
    }

    /// Starts the supervisor, and tells it everything it has to know.
    pub(crate) fn start_supervisor(&mut self, index: Index) {
        let now = sys::clock::now();
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get_mut(index))
        else {
            return;
        };
        service.restart_at = None;
        if service.has_supervisor() || self.going.as_ref().is_some_and(crate::power::Going::past_services) {
            return;
        }
        let name = node.entry.name.clone();
        service.started = Some(now);
        match self.spawn_supervisor(index, &name) {
            Ok(()) => self.greet(index),
            Err(problem) => {
                let Some(service) = self.services.get_mut(index) else { return };
                service.closing.extend(service.supervisor.take().map(|supervisor| supervisor.channel));
                service.restart_at = Some(now.after(RESPAWN_DELAY));
                // Told once: it may last, and is tried every second.
                if service.unstarted.as_ref() != Some(&problem) {
                    self.messages
                        .error(&format!("{name}: unable to start its supervisor: {problem} (trying again)"));
                    service.unstarted = Some(problem);
                }
            }
        }
    }

    /// Tells a new supervisor what is wanted of it, and what it could not hear itself.
    pub(crate) fn greet(&mut self, index: Index) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.unstarted = None;
        let (unheard, restart) = (std::mem::take(&mut service.unheard), std::mem::take(&mut service.restart));
        let resume = service.resume;
        if self.graph.going_down() {
            self.tell(index, Command::Halt);
        } else if self.graph.stopping(index) {
            // The one before it may have died before it heard of that.
            self.tell(index, Command::Stop);
        } else if self.graph.wanted(index) {
            if !resume {
                self.tell(index, self.begin(index));
            }
            if restart {
                self.tell(index, Command::Restart);
            }
        }
        // After what is wanted: what a death means depends on it, and a start after it would be a new one.
        for command in unheard {
            self.tell(index, command);
        }
    }

    fn spawn_supervisor(&mut self, index: Index, name: &str) -> Result<(), String> {
        let (ours, theirs) = sys::socket::pair().map_err(|error| reason(&error))?;
        if let Some(service) = self.services.get_mut(index) {
            service.supervisor =
                Some(Supervisor { pid: None, channel: ours, waiting: VecDeque::new(), sent: 0, new: true });
        }
        // From here on there may be one, whatever becomes of us.
        self.write_service(index);
        let Some(service) = self.services.get(index) else { return Err("it is gone".to_owned()) };
        let run = self.options.run.as_os_str();
        let mut words = Vec::new();
        if service.resume {
            words.push("--resume".to_owned());
            // In case nothing can be read of what the one before knew.
            if self.graph.wanted(index) && !self.graph.stopping(index) {
                words.extend(["--wanted".to_owned(), self.begin(index).to_string()]);
            }
        }
        let (input, output, error) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let mut descriptors = match &service.log {
            Some((_, writer)) => vec![(writer.as_fd(), 1), (writer.as_fd(), 2)],
            None => vec![(output.as_fd(), 1), (error.as_fd(), 2)],
        };
        // The numbers of the sockets are fixed: everything else comes after them.
        let given = self.given(index);
        let mut channel = FIRST;
        if let Some(given) = given {
            descriptors.push((input.as_fd(), 0));
            for socket in given.sockets() {
                descriptors.push((socket, channel));
                channel += 1;
            }
        }
        descriptors.push((theirs.as_fd(), channel));
        let number = channel.to_string();
        let mut arguments = vec![OsStr::new("--run"), run, OsStr::new("--channel"), OsStr::new(&number)];
        self.connect(index, &mut arguments, &mut descriptors);
        for ((tag, descriptor), number) in service.kept.iter().zip(KEPT_FROM + channel - FIRST..) {
            words.extend(["--kept".to_owned(), format!("{tag}={number}")]);
            descriptors.push((descriptor.as_fd(), number));
        }
        arguments.extend(words.iter().map(OsStr::new));
        arguments.push(OsStr::new(name));
        let pid = match given {
            None => self.spawn_program("supervise", &arguments, &descriptors)?,
            // Of our session, since the terminal is that session's.
            Some(given) => {
                let environment = given.environment();
                self.spawn_with("supervise", &arguments, &descriptors, environment, Session::Ours)?
            }
        };
        if let Some(supervisor) = self.services.get_mut(index).and_then(|service| service.supervisor.as_mut())
        {
            supervisor.pid = Some(pid);
            let _ = self.poller.add(&supervisor.channel, SERVICES + index as u64);
        }
        Ok(())
    }

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
    fn read_channel(&mut self, index: Index, writable: bool) -> bool {
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
        let mut worked = false;
        if let Some(supervisor) = service.supervisor.take() {
            worked = !supervisor.new;
            let _ = self.poller.remove(&supervisor.channel);
            service.closing.push(supervisor.channel);
            // To what is at rest only a start makes a difference.
            let rest = !service.needs_supervisor();
            service.unheard = supervisor.waiting;
            service.unheard.retain(|command| may_be_repeated(command) && (!rest || begins(command)));
        }
        service.awaits = None;
        let name = node.entry.name.clone();
        // A longrun that has ended has one too, so that it can be spoken to.
        let longrun = node.entry.kind == Kind::Longrun;
        let ended = longrun && matches!(service.state, Some(State::Failed | State::Done));
        let signalled = matches!(status, WaitStatus::Signalled { .. });
        service.left_behind |= service.needs_supervisor() && (signalled || service.state.is_some());
        // What is killed with everything else is not started again.
        let last = self.going.as_ref().is_some_and(crate::power::Going::past_services);
        let at_rest = !service.left_behind && !service.needs_supervisor();
        if self.graph.told_to_stop(index) && at_rest && !last {
            // It ended with its service, before it heard of that.
            service.unheard.clear();
            if !node.can_be_undone() {
                return self.graph.report(index, State::Down, Want::Down, false);
            }
            service.resume = true;
            service.restart_at = Some(now);
            return;
        }
        if going_down && (last || !service.left_behind) {
            service.unheard.clear();
            return self.graph.report(index, State::Down, Want::Down, false);
        }
        if service.needs_supervisor()
            || self.graph.stopping(index)
            || !service.unheard.is_empty()
            || (ended && signalled)
        {
            let soon = service.started.is_some_and(|started| now.since(started) < RESPAWN_DELAY);
            service.restart_at = Some(if soon { now.after(RESPAWN_DELAY) } else { now });
            service.resume = true;
            // One that cannot do its work tries again and again, and is told of once.
            if worked || service.trouble != Some(status) {
                service.trouble = Some(status);
                let text = format!("{name}: its supervisor ended with {status} (starting it again)");
                self.messages.warning(&text);
            }
            return;
        }
        service.unheard.clear();
        service.kept.clear();
        self.forget_if_left(index);
    }

    /// The main process of a service was ours to reap, since the supervisor that started it is gone. The
    /// supervisor that has adopted it, or will, is told.
    pub(crate) fn main_process_ended(&mut self, index: Index, pid: Pid, status: WaitStatus) {
        self.main_reaped(index, status);
        let Some(service) = self.services.get_mut(index) else { return };
        service.main = None;
        self.deaths.note(pid, status);
        let Some(service) = self.services.get_mut(index) else { return };
        if service.has_supervisor() || service.left_behind {
            self.tell(index, Command::Died(pid, status));
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
        let directory = self.options.run.join("service").join(name);
        // What its supervisors have told of it stays, such as how often it was started.
        let before = std::fs::read_to_string(directory.join("status")).ok().filter(|_| service.starts > 0);
        let before = before.and_then(|text| Status::decode(&text));
        let mut status = before.unwrap_or_else(|| Status::new(name, kind));
        (status.pid, status.finish, status.next_start) = (None, None, None);
        status.state = state;
        status.want = if wanted { Want::Up } else { Want::Down };
        service.want = Some(status.want);
        status.since = since;
        why.clone_into(&mut status.reason);
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
