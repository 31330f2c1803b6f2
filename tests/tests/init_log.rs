//! Logs: no line is lost, whoever is killed, until the very end.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Ending, Fixture, Machine, Signal, State, eventually, process};

/// Prints numbered lines up to a number, one write each.
const COUNT: &str = "i=1\nwhile [ $i -le 20000 ]; do echo line $i; i=$((i + 1)); done\n";

fn expected(count: u32) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

/// The lines of the service itself.
fn counted(machine: &Machine, name: &str) -> Vec<String> {
    machine.log(name).into_iter().filter(|line| line.starts_with("line ")).collect()
}

#[test]
fn no_line_is_lost_when_the_logger_is_killed_again_and_again() {
    let toml = "type = \"oneshot\"\n[log]\nrotate = { size = \"64KiB\", keep = 100 }";
    let machine = Fixture::new().service("a", toml).run(COUNT).machine().start();
    let mut killed = None;
    for _ in 0..3 {
        let logger = tests::wait::eventually_some("there is another logger", || {
            machine.logger().filter(|pid| Some(*pid) != killed)
        });
        eventually("it has written something", || !machine.log("a").is_empty());
        process::send(logger, Signal::KILL);
        killed = Some(logger);
    }
    machine.until("a", State::Done);
    machine.wait_for_console("the logger ended with signal KILL (starting it again)");
    eventually("the last line is there", || {
        counted(&machine, "a").last().is_some_and(|line| line == "line 20000")
    });
    let lines = counted(&machine, "a");
    // What was written and not yet taken from the pipe when the logger died may be there twice.
    let mut seen = std::collections::HashSet::new();
    let mut unique = lines.clone();
    unique.retain(|line| seen.insert(line.clone()));
    assert_eq!(unique.len(), 20000, "of {}", lines.len());
    assert_eq!(unique, expected(20000));
}

#[test]
fn no_line_is_lost_when_supervisor_and_service_are_killed() {
    let script = "echo first\nexec sleep 1000";
    let machine = Fixture::new().script("a", script).boot();
    let mut killed = None;
    for runs in 1..4 {
        let status = machine.wait_for("a", "runs under a supervisor", |status| {
            status.state == State::Up && status.supervisor != killed && status.restarts + 1 == runs
        });
        killed = status.supervisor;
        eventually("its line is there", || {
            machine.log("a").iter().filter(|line| *line == "first").count() == usize::try_from(runs).unwrap()
        });
        machine.send(status.supervisor.unwrap(), Signal::KILL);
        machine.send(status.pid.unwrap(), Signal::KILL);
    }
}

#[test]
fn the_last_lines_of_the_shutdown_are_in_the_log() {
    let script = "trap 'i=1; while [ $i -le 500 ]; do echo line $i; i=$((i + 1)); done; kill $!; exit 0' TERM\n\
                  echo >&3\nsleep 1000 & wait";
    let toml = "[ready]\nfd = 3";
    let mut machine = Fixture::new().service("a", toml).run(script).service("b", toml).run(script).boot();
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    for name in ["a", "b"] {
        assert_eq!(counted(&machine, name), expected(500), "{name}");
    }
}

#[test]
fn what_strays_write_at_the_end_is_in_the_log_too() {
    // It ignores TERM and outlives its service: only the end of all processes ends it.
    let stray =
        "setsid sh -c 'trap \"echo line 1\" TERM; echo up >> @T/trace; while :; do sleep 0.05; done' &";
    let script = format!("{stray}\nexec sleep 1000");
    let mut machine = Fixture::new().script("a", &script).boot();
    eventually("the stray runs", || machine.fixture.trace() == ["up"]);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(counted(&machine, "a"), expected(1));
}

#[test]
fn output_and_errors_of_service_finish_script_and_supervisor_are_in_one_log() {
    let script = "echo output\necho error >&2\nexit 3";
    let machine =
        Fixture::new().service("a", "[restart]\nwhen = \"never\"").run(script).finish("echo finish").boot();
    eventually("all is there", || machine.log("a").len() >= 4);
    let log = machine.log("a");
    assert_eq!(log[..2], ["output", "error"]);
    assert!(log.contains(&"finish".to_owned()), "{log:?}");
    assert!(log.iter().any(|line| line.starts_with("supervise a: warning: ended with exit 3")), "{log:?}");
    let outcome = machine.svctl(&["logs", "a"]);
    assert!(outcome.code == 0 && outcome.output.contains("finish"), "{outcome:?}");
}

#[test]
fn a_service_that_floods_its_log_is_rotated_and_does_not_fill_the_disk() {
    let toml = "type = \"oneshot\"\n[log]\nrotate = { size = \"8KiB\", keep = 2 }";
    let machine = Fixture::new().service("a", toml).run(COUNT).boot();
    eventually("the last line is there", || {
        counted(&machine, "a").last().is_some_and(|line| line == "line 20000")
    });
    let place = machine.fixture.path("logs/a");
    let sizes: Vec<u64> =
        std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
    assert!(sizes.iter().sum::<u64>() < 40_000, "{sizes:?}");
}
