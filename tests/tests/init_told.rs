//! What init tells of a service is on disk by then; and what it has not heard of yet is nobody's loss.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Machine, Observer, Signal, State, eventually, fixture, process, programs::program};

/// A machine whose supervisors begin when there is a file `go`.
fn with_slow_supervisors(fixture: Fixture) -> Machine {
    let boot = fixture.machine().only_programs(&["init", "svctl", "svlog"]);
    let slow = boot.fixture().path("programs/supervise");
    let (place, real) = (boot.fixture().place().display(), program("supervise"));
    let wait = format!("#!/bin/sh\nwhile [ ! -e {place}/go ]; do sleep 0.01; done\n");
    std::fs::write(&slow, format!("{wait}exec {} \"$@\"\n", real.display())).unwrap();
    fixture::make_executable(&slow);
    boot.start()
}

#[test]
fn what_is_told_of_a_service_says_its_status_file_too() {
    let fixture = Fixture::new().tracing("a", "autostart = false").tracing("b", "autostart = false");
    let machine = with_slow_supervisors(fixture);
    machine.wait_for_boot();
    machine.tell("start a");
    let mut observer = machine.observe();
    // The answer to the second comes after everything that was to be said to the first.
    assert_eq!(observer.ask("stop b"), "ok");
    let told: Vec<&str> = observer.heard.iter().map(|event| event.name.as_str()).collect();
    assert_eq!((told, machine.try_status("a")), (vec!["b"], None), "nothing is known of its start");
    assert_eq!(machine.svctl(&["wait", "--up", "a", "-t", "10ms"]).code, 99);
    machine.fixture.write("go", "");
    let told = observer.wait_for(|event| event.name == "a");
    assert!(matches!(machine.state("a"), State::Starting | State::Up), "{told:?}");
    machine.until("a", State::Up);
}

#[test]
fn a_start_that_init_takes_before_it_hears_of_a_failure_is_a_start() {
    let script = "while [ ! -e @T/end ]; do sleep 0.01; done\n[ -e @T/good ] || exit 1\nexec sleep 1000";
    let machine = Fixture::new().service("a", "[restart]\nwhen = \"never\"").run(script).boot();
    let mut client = Observer::connect(&machine.control());
    assert_eq!(client.ask("plan stop a"), "plan stop a");
    assert_eq!(client.line().as_deref(), Some("ok"));
    process::send(machine.init(), Signal::STOP);
    eventually("init is stopped", || process::stat(machine.init()).is_some_and(|stat| stat.state == 'T'));
    // It is served in the order in which it is spoken to.
    client.send("start a\n");
    machine.fixture.write("end", "");
    machine.until("a", State::Failed);
    machine.fixture.write("good", "");
    process::send(machine.init(), Signal::CONT);
    assert_eq!(client.line().as_deref(), Some("ok"));
    machine.until("a", State::Up);
}
