//! Starting, stopping and restarting services that depend on each other, and what is not touched by it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use tests::{Fixture, Machine, Pid, State, Want, eventually};

/// A chain and one that has nothing to do with it.
fn chain() -> Machine {
    let machine = Fixture::new()
        .tracing("base", "")
        .tracing("middle", "requires = [\"base\"]")
        .tracing("top", "requires = [\"middle\"]")
        .tracing("apart", "")
        .boot();
    eventually("all run", || machine.fixture.trace().len() == 4);
    machine
}

fn pids(machine: &Machine) -> BTreeMap<&'static str, Pid> {
    let running = |name| Some((name, machine.status(name).pid?));
    ["base", "middle", "top", "apart"].into_iter().filter_map(running).collect()
}

#[test]
fn stop_takes_down_what_requires_it_first_and_start_brings_it_back() {
    let machine = chain();
    let before = pids(&machine);
    let outcome = machine.svctl(&["stop", "base"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(machine.fixture.trace()[4..], ["top stops", "middle stops", "base stops"]);
    assert_eq!(pids(&machine), BTreeMap::from([("apart", before["apart"])]));
    assert_eq!(machine.svctl(&["start", "base"]).code, 0);
    for name in ["base", "middle", "top"] {
        machine.until(name, State::Up);
    }
    eventually("all run", || machine.fixture.trace().len() == 10);
    // They are up as soon as they run, so that what they say themselves comes in any order.
    let mut said = machine.fixture.trace()[7..].to_vec();
    said.sort();
    assert_eq!(said, ["base starts", "middle starts", "top starts"]);
    assert_eq!(pids(&machine)["apart"], before["apart"]);
}

#[test]
fn start_starts_what_is_required_and_stop_leaves_it() {
    let machine = Fixture::new()
        .tracing("base", "autostart = false")
        .tracing("top", "requires = [\"base\"]\nautostart = false")
        .boot();
    assert_eq!(machine.svctl(&["start", "top"]).code, 0);
    assert_eq!((machine.state("base"), machine.state("top")), (State::Up, State::Up));
    assert_eq!(machine.svctl(&["stop", "top"]).code, 0);
    assert_eq!((machine.state("base"), machine.state("top")), (State::Up, State::Down));
    assert_eq!(machine.status("top").want, Want::Down);
}

#[test]
fn restart_of_one_gives_it_a_new_process_and_touches_no_other() {
    let machine = chain();
    let (before, supervisors) = (pids(&machine), supervisors(&machine));
    let outcome = machine.svctl(&["restart", "middle"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let after = pids(&machine);
    assert_ne!(after["middle"], before["middle"]);
    for name in ["base", "top", "apart"] {
        assert_eq!(after[name], before[name], "{name}");
    }
    assert_eq!(self::supervisors(&machine), supervisors);
}

fn supervisors(machine: &Machine) -> Vec<Option<Pid>> {
    ["base", "middle", "top", "apart"].iter().map(|name| machine.status(name).supervisor).collect()
}

#[test]
fn events_tell_of_every_change_and_the_status_is_on_disk_by_then() {
    let machine = chain();
    let mut events = machine.observe();
    let mut names: Vec<String> = (0..4).map(|_| events.event().name).collect();
    names.sort();
    assert_eq!(names, ["apart", "base", "middle", "top"]);
    assert_eq!(events.ask("stop top"), "ok");
    events.until("top", State::Stopping);
    events.until("top", State::Down);
    assert_eq!(machine.state("top"), State::Down);
    assert_eq!(events.ask("start top"), "ok");
    let event = events.until("top", State::Up);
    let status = machine.status("top");
    assert_eq!((status.state, status.pid), (State::Up, event.pid));
}

#[test]
fn a_service_stopped_by_its_own_supervisor_takes_down_what_requires_it() {
    let machine = chain();
    let mut supervisor = tests::Observer::connect(&machine.fixture.path("run/service/base/control"));
    assert_eq!(supervisor.ask("stop"), "ok");
    machine.until("base", State::Down);
    // They are still wanted, and come back with it.
    for (name, reason) in
        [("middle", "requires base, which is not up"), ("top", "requires middle, which is not up")]
    {
        assert_eq!(machine.until(name, State::Failed).reason, reason);
    }
    assert_eq!(machine.svctl(&["start", "base"]).code, 0);
    machine.until("top", State::Up);
}

#[test]
fn a_failed_oneshot_that_is_started_again_lets_what_requires_it_come_up() {
    let machine = Fixture::new()
        .service("once", "type = \"oneshot\"")
        .run("[ -e @T/mended ]")
        .tracing("top", "requires = [\"once\"]")
        .boot();
    assert_eq!((machine.state("once"), machine.state("top")), (State::Failed, State::Failed));
    machine.fixture.write("mended", "");
    let outcome = machine.svctl(&["start", "top"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!((machine.state("once"), machine.state("top")), (State::Done, State::Up));
}

#[test]
fn start_and_stop_one_after_the_other_end_where_the_last_one_says() {
    let machine = Fixture::new().tracing("a", "").boot();
    let mut client = machine.observe();
    for _ in 0..10 {
        client.send("stop a\nstart a\n");
    }
    client.send("stop a\n");
    machine
        .wait_for("a", "is down for good", |status| (status.state, status.want) == (State::Down, Want::Down));
    client.send("start a\n");
    machine.until("a", State::Up);
}

#[test]
fn what_is_no_service_is_refused_with_exit_3() {
    let machine = chain();
    for verb in ["start", "stop", "restart", "reload", "status"] {
        let outcome = machine.svctl(&[verb, "topp"]);
        assert_eq!(outcome.code, 3, "{verb}: {outcome:?}");
        assert!(outcome.error.contains("topp"), "{outcome:?}");
    }
}
