//! Looking after a service that runs: health checks, reloading, pausing; and undoing a oneshot.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Pid, Signal, State, WaitStatus, eventually, process};

const SLEEP: &str = "command = [\"sleep\", \"1000\"]\n";

/// The state letter of a process (proc(5)).
fn letter(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_service_whose_checks_fail_is_restarted_and_one_that_recovers_is_not() {
    let toml = format!(
        "{SLEEP}[health]\ncommand = [\"sh\", \"-c\", \"echo check >> @T/trace; test ! -e @T/sick\"]\n\
         interval = \"100ms\"\nthreshold = 2\n[restart]\nwhen = \"on-failure\""
    );
    let service = Fixture::new().service("a", &toml).start();
    let pid = service.up();
    service.wait_for_trace(2);
    service.fixture.write("sick", "");
    let status = service.wait_for("it is found to be sick", |status| status.unhealthy == 1);
    assert_eq!((status.state, status.pid), (State::Up, Some(pid)));
    let status =
        service.wait_for("it runs again", |status| status.restarts == 1 && status.state == State::Up);
    assert_eq!(status.unhealthy, 0, "a new run is not to blame for the one before");
    service.wait_for_log("its health checks fail (stopping it)");
    std::fs::remove_file(service.fixture.path("sick")).unwrap();
    let checks = service.fixture.trace().len();
    service.wait_for_trace(checks + 3);
    assert!(service.status().restarts <= 2);
}

#[test]
fn a_check_that_hangs_is_killed_and_has_failed_and_is_only_reported_if_so_declared() {
    let toml = format!(
        "{SLEEP}[health]\ncommand = [\"sh\", \"-c\", \"echo $$ > @T/check; exec sleep 1003\"]\n\
         interval = \"100ms\"\ntimeout = \"50ms\"\nthreshold = 1\naction = \"report\""
    );
    let service = Fixture::new().service("a", &toml).start();
    let pid = service.up();
    let status = service.wait_for("it is reported", |status| status.unhealthy >= 2);
    assert_eq!((status.state, status.pid), (State::Up, Some(pid)));
    assert_eq!(status.reason, "its health checks fail");
    service.tell("stop");
    service.until(State::Down);
    let check = service.fixture.read("check").trim().parse().ok().and_then(Pid::new).unwrap();
    eventually("the check is gone", || !process::lives(check));
}

#[test]
fn what_is_paused_stands_still_and_goes_on_or_is_stopped() {
    let script = "trap 'echo term >> @T/trace; exit 0' TERM\necho >&3\nwhile :; do sleep 0.01; done";
    let toml = "[ready]\nfd = 3\n[stop]\nscope = \"group\"\ntimeout = \"20s\"";
    let service = Fixture::new().service("a", toml).run(script).start();
    let pid = service.up();
    service.tell("pause");
    let status = service.wait_for("it is paused", |status| status.paused);
    assert_eq!((status.state, status.pid), (State::Up, Some(pid)));
    eventually("it stands still", || letter(pid) == Some('T'));
    service.tell("continue");
    service.wait_for("it goes on", |status| !status.paused);
    eventually("it runs", || letter(pid) != Some('T'));
    service.tell("pause");
    service.wait_for("it is paused", |status| status.paused);
    service.tell("stop");
    let status = service.until(State::Down);
    assert_eq!((status.last_exit, status.paused), (Some(WaitStatus::Exited(0)), false));
    assert_eq!(service.fixture.trace(), ["term"]);
    assert_eq!(service.ask("pause"), "error not running");
}

#[test]
fn a_paused_service_is_not_found_unhealthy_and_its_restart_runs() {
    let toml = format!(
        "{SLEEP}[health]\ncommand = [\"sh\", \"-c\", \"echo check >> @T/trace; kill -0 $(cat @T/none)\"]\n\
         interval = \"100ms\"\nthreshold = 1000"
    );
    let service = Fixture::new().service("a", &toml).start();
    service.wait_for_trace(2);
    service.tell("pause");
    let paused = service.wait_for("it is paused", |status| status.paused);
    let checks = service.fixture.trace().len();
    let later = sys::clock::now().after(std::time::Duration::from_millis(400));
    eventually("time passes", || sys::clock::now() > later);
    assert!(service.fixture.trace().len() <= checks + 1, "it is not checked");
    service.tell("restart");
    let status = service.wait_for("it runs anew", |status| status.restarts == 1 && status.state == State::Up);
    assert!(!status.paused && status.pid != paused.pid);
    assert_ne!(letter(status.pid.unwrap()), Some('T'));
}

#[test]
fn a_reload_command_runs_once_at_a_time_and_its_failure_is_told() {
    let script =
        "echo reload >> @T/trace; while [ ! -e @T/go ]; do sleep 0.01; done; rm @T/go; test ! -e @T/bad";
    let toml = format!("{SLEEP}[reload]\ncommand = [\"sh\", \"-c\", \"{script}\"]");
    let service = Fixture::new().service("a", &toml).start();
    let pid = service.up();
    service.tell("reload");
    service.wait_for("it reloads", |status| status.reloading);
    assert_eq!(service.ask("reload"), "error reloading already");
    service.fixture.write("go", "");
    service.wait_for("it has reloaded", |status| !status.reloading);
    assert_eq!(service.fixture.trace(), ["reload"]);
    service.fixture.write("bad", "");
    service.fixture.write("go", "");
    service.tell("reload");
    service.wait_for("the failure is told", |status| status.reason == "its last reload failed");
    let status = service.status();
    assert_eq!((status.state, status.pid), (State::Up, Some(pid)));
}

#[test]
fn a_reload_command_that_hangs_is_killed() {
    let toml = format!("{SLEEP}[reload]\ncommand = [\"sleep\", \"1004\"]\ntimeout = \"50ms\"");
    let service = Fixture::new().service("a", &toml).start();
    service.up();
    service.tell("reload");
    let status = service.wait_for("it is given up", |status| !status.reason.is_empty());
    assert_eq!((status.state, status.reloading), (State::Up, false));
    service.tell("reload");
}

#[test]
fn a_oneshot_that_is_done_is_undone_by_a_supervisor_that_is_told_to_stop_it() {
    let toml = "type = \"oneshot\"\ncommand = [\"sh\", \"-c\", \"echo up >> @T/trace\"]\n\
                down-command = [\"sh\", \"-c\", \"echo down >> @T/trace; test ! -e @T/bad\"]";
    let mut service = Fixture::new().service("a", toml).start();
    service.until(State::Done);
    service.ended();
    service.start_again(&[]);
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(service.fixture.trace(), ["up", "down"]);
    service.tell("start");
    service.until(State::Done);
    service.ended();
    service.fixture.write("bad", "");
    service.start_again(&[]);
    service.tell("stop");
    let status = service.until(State::Failed);
    assert_eq!(status.reason, "its down command failed");
    assert_eq!(service.fixture.trace(), ["up", "down", "up", "down"]);
}

#[test]
fn a_down_command_that_hangs_is_killed() {
    let toml = "type = \"oneshot\"\ncommand = [\"true\"]\ndown-command = [\"sleep\", \"1005\"]\n[stop]\ntimeout = \"50ms\"";
    let mut service = Fixture::new().service("a", toml).start();
    service.until(State::Done);
    service.ended();
    service.start_again(&[]);
    service.tell("stop");
    service.until(State::Failed);
}

#[test]
fn a_readiness_command_that_hangs_does_not_hold_up_a_stop_or_a_halt() {
    let toml = format!("{SLEEP}[ready]\ncommand = [\"sleep\", \"1006\"]");
    let mut service = Fixture::new().service("a", &toml).start();
    service.until(State::Starting);
    service.tell("halt");
    service.until(State::Down);
    assert!(service.ended().success());
}

#[test]
fn a_control_script_takes_the_place_of_its_signal_and_kill_is_sent_all_the_same() {
    let run = "trap 'echo hup >> @T/trace' HUP\ntrap 'echo term >> @T/trace' TERM\n\
               echo ready >> @T/trace\nwhile :; do sleep 0.01; done";
    let fixture = Fixture::new().file("services/a/supervise-is-runit", "").script("a", run);
    std::fs::remove_file(fixture.path("services/a/service.toml")).unwrap();
    let control = |fixture: Fixture, letter: &str, code: u8| {
        let text = format!("echo {letter} >> @T/trace\nexit {code}");
        fixture.executable(&format!("control/{letter}"), &text)
    };
    std::fs::create_dir_all(fixture.path("services/a/control")).unwrap();
    let fixture = control(control(control(fixture, "h", 1), "t", 0), "d", 0);
    let service = fixture.start();
    service.wait_for_trace(1);
    service.tell("kill HUP");
    assert_eq!(service.wait_for_trace(3)[1..], ["h", "hup"]);
    service.tell("stop");
    assert_eq!(service.wait_for_trace(5)[3..], ["t", "d"]);
    assert_eq!(service.status().state, State::Stopping, "runit waits for ever");
    service.tell("kill KILL");
    let status = service.until(State::Down);
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    assert!(!service.fixture.trace().contains(&"term".to_owned()));
}
