//! A supervisor is replaced in place while init does not listen.

#![allow(clippy::unwrap_used, reason = "tests")]

use tests::fixture::make_executable;
use tests::{Fixture, Observer, Signal, State, eventually, process};

/// More reports than a channel takes.
const REPORTS: usize = 1500;

#[test]
fn what_init_could_not_be_told_yet_is_told_before_its_supervisor_is_replaced() {
    let boot = Fixture::new().tracing("a", "[ready]\nfd = 3").machine();
    let machine = boot.only_programs(&["supervise", "svctl", "svlog"]).start();
    machine.until("a", State::Up);
    // The program on disk tells when it is asked.
    let program = machine.fixture.path("programs/supervise");
    let real = std::fs::read_link(&program).unwrap();
    std::fs::remove_file(&program).unwrap();
    let script = format!("#!/bin/sh\necho asked > @T/asked\nexec {} \"$@\"\n", real.display());
    machine.fixture.write("programs/supervise", &script);
    make_executable(&program);

    let supervisor = machine.outside(machine.status("a").supervisor.unwrap());
    let mut client = Observer::connect(&machine.fixture.path("run/service/a/control"));
    process::send(machine.init(), Signal::STOP);
    for number in 0..REPORTS {
        assert_eq!(client.ask(["pause", "continue"][number % 2]), "ok");
    }
    assert_eq!(client.ask("stop"), "ok");
    machine.until("a", State::Down);
    client.send("reexec\n");
    eventually("the program is asked", || machine.fixture.path("asked").exists());
    let asleep = || process::stat(supervisor).is_some_and(|stat| stat.state == 'S');
    eventually("its answer is taken", || process::children(supervisor).is_empty() && asleep());
    process::send(machine.init(), Signal::CONT);
    machine.observe().until("a", State::Down);
    assert_eq!(client.line().as_deref(), Some("ok"));
}
