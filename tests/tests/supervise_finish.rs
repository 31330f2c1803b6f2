//! The finish script, and oneshots.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Pid, Signal, State, WaitStatus, Want, eventually, process};

const TELL: &str = "echo \"$# $1 $2 $3 $4\" >> @T/trace";

#[test]
fn the_finish_script_is_told_how_the_service_ended_and_who_it_was() {
    let toml = "[restart]\nwhen = \"never\"";
    let service = Fixture::new().service("a", toml).run("exit 7").finish(TELL).start_down();
    let mut events = service.observe();
    events.event();
    events.ask("start");
    let seen = events.expect(&[State::Up, State::Finishing, State::Failed]);
    let pid = seen[0].pid.unwrap();
    assert_eq!(service.fixture.trace(), [format!("4 7 0 a {pid}")]);
}

#[test]
fn after_a_signal_the_first_argument_is_256_and_the_second_its_number() {
    let service = Fixture::new().script("a", "exec sleep 1000").finish(TELL).start();
    let pid = service.up();
    process::send(pid, Signal::KILL);
    assert_eq!(service.wait_for_trace(1), [format!("4 256 9 a {pid}")]);
    let status = service.wait_for("it runs again", |status| status.restarts == 1);
    assert_eq!(status.state, State::Up);
}

#[test]
fn the_finish_script_runs_in_the_service_directory_with_its_environment() {
    let toml = "[environment]\nCOLOUR = \"blue\"\n[restart]\nwhen = \"never\"";
    let script = "echo \"$COLOUR $(pwd)\" >> @T/trace";
    let service = Fixture::new().service("a", toml).run("exit 0").finish(script).start();
    service.until(State::Done);
    let place = service.fixture.path("services/a");
    assert_eq!(service.fixture.trace(), [format!("blue {}", place.display())]);
}

#[test]
fn exit_125_of_the_finish_script_is_a_permanent_failure() {
    let service = Fixture::new().script("a", "echo run >> @T/trace; exit 1").finish("exit 125").start();
    let status = service.until(State::Failed);
    assert_eq!(status.reason, "its finish script declared a permanent failure after it ended with exit 1");
    assert_eq!(service.fixture.trace(), ["run"]);
    // Whoever asks again gets another try.
    service.tell("start");
    service.wait_for_trace(2);
    service.until(State::Failed);
}

#[test]
fn exit_125_after_a_stop_that_somebody_asked_for_is_no_failure() {
    let service = Fixture::new().script("a", "exec sleep 1000").finish("exit 125").start();
    service.up();
    service.tell("stop");
    assert_eq!(service.until(State::Down).want, Want::Down);
}

#[test]
fn a_finish_script_that_hangs_is_killed_with_its_children() {
    let script = "sleep 1003 &\necho $$ $! > @T/new\nmv @T/new @T/pids\nwait";
    let service = Fixture::new().script("a", "exec sleep 1000").finish(script).start();
    service.up();
    service.tell("stop");
    service.until(State::Finishing);
    eventually("the script runs", || service.fixture.path("pids").exists());
    service.until(State::Down);
    for word in service.fixture.read("pids").split_whitespace() {
        let pid = Pid::new(word.parse().unwrap()).unwrap();
        eventually("it is gone", || !process::lives(pid));
    }
}

#[test]
fn a_finish_script_that_cannot_be_run_is_told_and_gone_on_without() {
    let toml = "[restart]\nwhen = \"never\"";
    let service = Fixture::new().service("a", toml).run("exit 0").finish("#!/nonexistent/shell\n").start();
    service.until(State::Done);
    let expected = "warning: finish script: unable to execute";
    assert!(service.log().contains(expected), "{}", service.log());
}

#[test]
fn what_is_asked_for_during_the_finish_script_is_done_after_it() {
    let script = "while [ ! -e @T/go ]; do sleep 0.01; done\nrm @T/go";
    let service = Fixture::new().tracing("a", "").finish(script).start();
    for (command, state) in [("start", State::Up), ("stop", State::Down)] {
        service.up();
        let lines = service.fixture.trace().len() / 2 * 2 + 1;
        service.wait_for_trace(lines);
        service.tell("stop");
        service.until(State::Finishing);
        service.tell(command);
        assert_eq!(service.status().state, State::Finishing);
        service.fixture.write("go", "");
        service.until(state);
    }
}

#[test]
fn a_oneshot_that_succeeds_is_done_and_its_supervisor_leaves() {
    let mut service = Fixture::new().service("a", "type = \"oneshot\"").run("echo it ran").start();
    assert_eq!(service.ended().code(), Some(0));
    let status = service.status();
    assert_eq!((status.state, status.want), (State::Done, Want::Up));
    assert_eq!(status.last_exit, Some(WaitStatus::Exited(0)));
    assert_eq!(service.log(), "it ran\n");
}

#[test]
fn a_oneshot_that_fails_has_failed_and_is_not_tried_again_unless_that_is_declared() {
    let script = "echo run >> @T/trace\n[ $(wc -l < @T/trace) = 3 ]";
    let mut service = Fixture::new().service("a", "type = \"oneshot\"").run(script).start();
    assert!(service.ended().success());
    let status = service.status();
    assert_eq!((status.state, status.reason.as_str()), (State::Failed, "ended with exit 1"));
    assert_eq!(service.fixture.trace().len(), 1);
    let toml = "type = \"oneshot\"\n[restart]\nwhen = \"on-failure\"\ndelay = \"1ms\"";
    let mut service = Fixture::new().service("a", toml).run(script).start();
    assert!(service.ended().success());
    assert_eq!(service.status().state, State::Done);
    assert_eq!(service.fixture.trace().len(), 3);
}

#[test]
fn a_oneshot_that_takes_too_long_is_stopped_and_has_failed() {
    let toml = "type = \"oneshot\"\ncommand = [\"sleep\", \"1000\"]\n[start]\ntimeout = \"50ms\"";
    let mut service = Fixture::new().service("a", toml).start();
    assert!(service.ended().success());
    let status = service.status();
    assert_eq!((status.state, status.reason.as_str()), (State::Failed, "took too long"));
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::TERM, core: false }));
}

#[test]
fn a_oneshot_that_is_stopped_while_it_runs_is_down() {
    let toml = "type = \"oneshot\"\ncommand = [\"sleep\", \"1000\"]";
    let service = Fixture::new().service("a", toml).start();
    let status = service.until(State::Starting);
    assert!(status.pid.is_some());
    service.tell("stop");
    assert_eq!(service.until(State::Down).want, Want::Down);
}
