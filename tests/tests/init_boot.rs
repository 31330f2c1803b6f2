//! Booting: order, what is started at all, and what is said about it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use tests::{Fixture, Machine, State, Want, eventually};

/// The place of a line in the trace.
fn place(trace: &[String], line: &str) -> usize {
    trace.iter().position(|other| other == line).unwrap_or_else(|| panic!("no {line:?} in {trace:?}"))
}

/// Waits until the trace has every one of these lines, and returns it.
fn trace(machine: &Machine, lines: &[&str]) -> Vec<String> {
    eventually(&format!("the trace has {lines:?}"), || {
        let trace = machine.fixture.trace();
        lines.iter().all(|line| trace.iter().any(|other| other == line))
    });
    machine.fixture.trace()
}

#[test]
fn what_is_required_is_ready_before_what_requires_it_starts() {
    let slow =
        "echo slow begins >> @T/trace\nsleep 0.05\necho slow is ready >> @T/trace\necho >&3\nexec sleep 1000";
    let once = "sleep 0.05\necho once is done >> @T/trace";
    let machine = Fixture::new()
        .tracing("z-first", "requires = [\"once\", \"slow\"]\n[ready]\nfd = 3")
        .tracing("a-last", "requires = [\"z-first\"]")
        .service("once", "type = \"oneshot\"")
        .run(once)
        .service("slow", "[ready]\nfd = 3")
        .run(slow)
        .boot();
    let trace = trace(&machine, &["a-last starts"]);
    assert!(place(&trace, "once is done") < place(&trace, "z-first starts"), "{trace:?}");
    assert!(place(&trace, "slow is ready") < place(&trace, "z-first starts"), "{trace:?}");
    assert!(place(&trace, "z-first starts") < place(&trace, "a-last starts"), "{trace:?}");
    machine.wait_for_console("startup complete: 4 of 4 services up");
}

#[test]
fn what_does_not_depend_on_each_other_starts_at_the_same_time() {
    // Each waits for the other: one after the other would wait for ever.
    let meet =
        |other: &str| format!("touch @T/$(basename $(pwd))\nwhile [ ! -e @T/{other} ]; do sleep 0.01; done");
    let machine = Fixture::new()
        .service("one", "type = \"oneshot\"")
        .run(&meet("two"))
        .service("two", "type = \"oneshot\"")
        .run(&meet("one"))
        .boot();
    assert_eq!((machine.state("one"), machine.state("two")), (State::Done, State::Done));
}

#[test]
fn after_and_before_order_without_requiring() {
    let machine = Fixture::new()
        .tracing("late", "after = [\"fails\", \"unasked\"]")
        .service("fails", "type = \"oneshot\"\nbefore = [\"other\"]")
        .run("sleep 0.05\necho fails >> @T/trace\nexit 1")
        .tracing("other", "")
        .tracing("unasked", "autostart = false")
        .boot();
    let trace = trace(&machine, &["late starts", "other starts"]);
    assert_eq!(trace[0], "fails");
    assert_eq!(trace.len(), 3, "{trace:?}");
    assert_eq!(machine.state("fails"), State::Failed);
}

#[test]
fn what_is_wanted_is_started_but_neither_waited_for_nor_needed() {
    let machine = Fixture::new()
        .tracing("a", "wants = [\"b\"]\nautostart = true")
        .service("b", "type = \"oneshot\"\nautostart = false")
        .run("echo b ran >> @T/trace; exit 1")
        .boot();
    trace(&machine, &["a starts", "b ran"]);
    assert_eq!((machine.state("a"), machine.state("b")), (State::Up, State::Failed));
}

#[test]
fn what_requires_a_failure_is_not_started_and_says_why() {
    let machine = Fixture::new()
        .service("bad", "type = \"oneshot\"")
        .run("exit 3")
        .tracing("needs", "requires = [\"bad\"]")
        .tracing("needs-needs", "requires = [\"needs\"]")
        .tracing("fine", "")
        .boot();
    trace(&machine, &["fine starts"]);
    assert_eq!(machine.status("bad").reason, "ended with exit 3");
    assert_eq!(machine.status("needs").reason, "requires bad, which is not up");
    assert_eq!(machine.status("needs-needs").reason, "requires needs, which is not up");
    assert_eq!(machine.fixture.trace(), ["fine starts"]);
    machine.wait_for_console("startup complete: 1 of 4 services up");
}

#[test]
fn an_overdue_service_holds_up_what_requires_it_and_not_what_comes_after_it() {
    let machine = Fixture::new()
        .service("slow", "[ready]\nfd = 3\ntimeout = \"30ms\"")
        .run("while [ ! -e @T/go ]; do sleep 0.01; done\necho >&3\nexec sleep 1000")
        .tracing("after", "after = [\"slow\"]")
        .tracing("requires", "requires = [\"slow\"]")
        .machine()
        .start();
    trace(&machine, &["after starts"]);
    assert_eq!(machine.until("requires", State::Blocked).reason, "waiting for slow");
    assert_eq!(machine.fixture.trace(), ["after starts"]);
    machine.fixture.write("go", "");
    trace(&machine, &["requires starts"]);
}

#[test]
fn a_down_file_and_autostart_false_keep_a_service_down_until_it_is_asked_for() {
    let machine = Fixture::new()
        .tracing("one", "autostart = false")
        .tracing("two", "")
        .file("services/two/down", "")
        .tracing("three", "")
        .boot();
    trace(&machine, &["three starts"]);
    for name in ["one", "two"] {
        assert!(machine.try_status(name).is_none_or(|status| status.state == State::Down), "{name}");
        assert_eq!(machine.svctl(&["start", name]).code, 0);
        assert_eq!(machine.state(name), State::Up);
    }
}

const BUNDLES: &str = "type = \"bundle\"\ncontents = ";

#[test]
fn the_bundle_default_is_all_that_is_started_and_another_can_be_named() {
    let fixture = || {
        Fixture::new()
            .service("default", &format!("{BUNDLES}[\"one\"]"))
            .service("small", &format!("{BUNDLES}[\"two\", \"three\"]"))
            .tracing("one", "")
            .tracing("two", "")
            .tracing("three", "")
            .tracing("four", "")
    };
    let machine = fixture().boot();
    assert_eq!(machine.until("default", State::Done).want, Want::Up);
    assert_eq!(trace(&machine, &["one starts"]).len(), 1);
    let machine = fixture().machine().arguments(&["--bundle", "small"]).start();
    machine.wait_for_console("startup complete: 2 of 2 services up");
    assert_eq!(trace(&machine, &["two starts", "three starts"]).len(), 2);
    // Of a bundle that does not exist everything is started rather than nothing.
    let machine = fixture().machine().arguments(&["--bundle", "none"]).start();
    machine.wait_for_console("there is no service none to start (starting all)");
    trace(&machine, &["one starts", "two starts", "three starts", "four starts"]);
}

#[test]
fn stopping_and_starting_a_bundle_takes_its_members() {
    let machine = Fixture::new()
        .service("pair", &format!("{BUNDLES}[\"one\", \"two\"]"))
        .tracing("one", "")
        .tracing("two", "")
        .tracing("three", "")
        .boot();
    for (verb, state) in [("stop", State::Down), ("start", State::Up)] {
        let outcome = machine.svctl(&[verb, "pair"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!((machine.state("one"), machine.state("two")), (state, state));
        assert_eq!(machine.state("three"), State::Up);
    }
}

#[test]
fn wait_boot_returns_when_all_has_settled_with_what_is_wrong() {
    let machine = Fixture::new()
        .service("slow", "type = \"oneshot\"")
        .run("while [ ! -e @T/go ]; do sleep 0.01; done")
        .machine()
        .start();
    machine.until("slow", State::Starting);
    assert_eq!(machine.svctl(&["wait", "--boot", "-t", "20ms"]).code, 99);
    machine.fixture.write("go", "");
    let outcome = machine.svctl(&["wait", "--boot"]);
    assert_eq!((outcome.code, outcome.output.as_str()), (0, "1 of 1 services are as they should be\n"));
}

#[test]
fn the_whole_of_a_hundred_services_in_a_chain_comes_up() {
    let mut fixture = Fixture::new();
    for number in 0..100 {
        let requires = if number == 0 { String::new() } else { format!("requires = [\"s{}\"]", number - 1) };
        fixture =
            fixture.service(&format!("s{number}"), &format!("command = [\"sleep\", \"1000\"]\n{requires}"));
    }
    let machine = fixture.boot();
    machine.wait_for_console("startup complete: 100 of 100 services up");
}
