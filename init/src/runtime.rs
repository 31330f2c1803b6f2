//! The loop: waits, reaps, and carries out what the graph says.

use crate::Role;
use crate::arguments::Words;
use crate::container::Main;
use crate::ledger::Ledger;
use crate::logger::Logger;
use crate::message::{Level, Messages, reason};
use crate::places::Options;
use crate::power::Going;
use crate::store::Deaths;
use crate::table::Table;
use service::definition::Kind;
use service::graph::{Graph, Index, Obstacle};
use service::status::State;
use service::wire::Power;
use service::{Pid, Signal, Tick, WaitStatus};
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;
use std::time::Duration;
use sys::clients::Clients;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;
use sys::spawn::{Session, Spawn, spawn};

const SIGNALS: u64 = 0;
const LISTENER: u64 = 1;
pub(crate) const LOGGER: u64 = 2;
pub(crate) const SERVICES: u64 = 1 << 32;
pub(crate) const CLIENTS: u64 = 1 << 33;

/// As many clients as are served at a time.
const CLIENTS_MAX: usize = 64;

/// How long the compiler may take for all definitions.
const COMPILE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often that is tried, and the wait between two tries.
const COMPILATIONS_MAX: u32 = 5;
const COMPILE_DELAY: Duration = Duration::from_secs(1);

/// Everything that init knows.
pub(crate) struct Init {
    pub(crate) role: Role,
    pub(crate) options: Options,
    pub(crate) messages: Messages,
    pub(crate) poller: Poller,
    signals: Signals,
    pub(crate) null: OwnedFd,
    pub(crate) graph: Graph,
    pub(crate) services: Table,
    pub(crate) ledger: Ledger,
    pub(crate) deaths: Deaths,
    pub(crate) logger: Logger,
    pub(crate) clients: Clients,
    pub(crate) settings: service::settings::Settings,
    pub(crate) refusals: crate::access::Refusals,
    pub(crate) compiler: Option<(Pid, Tick)>,
    pub(crate) reloading: crate::reload::Reloading,
    pub(crate) replacement: Option<crate::reexec::Replacement>,
    /// The boot has not been told to be over.
    pub(crate) booting: bool,
    pub(crate) began: Tick,
    pub(crate) going: Option<Going>,
    pub(crate) watchdog: crate::watchdog::Watchdog,
    /// The emergency shell.
    pub(crate) shell: Option<Pid>,
    /// What init lives for, in a container.
    pub(crate) main: Option<Main>,
    /// When to compile again, since it could not be done.
    pub(crate) compile_at: Option<Tick>,
    /// There is a plan.
    pub(crate) planned: bool,
    pub(crate) compilations: u32,
    /// Why the compiler could not be started the last time.
    pub(crate) uncompiled: Option<String>,
    /// Our exit status, once there is nothing left to do.
    pub(crate) end: Option<ExitCode>,
}

/// What our own programs get for an environment, and the path of a command without one.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Takes the signals that init answers to, and blocks them from now on. Others it lets be what they are.
pub(crate) fn block_signals(words: &Words) -> io::Result<Signals> {
    let mut signals = vec![
        Signal::CHLD,
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::USR1,
        Signal::USR2,
        Signal::PWR,
        Signal::RTMIN_3,
    ];
    if !words.command.is_empty() {
        signals.extend([Signal::ALRM, Signal::WINCH]);
    }
    Signals::block(&signals)
}

impl Init {
    /// Opens what events come from, and begins to compile the definitions.
    pub(crate) fn new(
        role: Role,
        options: Options,
        messages: Messages,
        signals: Signals,
        main: Option<Main>,
        words: &[OsString],
    ) -> Result<Init, String> {
        let null = sys::fd::null().map_err(|error| format!("unable to begin: {}", reason(&error)))?;
        let mut init = Init::idle(role, options, messages, signals, null)?;
        init.main = main;
        init.listen();
        init.renew_ledger();
        // Without a ledger there would be nothing to go on from.
        crate::recover::prepare(&mut init.messages, role, words);
        init.write_own_status();
        init.start_logger();
        init.start_watchdog(false);
        if init.options.tree {
            let asked = init.options.emergency == Some(true) && init.start_shell("it was asked for");
            if !asked {
                init.compile();
            }
        } else {
            init.planned = true;
            init.begin_services(Vec::new());
        }
        Ok(init)
    }

    /// One that knows of nothing yet.
    pub(crate) fn idle(
        role: Role,
        options: Options,
        messages: Messages,
        signals: Signals,
        null: OwnedFd,
    ) -> Result<Init, String> {
        let plain = |error: io::Error| format!("unable to begin: {}", reason(&error));
        if role == Role::Subreaper {
            sys::process::become_subreaper().map_err(plain)?;
        }
        // Three descriptors for each service; the services themselves keep the limit that init was given.
        let _ = sys::fd::raise_limit();
        let poller = Poller::new().map_err(plain)?;
        poller.add(&signals, SIGNALS).map_err(plain)?;
        let watchdog = options.watchdog;
        Ok(Init {
            role,
            options,
            messages,
            poller,
            signals,
            null,
            graph: Graph::default(),
            services: Table::default(),
            ledger: Ledger::default(),
            deaths: Deaths::default(),
            logger: Logger::default(),
            clients: Clients::new(None, CLIENTS, CLIENTS_MAX),
            settings: service::settings::Settings::default(),
            refusals: crate::access::Refusals::default(),
            compiler: None,
            reloading: crate::reload::Reloading::default(),
            replacement: None,
            booting: true,
            began: sys::clock::now(),
            going: None,
            watchdog: crate::watchdog::Watchdog::new(watchdog),
            shell: None,
            main: None,
            compile_at: None,
            planned: false,
            compilations: 0,
            uncompiled: None,
            end: None,
        })
    }

    /// Opens the control socket.
    fn listen(&mut self) {
        let state = self.options.run.join("init");
        let place = state.display();
        if let Err(error) = std::fs::create_dir_all(&state) {
            let reason = reason(&error);
            self.messages.error(&format!("unable to make {place}: {reason} (going on without)"));
        }
        crate::places::tell(&self.options);
        match sys::socket::listen_at(&state.join("control")) {
            Ok(listener) => self.take_listener(listener),
            Err(error) => {
                let reason = reason(&error);
                self.messages
                    .error(&format!("unable to listen at {place}/control: {reason} (going on without)"));
            }
        }
    }

    /// Serves those who connect to `listener`.
    pub(crate) fn take_listener(&mut self, listener: OwnedFd) {
        let _ = self.poller.add(&listener, LISTENER);
        self.clients = Clients::new(Some(listener), CLIENTS, CLIENTS_MAX);
    }

    /// Runs until the end.
    pub(crate) fn run(&mut self) -> ExitCode {
        let mut ready = [Ready::default(); 64];
        loop {
            // What is wanted before it is carried out; then what came of it.
            self.write_ledger();
            self.carry_out();
            self.advance_shutdown();
            self.write_ledger();
            self.replace_if_due();
            if let Some(code) = self.end {
                return code;
            }
            let count = match self.poller.wait(&mut ready, self.deadline()) {
                Ok(count) => count,
                // Cannot happen with a valid set; PID 1 goes on all the same.
                Err(error) => {
                    self.messages.error(&format!("unable to wait: {}", reason(&error)));
                    0
                }
            };
            for event in ready.iter().take(count) {
                self.dispatch(event);
            }
            self.pass_time();
        }
    }

    fn dispatch(&mut self, ready: &Ready) {
        match ready.token {
            SIGNALS => self.read_signals(),
            LISTENER => self.clients.accept(&self.poller),
            LOGGER => self.logger_is_ready(ready),
            token if token >= CLIENTS => self.read_client(token),
            token => {
                if let Ok(index) = usize::try_from(token.wrapping_sub(SERVICES)) {
                    self.channel_is_ready(index, ready.writable);
                }
            }
        }
    }

    fn deadline(&self) -> Option<Tick> {
        let compiler = self.compiler.map(|(_, deadline)| deadline);
        let going = self.going.as_ref().and_then(Going::deadline);
        let services = self.services.iter().filter_map(|service| service.restart_at).min();
        let own = [compiler, going, services, self.logger.restart_at, self.compile_at];
        let checks = self.replacement.as_ref().map(|replacement| replacement.deadline);
        own.into_iter().chain([self.watchdog.deadline(), checks]).flatten().min()
    }

    fn pass_time(&mut self) {
        let now = sys::clock::now();
        if let Some((pid, _)) = self.compiler.filter(|(_, deadline)| *deadline <= now) {
            self.messages.error("compiling the definitions takes too long (killing the compiler)");
            let _ = sys::process::signal(pid, Signal::KILL);
            self.compiler = Some((pid, now.after(COMPILE_TIMEOUT)));
        }
        self.hurry_checks(now);
        self.feed_watchdog(now);
        if self.compile_at.is_some_and(|at| at <= now) {
            self.compile();
        }
        if self.logger.restart_at.is_some_and(|at| at <= now) {
            self.start_logger();
        }
        for index in 0..self.services.len() {
            let due =
                self.services.get(index).and_then(|service| service.restart_at).is_some_and(|at| at <= now);
            if due {
                self.start_supervisor(index);
            }
        }
    }

    /// Does all that the graph has to have done now.
    pub(crate) fn carry_out(&mut self) {
        while let Some(step) = self.graph.step() {
            self.perform_step(step);
        }
        if self.booting && self.planned && self.graph.settled() {
            self.booting = false;
            self.start_watchdog(true);
            self.tell_boot();
        }
    }

    /// The last line of the boot.
    fn tell_boot(&mut self) {
        let (mut up, mut all) = (0, 0);
        for (index, node) in self.graph.nodes().iter().enumerate() {
            if self.graph.wanted(index) && node.entry.kind != Kind::Bundle {
                all += 1;
                up += u32::from(node.state.good());
            }
        }
        let took = sys::clock::now().since(self.began).as_millis();
        self.messages.info(&format!("startup complete: {up} of {all} services up ({took} ms)"));
    }

    // --- processes ---

    /// Starts one of our own programs.
    pub(crate) fn spawn_program(
        &self,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
    ) -> Result<Pid, String> {
        let path = CString::new(format!("PATH={PATH}")).unwrap_or_default();
        self.spawn_with(name, arguments, descriptors, &[path], Session::New)
    }

    /// The same, with an environment of its own, in this session.
    pub(crate) fn spawn_with(
        &self,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
        environment: &[CString],
        session: Session,
    ) -> Result<Pid, String> {
        let file = self.options.programs.join(name);
        self.spawn_file(&file, name, arguments, descriptors, environment, session)
    }

    /// Starts any program.
    pub(crate) fn spawn_file(
        &self,
        file: &std::path::Path,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
        environment: &[CString],
        session: Session,
    ) -> Result<Pid, String> {
        let to_c =
            |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| "a NUL byte in an argument".to_owned());
        let program = to_c(file.as_os_str())?;
        let mut words = vec![to_c(OsStr::new(name))?];
        for argument in arguments {
            words.push(to_c(argument)?);
        }
        let mut all = vec![(self.null.as_fd(), 0)];
        all.extend_from_slice(descriptors);
        let child = spawn(&Spawn {
            environment,
            directory: Some(c"/"),
            descriptors: &all,
            session,
            ..Spawn::new(&program, &words)
        });
        child.map(|child| child.pid).map_err(|problem| format!("{problem} ({})", file.display()))
    }

    pub(crate) fn compile(&mut self) {
        self.compile_at = None;
        self.compilations = self.compilations.saturating_add(1);
        // The one of a run before this one must not be taken for the new one.
        let _ = std::fs::remove_file(self.options.run.join("init/plan"));
        match self.spawn_compiler(&[]) {
            Ok(()) => self.uncompiled = None,
            Err(problem) => self.compiler_refused(problem),
        }
    }

    /// A compiler that cannot even be started is tried for as long as it takes: processes or memory may be short
    /// for longer than anybody would guess, and without it there are no services.
    fn compiler_refused(&mut self, problem: String) {
        if self.going.is_some() {
            return;
        }
        self.compile_at = Some(sys::clock::now().after(COMPILE_DELAY));
        // Told once: it is tried every second.
        if self.uncompiled.as_ref() != Some(&problem) {
            self.messages.error(&format!("unable to compile the definitions: {problem} (trying again)"));
            self.uncompiled = Some(problem);
        }
        if self.compilations == COMPILATIONS_MAX {
            self.start_shell("there are no services");
        }
    }

    /// Starts the compiler, with these options too.
    pub(crate) fn spawn_compiler(&mut self, more: &[&str]) -> Result<(), String> {
        let (output, error) = (io::stdout(), io::stderr());
        let mut arguments = vec![OsStr::new("compile"), OsStr::new("--services")];
        arguments.extend([self.options.services.as_os_str(), OsStr::new("--run")]);
        arguments.push(self.options.run.as_os_str());
        arguments.extend(more.iter().map(OsStr::new));
        let pid = self.spawn_program("svctl", &arguments, &[(output.as_fd(), 1), (error.as_fd(), 2)])?;
        self.compiler = Some((pid, sys::clock::now().after(COMPILE_TIMEOUT)));
        Ok(())
    }

    /// The plan is there, or never will be.
    fn compiled(&mut self, status: WaitStatus) {
        self.compiler = None;
        // Nobody may wait any more, if the init that was asked has failed.
        if self.planned || self.reloads() {
            return self.compiled_again(status);
        }
        let file = self.options.run.join("init/plan");
        match crate::reload::read_plan(&file) {
            Ok(entries) => self.begin_with(entries),
            Err(problem) => {
                let file = file.display();
                self.compile_failed(&format!(
                    "unable to read {file}: {problem} (the compiler ended with {status})"
                ));
            }
        }
        self.next_reload();
    }

    /// There is a plan.
    pub(crate) fn begin_with(&mut self, entries: Vec<service::plan::Entry>) {
        self.planned = true;
        self.compile_at = None;
        self.read_settings();
        self.start_watchdog(false);
        self.begin_services(entries);
    }

    /// Without a plan there are no services. What is short now may not be in a moment.
    fn compile_failed(&mut self, problem: &str) {
        if self.going.is_none() && self.compilations < COMPILATIONS_MAX {
            self.messages.error(&format!("unable to compile the definitions: {problem} (trying again)"));
            self.compile_at = Some(sys::clock::now().after(COMPILE_DELAY));
        } else {
            self.messages.error(&format!("no services: unable to compile the definitions: {problem}"));
            self.start_shell("there are no services");
        }
    }

    /// Compiles with as many tries as at the first time.
    pub(crate) fn compile_anew(&mut self) {
        if !self.planned && self.compiler.is_none() {
            self.compilations = 0;
            self.compile();
        }
    }

    fn begin_services(&mut self, mut entries: Vec<service::plan::Entry>) {
        self.add_main(&mut entries);
        let count = entries.len();
        self.graph = Graph::new(entries);
        for index in 0..count {
            let service = self.new_service(index);
            self.services.push(service);
            self.provide_input(index);
        }
        if self.going.is_some() {
            self.graph.shut_down();
        } else {
            self.want_bundle();
        }
        // That there is a plan is on record together with what is wanted of it, and before the logger has the pipes.
        self.renew_ledger();
        self.owe_logs();
    }

    /// Wants what a boot wants.
    fn want_bundle(&mut self) {
        let bundle = self.options.bundle.clone().unwrap_or_else(|| "default".to_owned());
        match (self.graph.find(&bundle), &self.options.bundle) {
            (Some(index), _) => self.graph.start_bundle(index),
            (None, None) => self.graph.start_everything(),
            (None, Some(_)) => {
                self.messages.error(&format!("there is no service {bundle} to start (starting all)"));
                self.graph.start_everything();
            }
        }
        self.start_main();
    }

    pub(crate) fn reap(&mut self) {
        while let Some((pid, status)) = sys::process::peek() {
            self.child_ended(pid, status);
            // It is ours to find again until what follows from its death is on record.
            self.write_ledger();
            sys::process::reap_one(pid);
        }
    }

    fn child_ended(&mut self, pid: Pid, status: WaitStatus) {
        if self.compiler.is_some_and(|(compiler, _)| compiler == pid) {
            self.compiled(status);
        } else if self.logger.pid == Some(pid) {
            self.logger_ended(status);
        } else if self.going.as_mut().is_some_and(|going| going.unmounter_ended(pid)) {
            // Going down looks at it by itself.
        } else if self.shell_ended(pid, status) {
            // The boot goes on.
        } else if self.check_ended(pid, status) {
            // The loop goes on from there.
        } else if let Some(index) = self.services.iter().position(|service| service.is_supervisor(pid)) {
            self.supervisor_ended(index, status);
        } else if let Some(index) = self.services.iter().position(|service| service.main == Some(pid)) {
            self.main_process_ended(index, pid, status);
        } else {
            self.stranger_ended(pid, status);
        }
    }

    fn read_signals(&mut self) {
        while let Ok(Some((signal, sender))) = self.signals.next() {
            if signal == Signal::CHLD {
                self.reap();
                continue;
            }
            // What nobody sends to have a container stopped is the command's, as if there were no init between.
            let stops = matches!(signal, Signal::TERM | Signal::PWR | Signal::RTMIN_3);
            if !stops && self.forward(signal) {
                continue;
            }
            if let Some(power) = self.meaning(signal) {
                let by = sender.map_or_else(|| "the kernel".to_owned(), |pid| format!("process {pid}"));
                self.go_down(power, &format!("signal {signal} from {by}"));
            }
        }
    }

    /// What a signal asks for.
    fn meaning(&self, signal: Signal) -> Option<Power> {
        let machine = self.role == Role::Machine;
        let command = self.main.as_ref().is_some_and(Main::is_command);
        match signal {
            // It is the command's, which does not run.
            Signal::USR1 | Signal::USR2 | Signal::HUP if command => None,
            Signal::INT | Signal::TERM if machine => Some(Power::Reboot),
            Signal::USR1 | Signal::RTMIN_3 => Some(Power::Halt),
            Signal::INT | Signal::TERM | Signal::USR2 | Signal::PWR => Some(Power::PowerOff),
            Signal::QUIT if !machine => Some(Power::PowerOff),
            // The terminal that it was started from is gone.
            Signal::HUP if self.role == Role::Subreaper => Some(Power::PowerOff),
            _ => None,
        }
    }

    // --- telling ---

    /// Writes the status of a service that has no supervisor to do so, and tells whoever listens.
    pub(crate) fn publish(&mut self, index: Index) {
        let Some(node) = self.graph.nodes().get(index) else { return };
        let name_of =
            |other: Index| self.graph.nodes().get(other).map_or("?", |node| node.entry.name.as_str());
        let reason = match (&node.entry.problem, node.obstacle) {
            (Some(problem), _) => problem.clone(),
            (None, Obstacle::Waits(other)) => format!("waiting for {}", name_of(other)),
            (None, Obstacle::Requires(other)) if node.entry.kind == Kind::Bundle => {
                format!("{} is not up", name_of(other))
            }
            (None, Obstacle::Requires(other)) => format!("requires {}, which is not up", name_of(other)),
            (None, Obstacle::Conflicts(other)) => format!("conflicts with {}", name_of(other)),
            (None, Obstacle::None) => String::new(),
        };
        let wanted = self.graph.wanted(index);
        let (name, state, kind) = (node.entry.name.clone(), node.state, node.entry.kind);
        self.write_status(index, &name, kind, state, wanted, &reason);
        self.announce(index, state, &reason);
    }

    /// Tells the clients and, if it matters, the console.
    pub(crate) fn announce(&mut self, index: Index, state: State, reason: &str) {
        self.main_changed(index, state);
        if self.booting && state.good() {
            // It may have loaded the driver.
            self.start_watchdog(false);
        }
        let Some(node) = self.graph.nodes().get(index) else { return };
        let name = node.entry.name.clone();
        let level = match state {
            State::Failed | State::Invalid => Level::Warning,
            State::Up | State::Done | State::Skipped | State::Backoff => Level::Info,
            State::Down if self.graph.going_down() => Level::Info,
            State::Down | State::Blocked | State::Starting | State::Stopping | State::Finishing => {
                Level::Debug
            }
        };
        let why = if reason.is_empty() { String::new() } else { format!(": {}", reason.replace('\n', "; ")) };
        let news =
            self.services.get_mut(index).is_none_or(|service| service.told.replace(state) != Some(state));
        if news {
            self.messages.say(level, &format!("{name}: {}{why}", state.word()));
        }
        let line = self.report_line(index);
        self.clients.broadcast(&format!("{line}\n"));
    }
}
