//! What becomes of a service when something happens to one that it depends on, for every way of depending on it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use tests::{Ending, Fixture, Machine, Pid, Signal, State, eventually};

/// Every way of depending on `dep`, and none.
const EDGES: [(&str, &str); 5] = [
    ("requiring", "requires = [\"dep\"]"),
    ("wanting", "wants = [\"dep\"]"),
    ("following", "after = [\"dep\"]"),
    ("starting-once", "wants = [\"dep\"]\nafter = [\"dep\"]"),
    ("apart", ""),
];

/// `dep` dies at once as long as there is a file `broken`, and is given up after its second death.
const DEP: &str = "[ ! -e @T/broken ] || exit 1\ntrap 'echo dep stops >> @T/trace; kill $!; exit 0' TERM\n\
    echo dep starts >> @T/trace\nsleep 1000 &\nwait";

fn fixture() -> Fixture {
    let restart = "[restart]\ndelay = \"1ms\"\ngive-up = { deaths = 2, within = \"1h\" }";
    let fixture = Fixture::new().service("dep", restart).run(DEP);
    EDGES.iter().fold(fixture, |fixture, (name, toml)| fixture.tracing(name, toml))
}

fn machine() -> Machine {
    let machine = fixture().boot();
    eventually("all run", || machine.fixture.trace().len() == 6);
    machine
}

fn pids(machine: &Machine) -> BTreeMap<&'static str, Option<Pid>> {
    EDGES.iter().map(|(name, _)| (*name, machine.status(name).pid)).collect()
}

/// All but what requires it run on in the same processes.
fn only_what_requires_it_is_down(machine: &Machine, before: &BTreeMap<&'static str, Option<Pid>>) {
    let status = machine.until("requiring", State::Failed);
    assert_eq!(status.reason, "requires dep, which is not up");
    let mut expected = before.clone();
    expected.insert("requiring", None);
    assert_eq!(pids(machine), expected);
}

/// Kills `dep` as often as it takes.
fn make_it_give_up(machine: &Machine) {
    machine.fixture.write("broken", "");
    machine.send(machine.status("dep").pid.unwrap(), Signal::KILL);
    machine.until("dep", State::Failed);
}

#[test]
fn when_it_fails_at_the_start_only_what_requires_it_stays_down() {
    let fixture = fixture();
    fixture.write("broken", "");
    let machine = fixture.boot();
    machine.until("dep", State::Failed);
    let status = machine.until("requiring", State::Failed);
    assert_eq!(status.reason, "requires dep, which is not up");
    for name in ["wanting", "following", "starting-once", "apart"] {
        machine.until(name, State::Up);
    }
}

#[test]
fn when_it_dies_and_is_restarted_nothing_else_is_touched() {
    let machine = machine();
    let before = pids(&machine);
    let dep = machine.status("dep").pid.unwrap();
    machine.send(dep, Signal::KILL);
    machine.wait_for("dep", "runs again", |status| {
        status.state == State::Up && status.pid.is_some_and(|pid| pid != dep)
    });
    assert_eq!(pids(&machine), before);
    assert!(machine.fixture.trace().iter().all(|line| !line.ends_with("stops")));
}

#[test]
fn when_it_is_given_up_only_what_requires_it_is_taken_down() {
    let machine = machine();
    let before = pids(&machine);
    make_it_give_up(&machine);
    only_what_requires_it_is_down(&machine, &before);
}

#[test]
fn when_it_is_stopped_what_requires_it_is_stopped_first_and_nothing_else() {
    let machine = machine();
    let before = pids(&machine);
    let outcome = machine.svctl(&["stop", "dep"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    only_what_requires_it_is_down(&machine, &before);
    assert_eq!(machine.fixture.trace()[6..], ["requiring stops", "dep stops"]);
}

#[test]
fn when_it_is_restarted_nothing_else_is_touched() {
    let machine = machine();
    let before = pids(&machine);
    // By its supervisor, and by init.
    let outcome = machine.svctl(&["restart", "dep"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    let dep = machine.status("dep").pid;
    machine.tell("restart dep");
    machine.wait_for("dep", "runs again", |status| status.state == State::Up && status.pid != dep);
    assert_eq!(pids(&machine), before);
}

#[test]
fn when_it_comes_back_so_does_what_it_took_down_and_nothing_else_is_touched() {
    let machine = machine();
    let before = pids(&machine);
    for (take_down, bring_back) in [("stop", "start"), ("give up", "start"), ("stop", "restart")] {
        if take_down == "stop" {
            assert_eq!(machine.svctl(&["stop", "dep"]).code, 0);
        } else {
            make_it_give_up(&machine);
            std::fs::remove_file(machine.fixture.path("broken")).unwrap();
        }
        only_what_requires_it_is_down(&machine, &before);
        let outcome = machine.svctl(&[bring_back, "dep"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        machine.until("requiring", State::Up);
        let mut after = pids(&machine);
        assert_ne!(after.insert("requiring", before["requiring"]), Some(before["requiring"]));
        assert_eq!(after, before);
    }
}

#[test]
fn a_plan_tells_what_would_be_done_in_order_and_does_nothing() {
    let machine = machine();
    let before = pids(&machine);
    let outcome = machine.svctl(&["stop", "--plan", "dep"]);
    assert_eq!(
        (outcome.code, outcome.output.as_str()),
        (0, "stop     requiring\nstop     dep\n"),
        "{outcome:?}"
    );
    let outcome = machine.svctl(&["restart", "--plan", "--json", "dep"]);
    assert_eq!(outcome.output, "[{\"verb\":\"restart\",\"name\":\"dep\"}]\n", "{outcome:?}");
    assert_eq!(machine.svctl(&["start", "--plan", "dep"]).output, "nothing to do\n");
    let outcome = machine.svctl(&["poweroff", "--plan"]);
    let lines: Vec<&str> = outcome.output.lines().collect();
    assert_eq!(lines.len(), 6, "{outcome:?}");
    // Everything that is ordered after it comes before it.
    let dep = lines.iter().position(|line| *line == "stop     dep").unwrap();
    for name in ["requiring", "following", "starting-once"] {
        assert!(lines.iter().position(|line| line.ends_with(name)).unwrap() < dep, "{outcome:?}");
    }
    assert_eq!(machine.svctl(&["stop", "--plan", "nobody"]).code, 3);
    assert_eq!(pids(&machine), before);
}

#[test]
fn a_switch_starts_the_bundle_and_stops_everything_else() {
    let mut machine = Fixture::new()
        .service("small", "type = \"bundle\"\ncontents = [\"shell\", \"base\"]")
        .tracing("base", "")
        .tracing("top", "requires = [\"base\"]")
        .tracing("apart", "")
        .tracing("shell", "autostart = false")
        .boot();
    let base = machine.status("base").pid;
    eventually("all run", || machine.fixture.trace().len() == 3);
    assert_eq!(machine.svctl(&["switch", "nobody"]).code, 3);
    let outcome = machine.svctl(&["switch", "base"]);
    assert_eq!((outcome.code, outcome.error.as_str()), (1, "svctl: base is no bundle\n"), "{outcome:?}");
    let outcome = machine.svctl(&["switch", "--plan", "small"]);
    let mut lines: Vec<&str> = outcome.output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["start    shell", "stop     apart", "stop     top"]);
    let outcome = machine.svctl(&["switch", "small"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    for (name, state) in
        [("base", State::Up), ("shell", State::Up), ("top", State::Down), ("apart", State::Down)]
    {
        assert_eq!(machine.state(name), state, "{name}");
    }
    assert_eq!(machine.status("base").pid, base);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn what_a_oneshot_has_done_is_undone_after_what_requires_it_and_at_power_off() {
    let oneshot = "type = \"oneshot\"\ncommand = [\"sh\", \"-c\", \"echo mount up >> @T/trace\"]\n\
        down-command = [\"sh\", \"-c\", \"echo mount down >> @T/trace\"]";
    let mut machine =
        Fixture::new().service("mount", oneshot).tracing("user", "requires = [\"mount\"]").boot();
    eventually("it runs", || machine.fixture.trace().len() == 2);
    let outcome = machine.svctl(&["stop", "mount"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    machine.until("mount", State::Down);
    assert_eq!(machine.fixture.trace()[2..], ["user stops", "mount down"]);
    let outcome = machine.svctl(&["start", "mount"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    machine.until("user", State::Up);
    eventually("it runs", || machine.fixture.trace().len() == 6);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(machine.fixture.trace()[6..], ["user stops", "mount down"]);
}

#[test]
fn a_cycle_costs_its_members_and_what_requires_them_and_nobody_else() {
    let machine = Fixture::new()
        .tracing("one", "requires = [\"two\"]")
        .tracing("two", "requires = [\"one\"]")
        .tracing("user", "requires = [\"one\"]")
        .tracing("friend", "wants = [\"one\"]\nafter = [\"two\"]")
        .tracing("apart", "")
        .boot();
    for (name, state) in [
        ("one", State::Invalid),
        ("two", State::Invalid),
        ("user", State::Failed),
        ("friend", State::Up),
        ("apart", State::Up),
    ] {
        machine.until(name, state);
    }
    let reason = machine.status("one").reason;
    assert!(reason.contains("one") && reason.contains("two"), "{reason}");
}
