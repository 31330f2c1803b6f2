//! `svctl run`: a service that is in no tree, made and started in one go; and its siblings.

pub mod containers;
pub mod destroy;
pub mod directory;
pub mod ended;
pub mod settings;
mod started;
pub mod update;

use crate::args::{Patience, Places, Tree};
use crate::compile::{Compiled, Options, Service, Severity, Trial, compile};
use crate::exit::{Exit, Failure};
use crate::logs;
use crate::output;
use crate::plan::Plan;
use directory::Starting;
use serde_json::json;
use service::definition::ReadyMethod;
use service::wire::InitCommand;
use settings::{Setting, Settings};
use started::Started;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long init may take to compile the definitions, another's reload before that included.
const COMPILE_TIME: Duration = Duration::from_secs(150);
/// How many log lines a failure is shown with.
const LOG_LINES: usize = 5;

/// What is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What it is to be called; any name that is free, if nothing is said.
    pub name: Option<String>,
    /// What its definition says.
    pub settings: Settings,
    /// What means something to whoever runs it.
    pub labels: Vec<(String, String)>,
    /// Whether its end is waited for.
    pub wait: bool,
    /// Whether it is destroyed then.
    pub remove: bool,
    /// Whether its start is waited for, and how long.
    pub patience: Patience,
    /// For programs.
    pub json: bool,
}

/// Makes a service and starts it.
///
/// # Errors
/// It cannot be made or started; or standard output cannot be written.
pub fn run(places: &Places, request: &Request) -> Result<Exit, Failure> {
    destroy::sweep(places);
    let (name, service, starting) = make(places, request)?;
    let started = match start(places, &name, &service, request) {
        Ok(started) => started,
        Err(failure) => {
            // It was never asked for.
            let _ = destroy::quietly(places, &name, request.remove);
            return Err(failure);
        }
    };
    // Those who wait for it must not miss its end.
    let attended = directory::attend(&directory::of(places, &name));
    starting.keep()?;
    let exit = tell(places, &name, request, &started);
    drop(attended);
    if request.remove {
        destroy::quietly(places, &name, true)?;
    }
    exit
}

/// Makes its directory, if its definition is without mistakes.
fn make(places: &Places, request: &Request) -> Result<(String, Service, Starting), Failure> {
    let mut settings = request.settings.clone();
    if has_groups() {
        // So that whatever it starts ends with it, and is accounted to it.
        settings.add_default(Setting::text(
            "stop.kill-scope",
            "cgroup",
            "the kill scope of transient services",
        ));
    }
    let text = settings.encode();
    let plan = Plan::read(&places.run);
    loop {
        let name = match &request.name {
            Some(name) => name.clone(),
            None => format!("run-{}", directory::random()?),
        };
        let taken = plan.get(&name).is_some()
            || places.services.join(&name).exists()
            || directory::is_there(places, &name);
        if taken && request.name.is_none() {
            continue;
        }
        if taken {
            return Err(Failure::new(
                Exit::Exists,
                format!("{name}: there is a service of this name already"),
            ));
        }
        let file = directory::of(places, &name).join("service.toml");
        let service = tried(places, &name, Trial { file, text: text.clone() }, &settings)?;
        let starting = Starting::make(places, &name, &text, &request.labels)?;
        return Ok((name, service, starting));
    }
}

/// Compiles the tree with a file as it will be, and shows the mistakes of the service that it is of.
fn tried(places: &Places, name: &str, trial: Trial, settings: &Settings) -> Result<Service, Failure> {
    let tree =
        Tree { root: Some("/".into()), directory: None, prober: None, settings: None, instances: Vec::new() };
    let file = trial.file.display().to_string();
    let options = Options { trial: Some(trial), ..crate::check::options(places, tree) };
    let compiled: Compiled = compile(&options).map_err(|error| {
        Failure::system(&format!("unable to list {}", options.services.display()), &error)
    })?;
    let mut services = compiled.services.into_iter();
    let found = services.find(|service| service.definition.name == name);
    let Some(service) = found else {
        return Err(Failure::new(Exit::Failed, format!("{name}: the compiler does not know it")));
    };
    for diagnostic in &service.diagnostics {
        let ours = diagnostic.path == file;
        let text = if ours { settings.explain(diagnostic) } else { diagnostic.to_string() };
        if service.invalid || ours && diagnostic.severity == Severity::Warning {
            output::complain(&format!("svctl: {text}"));
        }
    }
    if service.invalid {
        return Err(Failure::new(Exit::Usage, ""));
    }
    Ok(service)
}

/// Has init know the service, and start it.
fn start(places: &Places, name: &str, service: &Service, request: &Request) -> Result<Started, Failure> {
    crate::control::request(places, InitCommand::Refresh(name), Instant::now() + COMPILE_TIME)?;
    let known = Plan::read(&places.run);
    if let Some(problem) = known.get(name).and_then(|entry| entry.problem.clone()) {
        return Err(Failure::new(Exit::Failed, problem));
    }
    let declares = service.definition.ready.method != ReadyMethod::Immediate;
    started::start(places, name, declares, request.patience)
}

/// Tells how it was started, and how it has ended, if that is waited for.
fn tell(places: &Places, name: &str, request: &Request, started: &Started) -> Result<Exit, Failure> {
    let (exit, message) = match started {
        Started::Running(_) | Started::Taken => (Exit::Ok, String::new()),
        Started::Failed(reason) => (Exit::Failed, format!("{name}: {reason}")),
        Started::TimedOut(stands) => (Exit::TimedOut, format!("{name}: timed out: {stands}")),
    };
    if exit != Exit::Ok {
        output::complain(&format!("svctl: {message}"));
        for line in logs::tail(&places.logs, name, LOG_LINES) {
            output::complain(&format!("    {line}"));
        }
    } else if !request.json {
        output::print(&format!("{name}\n"))?;
    }
    if request.wait && exit == Exit::Ok {
        let names = [name.to_owned()];
        let ends = ended::until(places, &names, None)?;
        let Some(end) = ends.first() else { return Ok(Exit::Failed) };
        let text = if request.json { end.json().to_string() } else { end.to_string() };
        output::print(&format!("{text}\n"))?;
        return Ok(end.exit_code());
    }
    if request.json {
        let pid = if let Started::Running(pid) = started { *pid } else { None };
        let reason = if let Started::Failed(reason) = started { reason.as_str() } else { "" };
        let state = ended::status(places, name).map(|status| status.state.word());
        let object = json!({
            "name": name, "state": state, "pid": pid.map(service::Pid::number),
            "started": exit == Exit::Ok, "reason": reason,
        });
        output::print(&format!("{object}\n"))?;
    }
    Ok(exit)
}

/// Whether services can have control groups of their own: version 2 is there, and we may make groups.
fn has_groups() -> bool {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(Path::new);
    let (user, _) = sys::process::identity();
    user == 0 && roots.into_iter().any(|root| root.join("cgroup.controllers").exists())
}
