//! Init as an ordinary process: it keeps services and takes in their orphans, without any privilege.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::process::Command;
use tests::{Ending, Fixture, Machine, Pid, Signal, State, WaitStatus, eventually, process};

fn machine(fixture: Fixture) -> Machine {
    let machine = fixture.machine().as_ordinary_process().start();
    machine.wait_for_boot();
    machine
}

#[test]
fn it_keeps_services_and_ends_with_0_when_told() {
    let mut machine = machine(Fixture::new().tracing("a", "").tracing("b", "requires = [\"a\"]"));
    let pid = machine.status("a").pid.unwrap();
    process::send(pid, Signal::KILL);
    machine.wait_for("a", "runs again", |status| status.state == State::Up && status.pid != Some(pid));
    eventually("all run", || machine.fixture.trace().len() == 3);
    assert_eq!(machine.svctl(&["poweroff"]).code, 0);
    assert_eq!(machine.wait_for_end(), Ending::Exit(0));
    assert_eq!(machine.fixture.trace()[3..], ["b stops", "a stops"]);
}

#[test]
fn it_needs_no_privilege() {
    let fixture =
        Fixture::new().tracing("a", "").service("b", "requires = [\"a\"]").run("id -u; exec sleep 1000");
    let mut machine = fixture.machine().as_nobody().start();
    machine.wait_for_boot();
    let user = process::field(machine.init(), "Uid").unwrap();
    assert!(!user.starts_with("0\t"), "{user}");
    eventually("what it says is in the log", || {
        machine.log("b").first().is_some_and(|line| user.starts_with(&format!("{line}\t")))
    });
    assert_eq!((machine.state("a"), machine.state("b")), (State::Up, State::Up));
    assert_eq!(machine.go_down("poweroff"), Ending::Exit(0));
    assert_eq!(machine.fixture.trace(), ["a starts", "a stops"]);
}

#[test]
fn term_ends_it_in_order() {
    let mut machine = machine(Fixture::new().tracing("a", ""));
    eventually("it runs", || machine.fixture.trace().len() == 1);
    process::send(machine.init(), Signal::TERM);
    assert_eq!(machine.wait_for_end(), Ending::Exit(0));
    assert_eq!(machine.fixture.trace(), ["a starts", "a stops"]);
}

#[test]
fn it_takes_in_orphans_and_ends_them_at_the_end() {
    let script = "(setsid sleep 1004 & echo $! > @T/new; mv @T/new @T/orphan)\nexec sleep 1000";
    let mut machine = machine(Fixture::new().script("a", script));
    eventually("there is an orphan", || machine.fixture.path("orphan").exists());
    let orphan = Pid::new(machine.fixture.read("orphan").trim().parse().unwrap()).unwrap();
    eventually("it was taken in", || process::stat(orphan).unwrap().parent == machine.init().number());
    assert_eq!(machine.go_down("poweroff"), Ending::Exit(0));
    assert!(!process::lives(orphan));
}

#[test]
fn an_adopted_service_ends_with_its_exact_status() {
    let script = "trap 'exit 42' USR1\necho >&3\nwhile :; do sleep 1000 & wait; done";
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    let machine = machine(Fixture::new().service("a", toml).run(script));
    let before = machine.status("a");
    process::send(before.supervisor.unwrap(), Signal::KILL);
    machine.wait_for("a", "is adopted", |status| status.supervisor != before.supervisor);
    process::send(before.pid.unwrap(), Signal::USR1);
    assert_eq!(machine.until("a", State::Failed).last_exit, Some(WaitStatus::Exited(42)));
}

#[test]
fn version_and_help_answer_and_touch_nothing() {
    let fixture = Fixture::new();
    for (question, answer) in [("--version", "mainstay init "), ("--help", "usage: init ")] {
        let output = Command::new(tests::programs::program("init"))
            .arg(question)
            .arg("--run")
            .arg(fixture.path("elsewhere"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).starts_with(answer), "{output:?}");
    }
    assert!(!fixture.path("elsewhere").exists());
    let output = Command::new(tests::programs::program("init")).arg("rescue").output().unwrap();
    assert_eq!(output.status.code(), Some(100));
}
