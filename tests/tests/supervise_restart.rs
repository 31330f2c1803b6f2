//! A service that dies is started again: at once, then ever later, until it is given up or left alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::time::Duration;
use tests::{Fixture, Signal, State, WaitStatus, Want, eventually, process};

#[test]
fn a_killed_service_runs_again_at_once_with_nothing_in_between() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let first = service.up();
    let mut events = service.observe();
    assert_eq!(events.event().state, State::Up);
    process::send(first, Signal::KILL);
    let again = events.event();
    assert_eq!((again.state, again.starts), (State::Up, 2), "no back-off before the first restart");
    assert_ne!(again.pid, Some(first));
    let status = service.status();
    assert_eq!(status.pid, again.pid, "what was told is on disk");
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    assert_eq!(status.restarts, 1);
    service.wait_for_log("warning: ended with signal KILL");
}

#[test]
fn a_service_that_keeps_dying_waits_twice_as_long_each_time_up_to_the_maximum() {
    let toml = "[restart]\ndelay = \"20ms\"\nmax-delay = \"80ms\"";
    let service = Fixture::new().service("a", toml).run("exit 7").start_down();
    let mut events = service.observe();
    events.ask("start");
    let mut delays = Vec::new();
    while delays.len() < 5 {
        let event = events.event();
        if event.state == State::Backoff {
            let status = service.status();
            // A slow reader may find the next run's status: then the wait is over and cannot be read any more.
            match (status.state, status.next_start, status.last_exit_at) {
                (State::Backoff, Some(next), Some(died)) if status.restarts + 1 == event.starts => {
                    delays.push((event.starts, next.since(died)));
                }
                _ => delays.push((event.starts, Duration::ZERO)),
            }
            assert_eq!(event.reason, "ended with exit 7");
        }
    }
    assert_eq!(delays[0].0, 2, "the first restart waits for nothing");
    for (starts, delay) in delays.into_iter().filter(|(_, delay)| !delay.is_zero()) {
        let expected = Duration::from_millis(20 << (starts - 2).min(2));
        assert_eq!(delay, expected, "after run {starts}");
    }
}

#[test]
fn a_start_that_somebody_asks_for_does_not_wait_and_forgets_what_was_before() {
    let toml = "[restart]\ndelay = \"1h\"\nmax-delay = \"2h\"";
    let service = Fixture::new().service("a", toml).run("echo run >> @T/trace; exit 1").start();
    service.until(State::Backoff);
    let mut events = service.observe();
    assert_eq!(service.fixture.trace().len(), 2);
    assert_eq!(events.ask("start"), "ok");
    events.wait_for(|event| event.state == State::Backoff && event.starts == 4);
    assert_eq!(service.fixture.trace().len(), 4, "the first death after it was answered at once again");
    let status = service.status();
    let delay = status.next_start.unwrap().since(status.last_exit_at.unwrap());
    assert_eq!(delay, Duration::from_secs(3600));
}

#[test]
fn a_service_that_dies_too_often_is_given_up_and_comes_back_when_asked_for() {
    let toml = "[restart]\ndelay = \"1ms\"\ngive-up = { deaths = 3, within = \"1m\" }";
    let script = "echo run >> @T/trace\n[ ! -e @T/mended ] || exec sleep 1000\nexit 1";
    let service = Fixture::new().service("a", toml).run(script).start();
    let status = service.until(State::Failed);
    assert_eq!(status.reason, "gave up after too many deaths, the last ended with exit 1");
    assert_eq!(status.want, Want::Up);
    assert_eq!(service.fixture.trace().len(), 3);
    service.fixture.write("mended", "");
    service.tell("start");
    service.up();
}

#[test]
fn when_to_restart_is_what_the_definition_says() {
    for (when, code, state) in [
        ("never", 0, State::Done),
        ("never", 1, State::Failed),
        ("on-failure", 0, State::Done),
        ("on-failure", 1, State::Backoff),
        ("always", 0, State::Backoff),
    ] {
        let toml = format!("[restart]\nwhen = \"{when}\"\ndelay = \"1h\"\nmax-delay = \"1h\"");
        let service = Fixture::new().service("a", &toml).run(&format!("exit {code}")).start();
        let status = service.until(state);
        assert_eq!(status.last_exit, Some(WaitStatus::Exited(code)), "{when} {code}");
        assert_eq!(status.restarts, u32::from(state == State::Backoff), "{when} {code}");
    }
}

#[test]
fn a_service_wanted_once_is_not_started_again() {
    let service = Fixture::new().script("a", "read line < @T/end; exit $line").start_down();
    sh(&format!("mkfifo {}", service.fixture.path("end").display()));
    for (code, state) in [("3", State::Failed), ("0", State::Done)] {
        service.tell("once");
        let status = service.until(State::Up);
        assert_eq!(status.want, Want::Once);
        service.fixture.write("end", &format!("{code}\n"));
        assert_eq!(service.until(state).want, Want::Down);
    }
}

#[test]
fn restart_replaces_the_process_and_is_no_death_to_speak_of() {
    let service = Fixture::new().tracing("a", "").start();
    let first = service.up();
    service.wait_for_trace(1);
    let mut events = service.observe();
    events.event();
    assert_eq!(events.ask("restart"), "ok");
    let seen = events.expect(&[State::Stopping, State::Up]);
    assert_eq!(seen[0].pid, Some(first));
    assert_ne!(seen[1].pid, Some(first));
    assert_eq!(service.wait_for_trace(3), ["a starts", "a stops", "a starts"]);
    assert!(!service.log().contains("warning"), "{}", service.log());
    eventually("the first is gone", || !process::lives(first));
}

/// Runs a line of shell.
fn sh(line: &str) {
    assert!(std::process::Command::new("sh").args(["-c", line]).status().unwrap().success(), "{line}");
}
