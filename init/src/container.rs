//! The main service of a container: what init lives for, and whose exit status is its own.
//!
//! It is a service of the tree (`--main NAME`), or a command (`-- COMMAND ARG…`), for which a service is made
//! that nobody wrote: it comes after every other, gets what init was given, and is not started again.

use crate::ledger::{Lines, Record};
use crate::message::{Level, reason};
use crate::runtime::Init;
use service::definition::{Kind, RestartWhen};
use service::graph::{Index, Request};
use service::plan::Entry;
use service::status::{State, Status};
use service::wire::{Command, Power};
use service::{Definition, Signal, WaitStatus};
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;

/// What containers end with if the command cannot be found, cannot be executed, or was not come to at all.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;
const NOT_STARTED: u8 = 125;
/// A signal is told of as this and its number.
const SIGNALLED: i32 = 128;

/// What the service of a command is called, unless the tree has one of that name.
const NAME: &str = "main";

/// The first descriptor that is handed on besides the standard ones (sd_listen_fds(3)).
const FIRST_SOCKET: i32 = 3;
/// Descriptors of a child have numbers below 64, and its supervisor needs some of its own.
const SOCKETS_MAX: i32 = 32;

/// What init was started with that is the command's.
#[derive(Debug, Default)]
pub(crate) struct Inherited {
    environment: Vec<CString>,
    sockets: Vec<OwnedFd>,
}

impl Inherited {
    /// Takes it. To be called before anything else is opened: `LISTEN_FDS` may not be true.
    pub(crate) fn take() -> Inherited {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
        let ours = number("LISTEN_PID") == Some(sys::process::own());
        let count = number("LISTEN_FDS").filter(|_| ours).unwrap_or(0).clamp(0, SOCKETS_MAX);
        let sockets: Vec<OwnedFd> =
            (0..count).map_while(|place| sys::fd::inherited(FIRST_SOCKET + place).ok()).collect();
        let foreign = |name: &OsStr| {
            let sockets_of = ["LISTEN_FDS", "LISTEN_FDNAMES"];
            name == "LISTEN_PID" || (!ours && sockets_of.iter().any(|known| name == *known))
        };
        let variables = std::env::vars_os().filter(|(name, _)| !foreign(name));
        let pair = |(name, value): (OsString, OsString)| {
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok()
        };
        Inherited { environment: variables.filter_map(pair).collect(), sockets }
    }

    pub(crate) fn environment(&self) -> &[CString] {
        &self.environment
    }

    /// Has them outlive a fault of ours, with the numbers that they have.
    pub(crate) fn keep(&self) {
        self.sockets().for_each(sys::crash::keep);
    }

    pub(crate) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sockets.iter().map(AsFd::as_fd)
    }
}

/// The main service.
#[derive(Debug)]
pub(crate) struct Main {
    name: String,
    index: Option<Index>,
    /// The program and its arguments, if it is a command.
    command: Vec<String>,
    inherited: Inherited,
    /// It has had a process.
    ran: bool,
    ended: bool,
    /// How it has ended, as far as that is known.
    status: Option<WaitStatus>,
    /// What init ends with if there is no status.
    without_status: Option<u8>,
}

impl Main {
    /// The main service that the command line names; none if it names none.
    pub(crate) fn new(name: Option<String>, command: &[OsString], inherited: Inherited) -> Option<Main> {
        if name.is_none() && command.is_empty() {
            return None;
        }
        Some(Main {
            name: name.unwrap_or_else(|| NAME.to_owned()),
            index: None,
            command: command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
            inherited,
            ran: false,
            ended: false,
            status: None,
            without_status: None,
        })
    }

    /// What another init needs to go on with it.
    pub(crate) fn record(&self, record: &mut Record) {
        record.line("main-name", &self.name);
        record.option("main-index", self.index);
        record.line("main-ran", self.ran);
        record.line("main-ended", self.ended);
        record.option("main-status", self.status);
        record.option("main-without-status", self.without_status);
    }

    /// The same, of one that the command line names.
    pub(crate) fn restore(&mut self, lines: Lines<'_>) {
        if let Some(name) = lines.get("main-name") {
            name.clone_into(&mut self.name);
        }
        self.index = lines.number("main-index");
        self.ran = lines.flag("main-ran");
        self.ended = lines.flag("main-ended");
        self.status = lines.get("main-status").and_then(WaitStatus::parse);
        self.without_status = lines.number("main-without-status");
    }

    /// Whether it is a command, and not a service of the tree.
    pub(crate) fn is_command(&self) -> bool {
        !self.command.is_empty()
    }

    /// What a shell would say of how it has ended.
    fn exit_code(&self) -> u8 {
        let signalled = |signal: Signal| u8::try_from(SIGNALLED + signal.number()).unwrap_or(u8::MAX);
        match self.status {
            Some(WaitStatus::Exited(code)) => code,
            Some(WaitStatus::Signalled { signal, .. }) => signalled(signal),
            Some(WaitStatus::Unknown) => NOT_STARTED,
            // Stopped before it began: that it has done its work must not be believed.
            None => self.without_status.unwrap_or_else(|| signalled(Signal::TERM)),
        }
    }

    /// Why the command could not be executed, in the numbers of shells.
    fn failure(&self) -> u8 {
        let Some(program) = self.command.first() else { return NOT_STARTED };
        let path = std::env::var("PATH").unwrap_or_else(|_| crate::programs::PATH.to_owned());
        let found = if program.contains('/') {
            Path::new(program).exists()
        } else {
            path.split(':').any(|directory| Path::new(directory).join(program).exists())
        };
        if found { NOT_EXECUTABLE } else { NOT_FOUND }
    }

    fn definition(&self) -> Definition {
        let directory = std::env::current_dir().ok().and_then(|place| place.to_str().map(str::to_owned));
        let directory = directory.unwrap_or_else(|| "/".to_owned());
        let mut definition = Definition::new(&self.name, &directory);
        "The command that init was given".clone_into(&mut definition.description);
        definition.command.clone_from(&self.command);
        definition.working_directory = directory;
        definition.restart.when = RestartWhen::Never;
        definition.inherit = true;
        definition
    }

    /// What init knows of the command: it comes after all these, and is stopped before them.
    fn entry(&self, others: &[Entry]) -> Entry {
        let mut entry = Entry::from_definition(&self.definition());
        entry.after = others.iter().map(|entry| entry.name.clone()).collect();
        entry
    }
}

impl Init {
    /// Whether this is the service of a command, which gets what init was given.
    pub(crate) fn is_command(&self, index: Index) -> bool {
        self.main.as_ref().is_some_and(|main| main.index == Some(index) && main.is_command())
    }

    /// Adds the service of the command to those that were compiled, and tells where the main service stands among
    /// them.
    pub(crate) fn add_main(&mut self, entries: &mut Vec<Entry>) {
        let Some(main) = &mut self.main else { return };
        if !main.is_command() {
            main.index = entries.iter().position(|entry| entry.name == main.name);
            let problem = match main.index.and_then(|index| entries.get(index)) {
                None => "there is no such service",
                Some(entry) if entry.kind == Kind::Bundle => "it is a bundle",
                Some(_) => return,
            };
            let problem = format!("{}: unable to be the main service: {problem}", main.name);
            return self.fail_without_main(&problem);
        }
        while entries.iter().any(|entry| entry.name == main.name) {
            main.name.push('+');
        }
        let definition = main.definition();
        main.index = Some(entries.len());
        entries.push(main.entry(entries));
        let place = self.options.run.join("service").join(&definition.name);
        let written = std::fs::create_dir_all(&place).and_then(|()| {
            sys::fs::replace(&place.join("definition"), definition.encode().as_bytes(), 0o644)
        });
        if let Err(error) = written.and_then(|()| self.write_plan(entries)) {
            let run = self.options.run.display();
            self.fail_without_main(&format!("unable to write below {run}: {}", reason(&error)));
        }
    }

    /// Keeps the command in the plan when the tree has been read again.
    pub(crate) fn keep_main(&self, entries: &mut Vec<Entry>) {
        if let Some(main) = self.main.as_ref().filter(|main| main.is_command()) {
            entries.retain(|entry| entry.name != main.name);
            entries.push(main.entry(entries));
        }
    }

    /// Has the plan on disk tell of the command too, which the compiler knows nothing of.
    pub(crate) fn write_plan(&self, entries: &[Entry]) -> std::io::Result<()> {
        if !self.main.as_ref().is_some_and(Main::is_command) {
            return Ok(());
        }
        sys::fs::replace(
            &self.options.run.join("init/plan"),
            service::plan::encode(entries).as_bytes(),
            0o644,
        )
    }

    fn fail_without_main(&mut self, problem: &str) {
        self.messages.error(&format!("{problem} (stopping)"));
        if let Some(main) = &mut self.main {
            main.ended = true;
            main.without_status = Some(NOT_STARTED);
        }
        self.go_down(Power::PowerOff, "the lack of a main service");
    }

    /// Wants the main service up, whatever else is wanted.
    pub(crate) fn start_main(&mut self) {
        if let Some(index) = self.main.as_ref().and_then(|main| main.index)
            && let Err(refusal) = self.graph.request(Request::Start(index))
        {
            self.fail_without_main(&format!("unable to start the main service: {refusal}"));
        }
    }

    /// Looks at what has become of a service: if it was the main one, that may be the end.
    pub(crate) fn main_changed(&mut self, index: Index, state: State) {
        let runs = self.services.get(index).is_some_and(|service| service.main.is_some());
        let Some(main) = self.main.as_mut().filter(|main| main.index == Some(index) && !main.ended) else {
            return;
        };
        main.ran |= runs;
        match state {
            State::Done | State::Failed | State::Skipped | State::Invalid | State::Down => {}
            State::Blocked
            | State::Starting
            | State::Up
            | State::Stopping
            | State::Finishing
            | State::Listening
            | State::Backoff => return,
        }
        main.ended = true;
        let file = self.options.run.join("service").join(&main.name).join("status");
        let told = std::fs::read_to_string(file).ok().and_then(|text| Status::decode(&text)?.last_exit);
        // What we have reaped ourselves is certain.
        main.status = main.status.or(told).filter(|_| main.ran);
        if main.status.is_none() && state != State::Down {
            main.without_status = Some(if main.ran { NOT_STARTED } else { main.failure() });
        }
        let code = main.exit_code();
        let how = main.status.map_or_else(|| state.word().to_owned(), |status| status.to_string());
        let text = format!("{} has ended: {how} (so does init, with {code})", main.name);
        if self.going.is_none() {
            self.messages.say(Level::Notice, &text);
            self.go_down(Power::PowerOff, "the end of the main service");
        }
    }

    /// Notes how a process ended that we have reaped in the place of its supervisor.
    pub(crate) fn main_reaped(&mut self, index: Index, status: WaitStatus) {
        if let Some(main) = self.main.as_mut().filter(|main| main.index == Some(index)) {
            main.ran = true;
            main.status = Some(status);
        }
    }

    /// What init ends with: the exit status of the main service, if there is one.
    pub(crate) fn exit_code(&self) -> Option<ExitCode> {
        self.main.as_ref().map(|main| ExitCode::from(main.exit_code()))
    }

    /// Hands a signal on to the command; whether there is one that runs.
    pub(crate) fn forward(&mut self, signal: Signal) -> bool {
        let Some(index) = self.main.as_ref().and_then(|main| main.index) else { return false };
        let Some(service) = self.services.get(index).filter(|_| self.is_command(index)) else { return false };
        if service.has_supervisor() {
            // It may run already, and the report of that be on its way.
            self.tell(index, Command::Kill(signal));
        } else if let Some(pid) = service.main {
            // It is our own child then: its number is its own until we reap it.
            let _ = sys::process::signal(pid, signal);
        } else {
            return false;
        }
        true
    }

    /// What the supervisor of a service is given for it, if that is the command.
    pub(crate) fn given(&self, index: Index) -> Option<&Inherited> {
        self.main.as_ref().filter(|_| self.is_command(index)).map(|main| &main.inherited)
    }
}
