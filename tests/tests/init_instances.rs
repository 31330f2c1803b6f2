//! Instances of templates, while the machine runs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, State};

/// A template of which `a@boot` is wanted with the machine, and which writes its instance's name.
fn templates() -> Fixture {
    Fixture::new()
        .service("a@", "wants = [\"b@%i\"]\n[environment]\nWHO = \"%i\"\n")
        .run("echo a $WHO starts >> @T/trace\nexec sleep 1000")
        .service("b@", "[environment]\nWHO = \"%i\"\n")
        .run("echo b $WHO starts >> @T/trace\nexec sleep 1000")
        .service("main", "wants = [\"a@boot\"]\n")
        .run("exec sleep 1000")
}

#[test]
fn an_instance_that_nobody_has_named_is_made_when_it_is_started() {
    let machine = templates().machine().start();
    machine.wait_for_boot();
    assert_eq!(machine.state("a@boot"), State::Up);
    // What else has changed on disk waits for a reload.
    machine.fixture.write("services/main/service.d/x.toml", "description = \"changed\"\n");
    machine.fixture.write("services/other/service.toml", "command = [\"sleep\", \"1000\"]\n");
    let outcome = machine.svctl(&["start", "a@later"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(machine.state("a@later"), State::Up);
    machine.until("b@later", State::Up);
    for line in ["a later starts", "b later starts"] {
        tests::eventually(line, || machine.fixture.trace().contains(&line.to_owned()));
    }
    let status = machine.svctl(&["status"]);
    assert!(status.output.contains("a@later") && !status.output.contains("other"), "{status:?}");
    let main = std::fs::read_to_string(machine.fixture.path("run/service/main/definition")).unwrap();
    assert!(!main.contains("changed"), "{main}");
}

#[test]
fn an_instance_that_was_asked_for_is_still_there_after_a_reload() {
    let machine = templates().machine().start();
    machine.wait_for_boot();
    assert_eq!(machine.svctl(&["start", "a@later"]).code, 0);
    let pid = machine.status("a@later").pid;
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    assert_eq!((machine.state("a@later"), machine.status("a@later").pid), (State::Up, pid));
}

#[test]
fn an_instance_of_no_template_is_no_service() {
    let machine = templates().machine().start();
    machine.wait_for_boot();
    let outcome = machine.svctl(&["start", "c@x"]);
    assert!(outcome.code != 0 && outcome.error.contains("no such service"), "{outcome:?}");
    let noted = std::fs::read_to_string(machine.fixture.path("run/init/instances")).unwrap();
    assert_eq!(noted, "");
    assert_eq!(machine.state("main"), State::Up);
}

#[test]
fn every_verb_that_starts_something_makes_an_instance_and_a_plan_of_it_makes_none() {
    let machine = templates().service("set@", "type = \"bundle\"\ncontents = [\"a@%i\"]\n").machine().start();
    machine.wait_for_boot();
    let noted = || machine.fixture.read("run/init/instances");
    for verb in ["start", "restart"] {
        let plan = machine.svctl(&[verb, "a@planned", "--plan"]);
        assert_eq!(
            (plan.code, plan.output.as_str()),
            (0, "start    a@planned\nstart    b@planned\n"),
            "{plan:?}"
        );
    }
    let plan = machine.svctl(&["switch", "set@planned", "--plan"]);
    assert!(plan.output.contains("start    a@planned") && plan.output.contains("stop     main"), "{plan:?}");
    assert!(machine.try_status("a@planned").is_none() && noted().is_empty(), "{}", noted());

    for (verb, name) in [("once", "a@once"), ("restart", "a@again")] {
        let outcome = machine.svctl(&[verb, name]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(machine.state(name), State::Up, "{verb}");
    }
    assert_eq!(machine.svctl(&["switch", "set@day"]).code, 0);
    assert_eq!((machine.state("a@day"), machine.state("b@day")), (State::Up, State::Up));
    for name in ["main", "a@once", "a@again"] {
        machine.until(name, State::Down);
    }
    assert_eq!(noted(), "a@again\na@once\nset@day\n");
    let outcome = machine.svctl(&["restart", "c@x"]);
    assert!(outcome.code != 0 && outcome.error.contains("no such service"), "{outcome:?}");
    let outcome = machine.svctl(&["switch", "c@x"]);
    assert!(outcome.code != 0 && outcome.error.contains("no such service"), "{outcome:?}");
    let outcome = machine.svctl(&["start", "c@x", "--plan"]);
    assert!(outcome.code != 0 && outcome.error.contains("no such service"), "{outcome:?}");
    assert_eq!(noted(), "a@again\na@once\nset@day\n");
}
