//! What is broken hurts nobody else: definitions, programs, directories.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Ending, Fixture, State, eventually};

#[test]
fn each_broken_definition_is_reported_with_place_and_reason_and_everything_else_is_up() {
    let machine = Fixture::new()
        .tracing("good", "")
        .tracing("also-good", "wants = [\"toml\"]")
        .service("toml", "command = [\"sleep\", \"1\"\ntype = 3\n")
        .service("unknown-key", "command = [\"sleep\", \"1\"]\nrequries = [\"good\"]\n")
        .service("no-program", "command = [\"no-such-program\"]\n")
        .service("cycle-a", "command = [\"sleep\", \"1000\"]\nrequires = [\"cycle-b\"]\n")
        .service("cycle-b", "command = [\"sleep\", \"1000\"]\nrequires = [\"cycle-a\"]\n")
        .service("stranger", "command = [\"sleep\", \"1000\"]\nrequires = [\"nobody\"]\n")
        .tracing("needs-toml", "requires = [\"toml\"]")
        .boot();
    for name in ["good", "also-good"] {
        assert_eq!(machine.state(name), State::Up, "{name}");
    }
    for (name, line, words) in [
        ("toml", 2, &["array"][..]),
        ("unknown-key", 2, &["requries", "requires"]),
        ("no-program", 1, &["no-such-program"]),
        ("cycle-a", 2, &["cycle-b"]),
        ("cycle-b", 2, &["cycle-a"]),
        ("stranger", 2, &["nobody"]),
    ] {
        let status = machine.status(name);
        assert_eq!(status.state, State::Invalid, "{name}: {}", status.reason);
        let place = format!("{name}/service.toml:{line}:");
        assert!(status.reason.contains(&place), "{name}: {}", status.reason);
        for word in words {
            assert!(status.reason.contains(word), "{name}: {}", status.reason);
        }
        assert!(machine.console().contains(&format!("{name}: invalid: ")), "{name}");
    }
    assert_eq!(machine.status("needs-toml").reason, "requires toml, which is not up");
    machine.wait_for_console("startup complete: 2 of 9 services up");
    let outcome = machine.svctl(&["status"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.output.contains("unknown-key"), "{outcome:?}");
}

#[test]
fn with_every_definition_broken_init_runs_reports_and_powers_off() {
    let mut machine = Fixture::new()
        .service("one", "command = 3\n")
        .service("two", "colour = \"blue\"\n")
        .service("three", "command = [\"true\"]\nrequires = [\"three\"]\n")
        .boot();
    machine.wait_for_console("startup complete: 0 of 3 services up");
    for name in ["one", "two", "three"] {
        assert_eq!(machine.state(name), State::Invalid);
    }
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn an_empty_tree_boots_to_a_machine_that_can_be_told() {
    let mut machine = Fixture::new().boot();
    assert_eq!(machine.ask("start nothing"), "error no such service nothing");
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn a_tree_that_is_not_there_is_told_and_the_machine_can_be_told_to_go_down() {
    let fixture = Fixture::new();
    std::fs::remove_dir(fixture.path("services")).unwrap();
    let mut machine = fixture.machine().start();
    machine.wait_for_console("services: No such file or directory");
    machine.wait_for_console("unable to compile the definitions");
    assert_eq!(machine.ask("start nothing"), "error no such service nothing");
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn rubbish_between_the_service_directories_is_survived() {
    let fixture =
        Fixture::new().tracing("good", "").file("services/README", "text").file("services/.hidden/x", "");
    let fixture = fixture.file("services/bad name/service.toml", "").file("services/empty/notes", "");
    std::os::unix::fs::symlink("/nonexistent", fixture.path("services/dangling")).unwrap();
    let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"not-utf8-\xff");
    std::fs::create_dir(fixture.path("services").join(name)).unwrap();
    let machine = fixture.boot();
    assert_eq!(machine.state("good"), State::Up);
}

#[test]
fn without_a_compiler_init_still_answers_and_goes_down() {
    let mut machine =
        Fixture::new().tracing("a", "").machine().only_programs(&["supervise", "svlog"]).start();
    machine
        .wait_for_console("unable to compile the definitions: unable to execute: No such file or directory");
    assert_eq!(machine.ask("start a"), "error no such service a");
    assert_eq!(machine.go_down("reboot"), Ending::Reboot);
}

#[test]
fn a_supervisor_that_cannot_be_started_is_tried_again_and_init_answers_meanwhile() {
    let mut machine = Fixture::new().tracing("a", "").machine().only_programs(&["svctl", "svlog"]).start();
    machine
        .wait_for_console("a: unable to start its supervisor: unable to execute: No such file or directory");
    let mut client = machine.observe();
    assert_eq!(client.ask("dance"), "error unknown command \"dance\"");
    let program = tests::programs::program("supervise");
    std::os::unix::fs::symlink(program, machine.fixture.path("programs/supervise")).unwrap();
    machine.until("a", State::Up);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn a_supervisor_that_never_starts_does_not_hold_up_going_down() {
    let mut machine = Fixture::new().tracing("a", "").machine().only_programs(&["svctl", "svlog"]).start();
    machine.wait_for_console("a: unable to start its supervisor");
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn a_logger_that_cannot_be_started_is_tried_again_and_its_lines_wait() {
    let machine = Fixture::new()
        .script("a", "echo kept\nexec sleep 1000")
        .machine()
        .only_programs(&["svctl", "supervise"])
        .start();
    machine.wait_for_console("unable to start the logger: unable to execute: No such file or directory");
    machine.until("a", State::Up);
    let program = tests::programs::program("svlog");
    std::os::unix::fs::symlink(program, machine.fixture.path("programs/svlog")).unwrap();
    eventually("the line is in the log", || machine.log("a") == ["kept"]);
}

#[test]
fn a_definition_of_another_version_costs_its_service_and_nothing_else() {
    let mut machine = Fixture::new().tracing("good", "").tracing("old", "autostart = false").boot();
    let path = machine.fixture.path("run/service/old/definition");
    std::fs::write(&path, "mainstay-definition 99\n").unwrap();
    machine.tell("start old");
    eventually("it is refused", || {
        machine.log("old").iter().any(|line| line.contains("mainstay-definition 99"))
    });
    assert_eq!(machine.state("good"), State::Up);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn a_status_that_cannot_be_written_costs_nothing_else() {
    let fixture = Fixture::new().tracing("a", "");
    // A directory in the place of the file: root heeds no permissions.
    fixture.write("run/service/a/status/x", "");
    let mut machine = fixture.machine().start();
    eventually("it runs", || machine.fixture.trace() == ["a starts"]);
    eventually("it is told", || machine.log("a").iter().any(|line| line.contains("unable to write")));
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(machine.fixture.trace(), ["a starts", "a stops"]);
}
