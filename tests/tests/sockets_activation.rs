//! A service that is started when somebody connects.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use tests::{Fixture, Machine, Signal, State, Supervised, eventually, process};

fn worker(behaviour: &str) -> Fixture {
    let worker = env!("CARGO_BIN_EXE_socket-worker");
    Fixture::new().service(
        "a",
        &format!(
            "command = [\"{worker}\", \"@T\", {behaviour}]\n[sockets]\nstart = \"on-connection\"\na = \"unix @T/a\"\n\
             [restart]\ndelay = \"1ms\"\nmax-delay = \"1h\""
        ),
    )
}

fn connect(service: &Supervised) -> UnixStream {
    UnixStream::connect(service.fixture.path("a")).unwrap()
}

fn is_served(mut connection: UnixStream) {
    connection.write_all(b"x").unwrap();
    let mut answer = [0];
    connection.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"x");
}

fn starts(service: &Supervised) -> usize {
    service.fixture.read("starts").lines().count()
}

/// Waits until it has been started so often, and listens.
fn listens_again(service: &Supervised, starts: usize) {
    service.wait_for("it listens again", |status| {
        let started = status.started.map_or(0, |_| status.restarts as usize + 1);
        status.state == State::Listening && started == starts
    });
}

#[test]
fn it_is_started_by_a_connection_and_listens_again_once_it_is_idle() {
    let service = worker("\"idle\", \"10\"").start();
    let status = service.until(State::Listening);
    assert_eq!((status.pid, starts(&service)), (None, 0));
    for round in 1..=3 {
        is_served(connect(&service));
        assert_eq!(starts(&service), round);
        listens_again(&service, round);
    }
    assert!(!service.log().contains("warning"), "{}", service.log());
    service.tell("stop");
    service.until(State::Down);
    assert!(!service.fixture.path("a").exists());
}

#[test]
fn it_sleeps_while_nobody_connects() {
    let service = worker("\"idle\", \"10\"").start();
    service.until(State::Listening);
    is_served(connect(&service));
    listens_again(&service, 1);
    let asleep = || process::stat(service.supervisor()).is_some_and(|stat| stat.state == 'S');
    eventually("the supervisor sleeps", asleep);
    let before = process::sleeps(service.supervisor());
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(process::sleeps(service.supervisor()), before);
}

#[test]
fn one_that_takes_nothing_is_put_off_however_it_ends() {
    for code in ["0", "1"] {
        let service = worker(&format!("\"ends\", \"{code}\"")).start();
        service.until(State::Listening);
        let _waiting = connect(&service);
        // The delay doubles: what was a loop would have run a thousand times by then.
        let far = |status: &tests::Status| {
            status.next_start.is_some_and(|at| at.since(status.since) > std::time::Duration::from_millis(100))
        };
        service.wait_for("it waits for long", far);
        assert!(starts(&service) < 20, "{}", starts(&service));
    }
}

#[test]
fn a_restart_and_a_single_run_wait_for_nobody() {
    let service = worker("\"version\", \"1\"").start();
    service.until(State::Listening);
    service.tell("restart");
    let pid = service.up();
    service.tell("restart");
    service.wait_for("there is another", |status| status.state == State::Up && status.pid != Some(pid));
    service.tell("stop");
    service.until(State::Down);
    service.tell("once");
    service.up();
}

#[test]
fn the_next_supervisor_goes_on_listening_and_dependents_do_not_notice() {
    let machine: Machine = worker("\"version\", \"1\"").tracing("b", "requires = [\"a\"]").boot();
    // Nothing runs, and what needs it is up.
    assert_eq!((machine.state("a"), machine.state("b")), (State::Listening, State::Up));
    let supervisor = machine.status("a").supervisor;
    machine.send(supervisor.unwrap(), Signal::KILL);
    machine.wait_for("a", "has another supervisor", |status| {
        status.supervisor != supervisor && status.state == State::Listening
    });
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    assert_eq!(machine.state("a"), State::Listening);
    let waiting = UnixStream::connect(machine.fixture.path("a")).unwrap();
    is_served(waiting);
    machine.until("a", State::Up);
    assert_eq!(machine.fixture.trace(), ["b starts"]);
    // A connection that comes between two supervisors is not lost either.
    assert_eq!(machine.svctl(&["stop", "b"]).code, 0);
    assert_eq!(machine.svctl(&["stop", "a"]).code, 0);
    machine.until("a", State::Down);
    assert_eq!(machine.svctl(&["start", "b"]).code, 0);
    let supervisor = machine.until("a", State::Listening).supervisor.unwrap();
    machine.send(supervisor, Signal::KILL);
    is_served(UnixStream::connect(machine.fixture.path("a")).unwrap());
    machine.until("a", State::Up);
}
