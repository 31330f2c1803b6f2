//! The loop, and the performing of actions.

use crate::arguments::Options;
use crate::launch::{self, Surroundings};
use crate::pipeline::Pipeline;
use crate::tasks::Tasks;
use crate::{conditions, narrate};
use service::definition::ReadyMethod;
use service::machine::{Action, Event, Machine};
use service::status::{State, Want};
use service::wire::Command;
use service::{Definition, Pid, Signal, Tick, WaitStatus};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use sys::clients::Clients;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

const SIGNALS: u64 = 0;
pub(crate) const CHANNEL: u64 = 1;
const LISTENER: u64 = 2;
const NOTIFICATION: u64 = 3;
pub(crate) const ADOPTED: u64 = 4;
const CLIENTS: u64 = 16;

/// As many clients as one supervisor serves at a time.
const CLIENTS_MAX: usize = 16;

/// One service, its machine, and everything that events come from.
pub(crate) struct Supervisor {
    pub(crate) definition: Definition,
    pub(crate) machine: Machine,
    pub(crate) status_path: PathBuf,
    pub(crate) poller: Poller,
    signals: Signals,
    pub(crate) channel: Option<OwnedFd>,
    pub(crate) clients: Clients,
    pub(crate) null: OwnedFd,
    pub(crate) pipeline: Pipeline,
    /// Where the main process puts down its number before it begins: the status comes after that.
    record: Option<OwnedFd>,
    pub(crate) record_path: PathBuf,
    /// The end that a service writes its readiness to.
    notification: Option<OwnedFd>,
    pub(crate) tasks: Tasks,
    pub(crate) adopted: Option<OwnedFd>,
    pub(crate) adopted_deadline: Option<Tick>,
    pub(crate) pid_start: u64,
    /// The main process of the last run, which led its process group.
    pub(crate) last_pid: Option<Pid>,
    /// Why the last start failed.
    pub(crate) problem: String,
    pub(crate) skipped: Option<String>,
    pub(crate) queue: VecDeque<Event>,
    pub(crate) dirty: bool,
    pub(crate) report_pending: bool,
    pub(crate) exiting: bool,
    /// Held as long as we live: there is one supervisor of a service.
    _lock: sys::fs::Lock,
}

impl Supervisor {
    /// Reads the definition, opens what events come from, and adopts what still runs.
    pub(crate) fn new(options: &Options) -> Result<Supervisor, String> {
        let directory = options.run.join("service").join(&options.name);
        let file = directory.join("definition");
        let unable = |what: &str, path: &std::path::Path, error: &std::io::Error| {
            format!("unable to {what} {}: {}", path.display(), launch::reason(error))
        };
        let text = std::fs::read_to_string(&file).map_err(|error| unable("read", &file, &error))?;
        let definition = Definition::decode(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        let lock_file = directory.join("lock");
        let lock = sys::fs::lock(&lock_file).map_err(|error| unable("lock", &lock_file, &error))?;
        let plain = |error: std::io::Error| format!("unable to begin: {}", launch::reason(&error));
        let signals =
            Signals::block(&[Signal::CHLD, Signal::TERM, Signal::INT, Signal::HUP]).map_err(plain)?;
        let poller = Poller::new().map_err(plain)?;
        poller.add(&signals, SIGNALS).map_err(plain)?;
        let channel = options.channel.map(sys::fd::inherited).transpose().map_err(plain)?;
        if let Some(channel) = &channel {
            poller.add(channel, CHANNEL).map_err(plain)?;
        }
        let (control, record_path) = (directory.join("control"), directory.join("spawned"));
        let listener = sys::socket::listen_at(&control);
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
            status_path: directory.join("status"),
            poller,
            signals,
            channel,
            clients: Clients::new(listener, CLIENTS, CLIENTS_MAX),
            null: launch::open_null().map_err(plain)?,
            pipeline: Pipeline::inherit(options).map_err(plain)?,
            record: sys::record::open(&record_path).ok(),
            record_path,
            notification: None,
            tasks: Tasks::default(),
            adopted: None,
            adopted_deadline: None,
            pid_start: 0,
            last_pid: None,
            problem: String::new(),
            skipped: None,
            queue: VecDeque::with_capacity(16),
            // Under init the first thing told is what became of its first command.
            dirty: options.channel.is_none(),
            report_pending: false,
            exiting: false,
            _lock: lock,
        };
        supervisor.adopt();
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
            if self.exiting {
                return Ok(());
            }
            let deadline = [self.machine.deadline(), self.adopted_deadline].into_iter().flatten().min();
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
        }
    }

    /// Handles what is queued and everything that follows from it, then tells the outcome once.
    fn settle(&mut self) {
        while let Some(event) = self.queue.pop_front() {
            // Ready and dead at one waking: who waits for it to become ready hears of both.
            if matches!(event, Event::Died(..)) && std::mem::take(&mut self.dirty) {
                self.publish();
            }
            self.handle(event);
        }
        if std::mem::take(&mut self.dirty) {
            self.publish();
        }
    }

    fn dispatch(&mut self, ready: &Ready) {
        match ready.token {
            // What comes before a death is seen before it: a service that says ready and dies was ready.
            NOTIFICATION => self.read_notification(),
            SIGNALS => self.read_signals(),
            CHANNEL => self.read_channel(ready.writable),
            LISTENER => self.clients.accept(&self.poller),
            ADOPTED => self.adopted_gone(sys::clock::now()),
            client => {
                for line in self.clients.read(client) {
                    self.command_from(client, &line);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let now = sys::clock::now();
        if matches!(event, Event::Start | Event::Once | Event::Restart) && self.skip() {
            return;
        }
        let uptime = self.machine.started().map_or(std::time::Duration::ZERO, |started| now.since(started));
        let ours = self.machine.pid();
        let expected = self.machine.state() == State::Stopping && self.machine.end_is_wanted();
        let actions = self.machine.handle(now, event);
        if let Event::Died(pid, status) = event
            && ours == Some(pid)
        {
            self.close_notification();
            if let Some(line) = narrate::death(&self.machine, status, uptime, now).filter(|_| !expected) {
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
            Action::Sweep => {}
            Action::Publish => self.dirty = true,
            Action::Exit => self.exiting = true,
        }
    }

    fn signal(&mut self, pid: Pid, signal: Signal, scope: service::definition::Scope) {
        if signal == Signal::KILL {
            self.say(&format!("warning: process {pid} has not ended in time (killing it)"));
        }
        let sent = match scope {
            service::definition::Scope::Main => sys::process::signal(pid, signal),
            service::definition::Scope::Group | service::definition::Scope::Cgroup => {
                sys::process::signal_group(pid, signal)
            }
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
        let (pipe, number) = match self.definition.ready.method {
            ReadyMethod::Descriptor(number) => (sys::pipe::pair(), number),
            ReadyMethod::Immediate | ReadyMethod::Notify(_) | ReadyMethod::Command { .. } => {
                (Err(std::io::ErrorKind::Unsupported.into()), 0)
            }
        };
        let (reader, writer) = pipe.ok().unzip();
        let lock = self.lock_service();
        let started = lock.and_then(|lock| {
            let lock = lock.as_ref().map(|(lock, number)| (lock.as_fd(), *number));
            let ready = writer.as_ref().map(|writer| (writer.as_fd(), number));
            let extra: Vec<_> = lock.into_iter().chain(ready).collect();
            let surroundings = Surroundings {
                extra: &extra,
                new_pid_namespace: self.definition.new_pid_namespace,
                record: self.record.as_ref().map(AsFd::as_fd),
                ..self.surroundings()
            };
            launch::start(&self.definition, &self.definition.command, &surroundings)
        });
        let event = match started {
            Ok(child) => {
                self.pid_start = sys::process::start_time(child.pid).map_or(0, |(start, _)| start);
                self.last_pid = Some(child.pid);
                self.watch_notification(reader);
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

    fn spawn_finish(&mut self, status: WaitStatus) {
        let mut definition = self.definition.clone();
        definition.working_directory.clone_from(&self.definition.directory);
        let group = self.last_pid.map_or(0, Pid::number);
        let command: Vec<String> = vec![
            launch::FINISH.to_string_lossy().into_owned(),
            status.finish_code().to_string(),
            status.finish_signal().to_string(),
            definition.name.clone(),
            group.to_string(),
        ];
        let child = launch::start(&definition, &command, &self.surroundings());
        if let Err(problem) = &child {
            self.say(&format!("warning: finish script: {problem} (going on without)"));
        }
        self.queue.push_front(Event::FinishSpawned(child.ok().map(|child| child.pid)));
    }

    fn watch_notification(&mut self, reader: Option<OwnedFd>) {
        self.close_notification();
        if let Some(reader) = reader {
            let _ = sys::fd::set_nonblocking(&reader);
            let _ = self.poller.add(&reader, NOTIFICATION);
            self.notification = Some(reader);
        }
    }

    /// A newline means ready, as under s6; the end without one means never.
    fn read_notification(&mut self) {
        let Some(reader) = &self.notification else { return };
        let mut buffer = [0; 256];
        let (done, ready) = match sys::socket::read(reader, &mut buffer) {
            Ok(0) => (true, false),
            Ok(count) => (false, buffer.iter().take(count).any(|byte| *byte == b'\n')),
            Err(error) => (error.kind() != std::io::ErrorKind::WouldBlock, false),
        };
        if ready {
            self.queue.push_back(Event::Ready);
        }
        if done || ready {
            self.close_notification();
        }
    }

    fn close_notification(&mut self) {
        if let Some(reader) = self.notification.take() {
            let _ = self.poller.remove(&reader);
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
        while let Some((pid, status)) = sys::process::reap() {
            if let Some(task) = self.tasks.ended(pid) {
                self.task_ended(task, status);
            } else {
                self.queue.push_back(Event::Died(pid, status));
            }
        }
    }

    fn read_channel(&mut self, writable: bool) {
        if writable {
            self.send_report();
        }
        let mut buffer = [0; service::wire::LINE_MAX];
        while let Some(channel) = &self.channel {
            match sys::socket::receive(channel, &mut buffer) {
                Ok(Some((length, _))) => {
                    let text = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default()).into_owned();
                    match Command::parse(&text) {
                        Some(Command::Died(pid, status)) => {
                            self.adopted_deadline = None;
                            self.queue.push_back(Event::Died(pid, status));
                        }
                        Some(command) => self.command(command),
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
            Command::Died(..) => self.clients.answer(client, "error only init can say that\n"),
            Command::Reexec => {
                self.clients.answer(client, "error not supported by this version\n");
            }
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
                self.clients.answer(client, "ok\n");
            }
        }
    }

    fn command(&mut self, command: Command) {
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
            Command::Died(..) | Command::Status | Command::Events | Command::Reexec => return,
        });
    }

    /// A line in the service's own log.
    pub(crate) fn say(&self, text: &str) {
        crate::say(&format!("supervise {}: {text}", self.definition.name));
    }
}
