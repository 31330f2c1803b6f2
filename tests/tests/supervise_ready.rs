//! Readiness: by a descriptor, a command, a port, a web page; and when it does not come.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::net::TcpListener;
use tests::http::Server;
use tests::{Event, Fixture, State, Supervised, eventually};

/// Starts it, and returns the events from the first one after `down` until it is in `last`.
fn events(service: &Supervised, last: State) -> Vec<Event> {
    let mut observer = service.observe();
    assert_eq!(observer.event().state, State::Down);
    observer.ask("start");
    observer.wait_for(|event| event.state == last);
    observer.heard[1..].to_vec()
}

fn states(events: &[Event]) -> Vec<State> {
    events.iter().map(|event| event.state).collect()
}

#[test]
fn without_a_method_a_service_is_ready_as_soon_as_it_runs() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start_down();
    assert_eq!(states(&events(&service, State::Up)), [State::Up]);
    let status = service.status();
    assert!(!status.has_readiness);
    assert_eq!(status.ready_since, status.started);
}

#[test]
fn a_line_on_the_descriptor_makes_it_ready_and_not_before() {
    let script = "echo noise >&1\n[ -e @T/go ] || printf partial >&4\n\
                  while [ ! -e @T/go ]; do sleep 0.01; done\necho >&4\nexec sleep 1000";
    let service = Fixture::new().service("a", "[ready]\nfd = 4").run(script).start();
    service.wait_for_log("noise");
    assert_eq!(service.until(State::Starting).ready_since, None);
    service.fixture.write("go", "");
    let status = service.until(State::Up);
    assert!(status.has_readiness && status.ready_since.is_some());
    assert!(status.ready_since > status.started);
}

#[test]
fn a_service_that_says_ready_and_dies_was_ready() {
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    for _ in 0..20 {
        let service = Fixture::new().service("a", toml).run("echo >&3; exit 1").start_down();
        let seen = events(&service, State::Failed);
        assert_eq!(states(&seen), [State::Starting, State::Up, State::Failed]);
    }
}

#[test]
fn a_service_that_closes_the_descriptor_in_silence_is_never_ready() {
    let script = "exec 3>&-\necho closed\nexec sleep 1000";
    let service = Fixture::new().service("a", "[ready]\nfd = 3").run(script).start();
    service.wait_for_log("closed");
    assert_eq!(service.status().state, State::Starting);
    // Each stop and start begins anew.
    service.tell("restart");
    service.wait_for("another run starts", |status| status.restarts == 1 && status.state == State::Starting);
}

#[test]
fn a_command_that_ends_with_success_makes_it_ready() {
    let toml = "command = [\"sleep\", \"1000\"]\n[ready]\ncommand = [\"@T/probe\"]\n";
    let toml = format!("{toml}interval = \"10ms\"");
    let fixture = Fixture::new().service("a", &toml).file("probe", "");
    let fixture = executable(fixture, "probe", "#!/bin/sh\necho probe >> @T/trace\ntest -e @T/go\n");
    let service = fixture.start();
    service.wait_for_trace(3);
    assert_eq!(service.status().state, State::Starting);
    service.fixture.write("go", "");
    service.up();
    let probes = service.fixture.trace().len();
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(service.fixture.trace().len(), probes, "what is ready is not probed any more");
}

fn executable(fixture: Fixture, path: &str, text: &str) -> Fixture {
    let fixture = fixture.file(path, text);
    tests::fixture::make_executable(&fixture.path(path));
    fixture
}

#[test]
fn stopping_ends_a_probe_that_hangs() {
    let toml = "command = [\"sleep\", \"1000\"]\n[ready]\ncommand = [\"@T/probe\"]";
    let fixture = Fixture::new().service("a", toml);
    let script = "#!/bin/sh\nsleep 1002 &\necho $$ $! > @T/pids.new\nmv @T/pids.new @T/pids\nwait\n";
    let service = executable(fixture, "probe", script).start();
    eventually("the probe runs", || service.fixture.path("pids").exists());
    service.tell("stop");
    service.until(State::Down);
    for word in service.fixture.read("pids").split_whitespace() {
        let pid = tests::Pid::new(word.parse().unwrap()).unwrap();
        eventually("the probe and its children are gone", || !tests::process::lives(pid));
    }
}

#[test]
fn a_port_that_takes_connections_makes_it_ready() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    drop(held);
    let toml = format!("command = [\"sleep\", \"1000\"]\n[ready]\ntcp = \"{address}\"");
    let service = Fixture::new().service("a", &toml).start();
    service.until(State::Starting);
    let _listener = TcpListener::bind(address).unwrap();
    service.up();
}

#[test]
fn a_page_with_the_right_value_makes_it_ready_and_one_without_does_not() {
    let server = Server::start(503, "");
    let port = server.port();
    let toml = format!(
        "command = [\"sleep\", \"1000\"]\n[ready]\nhttp = {{ url = \"http://127.0.0.1:{port}/metrics\", \
         json = {{ \"slave/registered\" = 1 }} }}"
    );
    let service = Fixture::new().service("a", &toml).start();
    service.until(State::Starting);
    let asked = server.wait_for_requests(2);
    server.set(200, "{\"slave/registered\": 0}");
    server.wait_for_requests(asked + 2);
    assert_eq!(service.status().state, State::Starting);
    server.set(200, "{\"slave/registered\": 1.0}");
    service.up();
}

#[test]
fn what_takes_too_long_is_called_overdue_and_waited_for() {
    let script = "while [ ! -e @T/go ]; do sleep 0.01; done\necho >&3\nexec sleep 1000";
    let service = Fixture::new().service("a", "[ready]\nfd = 3\ntimeout = \"30ms\"").run(script).start_down();
    let mut observer = service.observe();
    observer.ask("start");
    let late = observer.wait_for(|event| event.overdue);
    assert_eq!((late.state, late.starts), (State::Starting, 1));
    assert_eq!(service.status().reason, "takes longer to become ready than it should");
    service.fixture.write("go", "");
    let ready = observer.wait_for(|event| event.state == State::Up);
    assert!(!ready.overdue && ready.starts == 1);
    assert_eq!(service.status().reason, "");
}
