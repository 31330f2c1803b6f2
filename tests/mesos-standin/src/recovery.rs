//! What an agent does with what an earlier one left.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Pid;

use crate::agent::{Agent, Executor, connect};
use crate::catalogue::failure;
use crate::meta::{Info, replace};
use crate::{host, process};

/// Reads the checkpoint: who this agent is, and which executors it has.
pub(crate) fn recover(agent: &Arc<Agent>) {
    let boot_id = boot_id(agent);
    let recorded = std::fs::read_to_string(agent.meta.boot_id()).unwrap_or_default();
    let rebooted = recorded.trim() != boot_id;
    let old = agent.meta.recover().unwrap_or_else(|message| {
        failure(&format!("Failed to perform recovery: {message}\n{}", remedy(agent)))
    });
    match old {
        None => info!("No checkpointed agent: starting as a new one"),
        Some(old) => {
            if rebooted {
                info!("Agent host rebooted: the pids in the checkpoint mean nothing now");
                let _ = std::fs::remove_dir_all(agent.meta.frameworks(&old.id));
            }
            recover_info(agent, &old, rebooted);
        }
    }
    if let Err(error) = replace(&agent.meta.boot_id(), &format!("{boot_id}\n")) {
        failure(&format!("Failed to checkpoint the boot id: {error}"));
    }
    agent.state().recovered = true;
    info!("Finished recovery");
}

fn boot_id(agent: &Agent) -> String {
    if let Some(id) = agent.flags.text("standin_boot_id") {
        return id.to_owned();
    }
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_else(|error| failure(&format!("Failed to read the boot id: {error}"))).trim().to_owned()
}

/// This agent as its flags and the machine describe it.
pub(crate) fn current(agent: &Agent, id: String) -> Info {
    Info {
        id,
        hostname: agent.address.hostname.clone(),
        port: agent.address.advertised.port(),
        resources: agent.flags.text("resources").map_or_else(host::resources, str::to_owned),
        attributes: agent.flags.text("attributes").unwrap_or_default().to_owned(),
    }
}

fn recover_info(agent: &Arc<Agent>, old: &Info, rebooted: bool) {
    let now = current(agent, old.id.clone());
    let policy = agent.flags.text("reconfiguration_policy").unwrap_or("equal");
    match old.incompatible(&now, policy) {
        Some(difference) if rebooted => {
            info!("Incompatible agent info after a reboot ({difference}): starting as a new agent");
            let _ = std::fs::remove_file(agent.meta.latest());
        }
        Some(difference) => failure(&format!(
            "Failed to perform recovery: Incompatible agent info detected: {difference}\n{}",
            remedy(agent)
        )),
        None => {
            info!("Recovered agent {}", now.id);
            agent.state().info = Some(now);
            recover_executors(agent, &old.id);
        }
    }
}

fn remedy(agent: &Agent) -> String {
    format!(
        "To remedy this do as follows:\nStep 1: rm -f {}\n        This ensures agent doesn't recover old live \
         executors.\nStep 2: Restart the agent.",
        agent.meta.latest().display()
    )
}

fn recover_executors(agent: &Arc<Agent>, id: &str) {
    for (name, run) in runs(&agent.meta.frameworks(id)) {
        match read(&name, &run) {
            Some(executor) if executor.exists() => {
                let (pid, address) = (executor.pid, executor.address.clone());
                agent.state().executors.push(executor);
                let reached = address
                    .ok_or_else(|| "it never registered".to_owned())
                    .and_then(|address| connect(agent, &name, &address, id));
                match reached {
                    Ok(()) => info!("Recovered executor '{name}' (pid {pid})"),
                    Err(error) => warning!("Executor '{name}' (pid {pid}) exists and is silent: {error}"),
                }
            }
            Some(executor) => {
                info!("Executor '{name}' (pid {}) has ended meanwhile", executor.pid);
                let _ = std::fs::remove_dir_all(run);
            }
            None => {
                warning!("Failed to recover executor '{name}' from '{}'", run.display());
                agent.state().recovery_errors += 1;
            }
        }
    }
}

/// Every checkpointed run, with its executor's id: `<framework>/executors/<id>/runs/<container>`.
fn runs(frameworks: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for framework in entries(frameworks) {
        for executor in entries(&framework.join("executors")) {
            let name = executor.file_name().unwrap_or_default().to_string_lossy().into_owned();
            found.extend(entries(&executor.join("runs")).into_iter().map(|run| (name.clone(), run)));
        }
    }
    found
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn read(name: &str, run: &Path) -> Option<Executor> {
    let read = |name: &str| std::fs::read_to_string(run.join("pids").join(name)).ok();
    Some(Executor {
        name: name.to_owned(),
        pid: Pid::from_raw(read("forked.pid")?.trim().parse().ok()?),
        started: read("standin.start")?.trim().parse().ok()?,
        run: run.to_owned(),
        address: read("libprocess.pid").and_then(|text| Some(text.trim().split_once('@')?.1.to_owned())),
        connected: false,
    })
}

/// Writes down an executor that has just been forked.
pub(crate) fn checkpoint(name: &str, run: &Path, pid: Pid) -> std::io::Result<Executor> {
    let started = process::start_time(pid).unwrap_or(0);
    let pids = run.join("pids");
    // The start time first: with a pid on disk, the rest of what recovery needs is there too.
    replace(&pids.join("standin.start"), &format!("{started}\n"))?;
    replace(&pids.join("forked.pid"), &pid.to_string())?;
    let name = name.to_owned();
    Ok(Executor { name, pid, started, run: run.to_owned(), address: None, connected: false })
}
