//! What each verb takes: one constructor a verb.

use super::given::Given;
use super::run;
use super::tree::{check, tree};
use super::{Patience, Verb};
use crate::compile::units;
use crate::exit::Failure;
use crate::metrics::To;
use crate::probe::{Address, Expect, Target, Url};
use crate::wait::Aim;
use service::Signal;
use service::wire::Power;
use std::time::Duration;

/// How long `--wait` waits unless `--timeout` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(300);

/// How long `metrics --listen` stays when nobody asks: longer than from one scrape to the next.
const IDLE: Duration = Duration::from_secs(300);

pub(super) fn make(word: &str, given: &Given) -> Result<Verb, Failure> {
    if given.has("plan") {
        return planned(word, given);
    }
    if word == Power::Kexec.word() && !given.names.is_empty() {
        return kexec(given);
    }
    if let Some(power) = Power::parse(word) {
        if given.has("append") {
            return Err(Failure::usage("--append is for a kernel that is named: kexec KERNEL [INITRAMFS]"));
        }
        none(given)?;
        return Ok(Verb::Power(power));
    }
    let names = || given.names.clone();
    match word {
        "help" => Ok(Verb::Help(given.names.first().cloned())),
        "image" => Ok(Verb::Image(given.rest.clone())),
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
        "run" => run::run(given),
        "update" => run::update(given),
        "usage" => Ok(Verb::Usage { names: some(given)?, json: given.has("json") }),
        "destroy" => run::destroy(given),
        "containers" => {
            none(given)?;
            Ok(Verb::Containers { json: given.has("json") })
        }
        "exposure" => Ok(Verb::Exposure { names: names(), json: given.has("json") }),
        "metrics" => metrics(given),
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

fn metrics(given: &Given) -> Result<Verb, Failure> {
    none(given)?;
    let idle = given.text("idle")?.map(units::duration).transpose().map_err(Failure::usage)?;
    Ok(Verb::Metrics(match (given.path("output"), given.has("listen")) {
        (Some(_), true) => return Err(Failure::usage("--output and --listen contradict each other")),
        (_, false) if idle.is_some() => return Err(Failure::usage("--idle is for --listen")),
        (Some(file), false) => To::File(file),
        (None, true) => To::Askers(idle.unwrap_or(IDLE)),
        (None, false) => To::Output,
    }))
}

fn kexec(given: &Given) -> Result<Verb, Failure> {
    let (kernel, initramfs) = match given.names.as_slice() {
        [kernel] => (kernel, None),
        [kernel, initramfs] => (kernel, Some(initramfs.into())),
        _ => return Err(Failure::usage("kexec takes a kernel and an initramfs, no more")),
    };
    let words = given.text("append")?.map(str::to_owned);
    Ok(Verb::Kexec(crate::kexec::Kernel { kernel: kernel.into(), initramfs, words }))
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

pub(super) fn some(given: &Given) -> Result<Vec<String>, Failure> {
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

pub(super) fn patience(given: &Given) -> Result<Patience, Failure> {
    let timeout = given.text("timeout")?.map(units::duration).transpose().map_err(Failure::usage)?;
    if given.has("wait") && given.has("no-wait") {
        return Err(Failure::usage("--wait and --no-wait contradict each other"));
    }
    Ok(Patience { wait: !given.has("no-wait"), timeout: timeout.unwrap_or(TIMEOUT) })
}

/// `wait --boot`, or `wait NAME…` for one thing.
fn wait(given: &Given) -> Result<Verb, Failure> {
    if given.has("ended") {
        if ["up", "ready", "down", "done", "boot"].into_iter().any(|other| given.has(other)) {
            return Err(Failure::usage("wait for one thing at a time: --ended, or another"));
        }
        return run::ended(given);
    }
    if given.has("json") {
        return Err(Failure::usage("--json is for --ended"));
    }
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
