//! The loop: events in, the machine asked, what came of it told.

use crate::adopt::{Adopted, Leftovers};
use crate::arguments::Options;
use crate::cgroup::Group;
use crate::control_scripts::Controls;
use crate::inherit::Inherited;
use crate::launch;
use crate::limits::Kills;
use crate::notify::Notify;
use crate::pipeline::Pipeline;
use crate::reexec::Replacement;
use crate::sockets::Sockets;
use crate::tasks::Tasks;
use crate::{conditions, narrate};
use service::machine::{Event, Machine};
use service::status::State;
use service::wire::Command;
use service::{Definition, Pid, Signal};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use sys::clients::Clients;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

const SIGNALS: u64 = 0;
pub(crate) const CHANNEL: u64 = 1;
const LISTENER: u64 = 2;
pub(crate) const NOTIFICATION: u64 = 3;
pub(crate) const ADOPTED: u64 = 4;
pub(crate) const NOTIFY: u64 = 5;
pub(crate) const LIMITS: u64 = 6;
pub(crate) const SOCKETS: u64 = 7;
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
    pub(crate) inherited: Option<Inherited>,
    /// Where processes put down their numbers before they begin: the status comes after that.
    pub(crate) record: Option<OwnedFd>,
    pub(crate) record_path: PathBuf,
    /// The end that a service writes its readiness to.
    pub(crate) notification: Option<OwnedFd>,
    pub(crate) sockets: Sockets,
    pub(crate) tasks: Tasks,
    pub(crate) notify: Option<Notify>,
    pub(crate) controls: Controls,
    pub(crate) group: Option<Group>,
    /// Why it has none, though it is to have one.
    pub(crate) no_group: Option<String>,
    /// What has been set in it.
    pub(crate) limits: Vec<(String, String)>,
    /// Which of its settings could not be made, in words.
    pub(crate) unlimited: Vec<String>,
    /// The kernel's kills in it.
    pub(crate) kills: Option<Kills>,
    /// Its last run ended for want of memory.
    pub(crate) starved: bool,
    pub(crate) adopted: Option<Adopted>,
    pub(crate) leftovers: Leftovers,
    /// A child that has ended, and is reaped once that has been told.
    pub(crate) unreaped: Option<Pid>,
    /// There may be others.
    pub(crate) deaths: bool,
    /// What was kept for us.
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// It has said that it is ready; told once that is on disk.
    pub(crate) said_ready: bool,
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
    /// The machine as it stands there.
    pub(crate) on_file: String,
    /// When it is written again, since it could not be.
    pub(crate) file_again: Option<service::Tick>,
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
            clients: Clients::new(listener, CLIENTS, CLIENTS_MAX, 0),
            null: sys::fd::null().map_err(plain)?,
            pipeline: Pipeline::inherit(options).map_err(plain)?,
            inherited: given,
            record: sys::record::open(&record_path, &boot).ok(),
            record_path,
            notification: None,
            sockets: Sockets::default(),
            tasks: Tasks::default(),
            notify: None,
            controls: Controls::default(),
            group: None,
            no_group: None,
            limits: Vec::new(),
            unlimited: Vec::new(),
            kills: None,
            starved: false,
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
            file_again: None,
            on_file: String::new(),
            report_pending: false,
            exiting: false,
            lock,
        };
        supervisor.open_notify();
        supervisor.open_group(options.resume);
        supervisor.heed_prepared();
        supervisor.adopt_sockets();
        supervisor.adopt(options.resume);
        supervisor.resume_limits(options.resume);
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
            let deadlines = [
                self.machine.deadline(),
                status_due,
                self.replacement_deadline(),
                self.control_deadline(),
                self.file_again,
            ];
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
            self.file_again_if_due(now);
        }
    }

    /// Handles what is queued and everything that follows from it, then tells the outcome once.
    pub(crate) fn settle(&mut self) {
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

    pub(crate) fn handle_queue(&mut self) {
        while let Some(event) = self.next_event() {
            // Ready and dead at one waking: who waits for it to become ready hears of both.
            if matches!(event, Event::Died(..)) && std::mem::take(&mut self.dirty) {
                self.publish();
            }
            self.handle(event);
        }
        // Before anybody reads that it is down: then its addresses are free.
        self.tend_sockets();
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
            LIMITS => self.read_kills(),
            SOCKETS => self.queue.push_back(Event::Connected),
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
        self.leftovers.note(event);
        if matches!(event, Event::Found(_)) {
            self.claim_main();
        }
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
        if let Event::Died(pid, status) = event
            && ours == Some(pid)
        {
            self.note_end(status);
        }
        let preparing = self.machine.preparing();
        let was_ready = self.machine.ready_since().is_some();
        let actions = self.machine.handle(now, event);
        if let Some(line) = narrate::trouble(&self.machine, reason) {
            self.say(&line);
        }
        if let Event::Died(pid, status) = event
            && ours == Some(pid)
        {
            self.close_notification();
            if let Some(line) =
                narrate::death(&self.machine, &self.end_of(status), uptime, now).filter(|_| !quiet)
            {
                self.say(&line);
            }
        }
        let given_up = matches!(self.machine.state(), State::Backoff | State::Failed);
        if preparing && given_up && event == Event::Tick {
            self.problem = narrate::UNPREPARED_IN_TIME.to_owned();
        }
        if event == Event::SpawnFailed || (preparing && given_up) {
            let line = narrate::spawn_failure(&self.machine, &self.problem, now);
            self.say(&line);
        }
        for action in actions.iter() {
            self.perform(action);
        }
        if !was_ready && self.machine.ready_since().is_some() {
            self.settle_down();
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

    /// Whether nothing is under way that would have to be begun again.
    pub(crate) fn may_be_replaced(&self) -> bool {
        let awaits = self.adopted.as_ref().is_some_and(|adopted| adopted.deadline.is_some());
        // The one after us does not tell of what is down: init has to have heard of it from us.
        let told = !self.report_pending || self.channel.is_none();
        !self.exiting && !awaits && !self.tasks.reloads() && told
    }

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

    /// A line in the service's own log.
    pub(crate) fn say(&self, text: &str) {
        crate::say(&format!("supervise {}: {text}", self.definition.name));
    }
}
