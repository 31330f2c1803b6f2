//! The command line. Written by hand over `lexopt`, since `svctl restart` has to be quick: a table of
//! options, then one constructor per verb.

use crate::compile::units;
use crate::exit::Failure;
use crate::help::VERBS;
use crate::probe::{Address, Expect, Target, Url};
use crate::suggest::nearest;
use crate::wait::Aim;
use service::Signal;
use service::wire::Power;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long `--wait` waits unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

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
    /// Wait for the boot to be over.
    Wait(Duration),
    /// Wait for services to be somewhere.
    WaitFor(Vec<String>, Aim, Duration),
    /// Explain where services stand.
    Why(Vec<String>),
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
}

/// An option: its long name, its letter, and whether a value follows.
const OPTIONS: &[(&str, Option<char>, bool)] = &[
    ("run", None, true),
    ("services", None, true),
    ("logs", None, true),
    ("user", None, false),
    ("help", Some('h'), false),
    ("version", Some('V'), false),
    ("json", None, false),
    ("plan", None, false),
    ("stage", None, false),
    ("wait", None, false),
    ("no-wait", None, false),
    ("timeout", Some('t'), true),
    ("follow", Some('f'), false),
    ("lines", Some('n'), true),
    ("root", None, true),
    ("no-programs", None, false),
    ("prober", None, true),
    ("instance", None, true),
    ("settings", None, true),
    ("signal", Some('s'), true),
    ("boot", None, false),
    ("status", None, true),
    ("once", None, false),
    ("expect-json", None, true),
    ("up", None, false),
    ("ready", None, false),
    ("down", None, false),
    ("done", None, false),
];

/// Everything on the command line, understood word by word.
#[derive(Debug, Default)]
struct Given {
    verb: Option<String>,
    names: Vec<String>,
    options: Vec<(&'static str, OsString)>,
}

impl Given {
    fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(given, _)| *given == name)
    }

    /// The last value given for an option.
    fn value(&self, name: &str) -> Option<&OsStr> {
        self.options.iter().rev().find(|(given, _)| *given == name).map(|(_, value)| value.as_os_str())
    }

    fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let text = value.to_str();
        text.map(Some).ok_or_else(|| Failure::usage(format!("the value of --{name} is not UTF-8")))
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.value(name).map(PathBuf::from)
    }
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

fn read(words: impl Iterator<Item = OsString>) -> Result<Given, Failure> {
    use lexopt::Arg;
    let mut given = Given::default();
    let mut parser = lexopt::Parser::from_args(words);
    loop {
        let found = match parser.next().map_err(|error| Failure::usage(error.to_string()))? {
            None => return Ok(given),
            Some(Arg::Value(word)) => {
                let word = word.into_string().map_err(|_| Failure::usage("an argument is not UTF-8"))?;
                match given.verb {
                    None => given.verb = Some(word),
                    Some(_) => given.names.push(word),
                }
                continue;
            }
            // A probe's keys are called as they are in the page.
            Some(Arg::Long("json")) if given.verb.as_deref() == Some("probe") => option("expect-json")?,
            Some(Arg::Long(name)) => option(name)?,
            Some(Arg::Short(letter)) => {
                let known = OPTIONS.iter().find(|(_, known, _)| *known == Some(letter));
                known.copied().ok_or_else(|| Failure::usage(format!("unknown option -{letter}")))?
            }
        };
        let value = if found.2 {
            parser.value().map_err(|_| Failure::usage(format!("option --{} needs a value", found.0)))?
        } else {
            OsString::new()
        };
        given.options.push((found.0, value));
    }
}

fn option(name: &str) -> Result<(&'static str, Option<char>, bool), Failure> {
    OPTIONS.iter().find(|(known, ..)| *known == name).copied().ok_or_else(|| {
        let suggestion = nearest(name, OPTIONS.iter().map(|(name, ..)| *name))
            .map(|name| format!(" (did you mean \"--{name}\"?)"))
            .unwrap_or_default();
        Failure::usage(format!("unknown option --{}{suggestion}", name.escape_debug()))
    })
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
    make(word, given)
}

fn make(word: &str, given: &Given) -> Result<Verb, Failure> {
    if given.has("plan") {
        return planned(word, given);
    }
    if let Some(power) = Power::parse(word) {
        none(given)?;
        return Ok(Verb::Power(power));
    }
    let names = || given.names.clone();
    match word {
        "help" => Ok(Verb::Help(given.names.first().cloned())),
        "version" => Ok(Verb::Version),
        "check" => check(given),
        "compile" => {
            none(given)?;
            let tree = tree(given, given.path("services"))?;
            Ok(if given.has("stage") { Verb::Stage(tree) } else { Verb::Compile(tree) })
        }
        "status" => Ok(Verb::Status { names: names(), json: given.has("json") }),
        "start" => Ok(Verb::Start(some(given)?, patience(given)?)),
        "stop" => Ok(Verb::Stop(some(given)?, patience(given)?)),
        "restart" => Ok(Verb::Restart(some(given)?, patience(given)?)),
        "once" => Ok(Verb::Once(some(given)?, patience(given)?)),
        "reexec" => Ok(Verb::Reexec(names())),
        "fault" => {
            let fault = only(given)?;
            let fault = service::wire::Fault::parse(&fault);
            fault.map(Verb::Fault).ok_or_else(|| Failure::usage("segv, abort, panic or overflow?"))
        }
        "pause" => Ok(Verb::Pause(some(given)?)),
        "continue" => Ok(Verb::Continue(some(given)?)),
        "reload" if given.names.is_empty() => Ok(Verb::ReloadTree(patience(given)?)),
        "reload" => Ok(Verb::Reload(some(given)?)),
        "switch" => Ok(Verb::Switch(only(given)?, patience(given)?)),
        "kill" => kill(given),
        "logs" => {
            let lines = given.text("lines")?.map(|text| {
                let number = text.parse::<usize>();
                number.map_err(|_| {
                    Failure::usage(format!("-n needs a number, not \"{}\"", text.escape_debug()))
                })
            });
            Ok(Verb::Logs { names: names(), follow: given.has("follow"), lines: lines.transpose()? })
        }
        "wait" => wait(given),
        "why" => Ok(Verb::Why(some(given)?)),
        "events" => Ok(Verb::Events { names: names(), json: given.has("json") }),
        _ => probe(given),
    }
}

/// What a command to init would do, instead of doing it.
fn planned(word: &str, given: &Given) -> Result<Verb, Failure> {
    let commands = match word {
        "start" | "stop" | "restart" => {
            some(given)?.into_iter().map(|name| format!("{word} {name}")).collect()
        }
        "switch" => vec![format!("switch {}", only(given)?)],
        "reload" if !given.names.is_empty() => {
            return Err(Failure::usage("--plan is for a reload of the whole tree, without names"));
        }
        _ => {
            none(given)?;
            vec![word.to_owned()]
        }
    };
    Ok(Verb::Plan { commands, json: given.has("json") })
}

fn only(given: &Given) -> Result<String, Failure> {
    match given.names.as_slice() {
        [name] => Ok(name.clone()),
        _ => Err(Failure::usage("which bundle? give one name")),
    }
}

fn none(given: &Given) -> Result<(), Failure> {
    match given.names.first() {
        None => Ok(()),
        Some(word) => Err(Failure::usage(format!("unexpected argument \"{}\"", word.escape_debug()))),
    }
}

fn some(given: &Given) -> Result<Vec<String>, Failure> {
    if given.names.is_empty() {
        return Err(Failure::usage("which service? give one name or more"));
    }
    let mut names: Vec<String> = Vec::new();
    for name in &given.names {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Ok(names)
}

fn root(given: &Given) -> Result<Option<PathBuf>, Failure> {
    match (given.path("root"), given.has("no-programs")) {
        (Some(_), true) => {
            Err(Failure::usage("--root says where to look for programs, --no-programs not to"))
        }
        (None, true) => Ok(None),
        (root, false) => Ok(Some(root.unwrap_or_else(|| "/".into()))),
    }
}

fn prober(given: &Given) -> Result<Option<String>, Failure> {
    Ok(given.text("prober")?.map(str::to_owned))
}

fn check(given: &Given) -> Result<Verb, Failure> {
    let directory = given.names.first().map(PathBuf::from).or_else(|| given.path("services"));
    if let Some(word) = given.names.get(1) {
        return Err(Failure::usage(format!("unexpected argument \"{}\"", word.escape_debug())));
    }
    // An image's own tree is the one to check in it.
    let inside =
        given.path("root").map(|root| root.join(service::SERVICES_DIRECTORY.trim_start_matches('/')));
    Ok(Verb::Check(tree(given, directory.or(inside))?))
}

fn tree(given: &Given, directory: Option<PathBuf>) -> Result<Tree, Failure> {
    let instances = given.options.iter().filter(|(option, _)| *option == "instance");
    let name = |(_, value): &(_, OsString)| {
        let name =
            value.to_str().filter(|name| service::definition::valid_name(name) && !name.ends_with('@'));
        let shown = value.to_string_lossy();
        name.map(str::to_owned).ok_or_else(|| {
            Failure::usage(format!("\"{}\" cannot be the name of an instance", shown.escape_debug()))
        })
    };
    Ok(Tree {
        root: root(given)?,
        directory,
        prober: prober(given)?,
        settings: given.path("settings"),
        instances: instances.map(name).collect::<Result<_, _>>()?,
    })
}

fn patience(given: &Given) -> Result<Patience, Failure> {
    let timeout = given.text("timeout")?.map(units::duration).transpose().map_err(Failure::usage)?;
    if given.has("wait") && given.has("no-wait") {
        return Err(Failure::usage("--wait and --no-wait contradict each other"));
    }
    Ok(Patience { wait: !given.has("no-wait"), timeout: timeout.unwrap_or(TIMEOUT) })
}

/// `wait --boot`, or `wait NAME…` for one thing.
fn wait(given: &Given) -> Result<Verb, Failure> {
    let aims = [("up", Aim::Up), ("ready", Aim::Ready), ("down", Aim::Down), ("done", Aim::Done)];
    let mut aims = aims.into_iter().filter(|(option, _)| given.has(option)).map(|(_, aim)| aim);
    let (aim, another) = (aims.next(), aims.next());
    if another.is_some() {
        return Err(Failure::usage("wait for one thing at a time: --up, --ready, --down or --done"));
    }
    let timeout = patience(given)?.timeout;
    match (given.has("boot"), aim) {
        (true, None) => {
            none(given)?;
            Ok(Verb::Wait(timeout))
        }
        (true, Some(_)) => Err(Failure::usage("--boot is for all services, and for no other condition")),
        (false, _) if given.names.is_empty() => Err(Failure::usage("wait for what? give names, or --boot")),
        (false, aim) => Ok(Verb::WaitFor(some(given)?, aim.unwrap_or(Aim::Ready), timeout)),
    }
}

/// `kill NAME… [SIGNAL]`: the last word is a signal if it is the name of one and not the only word.
fn kill(given: &Given) -> Result<Verb, Failure> {
    let mut names = some(given)?;
    if let Some(name) = given.text("signal")? {
        let unknown = || Failure::usage(format!("unknown signal \"{}\"", name.escape_debug()));
        return Ok(Verb::Kill(names, Signal::parse(name).ok_or_else(unknown)?));
    }
    let last = names.last().and_then(|word| Signal::parse(word)).filter(|_| names.len() > 1);
    if last.is_some() {
        names.pop();
    }
    Ok(Verb::Kill(names, last.unwrap_or(Signal::TERM)))
}

fn probe(given: &Given) -> Result<Verb, Failure> {
    let [what, place] = given.names.as_slice() else {
        return Err(Failure::usage("probe needs \"tcp ADDRESS\" or \"http URL\""));
    };
    let target = match what.as_str() {
        "tcp" => Target::Tcp(Address::parse(place).map_err(Failure::usage)?),
        "http" => {
            let mut expect = Expect::default();
            if let Some(text) = given.text("status")? {
                let wrong =
                    |_| Failure::usage(format!("--status needs a number, not \"{}\"", text.escape_debug()));
                expect.status = Some(text.parse().map_err(wrong)?);
            }
            for (_, value) in given.options.iter().filter(|(name, _)| *name == "expect-json") {
                expect.add(&value.to_string_lossy()).map_err(Failure::usage)?;
            }
            Target::Http(Url::parse(place).map_err(Failure::usage)?, expect)
        }
        _ => return Err(Failure::usage(format!("unknown kind of probe \"{}\"", what.escape_debug()))),
    };
    Ok(Verb::Probe { target, once: given.has("once") })
}
