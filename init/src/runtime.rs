//! The loop: waits, has each event seen to, and carries out what the graph says.

use crate::Role;
use crate::container::Main;
use crate::ledger::Ledger;
use crate::logger::Logger;
use crate::message::{Messages, reason};
use crate::places::Options;
use crate::power::Going;
use crate::store::Deaths;
use crate::table::Table;
use service::definition::Kind;
use service::graph::Graph;
use service::{Pid, Tick};
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use sys::clients::Clients;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

const SIGNALS: u64 = 0;
const LISTENER: u64 = 1;
pub(crate) const LOGGER: u64 = 2;
pub(crate) const SERVICES: u64 = 1 << 32;
pub(crate) const CLIENTS: u64 = 1 << 33;

/// As many clients as are served at a time.
const CLIENTS_MAX: usize = 64;

/// As many more only wait to be told of changes: each container of an agent may have two who wait for its end.
const WAITING_MAX: usize = 960;

/// Everything that init knows.
pub(crate) struct Init {
    pub(crate) role: Role,
    pub(crate) options: Options,
    pub(crate) messages: Messages,
    pub(crate) poller: Poller,
    pub(crate) signals: Signals,
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
    /// What takes away the roots of what was forgotten, and whether there is more to take away since it began.
    pub(crate) sweeper: Option<(Pid, bool)>,
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
            clients: Clients::new(None, CLIENTS, CLIENTS_MAX, WAITING_MAX),
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
            sweeper: None,
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
        self.clients = Clients::new(Some(listener), CLIENTS, CLIENTS_MAX, WAITING_MAX);
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
        self.hurry_compiler(now);
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
}
