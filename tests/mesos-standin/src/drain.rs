//! SIGUSR1: the agent leaves the cluster, and takes its executors with it.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::agent::{Agent, reap};
use crate::signals::Received;

/// How often processes that are no children of ours are looked at, as libprocess does it; only while draining.
const INTERVAL: Duration = Duration::from_millis(20);

/// Unregisters, shuts down every executor (TERM, the grace period, KILL), and ends with status 0.
pub(crate) fn drain(agent: &Arc<Agent>, received: &Received) -> ExitCode {
    let Received { sender, user, .. } = received;
    info!("Received SIGUSR1 signal from process {sender} of user {user}; unregistering and shutting down");
    let link = {
        let mut state = agent.state();
        state.draining = true;
        state.link.take()
    };
    if let Some(mut link) = link {
        let _ = link.write_all(b"unregister\n");
    }
    signal_all(agent, Signal::SIGTERM);
    let grace = agent.flags.duration("executor_shutdown_grace_period");
    if !wait(agent, grace) {
        warning!("Executors are still there after {grace:?}");
        signal_all(agent, Signal::SIGKILL);
        if !wait(agent, Duration::from_secs(2)) {
            warning!("Executors exist even after SIGKILL: they are zombies that nobody reaps, or stuck");
        }
    }
    forget(agent);
    info!("Agent terminating");
    ExitCode::SUCCESS
}

fn signal_all(agent: &Agent, signal: Signal) {
    for executor in &agent.state().executors {
        let name = &executor.name;
        if executor.exists() {
            info!("Shutting down executor '{name}' (pid {}) with {signal}", executor.pid);
            let _ = kill(executor.pid, signal);
        }
    }
}

/// Whether every executor is gone before the time is over.
fn wait(agent: &Agent, time: Duration) -> bool {
    let deadline = Instant::now() + time;
    let mut gone: Vec<Pid> = Vec::new();
    loop {
        reap();
        let mut left = 0;
        for executor in &agent.state().executors {
            let name = &executor.name;
            if executor.exists() {
                left += 1;
            } else if !gone.contains(&executor.pid) {
                gone.push(executor.pid);
                info!("Executor '{name}' (pid {}) is gone", executor.pid);
            }
        }
        if left == 0 || Instant::now() >= deadline {
            return left == 0;
        }
        std::thread::sleep(INTERVAL);
    }
}

/// As Mesos: the next agent recovers nothing and registers as a new one.
fn forget(agent: &Agent) {
    let _ = std::fs::remove_file(agent.meta.latest());
}
