//! `mesos-master`: always elected, and knows the agents that are connected.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::address::Address;
use crate::agent::{required, version};
use crate::catalogue::failure;
use crate::flags::Flags;
use crate::http::{Connection, Request, field};
use crate::{NOTICE, VERSION, http, json, signals};

struct Master {
    id: String,
    flags: Flags,
    address: Address,
    started: Instant,
    agents: Mutex<Agents>,
}

#[derive(Default)]
struct Agents {
    next: u64,
    known: Vec<Known>,
}

/// An agent, and how many of its connections are open: a new one may come before the old one's end is seen.
#[derive(Default)]
struct Known {
    id: String,
    hostname: String,
    address: String,
    connections: u32,
}

/// Runs until a signal ends it; SIGUSR1 does, since a master has no handler for it.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let flags = crate::catalogue::load("master", arguments);
    info!("This is {NOTICE}: mesos-master {VERSION}, pid {}", std::process::id());
    if flags.text("zk").is_some() {
        failure("The stand-in has no ZooKeeper: it runs only without --zk");
    }
    let signals = signals::listen(&[Signal::SIGTERM]);
    prepare_registry(&flags);
    let (listener, address) = crate::address::bind(&flags);
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid").unwrap_or_default().trim().to_owned();
    info!("Master {id} ({}) started on {}", address.hostname, address.advertised);
    let master = Arc::new(Master { id, flags, address, started: Instant::now(), agents: Mutex::default() });
    info!("Elected as the leading master!");
    http::serve(listener, move |request, connection| master.answer(&request, connection));
    loop {
        if let Some(received) = signals::next(&signals) {
            signals::die_of_term(&received);
        }
    }
}

fn prepare_registry(flags: &Flags) {
    if flags.text("registry") == Some("in_memory") {
        return;
    }
    let Some(work) = flags.text("work_dir") else {
        failure("--work_dir needed for replicated log based registry");
    };
    if let Err(error) = std::fs::create_dir_all(format!("{work}/replicated_log")) {
        failure(&format!("Failed to create the registry in '{work}': {error}"));
    }
}

impl Master {
    fn agents(&self) -> MutexGuard<'_, Agents> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, request: &Request, mut connection: Connection) {
        const JSON: &str = "application/json";
        let path = request.path.strip_prefix("/master").unwrap_or(&request.path);
        match (request.method.as_str(), path) {
            ("POST", "/standin/register") => self.register(request, connection),
            (_, "/health") => connection.answer(200, "text/plain", ""),
            (_, "/metrics/snapshot") => connection.answer(200, JSON, &self.metrics()),
            (_, "/version") => connection.answer(200, JSON, &version()),
            (_, "/state") => connection.answer(200, JSON, &self.description()),
            _ => connection.answer(404, "text/plain", ""),
        }
    }

    fn metrics(&self) -> String {
        let agents = self.agents();
        let active = agents.known.iter().filter(|agent| agent.connections > 0).count();
        json::object([
            ("master/elected", "1".to_owned()),
            ("master/uptime_secs", json::seconds(self.started.elapsed())),
            ("master/slaves_active", active.to_string()),
            ("master/slaves_disconnected", (agents.known.len() - active).to_string()),
            ("registrar/log/recovered", "1".to_owned()),
            ("standin", "1".to_owned()),
        ])
    }

    fn description(&self) -> String {
        let agents = self.agents();
        let slaves = agents.known.iter().map(|agent| {
            json::object([
                ("id", json::string(&agent.id)),
                ("hostname", json::string(&agent.hostname)),
                ("pid", json::string(&format!("slave(1)@{}", agent.address))),
                ("active", (agent.connections > 0).to_string()),
            ])
        });
        json::object([
            ("id", json::string(&self.id)),
            ("hostname", json::string(&self.address.hostname)),
            ("pid", json::string(&format!("master@{}", self.address.advertised))),
            ("version", json::string(VERSION)),
            ("standin", json::string(NOTICE)),
            ("flags", json::object(self.flags.iter().map(|(name, value)| (name, json::string(value))))),
            ("slaves", json::array(slaves)),
        ])
    }

    /// Registers an agent, and stays with it until it says goodbye or is gone.
    fn register(&self, request: &Request, mut connection: Connection) {
        let Some(hostname) = required(request, &mut connection, "hostname") else { return };
        let Some(address) = required(request, &mut connection, "address") else { return };
        let known = field(&request.body, "id").filter(|id| !id.is_empty());
        let id = {
            let mut agents = self.agents();
            let id = known.map_or_else(|| format!("{}-S{}", self.id, agents.next), str::to_owned);
            if known.is_none() {
                agents.next += 1;
            }
            let index = agents.known.iter().position(|agent| agent.id == id).unwrap_or(agents.known.len());
            if index == agents.known.len() {
                agents.known.push(Known { id: id.clone(), ..Known::default() });
            }
            let Some(agent) = agents.known.get_mut(index) else { return };
            (agent.hostname, agent.address) = (hostname.to_owned(), address.to_owned());
            agent.connections += 1;
            id
        };
        let word = if known.is_some() { "Re-registered" } else { "Registered" };
        info!("{word} agent {id} at slave(1)@{address} ({hostname})");
        let body = format!("from=master@{}\nid={id}\n", self.address.advertised);
        let mut unregistered = false;
        if connection.answer_and_stay(&body).is_ok() {
            while let Some(line) = connection.line() {
                unregistered |= line == "unregister";
            }
        }
        let mut agents = self.agents();
        if let Some(agent) = agents.known.iter_mut().find(|agent| agent.id == id) {
            agent.connections -= 1;
        }
        if unregistered {
            agents.known.retain(|agent| agent.id != id);
            info!("Agent {id} unregistered");
        } else {
            info!("Agent {id} at slave(1)@{address} disconnected");
        }
    }
}
