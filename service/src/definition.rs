//! A service's definition after validation, and its compiled form.
//!
//! People write TOML; a short-lived compiler checks it and writes the compiled form, which init and the
//! supervisors read. The compiled form begins with [`HEADER`], so that a program and a file of different
//! versions are told apart.

mod compiled;

use crate::signal::Signal;
use std::time::Duration;

pub use compiled::{DecodeError, HEADER};

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
    /// Whether an executable `finish` is to be run after each death.
    pub finish: bool,
    /// Started too and waited for; stopping one stops this.
    pub requires: Vec<String>,
    /// Started too, no more.
    pub wants: Vec<String>,
    /// Waited for if they are started as well.
    pub after: Vec<String>,
    /// Services that wait for this one if they are started as well.
    pub before: Vec<String>,
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
    /// How its log is kept.
    pub log: Log,
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
}

/// By what readiness is learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadyMethod {
    /// The service is ready as soon as it runs.
    Immediate,
    /// It writes a line to this file descriptor (s6's notification-fd).
    Descriptor(i32),
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
}

/// How a service is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The first signal.
    pub signal: Signal,
    /// The wait before KILL.
    pub timeout: Duration,
    /// What is signalled.
    pub scope: Scope,
    /// Sent first when the machine goes down.
    pub halt_signal: Option<Signal>,
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
            finish: false,
            requires: Vec::new(),
            wants: Vec::new(),
            after: Vec::new(),
            before: Vec::new(),
            contents: Vec::new(),
            autostart: true,
            conditions: Vec::new(),
            environment: Vec::new(),
            ready: Ready::default(),
            restart: Restart::default(),
            start_timeout: None,
            stop: Stop::default(),
            log: Log::default(),
        }
    }
}

impl Default for Ready {
    fn default() -> Self {
        Ready { method: ReadyMethod::Immediate, timeout: None, restart_when_overdue: false }
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
            timeout: Duration::from_secs(10),
            scope: Scope::Main,
            halt_signal: None,
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
