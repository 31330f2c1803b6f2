//! `svctl destroy`: everything of a transient service goes. Each step can be the last: the mark in its directory is
//! there before anything is done, and whoever comes next goes on from there.

use super::directory;
use super::ended::status;
use crate::args::{Patience, Places};
use crate::control;
use crate::exit::{Exit, Failure};
use crate::image;
use crate::output;
use crate::plan::Plan;
use nix::fcntl::Flock;
use serde_json::json;
use service::Signal;
use service::definition::{Definition, valid_name};
use service::wire::InitCommand;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long init may take to compile the definitions, another's reload before that included.
const COMPILE_TIME: Duration = Duration::from_secs(150);
/// How long those who wait for a service have to read how it ended.
const FAREWELL: Duration = Duration::from_secs(2);
/// How long each that was given up by others may take: whoever comes waits for it.
const SWEEP_TIME: Duration = Duration::from_secs(5);
/// What is noted for whoever goes on: that it is not asked to stop, and that its log goes too.
const NOW: &str = "now";
const WITH_LOG: &str = "with-log";
/// The pause between two looks whether it is gone.
const PAUSE: Duration = Duration::from_millis(5);

/// What is to be destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The services.
    pub names: Vec<String>,
    /// Whether they are killed, and not asked to stop.
    pub now: bool,
    /// Whether their logs go too.
    pub with_log: bool,
    /// How long each may take.
    pub timeout: Duration,
    /// For programs.
    pub json: bool,
}

/// Destroys transient services.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(places: &Places, request: &Request) -> Result<Exit, Failure> {
    let mut exit = Exit::Ok;
    let mut objects = Vec::new();
    for name in &request.names {
        let done = destroy(places, name, request);
        if let Err(failure) = &done {
            output::complain(&format!("svctl: {failure}"));
            // That one is not there says nothing of the others.
            exit = if matches!(exit, Exit::Ok | Exit::NoSuchService) { failure.exit } else { exit };
        } else if !request.json {
            output::print(&format!("{name}: destroyed\n"))?;
        }
        let error = done.as_ref().err().map(ToString::to_string);
        objects.push(json!({"name": name, "destroyed": done.is_ok(), "error": error}));
    }
    if request.json {
        output::print(&format!("{}\n", serde_json::Value::from(objects)))?;
    }
    sweep(places);
    Ok(exit)
}

/// Destroys one, and says nothing of it.
///
/// # Errors
/// It cannot be.
pub(super) fn quietly(places: &Places, name: &str, with_log: bool) -> Result<(), Failure> {
    let names = vec![name.to_owned()];
    destroy(
        places,
        name,
        &Request { names, now: false, with_log, timeout: Duration::from_secs(300), json: false },
    )
}

/// Finishes what others were cut off from.
pub(super) fn sweep(places: &Places) {
    for name in directory::sweep(places) {
        let request =
            Request { names: Vec::new(), now: false, with_log: false, timeout: SWEEP_TIME, json: false };
        if let Err(failure) = destroy(places, &name, &request) {
            output::complain(&format!("svctl: {name} was given up: {failure} (tried again the next time)"));
        }
    }
}

fn destroy(places: &Places, name: &str, request: &Request) -> Result<(), Failure> {
    let deadline = Instant::now() + request.timeout;
    let plan = Plan::read(&places.run);
    let place = directory::of(places, name);
    let definition = definition(places, name);
    let remnant = definition.as_ref().is_some_and(|definition| Path::new(&definition.directory) == place);
    if !valid_name(name) || !(remnant || directory::is_there(places, name)) {
        let known = valid_name(name) && plan.knows(&places.run, name);
        return Err(if known {
            let what = "it is not transient: its definition says what becomes of it (svctl stop)";
            Failure::new(Exit::Failed, format!("{name}: {what}"))
        } else {
            plan.no_such(name)
        });
    }
    let words = [(NOW, request.now), (WITH_LOG, request.with_log)];
    let words: Vec<&str> = words.into_iter().filter(|(_, said)| *said).map(|(word, _)| word).collect();
    let _ours: Option<Flock<File>> = directory::leave(&place, &words, deadline)?;
    let said = |word: &str| words.contains(&word) || directory::leaves_so(&place, word);
    let with_log = said(WITH_LOG);
    stop(places, name, said(NOW), deadline)?;
    if definition.is_some_and(|definition| definition.image.is_some()) {
        image::destroy(places, name)?;
    }
    if let Ok(last) = fs::read_to_string(places.run.join("service").join(name).join("status")) {
        directory::note_end(&place, &last);
    }
    forget(places, name, deadline)?;
    if with_log {
        remove_log(places, name)?;
    }
    // Last: as long as it is there, somebody goes on.
    directory::remove(&place, FAREWELL)
}

fn definition(places: &Places, name: &str) -> Option<Definition> {
    let path = places.run.join("service").join(name).join("definition");
    Definition::decode(&fs::read_to_string(path).ok()?).ok()
}

/// Has it stopped, by its own rules or at once.
fn stop(places: &Places, name: &str, now: bool, deadline: Instant) -> Result<(), Failure> {
    if !Plan::read(&places.run).knows(&places.run, name) {
        return Ok(());
    }
    let timeout = deadline.saturating_duration_since(Instant::now());
    if now {
        // It must not be started again by what follows.
        let _ = control::stop(places, name, Patience { wait: false, timeout });
        kill(places, name);
    }
    let outcomes = control::stop(places, name, Patience { wait: true, timeout });
    let Some(bad) = outcomes.into_iter().find(|outcome| outcome.exit != Exit::Ok) else { return Ok(()) };
    // Another reload has had it forgotten meanwhile.
    let gone = !Plan::read(&places.run).knows(&places.run, name) || bad.message.contains("no such service");
    if gone { Ok(()) } else { Err(Failure::new(bad.exit, bad.message)) }
}

/// Kills everything of it at once: what is in its control group, else its main process with the group that it leads.
fn kill(places: &Places, name: &str) {
    let Some(status) = status(places, name) else { return };
    let group = Path::new(&status.group);
    if !status.group.is_empty() && fs::write(group.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    // A number alone may be another's by now.
    let ours = |pid| sys::process::start_time(pid).is_some_and(|(start, _)| start == status.pid_start);
    if let Some(pid) = status.pid.filter(|pid| ours(*pid)) {
        let _ = sys::process::signal_group(pid, Signal::KILL);
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    // It may be gone by now.
    let _ = control::request(places, InitCommand::Kill(name, Signal::KILL), deadline);
}

/// Has init forget it, and waits until it has.
fn forget(places: &Places, name: &str, deadline: Instant) -> Result<(), Failure> {
    control::request(places, InitCommand::Refresh(name), Instant::now() + COMPILE_TIME)?;
    let place = places.run.join("service").join(name);
    while place.exists() {
        if Instant::now() >= deadline {
            return Err(Failure::new(Exit::TimedOut, format!("{name}: init has not forgotten it yet")));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn remove_log(places: &Places, name: &str) -> Result<(), Failure> {
    let place = places.logs.join(name);
    match fs::remove_dir_all(&place) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Failure::system(&format!("unable to remove {}", place.display()), &error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}
