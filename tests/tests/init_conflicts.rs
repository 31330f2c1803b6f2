//! Services that cannot run at the same time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Machine, State, Want, eventually};

/// `one` and what requires it run; `other` conflicts with it.
fn machine() -> Machine {
    let machine = Fixture::new()
        .tracing("one", "")
        .tracing("user", "requires = [\"one\"]")
        .tracing("other", "conflicts = [\"one\"]\nautostart = false")
        .tracing("both", "requires = [\"one\"]\nwants = [\"other\"]\nautostart = false")
        .boot();
    eventually("both run", || machine.fixture.trace().len() == 2);
    machine
}

#[test]
fn a_start_stops_what_conflicts_and_what_requires_that_and_waits_until_it_is_down() {
    let machine = machine();
    let outcome = machine.svctl(&["start", "other"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    eventually("the other one runs", || machine.fixture.trace().len() == 5);
    assert_eq!(machine.fixture.trace()[2..], ["user stops", "one stops", "other starts"]);
    assert_eq!((machine.status("one").want, machine.state("user")), (Want::Down, State::Failed));
    // The edge has no direction; and what was taken down comes back.
    let outcome = machine.svctl(&["start", "one"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    machine.until("user", State::Up);
    eventually("both run", || machine.fixture.trace().len() == 8);
    assert_eq!(machine.fixture.trace()[5..7], ["other stops", "one starts"]);
}

#[test]
fn a_request_for_two_that_conflict_is_refused_with_their_names_and_changes_nothing() {
    let machine = machine();
    for verb in ["start", "restart", "once"] {
        let answer = machine.ask(&format!("{verb} both"));
        assert_eq!(answer, "error it needs both one and other, which conflict with each other", "{verb}");
    }
    let outcome = machine.svctl(&["start", "--plan", "both"]);
    assert!(outcome.code == 1 && outcome.error.contains("one and other"), "{outcome:?}");
    assert_eq!((machine.state("one"), machine.fixture.trace().len()), (State::Up, 2));
}

#[test]
fn at_boot_the_first_of_two_that_conflict_runs_and_the_other_says_why_it_does_not() {
    let machine = Fixture::new()
        .tracing("one", "conflicts = [\"two\"]")
        .tracing("two", "")
        .tracing("user", "requires = [\"two\"]")
        .boot();
    assert_eq!(machine.state("one"), State::Up);
    let two = machine.status("two");
    assert_eq!((two.state, two.want, two.reason.as_str()), (State::Down, Want::Down, "conflicts with one"));
    assert_eq!(machine.status("user").reason, "requires two, which is not up");
    assert_eq!(machine.svctl(&["start", "two"]).code, 0);
    machine.until("user", State::Up);
    assert_eq!(machine.state("one"), State::Down);
}

#[test]
fn what_conflicts_with_a_service_that_has_ended_by_itself_is_started_once_that_has_been_told() {
    let longrun = "[restart]\nwhen = \"never\"";
    for (toml, run, ended) in [
        ("type = \"oneshot\"", "exit 1", State::Failed),
        ("type = \"oneshot\"", "exit 0", State::Done),
        (longrun, "exit 1", State::Failed),
        (longrun, "exit 0", State::Done),
    ] {
        let machine = Fixture::new()
            .service("one", toml)
            .run(run)
            .tracing("other", "conflicts = [\"one\"]\nautostart = false")
            .boot();
        machine.until("one", ended);
        let outcome = machine.svctl(&["start", "other"]);
        assert_eq!(outcome.code, 0, "{toml} {run}: {outcome:?}");
        machine.until("other", State::Up);
        assert_eq!(machine.status("one").want, Want::Down, "{toml} {run}");
    }
}
