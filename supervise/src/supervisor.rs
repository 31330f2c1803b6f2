//! The loop, and the performing of actions.

use crate::adopt::{Adopted, Leftovers};
use crate::arguments::Options;
use crate::cgroup::Group;
use crate::control_scripts::Control;
use crate::inherit::Inherited;
use crate::launch::{self, Surroundings};
use crate::notify::Notify;
use crate::pipeline::Pipeline;
use crate::reexec::Replacement;
use crate::store::READY;
use crate::tasks::Tasks;
use crate::{conditions, narrate, scripts};
use service::definition::{ReadyMethod, Scope};
use service::machine::{Action, Event, Machine};
use service::status::{State, Want};
use service::wire::Command;
use service::{Definition, Pid, Signal, WaitStatus};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use sys::clients::Clients;
use sys::poll::{Poller, Ready};
use sys::record::{Record, Slot};
use sys::signals::Signals;

const SIGNALS: u64 = 0;
pub(crate) const CHANNEL: u64 = 1;
const LISTENER: u64 = 2;
const NOTIFICATION: u64 = 3;
pub(crate) const ADOPTED: u64 = 4;
pub(crate) const NOTIFY: u64 = 5;
const CLIENTS: u64 = 16;

/// As many clients as one supervisor serves at a time.
const CLIENTS_MAX: usize = 16;

/// One service, its machine, and everything that events come from.
pub(crate) struct Supervisor {
    pub(crate) definition: Definition,
    pub(crate) machine: Machine,
    /// Where the running system keeps its state.
    pub(crate) run: PathBuf,
    pub(crate) status_path: PathBuf,
    pub(crate) replacement: Option<Replacement>,
    pub(crate) poller: Poller,
    signals: Signals,
    pub(crate) channel: Option<OwnedFd>,
    pub(crate) clients: Clients,
    pub(crate) null: OwnedFd,
    pub(crate) pipeline: Pipeline,
    /// What the main process gets of what init was given.
    inherited: Option<Inherited>,
    /// Where processes put down their numbers before they begin: the status comes after that.
    pub(crate) record: Option<OwnedFd>,
    pub(crate) record_path: PathBuf,
    /// The end that a service writes its readiness to.
    pub(crate) notification: Option<OwnedFd>,
    pub(crate) tasks: Tasks,
    pub(crate) notify: Option<Notify>,
    pub(crate) control: Option<Control>,
    pub(crate) group: Option<Group>,
    pub(crate) adopted: Option<Adopted>,
    pub(crate) leftovers: Leftovers,
    /// A child that has ended, and is reaped once that has been told.
    pub(crate) unreaped: Option<Pid>,
    /// There may be others.
    pub(crate) deaths: bool,
    /// What was kept for us.
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// It has said that it is ready; told once that is on disk.
    said_ready: bool,
    pub(crate) boot: String,
    /// The state that the last supervisor left was understood.
    pub(crate) known: bool,
    /// When the process that is waited for started, and what names it where there is such a thing.
    pub(crate) pid_start: u64,
    pub(crate) pid_inode: Option<u64>,
    /// When what runs after the main process started.
    pub(crate) after_start: u64,
    /// As init has told so many commands that are not known to it to be taken.
    pub(crate) taken: u32,
    /// The main process of the last run, which led its process group.
    pub(crate) last_pid: Option<Pid>,
    /// Why the last start failed.
    pub(crate) problem: String,
    pub(crate) skipped: Option<String>,
    pub(crate) queue: VecDeque<Event>,
    pub(crate) dirty: bool,
    /// The status file says how things are.
    pub(crate) filed: bool,
    pub(crate) report_pending: bool,
    pub(crate) exiting: bool,
    /// Held as long as we live: there is one supervisor of a service.
    pub(crate) lock: sys::fs::Lock,
}

impl Supervisor {
    /// Reads the definition, opens what events come from, and adopts what still runs.
    pub(crate) fn new(options: &Options) -> Result<Supervisor, String> {
        let directory = options.run.join("service").join(&options.name);
        let unable = |what: &str, path: &std::path::Path, error: &std::io::Error| {
            format!("unable to {what} {}: {}", path.display(), launch::reason(error))
        };
        let definition = launch::read_definition(&options.run, &options.name)?;
        let given = definition.inherit.then(Inherited::take);
        let lock = crate::lock::take(&directory, options.lock)?;
        let plain = |error: std::io::Error| format!("unable to begin: {}", launch::reason(&error));
        let signals =
            Signals::block(&[Signal::CHLD, Signal::TERM, Signal::INT, Signal::HUP]).map_err(plain)?;
        let poller = Poller::new().map_err(plain)?;
        poller.add(&signals, SIGNALS).map_err(plain)?;
        let channel = options.channel.map(sys::fd::inherited).transpose().map_err(plain)?;
        if let Some(channel) = &channel {
            poller.add(channel, CHANNEL).map_err(plain)?;
        }
        let boot = sys::clock::boot();
        let kept = options.kept.iter().filter_map(|(tag, number)| {
            sys::fd::inherited(*number).ok().map(|descriptor| (tag.clone(), descriptor))
        });
        let (control, record_path) = (directory.join("control"), directory.join("spawned"));
        let inherited = options.listener.and_then(|number| sys::fd::inherited(number).ok());
        let listener = inherited.map_or_else(|| sys::socket::listen_at(&control), Ok);
        if let Err(error) = &listener {
            let problem = unable("listen at", &control, error);
            crate::say(&format!("supervise {}: warning: {problem} (going on without)", definition.name));
        }
        let listener = listener.ok();
        if let Some(listener) = &listener {
            poller.add(listener, LISTENER).map_err(plain)?;
        }
        let mut supervisor = Supervisor {
            machine: Machine::new(&definition, sys::clock::now()),
            definition,
            run: options.run.clone(),
            replacement: None,
            status_path: directory.join("status"),
            poller,
            signals,
            channel,
            clients: Clients::new(listener, CLIENTS, CLIENTS_MAX),
            null: sys::fd::null().map_err(plain)?,
            pipeline: Pipeline::inherit(options).map_err(plain)?,
            inherited: given,
            record: sys::record::open(&record_path, &boot).ok(),
            record_path,
            notification: None,
            tasks: Tasks::default(),
            notify: None,
            control: None,
            group: None,
            adopted: None,
            leftovers: Leftovers::default(),
            unreaped: None,
            // A supervisor that was replaced in place may have left some.
            deaths: options.resume,
            kept: kept.collect(),
            said_ready: false,
            boot,
            known: false,
            pid_start: 0,
            pid_inode: None,
            after_start: 0,
            taken: 0,
            last_pid: None,
            problem: String::new(),
            skipped: None,
            queue: VecDeque::with_capacity(16),
            // Under init the first thing told is what became of its first command.
            dirty: options.channel.is_none(),
            filed: false,
            report_pending: false,
            exiting: false,
            lock,
        };
        supervisor.open_notify();
        supervisor.open_group();
        supervisor.adopt(options.resume);
        let wanted = options.wanted.as_deref().and_then(Command::parse);
        if let Some(command) = wanted.filter(|_| !supervisor.known) {
            supervisor.command(command);
        }
        if options.up {
            supervisor.queue.push_back(Event::Start);
        }
        Ok(supervisor)
    }

    /// Runs until the machine says that there is nothing left to do.
    pub(crate) fn run(mut self) -> Result<(), String> {
        let mut ready = [Ready::default(); 16];
        loop {
            self.settle();
            while self.deaths {
                self.deaths = self.next_death();
                self.settle();
            }
            self.acknowledge();
            if self.exiting {
                self.reap_last();
                return Ok(());
            }
            self.replace_if_due();
            let status_due = self.adopted.as_ref().and_then(|adopted| adopted.deadline);
            let deadlines =
                [self.machine.deadline(), status_due, self.replacement_deadline(), self.control_deadline()];
            let deadline = deadlines.into_iter().flatten().min();
            let count = self
                .poller
                .wait(&mut ready, deadline)
                .map_err(|error| format!("unable to wait: {}", launch::reason(&error)))?;
            for event in ready.iter().take(count) {
                self.dispatch(event);
            }
            let now = sys::clock::now();
            if self.machine.deadline().is_some_and(|deadline| deadline <= now) {
                self.queue.push_back(Event::Tick);
            }
            self.give_up_waiting_for_status(now);
            self.hurry_replacement(now);
            self.hurry_control(now);
        }
    }

    /// Handles what is queued and everything that follows from it, then tells the outcome once.
    fn settle(&mut self) {
        self.handle_queue();
        if std::mem::take(&mut self.dirty) {
            self.publish();
        } else {
            self.send_report();
        }
        if std::mem::take(&mut self.said_ready) {
            self.close_notification();
        }
    }

    fn handle_queue(&mut self) {
        while let Some(event) = self.next_event() {
            // Ready and dead at one waking: who waits for it to become ready hears of both.
            if matches!(event, Event::Died(..)) && std::mem::take(&mut self.dirty) {
                self.publish();
            }
            self.handle(event);
        }
    }

    fn next_event(&mut self) -> Option<Event> {
        self.follow_found();
        self.queue.pop_front()
    }

    fn dispatch(&mut self, ready: &Ready) {
        match ready.token {
            // What comes before a death is seen before it: a service that says ready and dies was ready.
            NOTIFICATION => self.read_notification(),
            NOTIFY => self.read_messages(),
            SIGNALS => self.read_signals(),
            CHANNEL => self.read_channel(ready.writable),
            LISTENER => self.clients.accept(&self.poller),
            ADOPTED => self.adopted_ended(ready.hangup),
            client => {
                for line in self.clients.read(client) {
                    self.command_from(client, &line);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        self.filed = false;
        let now = self.leftovers.time_of(&self.machine, event, sys::clock::now());
        let starts = matches!(event, Event::Start | Event::Once | Event::Restart);
        if starts && !self.leftovers.has_main() && self.skip() {
            return;
        }
        let uptime = self.machine.started().map_or(std::time::Duration::ZERO, |started| now.since(started));
        let ours = self.machine.pid();
        // What became of a container's command is told by whoever runs the container.
        let quiet = self.machine.state() == State::Stopping && self.machine.end_is_wanted()
            || self.definition.inherit;
        let reason = self.machine.reason();
        let actions = self.machine.handle(now, event);
        if let Some(line) = narrate::trouble(&self.machine, reason) {
            self.say(&line);
        }
        if let Event::Died(pid, status) = event
            && ours == Some(pid)
        {
            self.close_notification();
            if let Some(line) = narrate::death(&self.machine, status, uptime, now).filter(|_| !quiet) {
                self.say(&line);
            }
        }
        if event == Event::SpawnFailed {
            let line = narrate::spawn_failure(&self.machine, &self.problem, now);
            self.say(&line);
        }
        for action in actions.iter() {
            self.perform(action);
        }
    }

    /// Conditions are looked at whenever a service that does not run is to be started.
    fn skip(&mut self) -> bool {
        let idle = matches!(self.machine.state(), State::Down | State::Failed | State::Done | State::Backoff);
        if !idle {
            return false;
        }
        self.skipped = conditions::unmet(&self.definition);
        self.dirty = true;
        if let Some(reason) = &self.skipped {
            self.say(&format!("notice: skipped: {reason}"));
            self.exiting = self.channel.is_some();
        }
        self.skipped.is_some()
    }

    fn perform(&mut self, action: Action) {
        match action {
            Action::Spawn => self.spawn(),
            Action::Signal(pid, signal, scope) => self.signal(pid, signal, scope),
            Action::SpawnFinish(status) => self.spawn_finish(status),
            Action::SpawnDown => self.spawn_down(),
            Action::StartTask(task) => self.start_task(task),
            Action::EndTask(task) => self.end_task(task),
            Action::Sweep => self.sweep(),
            Action::Publish => self.dirty = true,
            Action::Exit => self.exiting = true,
        }
    }

    fn signal(&mut self, pid: Pid, signal: Signal, scope: Scope) {
        if signal == Signal::KILL && self.machine.state() != State::Up {
            self.say(&format!("warning: process {pid} has not ended in time (killing it)"));
        }
        if self.definition.controls.is_empty() || !self.controlled(pid, signal, scope) {
            self.send(pid, signal, scope);
        }
    }

    pub(crate) fn send(&mut self, pid: Pid, signal: Signal, scope: Scope) {
        let sent = match scope {
            Scope::Main => sys::process::signal(pid, signal),
            // A finish script is not in it.
            Scope::Cgroup if self.machine.pid() == Some(pid) => self.signal_all(pid, signal),
            Scope::Group | Scope::Cgroup => sys::process::signal_group(pid, signal),
        };
        if let Err(error) = sent {
            let reason = launch::reason(&error);
            self.say(&format!(
                "warning: unable to send {signal} to process {pid}: {reason} (its end is awaited)"
            ));
        }
    }

    // --- processes ---

    fn spawn(&mut self) {
        if let Some(pid) = self.claim_main() {
            return self.queue.push_front(Event::Spawned(pid));
        }
        let (pipe, number) = match self.definition.ready.method {
            ReadyMethod::Descriptor(number) => (sys::pipe::pair(), number),
            ReadyMethod::Immediate | ReadyMethod::Notify(_) | ReadyMethod::Command { .. } => {
                (Err(std::io::ErrorKind::Unsupported.into()), 0)
            }
        };
        let (reader, writer) = pipe.ok().unzip();
        if let Some(reader) = &reader {
            self.keep(READY, reader);
        }
        let lock = self.lock_service();
        let started = lock.and_then(|lock| {
            let lock = lock.as_ref().map(|(lock, number)| (lock.as_fd(), *number));
            let ready = writer.as_ref().map(|writer| (writer.as_fd(), number));
            let extra: Vec<_> = lock.into_iter().chain(ready).collect();
            let variables = self.notify_variables();
            let surroundings = Surroundings {
                extra: &extra,
                variables: &variables,
                own_number: self.definition.watchdog.is_some().then_some(c"WATCHDOG_PID="),
                new_pid_namespace: self.definition.new_pid_namespace,
                inherited: self.inherited.as_ref(),
                cgroup: self.group.as_ref().map(Group::entry),
                record: self.record_in(Slot::Main),
                ..self.surroundings()
            };
            launch::start(&self.definition, &scripts::main_command(&self.definition), &surroundings)
        });
        let event = match started {
            Ok(child) => {
                self.pid_start = sys::process::start_time(child.pid).map_or(0, |(start, _)| start);
                self.pid_inode = sys::process::inode(&child.descriptor);
                self.last_pid = Some(child.pid);
                self.watch_notification(reader);
                self.forget_text();
                Event::Spawned(child.pid)
            }
            Err(problem) => {
                self.problem = problem;
                Event::SpawnFailed
            }
        };
        // Before anything else that waits: the machine has asked, and gets its answer.
        self.queue.push_front(event);
    }

    pub(crate) fn record_in(&self, slot: Slot) -> Option<Record<'_>> {
        self.record.as_ref().map(|file| Record { file: file.as_fd(), slot })
    }

    fn spawn_finish(&mut self, status: WaitStatus) {
        if let Some(pid) = self.claim_after() {
            return self.queue.push_front(Event::FinishSpawned(Some(pid)));
        }
        let mut definition = self.definition.clone();
        definition.working_directory.clone_from(&self.definition.directory);
        let command = scripts::finish_command(&definition, status, self.last_pid.map_or(0, Pid::number));
        let surroundings = Surroundings { record: self.record_in(Slot::After), ..self.surroundings() };
        let child = launch::start(&definition, &command, &surroundings);
        self.note_after(child.as_ref().ok());
        if let Err(problem) = &child {
            self.say(&format!("warning: finish script: {problem} (going on without)"));
        }
        self.queue.push_front(Event::FinishSpawned(child.ok().map(|child| child.pid)));
    }

    pub(crate) fn watch_notification(&mut self, reader: Option<OwnedFd>) {
        // Of one that is taken up again init's copy stays.
        if let Some(old) = self.notification.take() {
            let _ = self.poller.remove(&old);
        }
        if let Some(reader) = reader {
            let _ = sys::fd::set_nonblocking(&reader);
            let _ = self.poller.add(&reader, NOTIFICATION);
            self.notification = Some(reader);
        }
    }

    /// A newline means ready, as under s6; the end without one means never. The newline stays in the pipe until
    /// it is on disk that it came.
    pub(crate) fn read_notification(&mut self) {
        let Some(reader) = &self.notification else { return };
        let mut buffer = [0; 256];
        match sys::pipe::peek(reader, &mut buffer) {
            Ok(0) => self.close_notification(),
            Ok(count) if buffer.iter().take(count).any(|byte| *byte == b'\n') => {
                if !std::mem::replace(&mut self.said_ready, true) {
                    self.queue.push_back(Event::Ready);
                }
            }
            Ok(count) => {
                let _ = sys::socket::read(reader, buffer.get_mut(..count).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => self.close_notification(),
        }
    }

    /// Whether nothing is under way that would have to be begun again.
    pub(crate) fn may_be_replaced(&self) -> bool {
        let awaits = self.adopted.as_ref().is_some_and(|adopted| adopted.deadline.is_some());
        !self.exiting && !awaits && !self.tasks.reloads()
    }

    fn close_notification(&mut self) {
        if let Some(reader) = self.notification.take() {
            let _ = self.poller.remove(&reader);
            self.let_go(READY);
        }
    }

    // --- what others say ---

    fn read_signals(&mut self) {
        while let Ok(Some((signal, _))) = self.signals.next() {
            if signal == Signal::TERM {
                self.queue.extend([Event::Stop, Event::Exit]);
            }
        }
        // A pipe may hold a readiness that came before the death which is about to be reaped.
        self.read_notification();
        self.read_messages();
        self.deaths = true;
    }

    fn read_channel(&mut self, writable: bool) {
        if writable {
            self.send_report();
        }
        let mut buffer = [0; service::wire::LINE_MAX];
        while let Some(channel) = self.channel.as_ref().filter(|_| !self.inattentive()) {
            match sys::socket::receive(channel, &mut buffer) {
                Ok(Some((length, passed))) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                    self.taken += 1;
                    match Command::parse(&text) {
                        Some(Command::Died(pid, status)) => self.adopted_died(pid, status),
                        Some(Command::Connect(end)) => self.pipeline.connect(end, passed),
                        Some(Command::Disconnect) => self.pipeline.disconnect(),
                        Some(command) => {
                            self.answer_at_rest(command);
                            self.command(command);
                        }
                        None => {
                            self.say(&format!(
                                "warning: init says \"{text}\", which is no command (ignored)"
                            ));
                        }
                    }
                }
                Ok(None) => {
                    // Init is gone or another: it will start us anew if it wants us. The service stays.
                    let _ = self.poller.remove(channel);
                    self.channel = None;
                }
                Err(_) => break,
            }
        }
    }

    /// To be told to stop what is down already changes nothing; but init, which may not have heard from the
    /// supervisor before this one that it is down, waits for that.
    fn answer_at_rest(&mut self, command: Command) {
        let stops = matches!(command, Command::Stop | Command::Halt | Command::Exit);
        self.dirty |= stops && self.machine.state() == State::Down;
    }

    fn command_from(&mut self, client: u64, line: &str) {
        let Some(command) = Command::parse(line) else {
            return self.clients.answer(client, &format!("error unknown command \"{line}\"\n"));
        };
        let running = self.machine.pid().is_some();
        match command {
            Command::Status => {
                let text = self.status().encode();
                self.clients.answer(client, &format!("{text}ok\n"));
            }
            Command::Events => {
                self.clients.subscribe(client);
                let line = self.report_line();
                self.clients.answer(client, &format!("ok\n{line}\n"));
            }
            Command::Died(..) | Command::Connect(_) | Command::Disconnect => {
                self.clients.answer(client, "error only init can say that\n");
            }
            Command::Reexec => self.begin_replacement(Some(client)),
            Command::Reload | Command::Kill(_) | Command::Pause | Command::Continue if !running => {
                self.clients.answer(client, "error not running\n");
            }
            Command::Reload if !self.machine.may_reload() => {
                let what = if self.machine.reloading() { "reloading already" } else { "not ready" };
                self.clients.answer(client, &format!("error {what}\n"));
            }
            Command::Pause if self.machine.state() == State::Stopping => {
                self.clients.answer(client, "error stopping\n");
            }
            Command::Restart if self.machine.want() == Want::Down => {
                self.clients.answer(client, "error not wanted up\n");
            }
            Command::Start
            | Command::Once
            | Command::Stop
            | Command::Restart
            | Command::Reload
            | Command::Kill(_)
            | Command::Pause
            | Command::Continue
            | Command::Halt
            | Command::Exit => {
                self.note_request(client, command);
                self.command(command);
                // Who is told that it was taken relies on that, whatever becomes of us.
                self.handle_queue();
                self.file();
                self.clients.answer(client, "ok\n");
            }
        }
    }

    fn command(&mut self, command: Command) {
        if command == Command::Events {
            // Init is another now, and wants to know: once what it has said before is done.
            self.report_pending = true;
            return;
        }
        if command == Command::Reexec {
            return self.begin_replacement(None);
        }
        self.queue.push_back(match command {
            Command::Start => Event::Start,
            Command::Once => Event::Once,
            Command::Stop => Event::Stop,
            Command::Restart => Event::Restart,
            Command::Reload => Event::Reload,
            Command::Kill(signal) => Event::Kill(signal),
            Command::Pause => Event::Pause,
            Command::Continue => Event::Continue,
            Command::Halt => Event::Halt,
            Command::Exit => Event::Exit,
            Command::Died(..)
            | Command::Connect(_)
            | Command::Disconnect
            | Command::Status
            | Command::Events
            | Command::Reexec => return,
        });
    }

    /// A line in the service's own log.
    pub(crate) fn say(&self, text: &str) {
        crate::say(&format!("supervise {}: {text}", self.definition.name));
    }
}
