//! A supervisor may be killed at any moment: the next one takes over what it finds.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Signal, State, Supervised, Want, eventually, process};

#[test]
fn a_service_that_lives_is_adopted_with_its_process_and_its_times() {
    let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    let before = service.status();
    service.kill_supervisor();
    assert!(process::lives(pid), "it does not notice");
    service.start_again(&[]);
    let new = Some(service.supervisor());
    let after = service.wait_for("it is adopted", |status| status.supervisor == new);
    assert_eq!((after.state, after.want, after.pid), (State::Up, Want::Up, Some(pid)));
    assert_eq!((after.started, after.ready_since), (before.started, before.ready_since));
    assert_eq!(after.restarts, before.restarts);
    service.tell("stop");
    service.until(State::Down);
    assert!(!process::lives(pid));
}

#[test]
fn an_adopted_service_that_dies_is_started_again() {
    let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    service.kill_supervisor();
    service.start_again(&[]);
    let new = Some(service.supervisor());
    service.wait_for("it is adopted", |status| status.supervisor == new);
    process::send(pid, Signal::KILL);
    let status = service.wait_for("another runs", |status| status.pid.is_some_and(|other| other != pid));
    assert_eq!((status.state, status.restarts), (State::Up, 1));
}

#[test]
fn a_service_that_died_meanwhile_is_started_again_and_a_stranger_with_its_number_is_left_alone() {
    let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    service.kill_supervisor();
    // As if the number had been given to another process since.
    let path = service.fixture.path("run/service/a/status");
    let text = std::fs::read_to_string(&path).unwrap();
    let start = service.status().pid_start;
    let forged = text.replace(&format!("pid-start {start}"), &format!("pid-start {}", start - 1));
    assert_ne!(text, forged);
    std::fs::write(&path, forged).unwrap();
    std::fs::remove_file(service.fixture.path("run/service/a/spawned")).unwrap();
    service.start_again(&[]);
    let status = service.wait_for("another runs", |status| status.pid.is_some_and(|other| other != pid));
    assert_eq!(status.state, State::Up);
    service.tell("stop");
    service.until(State::Down);
    assert!(process::lives(pid), "the stranger was not touched");
}

#[test]
fn a_stop_that_was_under_way_goes_on() {
    let toml = "[ready]\nfd = 3\n[stop]\ntimeout = \"50ms\"";
    let script = "trap '' TERM\necho >&3\nexec 3>&-\nexec sleep 1000";
    let mut service = Fixture::new().service("a", toml).run(script).start();
    let pid = service.up();
    service.tell("stop");
    service.kill_supervisor();
    let told = service.status().state != State::Up;
    service.start_again(&[]);
    if told {
        service.until(State::Down);
        eventually("it is gone", || !process::lives(pid));
    }
}

#[test]
fn readiness_that_was_told_is_remembered_and_a_probe_goes_on() {
    let toml = "command = [\"sleep\", \"1000\"]\n[ready]\ninterval = \"10ms\"\ncommand = [\"test\", \"-e\", \"@T/go\"]";
    let mut service = Fixture::new().service("a", toml).start();
    let pid = service.until(State::Starting).pid;
    service.kill_supervisor();
    service.start_again(&[]);
    service.fixture.write("go", "");
    assert_eq!(service.until(State::Up).pid, pid);
    service.kill_supervisor();
    std::fs::remove_file(service.fixture.path("go")).unwrap();
    service.start_again(&[]);
    let new = Some(service.supervisor());
    let status = service.wait_for("it is adopted", |status| status.supervisor == new);
    assert_eq!((status.state, status.pid), (State::Up, pid));
}

/// A service that must not run twice: it holds a lock as long as it lives, and tells if it cannot have it.
fn churning() -> Fixture {
    let toml = "[restart]\ndelay = \"1ms\"\nmax-delay = \"1ms\"";
    let script = "exec 9> @T/lock\nflock -n 9 || { echo doubled $$ of $PPID >> @T/trace; exit 99; }\n\
                  echo runs >> @T/trace\nexec sleep 0.00$(($$ % 10))";
    Fixture::new().service("a", toml).run(script)
}

#[test]
fn however_often_and_whenever_the_supervisor_is_killed_the_service_never_runs_twice() {
    let mut service = churning().start();
    service.up();
    for round in 0..200_u64 {
        // Pseudo-random moments: a few instructions up to a few milliseconds after the start.
        let moment = round.wrapping_mul(2_654_435_761) % 12_000;
        std::thread::sleep(std::time::Duration::from_micros(moment));
        service.kill_supervisor();
        service.start_again(&["--up"]);
    }
    let runs = service.fixture.trace().len();
    service.wait_for_trace(runs + 10);
    assert_no_double(&service);
    service.tell("stop");
    service.until(State::Down);
}

fn assert_no_double(service: &Supervised) {
    let doubled = service.fixture.trace().iter().filter(|line| line.starts_with("doubled")).count();
    assert_eq!(doubled, 0, "of {} runs", service.fixture.trace().len());
}
