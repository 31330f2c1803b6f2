//! Init's control socket under clients of every kind.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::ErrorKind;
use tests::{Fixture, Machine, Observer, State, eventually};

fn machine() -> Machine {
    Fixture::new().tracing("a", "").tracing("b", "").boot()
}

#[test]
fn garbage_is_refused_and_the_connection_goes_on() {
    let machine = machine();
    let mut client = Observer::connect(&machine.control());
    for line in ["dance", "", "start", "poweroff now", "\u{1}\u{2}", "status"] {
        assert_eq!(client.ask(line), format!("error unknown command \"{line}\""));
    }
    assert_eq!(client.ask("start a"), "ok");
    let mut bytes = std::os::unix::net::UnixStream::connect(machine.control()).unwrap();
    let garbage: Vec<u8> = (0..=255).cycle().take(900).filter(|byte| *byte != b'\n').chain([b'\n']).collect();
    std::io::Write::write_all(&mut bytes, &garbage).unwrap();
    let mut answer = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(bytes), &mut answer).unwrap();
    assert!(answer.starts_with("error unknown command"), "{answer}");
}

#[test]
fn an_endless_line_is_answered_with_an_error_and_ends_the_connection() {
    let machine = machine();
    let mut client = Observer::connect(&machine.control());
    client.send(&"x".repeat(1024));
    assert_eq!(client.line().as_deref(), Some("error line too long"));
    assert_eq!(client.line(), None);
    assert_eq!(machine.ask("start a"), "ok");
}

#[test]
fn a_subscriber_that_does_not_read_is_let_go_and_holds_nobody_up() {
    let machine = machine();
    let mut silent = Observer::connect(&machine.control());
    let question = "events\n".repeat(100);
    eventually("it is let go", || {
        silent.try_send(&question).is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
    });
    assert_eq!(machine.ask("stop a"), "ok");
    machine.until("a", State::Down);
}

#[test]
fn two_hundred_clients_are_served_or_told_that_they_are_too_many() {
    let machine = machine();
    let clients: Vec<Observer> = (0..200).map(|_| Observer::connect(&machine.control())).collect();
    let mut answers: Vec<String> = Vec::new();
    for mut client in clients {
        let _ = client.try_send("start a\n");
        answers.extend(client.line());
    }
    let served = answers.iter().filter(|answer| *answer == "ok").count();
    let refused = answers.iter().filter(|answer| *answer == "error too many clients").count();
    assert_eq!(served + refused, 200, "{answers:?}");
    assert!(served >= 64, "{served}");
    eventually("those who left make room", || machine.ask("start a") == "ok");
}

#[test]
fn whoever_waits_for_changes_keeps_nobody_out() {
    let machine = machine();
    let waiting: Vec<Observer> = (0..200).map(|_| machine.observe()).collect();
    let outcome = machine.svctl(&["stop", "a"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(machine.ask("start a"), "ok");
    drop(waiting);
}

#[test]
fn clients_that_come_and_go_leave_no_descriptor_behind() {
    let machine = machine();
    let count = || std::fs::read_dir(format!("/proc/{}/fd", machine.init())).unwrap().count();
    assert_eq!(machine.ask("start a"), "ok");
    let before = tests::wait::eventually_some("it is quiet", || {
        let (first, second) = (count(), count());
        (first == second).then_some(first)
    });
    for _ in 0..100 {
        assert_eq!(machine.ask("start a"), "ok");
        drop(machine.observe());
    }
    eventually("no more descriptors than before", || count() <= before);
}
