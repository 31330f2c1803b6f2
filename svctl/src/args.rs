//! The command line. Written by hand over `lexopt`, since `svctl restart` has to be quick: a table of
//! options, then one constructor per verb.

mod given;
mod run;
mod tree;
mod verbs;

use crate::exit::Failure;
use crate::help::VERBS;
use crate::probe::Target;
use crate::suggest::nearest;
use crate::wait::Aim;
use given::{Given, read};
use service::Signal;
use service::wire::Power;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where everything is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The run directory.
    pub run: PathBuf,
    /// The tree of service directories.
    pub services: PathBuf,
    /// The directory of logs.
    pub logs: PathBuf,
}

/// How long to wait for what was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Whether to wait at all.
    pub wait: bool,
    /// For how long.
    pub timeout: Duration,
}

/// A tree of definitions to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// Where programs are looked for; none for no look.
    pub root: Option<PathBuf>,
    /// The tree, if it was named.
    pub directory: Option<PathBuf>,
    /// The program that probes, if it was named.
    pub prober: Option<String>,
    /// The settings of the machine, if they were named.
    pub settings: Option<PathBuf>,
    /// Instances of templates that are asked for.
    pub instances: Vec<String>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// Explain a verb, or all of them.
    Help(Option<String>),
    /// Tell the version.
    Version,
    /// Show the mistakes in a tree.
    Check(Tree),
    /// Write the compiled form of a tree.
    Compile(Tree),
    /// Write the compiled form of a tree to where init takes it over from.
    Stage(Tree),
    /// Show how services are.
    Status {
        /// Of these; all if there are none.
        names: Vec<String>,
        /// For programs.
        json: bool,
    },
    /// Want services up.
    Start(Vec<String>, Patience),
    /// Want services down.
    Stop(Vec<String>, Patience),
    /// Stop services and start them.
    Restart(Vec<String>, Patience),
    /// Run services until they end.
    Once(Vec<String>, Patience),
    /// Stop their processes where they are.
    Pause(Vec<String>),
    /// Replace these services' supervisors in place; without names everything.
    Reexec(Vec<String>),
    /// Have init fail.
    Fault(service::wire::Fault),
    /// Let them go on.
    Continue(Vec<String>),
    /// Have services reload.
    Reload(Vec<String>),
    /// Have init read the tree of definitions again.
    ReloadTree(Patience),
    /// Want a bundle up, and nothing else.
    Switch(String, Patience),
    /// Show what these commands to init would do.
    Plan {
        /// The commands, as init understands them.
        commands: Vec<String>,
        /// For programs.
        json: bool,
    },
    /// Send services a signal.
    Kill(Vec<String>, Signal),
    /// Show logs.
    Logs {
        /// Of these; all if there are none.
        names: Vec<String>,
        /// Whether to go on.
        follow: bool,
        /// Only so many of the last.
        lines: Option<usize>,
    },
    /// Make a service that is in no tree, and start it.
    Run(Box<crate::run::Request>),
    /// Change the limits of a service while it runs.
    Update(crate::run::update::Request),
    /// Show what services use.
    Usage {
        /// Of these.
        names: Vec<String>,
        /// For programs.
        json: bool,
    },
    /// Take transient services away.
    Destroy(crate::run::destroy::Request),
    /// Show transient services, and those from images.
    Containers {
        /// For programs.
        json: bool,
    },
    /// Wait until services have ended for good, and tell how.
    WaitEnded(Vec<String>, Option<Duration>, bool),
    /// Wait for the boot to be over.
    Wait(Duration),
    /// Wait for services to be somewhere.
    WaitFor(Vec<String>, Aim, Duration),
    /// Explain where services stand.
    Why(Vec<String>),
    /// Tell what services could do.
    Exposure {
        /// Of these; of all, in short, if there are none.
        names: Vec<String>,
        /// For programs.
        json: bool,
    },
    /// Tell how services are, for Prometheus.
    Metrics(crate::metrics::To),
    /// Show changes as they happen.
    Events {
        /// Of these; of all if there are none.
        names: Vec<String>,
        /// For programs.
        json: bool,
    },
    /// Ask until the answer is right.
    Probe {
        /// What is asked.
        target: Target,
        /// Whether one answer is enough, right or wrong.
        once: bool,
    },
    /// Take the machine down.
    Power(Power),
    /// `kexec` with a kernel to load first
    Kexec(crate::kexec::Kernel),
    /// Have the provisioner of images do what these words say.
    Image(Vec<OsString>),
}

/// Understands a command line, its first word being the program's name.
///
/// # Errors
/// What is wrong with it.
pub fn parse(words: impl IntoIterator<Item = OsString>) -> Result<(Places, Verb), Failure> {
    let mut words = words.into_iter();
    let called = words.next().unwrap_or_default();
    let name = Path::new(&called).file_name().and_then(OsStr::to_str).unwrap_or_default();
    if let Some(power) = Power::parse(name) {
        return linked(power, words);
    }
    let given = read(words)?;
    let places = places(&given);
    Ok((places, verb(&given)?))
}

/// Called by a link named `poweroff`, `reboot` or `halt`, with whatever options busybox's have.
fn linked(power: Power, words: impl Iterator<Item = OsString>) -> Result<(Places, Verb), Failure> {
    let mut given = Given { verb: Some(power.word().to_owned()), ..Given::default() };
    let mut words = words;
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("-h" | "--help") => given.options.push(("help", OsString::new())),
            Some("--run") => given.options.push(("run", words.next().unwrap_or_default())),
            // What those ask for is done in any case, or has no meaning here.
            Some("-f" | "-n" | "-w" | "-i" | "-p" | "--force" | "now") => {}
            Some("-d") => drop(words.next()),
            Some(_) | None => {
                let shown = word.to_string_lossy().escape_debug().to_string();
                return Err(Failure::usage(format!("unknown argument \"{shown}\"")));
            }
        }
    }
    Ok((places(&given), verb(&given)?))
}

fn places(given: &Given) -> Places {
    crate::places::find(crate::places::Named {
        run: given.path("run"),
        services: given.path("services"),
        logs: given.path("logs"),
        user: given.has("user"),
    })
}

fn verb(given: &Given) -> Result<Verb, Failure> {
    if given.has("version") {
        return Ok(Verb::Version);
    }
    let Some(word) = given.verb.as_deref() else {
        if given.has("help") {
            return Ok(Verb::Help(None));
        }
        return Err(Failure::usage("no verb (svctl --help lists them)"));
    };
    let Some(known) = VERBS.iter().find(|verb| verb.name == word) else {
        let suggestion = nearest(word, VERBS.iter().map(|verb| verb.name))
            .map(|name| format!(" (did you mean \"{name}\"?)"))
            .unwrap_or_default();
        return Err(Failure::usage(format!("unknown verb \"{}\"{suggestion}", word.escape_debug())));
    };
    if given.has("help") {
        return Ok(Verb::Help(Some(word.to_owned())));
    }
    let common = ["run", "services", "logs", "user"];
    let foreign =
        given.options.iter().find(|(name, _)| !common.contains(name) && !known.options.contains(name));
    if let Some((name, _)) = foreign {
        return Err(Failure::usage(format!("option --{name} has no meaning for {word}")));
    }
    verbs::make(word, given)
}
