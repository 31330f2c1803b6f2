//! Going on in the place of another init: one that has failed, or one that is replaced on purpose. There is no
//! difference but for what is said.
//!
//! The ledger tells what there was; what happened in the moment of the failure is found out: children that have
//! ended meanwhile are still there to be reaped, reports still lie in the channels, and every supervisor is
//! asked how it stands.

use crate::Role;
use crate::arguments::Words;
use crate::compiler::{COMPILE_TIMEOUT, COMPILER};
use crate::container::{Inherited, Main};
use crate::last_resort;
use crate::ledger::{Faults, Found, Ledger, Lines, Record};
use crate::message::{Level, Messages, reason};
use crate::places::Options;
use crate::power::Going;
use crate::runtime::Init;
use crate::services::Service;
use service::graph::{Goal, Graph, Index, Saved};
use service::wire::Command;
use service::{Pid, Signal, Tick, WaitStatus};
use std::ffi::{CString, OsString};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::process::ExitCode;
use std::time::Duration;
use sys::signals::Signals;

/// So many faults, in so long a time, and there is no point in going on like that.
const FAULTS_MAX: usize = 5;
const FAULTS_TIME: Duration = Duration::from_secs(10);

/// So many of the last deaths that we have reaped in the place of others are kept.
const DEATHS_MAX: usize = 16;

/// Has a fault of ours execute this program again, with the same words.
pub(crate) fn prepare(messages: &mut Messages, role: Role, words: &[OsString]) {
    prepare_messages(role);
    if let Err(error) = install(words) {
        let reason = reason(&error);
        messages.error(&format!("unable to prepare for a fault: {reason} (going on without)"));
    }
}

fn install(words: &[OsString]) -> std::io::Result<()> {
    let text = |bytes: Vec<u8>| CString::new(bytes).unwrap_or_default();
    let arguments = words.iter().map(|word| text(word.as_bytes().to_vec()));
    // The descriptor is what is executed; the path is for a machine without /proc.
    let path = std::env::current_exe().unwrap_or_else(|_| "/sbin/init".into());
    sys::crash::install(sys::crash::Program {
        file: sys::crash::own_program(),
        path: text(path.into_os_string().into_vec()),
        arguments: [c"init".to_owned()].into_iter().chain(arguments).collect(),
    })
}

/// What a fault says goes where all messages go.
fn prepare_messages(role: Role) {
    let machine = role == Role::Machine;
    if machine {
        let kernel_log = std::fs::File::options().write(true).open("/dev/kmsg").ok();
        sys::crash::set_machine(kernel_log.map(OwnedFd::from));
    }
    std::panic::set_hook(Box::new(move |panic| {
        let mut messages = Messages::new();
        if machine {
            messages.use_kernel_log();
        }
        messages.say(Level::Error, &panic.to_string().replace('\n', " "));
    }));
}

/// What was handed to this program by the one before it.
pub(crate) struct Takeover {
    /// None if it cannot be had: then nothing is known of what runs.
    ledger: Option<OwnedFd>,
    fault: Option<Signal>,
}

impl Takeover {
    /// Looks for it among the words of the command line, and returns the others. It stands in front of them.
    pub(crate) fn find(mut words: Vec<OsString>) -> (Option<Takeover>, Vec<OsString>) {
        let number = |word: Option<&OsString>, prefix: &str| -> Option<i32> {
            word?.to_str()?.strip_prefix(prefix)?.parse().ok()
        };
        let Some(ledger) = number(words.first(), sys::crash::LEDGER) else { return (None, words) };
        words.remove(0);
        let fault = number(words.first(), sys::crash::FAULT);
        if fault.is_some() {
            words.remove(0);
        }
        let ledger = sys::fd::inherited(ledger).ok();
        if let Some(file) = &ledger {
            // Should we fail before we have read it, or written one of our own, it is what the next one goes on from.
            sys::crash::set_ledger(file.as_fd());
            // Before anything is opened here: what the ledger names by mistake must not come to be one of ours.
            if let Some(found) = Found::read(file) {
                sys::crash::occupy(found.descriptors(), file.as_fd());
            }
        }
        (Some(Takeover { ledger, fault: fault.and_then(Signal::from_number) }), words)
    }

    /// Goes on, until there is nothing left to do. If that cannot be done everything stays as it was, and is left
    /// alone.
    pub(crate) fn take_over(
        self,
        words: Words,
        original: &[OsString],
        inherited: Inherited,
        signals: Signals,
    ) -> ExitCode {
        let prepared = install(original);
        let Some(file) = self.ledger else { return last_resort::attend("there is no ledger") };
        let now = sys::clock::now();
        // First of all, so that a failure in what follows is counted as well.
        let mut faults = Faults::read(&file);
        faults.note(self.fault, now);
        let recent = faults.since(Tick(now.0.saturating_sub(nanoseconds(FAULTS_TIME))));
        let found = Found::read(&file);
        let ledger = Ledger::adopt(file, faults);
        let role = |found: &Found| Role::parse(found.machine()?.get("role")?);
        let Some((found, role)) = found.and_then(|found| role(&found).map(|role| (found, role))) else {
            return last_resort::attend("the ledger cannot be read");
        };
        if role == Role::Machine {
            sys::crash::set_machine(None);
        }
        if self.fault.is_some() && recent > FAULTS_MAX {
            let seconds = FAULTS_TIME.as_secs();
            return last_resort::attend(&format!("init has failed {recent} times within {seconds} s"));
        }
        // Before anything is opened here that could be taken for what was left.
        let mine = [ledger.number(), Some(signals.as_fd().as_raw_fd()), sys::crash::own_number()];
        let given = inherited.sockets().map(|socket| socket.as_raw_fd());
        let known: Vec<RawFd> = found.descriptors().chain(mine.into_iter().flatten()).chain(given).collect();
        sys::crash::close_all_but(&known);
        prepare_messages(role);
        let (options, messages, main) = surroundings(&found, role, words, inherited);
        let null = found.machine().and_then(|machine| left(machine, "fd-null"));
        let null = null.ok_or_else(|| "the ledger has no null device".to_owned());
        let init = null.and_then(|null| Init::idle(role, options, messages, signals, null));
        let mut init = match init {
            Ok(init) => init,
            Err(problem) => return last_resort::attend(&problem),
        };
        // Held until the end.
        let _lock = (role != Role::Machine).then(|| crate::places::lock(&init.options));
        if let Err(error) = prepared {
            let reason = reason(&error);
            init.messages.error(&format!("unable to prepare for a fault: {reason} (going on without)"));
        }
        init.ledger = ledger;
        init.main = main;
        match init.recover(&found, self.fault) {
            Ok(()) => init.run(),
            Err(problem) => last_resort::attend(&problem),
        }
    }
}

/// What the one before has decided, and what the command line says, which is the same.
fn surroundings(
    found: &Found,
    role: Role,
    words: Words,
    inherited: Inherited,
) -> (Options, Messages, Option<Main>) {
    let mut messages = Messages::new();
    let text = found.options().unwrap_or_default();
    if role == Role::Machine {
        let words = Words { main: None, command: Vec::new(), ..words };
        let options = Options::decode(text, words);
        return (crate::boot::again(&mut messages, options), messages, None);
    }
    let mut main = Main::new(words.main.clone(), &words.command, inherited);
    if let (Some(main), Some(machine)) = (&mut main, found.machine()) {
        main.restore(machine);
    }
    let options = Options::decode(text, words);
    if !options.tree {
        messages.limit = Level::Error;
    }
    (options, messages, main)
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A descriptor that was left by the one before.
pub(crate) fn left(lines: Lines<'_>, key: &str) -> Option<OwnedFd> {
    sys::fd::inherited(lines.number(key)?).ok()
}

impl Init {
    /// What another init needs to know of the machine.
    pub(crate) fn record_machine(&self, record: &mut Record) {
        let keep = |descriptor: &OwnedFd| {
            sys::crash::keep(descriptor.as_fd());
            descriptor.as_raw_fd()
        };
        record.line("role", self.role.word());
        record.line("fd-null", keep(&self.null));
        record.option(
            "fd-listener",
            self.clients.listener().map(|listener| {
                sys::crash::keep(listener);
                listener.as_raw_fd()
            }),
        );
        record.option("fd-logger", self.logger.channel.as_ref().map(keep));
        record.option("logger", self.logger.pid);
        record.option("logger-started", self.logger.started.map(|at| at.0));
        record.option("soft-limit", sys::fd::soft_limit());
        record.line("booting", self.booting);
        record.line("goal", self.graph.goal());
        if let Some(main) = &self.main {
            main.record(record);
        }
        record.line("reloading", self.reloading.is_wanted());
        record.line("reloading-again", self.reloading.is_wanted_again());
        record.line("began", self.began.0);
        record.line("planned", self.planned);
        record.option("shell", self.shell);
        record.line("compilations", self.compilations);
        record.option("compiler", self.compiler.map(|(pid, _)| pid));
        record.option("compiler-deadline", self.compiler.map(|(_, deadline)| deadline.0));
        if let Some(going) = &self.going {
            going.record(record);
        }
        // As many as there is room for.
        for (pid, status) in self.deaths.last().take(DEATHS_MAX) {
            record.line("death", format_args!("{pid} {status}"));
        }
    }

    /// Knows from now on what the one before it knew.
    fn recover(&mut self, found: &Found, fault: Option<Signal>) -> Result<(), String> {
        let machine = found.machine().ok_or("the ledger has no machine")?;
        if let Some(soft) = machine.number("soft-limit") {
            sys::fd::set_soft_limit(soft);
        }
        self.booting = machine.flag("booting");
        self.began = Tick(machine.number("began").unwrap_or_default());
        self.planned = machine.flag("planned");
        self.compilations = machine.number("compilations").unwrap_or_default();
        self.going = Going::restore(machine);
        let deaths: Vec<_> = machine.all("death").filter_map(ending).collect();
        for (pid, status) in deaths.into_iter().rev() {
            self.deaths.note(pid, status);
        }
        if let Some(listener) = left(machine, "fd-listener") {
            self.take_listener(listener);
        }
        let settings = found.settings().and_then(service::settings::Settings::decode);
        self.settings = settings.unwrap_or_default();
        let shell = machine.number("shell").and_then(Pid::new);
        self.shell = shell.filter(|pid| sys::process::is_child(*pid));
        self.start_watchdog(false);
        self.restore_services(found)?;
        self.restore_logger(machine);
        self.tell_recovery(fault);
        // From here on as ever; but what happened meanwhile comes first.
        self.restore_compiler(machine);
        self.ask_supervisors();
        self.reap();
        Ok(())
    }

    fn restore_services(&mut self, found: &Found) -> Result<(), String> {
        let plan = found.plan().and_then(service::plan::decode).ok_or("the ledger has no plan")?;
        let goal =
            found.machine().and_then(|machine| Goal::parse(machine.get("goal")?)).unwrap_or(Goal::None);
        let saved = |index| found.service(index)?.get("node").and_then(Saved::parse);
        let nodes = plan.into_iter().enumerate().map(|(index, entry)| (entry, saved(index))).collect();
        self.graph = Graph::restored(nodes, goal, self.going.is_some());
        for index in 0..found.services {
            let lines = found.service(index).ok_or("the ledger is too short")?;
            self.services.push(Service::restore(lines));
        }
        Ok(())
    }

    fn restore_logger(&mut self, machine: Lines<'_>) {
        let Some(channel) = left(machine, "fd-logger") else {
            return;
        };
        let pid = machine.number("logger").and_then(Pid::new);
        self.logger.pid =
            pid.filter(|pid| sys::process::is_child(*pid)).or_else(|| child_called("svlog", None));
        self.logger.started = machine.number("logger-started").map(Tick);
        if self.logger.pid.is_some() {
            self.logger.channel = Some(channel);
        } else {
            self.logger.closing.push(channel);
        }
    }

    fn restore_compiler(&mut self, machine: Lines<'_>) {
        let pid = machine.number("compiler").and_then(Pid::new);
        let deadline = machine.number("compiler-deadline").map(Tick);
        let recorded = pid.filter(|pid| sys::process::is_child(*pid)).zip(deadline);
        self.compiler = recorded.or_else(|| {
            // One that was being started: two of them would write the same files.
            let compiler = children().find(|(_, words)| words.starts_with(&COMPILER.map(str::to_owned)))?;
            Some((compiler.0, sys::clock::now().after(COMPILE_TIMEOUT)))
        });
        if self.planned {
            if machine.flag("reloading") {
                self.resume_reload(machine.flag("reloading-again"));
            }
        } else if self.compiler.is_none() && self.going.is_none() && self.shell.is_none() {
            self.compile();
        }
    }

    /// The logger goes on, or is started; every supervisor is asked how it stands, and one that is missing is
    /// started.
    fn ask_supervisors(&mut self) {
        if self.logger.pid.is_some() {
            self.take_logger();
        } else if !self.going.as_ref().is_some_and(Going::logger_may_end) {
            self.start_logger();
        }
        for index in 0..self.services.len() {
            self.ask_supervisor(index);
        }
        if self.reloading.is_wanted() {
            // The new plan is on record, and nobody knows who was told of it.
            self.reconnect_all();
        }
        // Whoever was at it may have been killed too.
        self.sweep_roots();
        // What is due comes before the answers: a start that was asked for is not taken for a wish to stay down.
        self.carry_out();
        for index in 0..self.services.len() {
            if self.services.get(index).is_some_and(Service::has_supervisor) {
                self.tell(index, Command::Events);
            }
        }
    }

    fn ask_supervisor(&mut self, index: Index) {
        let Some(node) = self.graph.nodes().get(index) else { return };
        let name = node.entry.name.clone();
        let runs = node.runs();
        let Some(service) = self.services.get_mut(index) else { return };
        let find = || child_called("supervise", Some(&name));
        let new = service.find_supervisor(find);
        service.watch(&self.poller, index);
        if new {
            self.greet(index);
        } else if service.lacks_supervisor(runs) {
            service.restart_at = Some(sys::clock::now());
        }
    }

    fn tell_recovery(&mut self, fault: Option<Signal>) {
        let kept = self.services.iter().filter(|service| service.has_supervisor()).count();
        let version = env!("CARGO_PKG_VERSION");
        match fault {
            Some(signal) => self.messages.error(&format!(
                "recovered from a fault (signal {signal}, number {}): {kept} supervised services kept",
                self.ledger.faults.total()
            )),
            None => self
                .messages
                .notice(&format!("replaced by version {version}: {kept} supervised services kept")),
        }
        self.write_own_status();
    }

    /// Writes what people may want to know of init itself.
    pub(crate) fn write_own_status(&mut self) {
        let file = self.options.run.join("init/status");
        let text = self.ledger.faults.status().encode();
        if let Err(error) = sys::fs::replace(&file, text.as_bytes(), 0o644) {
            let (file, reason) = (file.display(), reason(&error));
            self.messages.warning(&format!("unable to write {file}: {reason} (going on without)"));
        }
    }
}

/// A process and how it ended.
fn ending(text: &str) -> Option<(Pid, WaitStatus)> {
    let (pid, status) = text.split_once(' ')?;
    Some((Pid::new(pid.parse().ok()?)?, WaitStatus::parse(status)?))
}

/// The child of ours that was started with these as its first and last words.
fn child_called(first: &str, last: Option<&str>) -> Option<Pid> {
    let is = |word: Option<&String>, text: &str| word.is_some_and(|word| word == text);
    let same = |words: &[String]| is(words.first(), first) && last.is_none_or(|last| is(words.last(), last));
    children().find(|(_, words)| same(words)).map(|(pid, _)| pid)
}

/// Our children, dead or alive, with the words that they were started with, which the dead have lost.
fn children() -> impl Iterator<Item = (Pid, Vec<String>)> {
    let own = sys::process::own();
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(move |entry| {
        let pid = Pid::new(entry.file_name().to_str()?.parse().ok()?)?;
        if pid.number() == own || !sys::process::is_child(pid) {
            return None;
        }
        let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
        Some((pid, line.trim_end_matches('\0').split('\0').map(str::to_owned).collect()))
    })
}
