//! Scripts of s6 and runit, which are told and asked what their own supervisors tell and ask them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Signal, State, WaitStatus, process};

const TELL: &str = "echo \"$# $*\" >> @T/trace";

#[test]
fn scripts_of_s6_are_given_their_name() {
    let service = Fixture::new()
        .service("a", "style = \"s6\"")
        .run("echo \"$# $1\" >> @T/trace\nexec sleep 1000")
        .finish(TELL)
        .start();
    let pid = service.up();
    assert_eq!(service.wait_for_trace(1), ["1 a"]);
    process::send(pid, Signal::KILL);
    assert_eq!(service.wait_for_trace(2)[1], format!("4 256 9 a {pid}"));
}

#[test]
fn the_finish_script_of_runit_is_given_minus_one_and_the_low_byte_of_the_status() {
    let service = Fixture::new()
        .service("a", "style = \"runit\"")
        .run("echo $# >> @T/trace\nexec sleep 1000")
        .finish(TELL)
        .start();
    let pid = service.up();
    assert_eq!(service.wait_for_trace(1), ["0"]);
    process::send(pid, Signal::KILL);
    assert_eq!(service.wait_for_trace(2)[1], "2 -1 9");
}

#[test]
fn exit_125_means_nothing_to_runit() {
    let toml = "style = \"runit\"";
    let service = Fixture::new().service("a", toml).run("exec sleep 1000").finish("exit 125").start();
    process::send(service.up(), Signal::KILL);
    let status = service.wait_for("it runs again", |status| status.restarts == 1);
    assert_eq!(status.state, State::Up);
}

/// A service of runit that writes down each TERM and HUP, and ends with 3 at USR1.
fn traps() -> Fixture {
    Fixture::new().service("a", "style = \"runit\"").run(
        "trap 'echo TERM >> @T/trace; exit 0' TERM\ntrap 'echo HUP >> @T/trace' HUP\n\
         trap 'exit 3' USR1\necho $$ > @T/pid\necho up >> @T/trace\n\
         while :; do sleep 0.01; done",
    )
}

#[test]
fn a_control_program_takes_the_place_of_the_signal() {
    let script = "echo t >> @T/trace; kill -USR1 $(cat @T/pid)";
    let service =
        traps().executable("control/t", script).executable("control/d", "echo d >> @T/trace").start();
    service.up();
    service.wait_for_trace(1);
    service.tell("stop");
    let status = service.until(State::Down);
    assert_eq!(status.last_exit, Some(WaitStatus::Exited(3)));
    let trace = service.wait_for_trace(2);
    assert_eq!(trace[..2], ["up", "t"]);
    assert!(!trace.contains(&"TERM".to_owned()), "{trace:?}");
}

#[test]
fn the_signal_is_sent_if_the_control_program_fails() {
    let script = "echo t >> @T/trace; exit 1";
    let service =
        traps().executable("control/t", script).executable("control/d", "echo d >> @T/trace").start();
    service.up();
    service.wait_for_trace(1);
    service.tell("stop");
    let status = service.until(State::Down);
    assert_eq!(status.last_exit, Some(WaitStatus::Exited(0)));
    assert_eq!(service.fixture.trace()[..2], ["up", "t"]);
    assert!(service.fixture.trace().contains(&"TERM".to_owned()));
    tests::eventually("d has run after t", || service.fixture.trace().contains(&"d".to_owned()));
}

#[test]
fn a_control_program_takes_the_place_of_a_reload_too() {
    let service = traps().executable("control/h", "echo h >> @T/trace").start();
    let pid = service.up();
    service.wait_for_trace(1);
    service.tell("reload");
    assert_eq!(service.wait_for_trace(2), ["up", "h"]);
    process::send(pid, Signal::HUP);
    assert_eq!(service.wait_for_trace(3)[2], "HUP", "the signal itself is what it is");
}

#[test]
fn a_control_program_that_hangs_does_not_keep_a_service_from_being_stopped() {
    let toml = "style = \"runit\"\n[stop]\ntimeout = \"200ms\"";
    let mut service = Fixture::new()
        .service("a", toml)
        .run("exec sleep 1000")
        .executable("control/t", "exec sleep 1000")
        .start();
    service.up();
    service.tell("stop");
    let status = service.until(State::Down);
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    // Which ends what still hangs.
    service.tell("exit");
    assert!(service.ended().success());
}

#[test]
fn a_signal_that_comes_while_a_control_program_runs_waits_for_a_program_of_its_own() {
    let held = "echo h >> @T/trace; while [ -e @T/hold ]; do sleep 0.01; done";
    let service = traps()
        .file("hold", "")
        .executable("control/h", held)
        .executable("control/2", "echo 2 >> @T/trace")
        .executable("control/t", "echo t >> @T/trace; exit 1")
        .start();
    service.up();
    service.wait_for_trace(1);
    service.tell("kill HUP");
    assert_eq!(service.wait_for_trace(2)[1], "h");
    service.tell("kill USR2");
    service.tell("stop");
    std::fs::remove_file(service.fixture.path("hold")).unwrap();
    service.until(State::Down);
    assert_eq!(service.fixture.trace(), ["up", "h", "2", "t", "TERM"]);
}
