//! Process 1 fails, and is replaced, under the master, the agent and its executors.

use crate::guest::{PATIENCE, eventually, processes, status};
use crate::images;
use qemu::Machine;
use std::collections::BTreeMap;

/// What runs, but for the supervisors' and loggers' own arguments, which a replacement changes, and the sessions.
fn lasting(machine: &Machine) -> BTreeMap<u64, String> {
    let mut all = processes(machine);
    all.retain(|_, command| {
        let program = command.split(' ').next().unwrap_or_default();
        !["supervise", "svlog", "svctl"].iter().any(|own| program.ends_with(own))
            && !command.contains("dropbear")
    });
    // Process 1 was told to recover.
    all.remove(&1);
    all
}

fn executors(processes: &BTreeMap<u64, String>) -> usize {
    processes.values().filter(|command| command.contains("mesos-executor")).count()
}

/// Whether everything that ran runs, and every service is up in the process that it had.
fn nothing_has_changed(machine: &Machine, before: &(BTreeMap<u64, String>, Pids)) {
    let now = lasting(machine);
    for (pid, command) in &before.0 {
        assert_eq!(now.get(pid), Some(command), "{pid} {command} is another, or gone");
    }
    assert_eq!(pids(machine), before.1);
    let metrics = machine.run("wget -qO- http://127.0.0.1:5051/metrics/snapshot").unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["slave/registered"], 1.0, "{metrics}");
}

/// The state and the process of each service.
type Pids = BTreeMap<String, (String, Option<u64>)>;

fn pids(machine: &Machine) -> Pids {
    status(machine).into_iter().map(|(name, service)| (name, (service.state, service.pid))).collect()
}

/// Does something to process 1 in a session that goes on, and waits until it answers again.
fn strike(machine: &Machine, what: &str) {
    let struck = machine.ssh(&format!("{what}; echo survived")).unwrap();
    assert!(
        struck.stdout.ends_with("survived\n") && !struck.stderr.contains("refused"),
        "{what}: {struck:?}"
    );
    eventually("an answer of init", || {
        let asked = machine.ssh("svctl start sshd").map_err(|error| error.to_string())?;
        if asked.status == 0 { Ok(()) } else { Err(asked.stderr) }
    });
}

#[test]
fn faults_and_replacements_of_process_1_leave_executors_agent_and_master_as_they_are() {
    let machine = Machine::builder(images::shipped()).argument("mainstay.debug").boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let before = (lasting(&machine), pids(&machine));
    assert_eq!(executors(&before.0), 2, "{:#?}", before.0);

    strike(&machine, "kill -SEGV 1");
    nothing_has_changed(&machine, &before);
    for fault in ["segv", "abort", "panic"] {
        strike(&machine, &format!("svctl fault {fault}"));
        nothing_has_changed(&machine, &before);
    }
    let table = machine.ssh("svctl status").unwrap();
    let told = format!("{}{}", table.stdout, table.stderr);
    assert!(told.contains("init recovered from a fault 4 times"), "{told}");

    strike(&machine, "svctl reexec || echo refused >&2");
    nothing_has_changed(&machine, &before);
    let resumed = |command: &String| command.contains("supervise") && command.contains("--resume");
    let all = processes(&machine);
    assert!(all.values().any(resumed), "no supervisor was replaced: {all:#?}");
    machine.power_off().unwrap();
    let console = machine.transcript();
    assert_eq!(console.matches("recovered from a fault (signal").count(), 4, "{console}");
    assert!(console.trim_end().ends_with("reboot: Power down"), "{console}");
}
