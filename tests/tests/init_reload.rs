//! The tree of definitions read again: what differs is applied, and nothing else is touched.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::fs;
use tests::{Ending, Fixture, Machine, Pid, Signal, State, eventually, process};

fn machine() -> Machine {
    let machine =
        Fixture::new().tracing("one", "").tracing("two", "requires = [\"one\"]").tracing("three", "").boot();
    eventually("all run", || machine.fixture.trace().len() == 3);
    machine
}

fn pids(machine: &Machine) -> BTreeMap<&'static str, (Option<Pid>, Option<Pid>)> {
    ["one", "two", "three"]
        .into_iter()
        .filter_map(|name| Some((name, machine.try_status(name)?)))
        .map(|(name, status)| (name, (status.pid, status.supervisor)))
        .collect()
}

/// Writes a definition, as a person would.
fn define(machine: &Machine, name: &str, toml: &str) {
    machine.fixture.write(&format!("services/{name}/service.toml"), toml);
}

#[track_caller]
fn reload(machine: &Machine, code: i32) -> String {
    let outcome = machine.svctl(&["reload"]);
    assert_eq!(outcome.code, code, "{outcome:?}");
    outcome.output + &outcome.error
}

#[test]
fn a_reload_of_the_same_tree_does_nothing() {
    let machine = machine();
    let before = pids(&machine);
    assert_eq!(reload(&machine, 0), "nothing has changed\n");
    assert_eq!(pids(&machine), before);
}

#[test]
fn a_new_service_is_started_if_a_boot_would_start_it() {
    let machine = machine();
    let before = pids(&machine);
    define(&machine, "new", "command = [\"sleep\", \"1000\"]\nrequires = [\"one\"]");
    define(&machine, "manual", "command = [\"sleep\", \"1000\"]\nautostart = false");
    let plan = machine.svctl(&["reload", "--plan"]);
    assert_eq!(plan.output, "add      manual\nadd      new\nstart    new\n", "{plan:?}");
    assert!(machine.try_status("new").is_none());
    let told = reload(&machine, 0);
    assert!(told.contains("new: added") && told.contains("new: up"), "{told}");
    assert_eq!(machine.state("new"), State::Up);
    assert_eq!(machine.svctl(&["start", "manual"]).code, 0);
    assert_eq!(pids(&machine), before);
    // It is part of the graph now, and its log is kept.
    assert_eq!(machine.svctl(&["stop", "one"]).code, 0);
    machine.until("new", State::Failed);
}

#[test]
fn a_service_that_is_gone_is_stopped_in_order_and_forgotten() {
    let machine = machine();
    let before = pids(&machine);
    fs::remove_dir_all(machine.fixture.path("services/two")).unwrap();
    let told = reload(&machine, 0);
    assert!(told.contains("two: removed") && told.contains("two: down"), "{told}");
    eventually("nothing of it is left", || !machine.fixture.path("run/service/two").exists());
    assert_eq!(machine.ask("start two"), "error no such service two");
    let mut after = before.clone();
    after.remove("two");
    assert_eq!(pids(&machine), after);
    let mut events = machine.observe();
    let names = [events.event().name, events.event().name];
    assert!(!names.contains(&"two".to_owned()), "{names:?}");
    // The name can be used again.
    define(&machine, "two", "command = [\"sleep\", \"1000\"]");
    reload(&machine, 0);
    assert_eq!(machine.state("two"), State::Up);
}

#[test]
fn a_service_whose_process_would_be_another_is_restarted_and_no_other() {
    let machine = Fixture::new()
        .service("one", "command = [\"sleep\", \"1000\"]")
        .tracing("two", "requires = [\"one\"]")
        .tracing("three", "")
        .boot();
    let before = pids(&machine);
    define(&machine, "one", "command = [\"sleep\", \"2000\"]");
    let told = reload(&machine, 0);
    assert!(told.contains("one: changed") && told.contains("one: up"), "{told}");
    let after = pids(&machine);
    assert_ne!(after["one"].0, before["one"].0);
    assert_eq!((after["two"], after["three"]), (before["two"], before["three"]));
    let pid = machine.outside(after["one"].0.unwrap());
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(words, b"sleep\x002000\0");
}

#[test]
fn a_definition_that_changes_nothing_of_the_process_leaves_it_alone_and_applies() {
    let machine = machine();
    let before = pids(&machine);
    // An edge, and how often it may die.
    define(&machine, "three", "requires = [\"one\"]\n[restart]\nwhen = \"never\"");
    let told = reload(&machine, 0);
    assert_eq!(told, "three: changed\n");
    assert_eq!(pids(&machine)["three"].0, before["three"].0);
    let plan = machine.svctl(&["stop", "one", "--plan"]);
    assert!(plan.output.contains("stop     three"), "{plan:?}");
    let supervisor = machine.outside(machine.status("three").supervisor.unwrap());
    eventually("its supervisor has read it", || {
        let words = fs::read(format!("/proc/{supervisor}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("--resume")
    });
    machine.send(before["three"].0.unwrap(), Signal::KILL);
    machine.until("three", State::Failed);
}

#[test]
fn a_definition_that_is_broken_now_leaves_the_service_alone_and_comes_right_when_it_is_mended() {
    let machine = machine();
    let before = pids(&machine);
    define(&machine, "one", "colour = \"red\"");
    let told = reload(&machine, 1);
    assert!(told.contains("one: its definition is broken now"), "{told}");
    assert_eq!(pids(&machine), before);
    let shown = machine.svctl(&["status", "one"]).output;
    assert!(shown.contains("colour"), "{shown}");
    // Started again it would have to be the new one.
    assert_eq!(machine.svctl(&["stop", "one"]).code, 0);
    assert_ne!(machine.svctl(&["start", "one"]).code, 0);
    machine.until("one", State::Invalid);
    define(&machine, "one", "");
    reload(&machine, 0);
    for name in ["one", "two"] {
        machine.until(name, State::Up);
    }
}

#[test]
fn a_tree_that_cannot_be_compiled_changes_nothing() {
    let machine = machine();
    let before = pids(&machine);
    let (tree, away) = (machine.fixture.path("services"), machine.fixture.path("away"));
    fs::rename(&tree, &away).unwrap();
    let told = reload(&machine, 1);
    assert!(told.contains("nothing has changed"), "{told}");
    assert_eq!(pids(&machine), before);
    fs::rename(&away, &tree).unwrap();
    assert_eq!(reload(&machine, 0), "nothing has changed\n");
}

#[test]
fn reloads_that_are_asked_for_at_once_are_all_answered() {
    let machine = machine();
    define(&machine, "new", "command = [\"sleep\", \"1000\"]");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..5).map(|_| scope.spawn(|| machine.svctl(&["reload"]))).collect();
        for outcome in all.into_iter().map(|thread| thread.join().unwrap()) {
            assert_eq!(outcome.code, 0, "{outcome:?}");
        }
    });
    assert_eq!(machine.state("new"), State::Up);
    // Each compilation began after it was asked for; five wishes are at most one under way and one for the rest.
    assert!(machine.console().matches("reload: asked for").count() <= 3, "{}", machine.console());
}

#[test]
fn a_bundle_that_gets_a_member_has_it_started() {
    let machine = Fixture::new()
        .service("default", "type = \"bundle\"\ncontents = [\"one\"]")
        .tracing("one", "")
        .tracing("two", "")
        .boot();
    define(&machine, "default", "type = \"bundle\"\ncontents = [\"one\", \"two\"]");
    reload(&machine, 0);
    assert_eq!(machine.state("two"), State::Up);
}

const MANY: usize = 1000;

/// One of many, each of which waits for another.
fn one_of_many(number: usize, seconds: u32) -> String {
    let after = if number == 0 { String::new() } else { format!("\"s{}\"", (number - 1) / 10) };
    format!("command = [\"sleep\", \"{seconds}\"]\nafter = [{after}]")
}

#[test]
fn of_a_thousand_services_a_reload_touches_the_one_that_has_changed() {
    let mut fixture = Fixture::new();
    for number in 0..MANY {
        fixture = fixture.service(&format!("s{number}"), &one_of_many(number, 1000));
    }
    let mut machine = fixture.boot();
    machine.wait_for_console(&format!("startup complete: {MANY} of {MANY} services up"));
    assert_eq!(machine.svctl(&["stop", "s500"]).code, 0);
    let all = |machine: &Machine| -> Vec<_> {
        (0..MANY).map(|number| machine.status(&format!("s{number}"))).collect()
    };
    let before = all(&machine);
    let mut events = machine.observe();
    for _ in 0..MANY {
        events.event();
    }
    define(&machine, "s700", &one_of_many(700, 2000));
    assert_eq!(machine.ask("reload"), "plan change s700");
    let new_run = |event: &tests::Event| event.state == State::Up && event.pid != before[700].pid;
    events.wait_for(|event| event.name == "s700" && new_run(event));
    assert!(events.heard[MANY..].iter().all(|event| event.name == "s700"), "{:?}", &events.heard[MANY..]);
    let after = all(&machine);
    for number in (0..MANY).filter(|number| *number != 700) {
        assert_eq!(after[number], before[number]);
    }
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn what_a_service_wrote_before_it_was_taken_out_of_the_tree_is_in_its_log_whatever_becomes_of_the_logger() {
    let script = "trap 'i=0; while [ $i -lt 500 ]; do echo last $i; i=$((i+1)); done; exit 0' TERM\n\
                  echo >&3\nexec 3>&-\nwhile :; do sleep 1000 & wait; done";
    let machine = Fixture::new().service("one", "").run("exec sleep 1000");
    let machine = machine.service("gone", "[ready]\nfd = 3").run(script).boot();
    machine.until("gone", State::Up);
    for way in ["kill", "fault", "both"] {
        if way != "kill" {
            fs::rename(machine.fixture.path("kept"), machine.fixture.path("services/gone")).unwrap();
            reload(&machine, 0);
            machine.until("gone", State::Up);
        }
        let logger = tests::wait::eventually_some("there is a logger", || machine.logger());
        process::send(logger, Signal::STOP);
        fs::rename(machine.fixture.path("services/gone"), machine.fixture.path("kept")).unwrap();
        assert_eq!(machine.svctl(&["reload", "--no-wait"]).code, 0);
        eventually("it is down", || {
            machine.try_status("gone").is_none_or(|status| status.state == State::Down)
        });
        if way != "kill" {
            let faults = || machine.console().matches("recovered from a fault").count();
            let before = faults();
            process::send(machine.init(), Signal::parse("SEGV").unwrap());
            eventually("it has recovered", || faults() > before);
        }
        if way == "fault" {
            process::send(logger, Signal::CONT);
        } else {
            process::send(logger, Signal::KILL);
        }
        eventually("nothing of it is left", || !machine.fixture.path("run/service/gone").exists());
        let log = machine.log("gone");
        assert_eq!(
            log.iter().filter(|line| line.starts_with("last ")).count() % 500,
            0,
            "{way}: {}",
            log.len()
        );
        assert_eq!(log.last().map(String::as_str), Some("last 499"), "{way}");
    }
    assert_eq!(machine.state("one"), State::Up);
}
