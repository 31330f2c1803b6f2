//! `mesos-agent`: what it is while it runs, and what it answers.

use std::io::BufRead;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::address::Address;
use crate::catalogue::failure;
use crate::flags::Flags;
use crate::http::{Connection, Request, field};
use crate::meta::{Info, Meta};
use crate::{NOTICE, VERSION, drain, host, http, json, launch, process, recovery, registration, signals};

/// All that the threads of an agent share.
pub(crate) struct Agent {
    pub(crate) flags: Flags,
    pub(crate) address: Address,
    pub(crate) meta: Meta,
    /// `host:port` of the master.
    pub(crate) master: String,
    started: Instant,
    state: Mutex<State>,
    /// An executor has connected.
    connected: Condvar,
}

/// What changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) recovered: bool,
    pub(crate) registered: bool,
    pub(crate) draining: bool,
    pub(crate) info: Option<Info>,
    pub(crate) recovery_errors: u32,
    pub(crate) executors: Vec<Executor>,
    /// The connection to the master, to say goodbye on.
    pub(crate) link: Option<TcpStream>,
}

impl State {
    pub(crate) fn executor(&mut self, name: &str) -> Option<&mut Executor> {
        self.executors.iter_mut().find(|executor| executor.name == name)
    }
}

/// One executor that was launched or recovered.
pub(crate) struct Executor {
    pub(crate) name: String,
    pub(crate) pid: Pid,
    pub(crate) started: u64,
    pub(crate) run: PathBuf,
    /// `host:port` where it can be reached, once it has said so.
    pub(crate) address: Option<String>,
    pub(crate) connected: bool,
}

impl Executor {
    pub(crate) fn exists(&self) -> bool {
        process::exists(self.pid, self.started)
    }
}

impl Agent {
    /// The shared state; a thread that panicked with it has ended the process.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for every executor to have connected: one that has not yet does not survive this agent.
    pub(crate) fn wait_for_executors(&self) {
        let missing = |state: &mut State| state.executors.iter().any(|executor| !executor.connected);
        let waited = self.connected.wait_timeout_while(self.state(), Duration::from_secs(10), missing);
        if waited.is_ok_and(|(_, result)| result.timed_out()) {
            warning!("Some executors have not registered within 10 s");
        }
    }

    fn metrics(&self) -> String {
        let state = self.state();
        let running = state.executors.iter().filter(|executor| executor.exists()).count();
        json::object([
            ("slave/registered", u8::from(state.registered).to_string()),
            ("slave/uptime_secs", json::seconds(self.started.elapsed())),
            ("slave/recovery_errors", state.recovery_errors.to_string()),
            ("slave/executors_running", running.to_string()),
            ("slave/executors_terminated", (state.executors.len() - running).to_string()),
            ("standin", "1".to_owned()),
        ])
    }

    /// The answer of `/state`, once recovery is over.
    fn description(&self) -> Option<String> {
        let state = self.state();
        if !state.recovered {
            return None;
        }
        let executors = state.executors.iter().map(|executor| {
            json::object([
                ("id", json::string(&executor.name)),
                ("pid", executor.pid.to_string()),
                ("running", executor.exists().to_string()),
                ("connected", executor.connected.to_string()),
            ])
        });
        let id = state.info.as_ref().map_or("", |info| info.id.as_str());
        Some(json::object([
            ("id", json::string(id)),
            ("hostname", json::string(&self.address.hostname)),
            ("pid", json::string(&format!("slave(1)@{}", self.address.advertised))),
            ("version", json::string(VERSION)),
            ("standin", json::string(NOTICE)),
            ("flags", json::object(self.flags.iter().map(|(name, value)| (name, json::string(value))))),
            ("executors", json::array(executors)),
        ]))
    }

    fn answer(self: &Arc<Self>, request: &Request, mut connection: Connection) {
        const JSON: &str = "application/json";
        let path = request.path.strip_prefix("/slave(1)").unwrap_or(&request.path);
        match (request.method.as_str(), path) {
            ("POST", "/standin/executor") => launch::registered(self, request, &mut connection),
            (_, "/health") => connection.answer(200, "text/plain", ""),
            (_, "/metrics/snapshot") => connection.answer(200, JSON, &self.metrics()),
            (_, "/version") => connection.answer(200, JSON, &version()),
            (_, "/state") => match self.description() {
                Some(description) => connection.answer(200, JSON, &description),
                None => connection.answer(503, "text/plain", "Agent has not finished recovery"),
            },
            _ => connection.answer(404, "text/plain", ""),
        }
    }
}

/// The answer of `/version`, here and in the master.
pub(crate) fn version() -> String {
    json::object([("version", json::string(VERSION)), ("standin", json::string(NOTICE))])
}

/// Runs until a signal ends it.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let flags = crate::catalogue::load("agent", arguments);
    info!("This is {NOTICE}: mesos-agent {VERSION}, pid {}", std::process::id());
    let master = master_of(&flags);
    let Some(work) = flags.text("work_dir") else { failure("Missing required option --work_dir") };
    let meta = Meta::new(work);
    check_host(&flags);
    let signals = signals::listen(&[Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGCHLD]);
    let (listener, address) = crate::address::bind(&flags);
    info!("Agent started on slave(1)@{}", address.advertised);
    let started = Instant::now();
    let agent = Arc::new(Agent {
        flags,
        address,
        meta,
        master,
        started,
        state: Mutex::default(),
        connected: Condvar::new(),
    });
    let shared = Arc::clone(&agent);
    http::serve(listener, move |request, connection| shared.answer(&request, connection));
    recovery::recover(&agent);
    registration::start(&agent);
    loop {
        let Some(received) = signals::next(&signals) else { continue };
        if received.signal == Signal::SIGCHLD {
            reap();
        } else if received.signal == Signal::SIGUSR1 {
            return drain::drain(&agent, &received);
        } else {
            signals::die_of_term(&received);
        }
    }
}

fn master_of(flags: &Flags) -> String {
    let Some(master) = flags.text("master") else { failure("Missing required option --master") };
    if master.starts_with("zk://") {
        failure("The stand-in has no ZooKeeper: give --master as host:port");
    }
    if master.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        failure(&format!("Failed to create a master detector for '{master}': Failed to parse"));
    }
    master.to_owned()
}

fn check_host(flags: &Flags) {
    if flags.is_set("systemd_enable_support")
        && let Err(message) = host::probe_init()
    {
        failure(&format!("Failed to initialize systemd: {message}"));
    }
    if flags.is_set("standin_host_checks")
        && let Err(message) = host::check()
    {
        failure(&message);
    }
    let runtime = flags.text("runtime_dir").unwrap_or_default();
    if let Err(error) = std::fs::create_dir_all(runtime) {
        failure(&format!("Failed to create the runtime directory '{runtime}': {error}"));
    }
}

/// Collects the children that have ended: executors and loggers that this agent, and no earlier one, launched.
pub(crate) fn reap() {
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        match status {
            WaitStatus::Exited(pid, code) => info!("Process {pid} exited with status {code}"),
            WaitStatus::Signaled(pid, signal, _) => info!("Process {pid} terminated with signal {signal}"),
            WaitStatus::StillAlive => return,
            // Not asked for.
            WaitStatus::Stopped(..)
            | WaitStatus::Continued(_)
            | WaitStatus::PtraceEvent(..)
            | WaitStatus::PtraceSyscall(_) => {}
        }
    }
}

/// Connects to an executor, tells it the agent's id, and sees to it that its end is noticed.
pub(crate) fn connect(agent: &Arc<Agent>, name: &str, address: &str, id: &str) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let patience = Duration::from_secs(2);
    let mut stream = crate::address::connect(address, patience).map_err(failed)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    std::io::Write::write_all(&mut stream, format!("{id}\n").as_bytes()).map_err(failed)?;
    let mut reader = std::io::BufReader::new(stream);
    let mut answer = String::new();
    reader.read_line(&mut answer).map_err(failed)?;
    if answer.trim_end() != name {
        return Err(format!("{address}: it answered {:?}", answer.trim_end()));
    }
    reader.get_ref().set_read_timeout(None).map_err(failed)?;
    if let Some(executor) = agent.state().executor(name) {
        executor.connected = true;
        agent.connected.notify_all();
    }
    let (agent, name) = (Arc::clone(agent), name.to_owned());
    http::thread("executor", move || {
        // An executor says no more; this ends when it does.
        while reader.read_line(&mut String::new()).is_ok_and(|read| read > 0) {}
        if let Some(executor) = agent.state().executor(&name) {
            executor.connected = false;
            info!("Executor '{name}' (pid {}) disconnected", executor.pid);
        }
    });
    Ok(())
}

/// The value of a field in a request, or the request is answered as bad.
pub(crate) fn required<'a>(request: &'a Request, connection: &mut Connection, key: &str) -> Option<&'a str> {
    let value = field(&request.body, key);
    if value.is_none() {
        connection.answer(400, "text/plain", &format!("no '{key}'"));
    }
    value
}
