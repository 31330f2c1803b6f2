//! Stopping: the signal, the deadline, KILL; what is signalled; reload and kill.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Pid, Signal, State, Supervised, WaitStatus, Want, eventually, process};

/// Ready once it ignores TERM.
const DEAF: &str = "trap '' TERM\necho >&3\nexec 3>&-\nexec sleep 1000";

/// A number that a service wrote to a file.
fn number(service: &Supervised, file: &str) -> Pid {
    let text = service.fixture.read(file);
    text.trim().parse().ok().and_then(Pid::new).unwrap()
}

#[test]
fn a_stopped_service_gets_term_and_stays_down() {
    let service = Fixture::new().tracing("a", "").start();
    let pid = service.up();
    service.wait_for_trace(1);
    service.tell("stop");
    let status = service.until(State::Down);
    assert_eq!((status.want, status.pid), (Want::Down, None));
    assert_eq!(status.last_exit, Some(WaitStatus::Exited(0)));
    assert_eq!(service.fixture.trace(), ["a starts", "a stops"]);
    assert!(!process::lives(pid));
}

#[test]
fn the_stop_signal_is_the_one_that_the_definition_names() {
    let script = "trap 'echo quit >> @T/trace; exit 5' QUIT\necho >&3\nsleep 1000 & wait";
    let toml = "[stop]\nsignal = \"QUIT\"\n[ready]\nfd = 3";
    let service = Fixture::new().service("a", toml).run(script).start();
    service.up();
    service.tell("stop");
    assert_eq!(service.until(State::Down).last_exit, Some(WaitStatus::Exited(5)));
    assert_eq!(service.fixture.trace(), ["quit"]);
}

#[test]
fn what_ignores_term_is_killed_at_the_deadline() {
    let toml = "[ready]\nfd = 3\n[stop]\ntimeout = \"50ms\"";
    let service = Fixture::new().service("a", toml).run(DEAF).start();
    service.up();
    let mut events = service.observe();
    events.event();
    events.ask("stop");
    events.expect(&[State::Stopping, State::Down]);
    let status = service.status();
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    assert!(service.log().contains("has not ended in time (killing it)"), "{}", service.log());
}

#[test]
fn before_the_deadline_it_is_not_killed_however_often_stop_is_said() {
    let toml = "[ready]\nfd = 3\n[stop]\ntimeout = \"1h\"";
    let script = "trap 'echo term >> @T/trace' TERM\necho >&3\nsleep 1000 &\nwhile :; do wait; done";
    let service = Fixture::new().service("a", toml).run(script).start();
    let pid = service.up();
    service.tell("stop");
    service.wait_for_trace(1);
    service.tell("stop");
    service.tell("stop");
    let status = service.status();
    assert_eq!((status.state, status.pid), (State::Stopping, Some(pid)));
    assert!(process::lives(pid));
    assert_eq!(service.fixture.trace(), ["term"], "one stop, one signal");
    service.tell("kill KILL");
    service.until(State::Down);
}

#[test]
fn a_process_that_was_halted_by_a_signal_is_stopped_all_the_same() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    process::send(pid, Signal::parse("STOP").unwrap());
    eventually("it is halted", || process::stat(pid).is_some_and(|stat| stat.state == 'T'));
    service.tell("stop");
    let status = service.until(State::Down);
    let term = WaitStatus::Signalled { signal: Signal::TERM, core: false };
    assert_eq!(status.last_exit, Some(term), "it was continued, and never had to be killed");
}

#[test]
fn scope_main_leaves_the_children_and_scope_group_takes_them() {
    for (scope, survives) in [("main", true), ("group", false)] {
        let script = "sleep 1000 &\necho $! > @T/child\necho >&3\nexec 3>&-\nexec sleep 1001";
        let toml = format!("[ready]\nfd = 3\n[stop]\nscope = \"{scope}\"");
        let service = Fixture::new().service("a", &toml).run(script).start();
        service.up();
        let child = number(&service, "child");
        service.tell("stop");
        service.until(State::Down);
        if survives {
            assert!(process::lives(child), "scope {scope}");
        } else {
            eventually("the child is gone", || !process::lives(child));
        }
    }
}

#[test]
fn the_deadline_of_scope_group_kills_the_children_too() {
    let script = "trap '' TERM\nsleep 1000 &\necho $! > @T/child\necho >&3\nexec 3>&-\nexec sleep 1001";
    let toml = "[ready]\nfd = 3\n[stop]\nscope = \"group\"\ntimeout = \"50ms\"";
    let service = Fixture::new().service("a", toml).run(script).start();
    service.up();
    let child = number(&service, "child");
    service.tell("stop");
    service.until(State::Down);
    eventually("the child is gone", || !process::lives(child));
}

/// Tells of every signal it gets, and ends at TERM; what `usr1` does is given.
fn talkative(usr1: &str, toml: &str) -> Supervised {
    let script = format!(
        "for name in HUP USR2; do trap \"echo $name >> @T/trace\" $name; done\n\
         trap 'echo USR1 >> @T/trace; {usr1}' USR1\ntrap 'echo TERM >> @T/trace; kill $!; exit 0' TERM\n\
         sleep 1000 &\necho >&3\nwhile :; do wait; done"
    );
    let toml = format!("[ready]\nfd = 3\n{toml}");
    let service = Fixture::new().service("a", &toml).run(&script).start();
    service.up();
    service
}

#[test]
fn the_halt_signal_is_sent_when_the_machine_goes_down_and_only_then() {
    let toml = "[stop]\nhalt-signal = \"USR1\"\nhalt-timeout = \"50ms\"";
    let mut service = talkative("kill $!; exit 0", toml);
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(service.fixture.trace(), ["TERM"]);
    service.tell("start");
    service.up();
    service.tell("halt");
    assert_eq!(service.ended().code(), Some(0), "it exits once the service is down");
    assert_eq!(service.fixture.trace(), ["TERM", "USR1"]);
}

#[test]
fn what_does_not_end_by_the_halt_signal_is_stopped_after_its_deadline() {
    let toml = "[stop]\nhalt-signal = \"USR1\"\nhalt-timeout = \"50ms\"";
    let mut service = talkative(":", toml);
    service.tell("halt");
    assert!(service.ended().success());
    assert_eq!(service.fixture.trace(), ["USR1", "TERM"]);
    assert_eq!(service.status().state, State::Down);
}

#[test]
fn reload_and_kill_send_their_signal_and_nothing_else_happens() {
    let service = talkative(":", "");
    let pid = service.until(State::Up).pid;
    for (command, expected) in [("reload", "HUP"), ("kill USR2", "USR2"), ("kill SIGUSR1", "USR1")] {
        let before = service.fixture.trace().len();
        service.tell(command);
        assert_eq!(service.wait_for_trace(before + 1).last().unwrap(), expected);
    }
    let status = service.status();
    assert_eq!((status.state, status.pid, status.restarts), (State::Up, pid, 0));
}

#[test]
fn reload_sends_the_signal_of_the_definition() {
    let service = talkative(":", "[reload]\nsignal = \"USR2\"");
    service.tell("reload");
    assert_eq!(service.wait_for_trace(1), ["USR2"]);
}

#[test]
fn what_kill_ends_is_started_again() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let first = service.up();
    service.tell("kill TERM");
    let status = service.wait_for("another process runs", |status| status.restarts == 1);
    assert_eq!((status.state, status.want), (State::Up, Want::Up));
    assert_ne!(status.pid, Some(first));
}

#[test]
fn reload_and_kill_of_what_does_not_run_are_refused() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start_down();
    for command in ["reload", "kill TERM"] {
        assert_eq!(service.ask(command), "error not running");
    }
}

#[test]
fn term_to_the_supervisor_stops_the_service_and_ends_it() {
    let mut service = Fixture::new().tracing("a", "").start();
    service.up();
    service.wait_for_trace(1);
    process::send(service.supervisor(), Signal::TERM);
    assert_eq!(service.ended().code(), Some(0));
    assert_eq!(service.fixture.trace(), ["a starts", "a stops"]);
    assert_eq!(service.status().state, State::Down);
}
