//! Nothing wakes up unless something happened, and nothing is large.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;
use tests::{Fixture, Machine, Pid, eventually, process};

/// Init, the logger and every supervisor.
fn own_processes(machine: &Machine) -> Vec<Pid> {
    let own = |pid: &Pid| {
        let name = process::field(*pid, "Name").unwrap_or_default();
        ["init", "supervise", "svlog"].contains(&name.as_str())
    };
    machine.processes().into_iter().filter(own).collect()
}

fn machine() -> Machine {
    let page = tests::http::Server::start(200, "{}");
    let http = format!("[ready]\nhttp = \"http://127.0.0.1:{}/\"", page.port());
    let machine = Fixture::new()
        .tracing("a", "")
        .tracing("b", "requires = [\"a\"]")
        .service("web", &format!("command = [\"sleep\", \"1000\"]\n{http}"))
        .service("fd", "[ready]\nfd = 3\ntimeout = \"1h\"")
        .run("echo >&3\nexec sleep 1000")
        .service("once", "type = \"oneshot\"\ncommand = [\"true\"]")
        .service("talks", "command = [\"sh\", \"-c\", \"printf unfinished; exec sleep 1000\"]")
        .boot();
    eventually("what it says is in the log", || machine.log("talks") == ["unfinished"]);
    machine
}

#[test]
fn an_idle_machine_does_not_wake_up_at_all() {
    let machine = machine();
    // The clients of the boot are gone; everybody sleeps.
    let asleep = |pid: &Pid| process::stat(*pid).is_some_and(|stat| stat.state == 'S');
    eventually("the oneshot's supervisor is gone", || own_processes(&machine).len() == 2 + 5);
    let pids = own_processes(&machine);
    eventually("all sleep", || pids.iter().all(asleep));
    let sleeps = || -> Vec<u64> { pids.iter().map(|pid| process::sleeps(*pid)).collect() };
    let settled = tests::wait::eventually_some("all is quiet", || {
        let before = sleeps();
        std::thread::sleep(Duration::from_millis(50));
        (sleeps() == before).then_some(before)
    });
    // Longer than any interval that a poll would have.
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(sleeps(), settled, "of {pids:?}");
}

#[test]
fn a_subscriber_costs_no_wake_up() {
    let machine = machine();
    let mut events = machine.observe();
    events.until("once", tests::State::Done);
    let settled = tests::wait::eventually_some("init is quiet", || {
        let before = process::sleeps(machine.init());
        std::thread::sleep(Duration::from_millis(50));
        (process::sleeps(machine.init()) == before).then_some(before)
    });
    std::thread::sleep(Duration::from_millis(1200));
    assert_eq!(process::sleeps(machine.init()), settled);
}

#[test]
fn each_program_keeps_to_its_memory() {
    let machine = machine();
    // Generous: this is a guard against a leap, the budgets are measured elsewhere.
    for pid in own_processes(&machine) {
        let name = process::field(pid, "Name").unwrap_or_default();
        let limit = if name == "supervise" { 100 } else { 250 };
        let memory = process::private_memory(pid);
        assert!(memory <= limit, "{name} has {memory} kB of its own");
    }
}

#[test]
fn a_thousand_restarts_leak_neither_descriptors_nor_memory() {
    let toml = "[restart]\ndelay = \"0s\"\nmax-delay = \"0s\"";
    let machine = Fixture::new().service("a", toml).run("exit 0").boot();
    let restarts = |count| {
        machine.wait_for("a", "was restarted", |status| status.restarts >= count);
    };
    let supervisor = machine.outside(machine.status("a").supervisor.unwrap());
    let descriptors = |pid: Pid| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    restarts(200);
    let (memory, first) = (process::private_memory(supervisor), process::private_memory(machine.init()));
    restarts(1000);
    assert!(process::private_memory(supervisor) <= memory + 8, "the supervisor grew");
    assert!(process::private_memory(machine.init()) <= first + 8, "init grew");
    assert!(descriptors(supervisor) < 16, "the supervisor has {}", descriptors(supervisor));
}
