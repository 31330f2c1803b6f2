//! A service's definition after validation, and its compiled form.
//!
//! People write TOML; a short-lived compiler checks it and writes the compiled form, which init and the
//! supervisors read. The compiled form begins with [`HEADER`], so that a program and a file of different
//! versions are told apart.

mod compiled;
mod image;
mod prepared;
mod process;
mod sockets;

use crate::signal::Signal;
use std::time::Duration;

pub use compiled::{DecodeError, HEADER};
pub use image::{Image, Volume};
pub use prepared::Prepared;
pub use process::{Apart, ControlGroup, Process};
#[cfg(test)]
pub(crate) use sockets::full as some_sockets;
pub use sockets::{Address, FIRST_SOCKET, SOCKETS_MAX, Socket, UnixKind};

/// What kind of thing a service directory defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process that is kept running.
    Longrun,
    /// A program that is run once and must end with exit 0.
    Oneshot,
    /// A name for a set of services.
    Bundle,
}

/// A validated definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The service's name: that of its directory.
    pub name: String,
    /// Longrun, oneshot or bundle.
    pub kind: Kind,
    /// The service directory, an absolute path.
    pub directory: String,
    /// One line for people.
    pub description: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Where the command is run.
    pub working_directory: String,
    /// Whose conventions its scripts follow.
    pub style: Style,
    /// The part after the `@` of an instance's name.
    pub instance: Option<String>,
    /// What undoes a oneshot that is done, when it is stopped; empty for nothing.
    pub down_command: Vec<String>,
    /// Whether an executable `finish` is to be run after each death.
    pub finish: bool,
    /// How long the finish script may take before it is killed; none is for ever.
    pub finish_timeout: Option<Duration>,
    /// Started too and waited for; stopping one stops this.
    pub requires: Vec<String>,
    /// Started too, no more.
    pub wants: Vec<String>,
    /// Waited for if they are started as well.
    pub after: Vec<String>,
    /// Services that wait for this one if they are started as well.
    pub before: Vec<String>,
    /// Services that cannot run at the same time: starting one stops the other.
    pub conflicts: Vec<String>,
    /// The members of a bundle.
    pub contents: Vec<String>,
    /// Whether the implicit default bundle has it.
    pub autostart: bool,
    /// All must hold, else the service is skipped.
    pub conditions: Vec<Condition>,
    /// Layers of the environment, later ones win.
    pub environment: Vec<EnvironmentLayer>,
    /// How the service tells that it is ready.
    pub ready: Ready,
    /// What happens after a death.
    pub restart: Restart,
    /// How long a oneshot may take; none is for ever.
    pub start_timeout: Option<Duration>,
    /// How it is stopped.
    pub stop: Stop,
    /// What `reload` runs instead of sending the reload signal; empty for the signal.
    pub reload_command: Vec<String>,
    /// How long a reload may take, by command or from RELOADING=1 to READY=1, until it is reported as failed.
    pub reload_timeout: Duration,
    /// How it is looked after once it is ready.
    pub health: Option<Health>,
    /// The longest time between two WATCHDOG=1 messages of a service that is ready (sd_notify(3)).
    pub watchdog: Option<Duration>,
    /// runit's `control` programs, by their letters: run in the place of what would be sent (runsv(8)).
    pub controls: Vec<String>,
    /// Its standard output goes to the standard input of this service, through a pipe that init holds.
    pub output_to: Option<String>,
    /// Its standard input is such a pipe.
    pub reads_pipe: bool,
    /// It gets this descriptor, which holds a lock on the service as long as it is open anywhere (s6's lock-fd).
    pub lock_descriptor: Option<i32>,
    /// What the main process runs in.
    pub process: Process,
    /// The sockets that are held for it.
    pub sockets: Vec<Socket>,
    /// Whether it is started only when somebody connects.
    pub start_on_connection: bool,
    /// What is run before each start, and must end with exit 0: it makes the root that the process runs in.
    pub prepare_command: Vec<String>,
    /// How long that may take; none is for ever.
    pub prepare_timeout: Option<Duration>,
    /// What is run once it is ready after that, and not waited for: it takes away what earlier starts ran in.
    pub settle_command: Vec<String>,
    /// The image that it runs from.
    pub image: Option<Image>,
    /// It gets the environment, the standard descriptors and the listening sockets that init was given: the
    /// command of a container.
    pub inherit: bool,
    /// How its log is kept.
    pub log: Log,
}

/// Whose conventions the scripts of a service directory follow, where they differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// Ours: those of s6, but `run` is given no argument.
    Mainstay,
    /// s6-supervise: `run` is given the name; `finish` gets 256 and the signal after a death by signal.
    S6,
    /// runsv: `run` is given nothing; `finish` gets -1 and the low byte of the wait status.
    Runit,
}

/// How a service that is ready is looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The program and its arguments: exit 0 is healthy.
    pub command: Vec<String>,
    /// From the end of one check to the next.
    pub interval: Duration,
    /// A check that takes longer has failed, and is killed.
    pub timeout: Duration,
    /// As many failures in a row make the service unhealthy.
    pub threshold: u32,
    /// Whether an unhealthy service is restarted, rather than only reported.
    pub restart: bool,
}

/// Whose sd_notify messages count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyFrom {
    /// Those of the main process.
    Main,
    /// Those of every process that can reach the socket.
    All,
}

/// Something that must hold for a service to be started at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The program is found, on the path or at its place.
    Executable(String),
    /// The path exists.
    Path(String),
    /// The kernel command line has this word, or this key with a value.
    KernelArgument(String),
}

/// One layer of a service's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvironmentLayer {
    /// `KEY=VALUE` lines of a file, read at each start.
    File {
        /// Its absolute path.
        path: String,
        /// Whether it may be absent.
        optional: bool,
    },
    /// One variable.
    Set {
        /// Its name.
        key: String,
        /// Its value.
        value: String,
    },
}

/// How readiness is learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// By what.
    pub method: ReadyMethod,
    /// After this long without it the service is called overdue; none is never.
    pub timeout: Option<Duration>,
    /// Whether an overdue service is restarted rather than waited for.
    pub restart_when_overdue: bool,
    /// A readiness command that takes longer has failed, and is killed; none for one that waits by itself.
    pub probe_timeout: Option<Duration>,
}

/// By what readiness is learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyMethod {
    /// The service is ready as soon as it runs.
    Immediate,
    /// It writes a line to this file descriptor (s6's notification-fd).
    Descriptor(i32),
    /// It sends READY=1 to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).
    Notify(NotifyFrom),
    /// A command exits 0. Probes of ports and web pages are compiled to such a command.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// The wait between two tries.
        interval: Duration,
    },
}

/// When a service that died is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartWhen {
    /// Whatever its status.
    Always,
    /// Unless it was exit 0.
    OnFailure,
    /// Never.
    Never,
}

/// What happens after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// In which case it is restarted.
    pub when: RestartWhen,
    /// The wait before the second restart in a row (the first waits for nothing); doubles from there.
    pub delay: Duration,
    /// The longest wait.
    pub max_delay: Duration,
    /// A run that lasted this long clears the count.
    pub reset_after: Duration,
    /// Give up after this many deaths…
    pub give_up_deaths: u32,
    /// …within this time; zero deaths is never.
    pub give_up_within: Duration,
}

/// What stopping may signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The main process alone: its children are none of our business.
    Main,
    /// Its process group.
    Group,
    /// Every process of its control group.
    Cgroup,
}

/// How a service is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The first signal.
    pub signal: Signal,
    /// The wait before KILL; none is for ever.
    pub timeout: Option<Duration>,
    /// What is signalled.
    pub scope: Scope,
    /// What KILL is sent to.
    pub kill_scope: Scope,
    /// Sent first when the machine goes down.
    pub halt_signal: Option<Signal>,
    /// When the machine goes down its input ends first, and `halt_timeout` is how long it may take to end by that.
    pub halt_by_end_of_input: bool,
    /// The wait for what `halt_signal` causes, before the ordinary stop.
    pub halt_timeout: Duration,
    /// What `reload` sends.
    pub reload_signal: Signal,
}

/// How a log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// `current` is rotated when it has grown to this many bytes.
    pub size: u64,
    /// How many rotated files are kept.
    pub keep: u32,
}

impl Definition {
    /// A longrun called `name` in `directory` with the default for everything else.
    #[must_use]
    pub fn new(name: &str, directory: &str) -> Definition {
        Definition {
            name: name.to_owned(),
            kind: Kind::Longrun,
            directory: directory.to_owned(),
            description: String::new(),
            command: Vec::new(),
            working_directory: "/".to_owned(),
            style: Style::Mainstay,
            instance: None,
            down_command: Vec::new(),
            finish: false,
            finish_timeout: Some(Duration::from_secs(5)),
            requires: Vec::new(),
            wants: Vec::new(),
            after: Vec::new(),
            before: Vec::new(),
            conflicts: Vec::new(),
            contents: Vec::new(),
            autostart: true,
            conditions: Vec::new(),
            environment: Vec::new(),
            ready: Ready::default(),
            restart: Restart::default(),
            start_timeout: None,
            stop: Stop::default(),
            reload_command: Vec::new(),
            reload_timeout: Duration::from_secs(60),
            health: None,
            watchdog: None,
            controls: Vec::new(),
            output_to: None,
            reads_pipe: false,
            lock_descriptor: None,
            process: Process::default(),
            sockets: Vec::new(),
            start_on_connection: false,
            prepare_command: Vec::new(),
            prepare_timeout: None,
            settle_command: Vec::new(),
            image: None,
            inherit: false,
            log: Log::default(),
        }
    }
}

impl Definition {
    /// Tells this definition from any other of the same service.
    #[must_use]
    pub fn digest(&self) -> u64 {
        fnv(&self.encode())
    }

    /// The digest of what a process that runs already would have to be restarted for: the program, what it runs
    /// in, and what it was told of its readiness. What only its supervisor goes by is left out.
    #[must_use]
    pub fn run_digest(&self) -> u64 {
        let mut only = Definition::new(&self.name, &self.directory);
        only.kind = self.kind;
        only.command.clone_from(&self.command);
        only.working_directory.clone_from(&self.working_directory);
        only.style = self.style;
        only.environment.clone_from(&self.environment);
        only.watchdog = self.watchdog;
        only.output_to.clone_from(&self.output_to);
        only.reads_pipe = self.reads_pipe;
        only.lock_descriptor = self.lock_descriptor;
        only.process = self.process.clone();
        // Limits of the group are set while it runs.
        only.process.group.files.clear();
        only.process.group.strict = false;
        // It has a group for another reason.
        let scopes = [self.stop.scope, self.stop.kill_scope];
        let anyway = self.process.group.counted || scopes.contains(&Scope::Cgroup);
        only.process.group.wanted &= !anyway || self.process.group.delegate;
        only.process.group.counted = false;
        only.sockets.clone_from(&self.sockets);
        only.image.clone_from(&self.image);
        only.inherit = self.inherit;
        if matches!(self.ready.method, ReadyMethod::Descriptor(_) | ReadyMethod::Notify(_)) {
            only.ready.method = self.ready.method.clone();
        }
        fnv(&only.encode())
    }
}

/// The 64-bit FNV-1a hash: no secret is at stake, only equality.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

impl Default for Health {
    fn default() -> Self {
        Health {
            command: Vec::new(),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(5),
            threshold: 3,
            restart: true,
        }
    }
}

impl Default for Ready {
    fn default() -> Self {
        Ready {
            method: ReadyMethod::Immediate,
            timeout: None,
            restart_when_overdue: false,
            probe_timeout: Some(Duration::from_secs(10)),
        }
    }
}

impl Default for Restart {
    fn default() -> Self {
        Restart {
            when: RestartWhen::Always,
            delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(60),
            reset_after: Duration::from_secs(60),
            give_up_deaths: 0,
            give_up_within: Duration::ZERO,
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Stop {
            signal: Signal::TERM,
            timeout: Some(Duration::from_secs(10)),
            scope: Scope::Main,
            kill_scope: Scope::Main,
            halt_signal: None,
            halt_by_end_of_input: false,
            halt_timeout: Duration::from_secs(60),
            reload_signal: Signal::HUP,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { size: 1 << 20, keep: 10 }
    }
}

/// Whether `name` may name a service: what is safe as a file name, a log directory and a word of the
/// control protocol. At most 200 bytes, so that every path made from it fits `NAME_MAX`.
#[must_use]
pub fn valid_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first_ok = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first_ok
        && name.len() <= 200
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'@' | b'+' | b':'))
}
