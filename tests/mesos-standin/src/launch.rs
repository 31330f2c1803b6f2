//! Executors, from the agent's side: launched once, and then as independent of the agent as in Mesos.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use nix::unistd::Pid;

use crate::agent::{Agent, Executor, connect, required};
use crate::http::{Connection, Request};
use crate::meta::replace;
use crate::recovery;

/// Launches the executors of a new agent, or of one that found a rebooted machine.
pub(crate) fn first_executors(agent: &Arc<Agent>, id: &str) {
    let frameworks = agent.meta.frameworks(id);
    if frameworks.exists() {
        return;
    }
    let count = agent.flags.number("standin_executors");
    let framework = format!("{id}-0000");
    if let Err(error) = std::fs::create_dir_all(frameworks.join(&framework)) {
        error!("Failed to create '{}': {error}", frameworks.display());
    }
    for number in 1..=count {
        let name = format!("standin.{number}");
        if let Err(error) = launch(agent, id, &framework, &name) {
            error!("Failed to launch executor '{name}': {error}");
        }
    }
    // In Mesos, tasks come long after registration. Here, an agent that is ready may be killed at once.
    agent.wait_for_executors();
}

fn launch(agent: &Arc<Agent>, id: &str, framework: &str, name: &str) -> std::io::Result<()> {
    let container = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
    let run = format!("{framework}/executors/{name}/runs/{}", container.trim());
    let sandbox = agent.meta.sandbox(id, &run);
    std::fs::create_dir_all(&sandbox)?;
    let run = agent.meta.frameworks(id).join(run);
    // Its registration must find it in the table: nobody may look before it is there.
    let mut state = agent.state();
    let executor = spawn(agent, id, name, &sandbox)?;
    let pid = Pid::from_raw(executor.id().cast_signed());
    let executor = recovery::checkpoint(name, &run, pid)?;
    state.executors.push(executor);
    info!("Launched executor '{name}' with pid {pid}, container {}", container.trim());
    Ok(())
}

/// Starts the logger, and the executor that writes to it. Both are reaped by pid.
fn spawn(agent: &Agent, id: &str, name: &str, sandbox: &Path) -> std::io::Result<Child> {
    let program = std::env::current_exe()?;
    // As the real one, it stays in the agent's process group and has the agent's stderr.
    let mut logger = Command::new(&program)
        .arg0("mesos-logrotate-logger")
        .arg("logrotate-logger")
        .arg(format!("--log_filename={}", sandbox.join("stdout").display()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let Some(pipe) = logger.stdin.take() else { return Err(std::io::Error::other("no pipe")) };
    let pipe = std::os::fd::OwnedFd::from(pipe);
    // Nothing of the agent's environment: not even PATH.
    Command::new(program)
        .arg0("mesos-executor")
        .arg("executor")
        .env_clear()
        .env("LIBPROCESS_IP", agent.address.advertised.ip().to_string())
        .env("MESOS_AGENT_ENDPOINT", agent.address.advertised.to_string())
        .env("MESOS_SLAVE_ID", id)
        .env("MESOS_FRAMEWORK_ID", format!("{id}-0000"))
        .env("MESOS_EXECUTOR_ID", name)
        .env("MESOS_DIRECTORY", sandbox)
        .env("MESOS_CHECKPOINT", "1")
        .env("MESOS_RECOVERY_TIMEOUT", agent.flags.text("recovery_timeout").unwrap_or("15mins"))
        .current_dir(sandbox)
        .stdin(Stdio::null())
        .stdout(pipe.try_clone()?)
        .stderr(pipe)
        .spawn()
}

/// An executor says that it runs, and where it listens.
pub(crate) fn registered(agent: &Arc<Agent>, request: &Request, connection: &mut Connection) {
    let Some(name) = required(request, connection, "executor") else { return };
    let Some(address) = required(request, connection, "address") else { return };
    let (run, id) = {
        let mut state = agent.state();
        let id = state.info.as_ref().map(|info| info.id.clone()).unwrap_or_default();
        let Some(Executor { run, address: known, .. }) = state.executor(name) else {
            return connection.answer(404, "text/plain", "no such executor");
        };
        *known = Some(address.to_owned());
        (run.clone(), id)
    };
    if let Err(error) = replace(&run.join("pids/libprocess.pid"), &format!("executor(1)@{address}")) {
        error!("Failed to checkpoint executor '{name}': {error}");
    }
    connection.answer(200, "text/plain", "");
    match connect(agent, name, address, &id) {
        Ok(()) => info!("Executor '{name}' registered"),
        Err(error) => error!("Failed to reach executor '{name}': {error}"),
    }
}
