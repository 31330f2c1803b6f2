//! The control socket under clients of every kind, commands in every state, and the status file meanwhile.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::ErrorKind;
use tests::{Fixture, Observer, State, Supervised, Want, eventually};

fn sleeping() -> Supervised {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    service.up();
    service
}

#[test]
fn an_unknown_command_is_refused_and_the_connection_goes_on() {
    let service = sleeping();
    let mut client = service.connect();
    for line in ["dance", "", "start now", "kill", "kill NOSUCH", "\u{0}\u{1}"] {
        assert_eq!(client.ask(line), format!("error unknown command \"{line}\""));
    }
    assert_eq!(client.ask("died 1 exit 0"), "error only init can say that");
    assert_eq!(client.ask("restart"), "ok");
}

#[test]
fn status_answers_with_the_text_of_the_status_file() {
    let service = sleeping();
    let mut client = service.connect();
    client.send("status\n");
    let lines: Vec<String> = std::iter::from_fn(|| client.line().filter(|line| line != "ok")).collect();
    assert_eq!(lines.join("\n") + "\n", service.fixture.read("run/service/a/status"));
}

#[test]
fn an_endless_line_is_answered_with_an_error_and_ends_the_connection() {
    let service = sleeping();
    let mut client = service.connect();
    client.send(&"x".repeat(1024));
    let answer = client.line();
    assert!(answer.as_deref().is_some_and(|line| line.starts_with("error ")), "{answer:?}");
    assert_eq!(client.line(), None);
    assert_eq!(service.ask("kill CONT"), "ok", "others are served");
}

#[test]
fn half_a_line_waits_for_its_other_half_and_is_nothing_without_it() {
    let service = sleeping();
    let mut client = service.connect();
    client.send("sto");
    let mut other = service.connect();
    other.send("st");
    drop(other);
    assert_eq!(service.ask("kill CONT"), "ok");
    assert_eq!(service.status().want, Want::Up);
    client.send("p\nstart\n");
    assert_eq!((client.line().as_deref(), client.line().as_deref()), (Some("ok"), Some("ok")));
}

#[test]
fn many_commands_in_one_write_are_all_answered_in_order() {
    let service = sleeping();
    let mut client = service.connect();
    client.send("kill CONT\nnonsense\nkill CONT\n");
    let answers: Vec<String> = (0..3).map(|_| client.line().unwrap()).collect();
    assert_eq!(answers, ["ok", "error unknown command \"nonsense\"", "ok"]);
}

#[test]
fn a_subscriber_that_does_not_read_is_let_go_and_holds_nobody_up() {
    let service = sleeping();
    let mut silent = service.connect();
    silent.send("events\n");
    let mut client = service.connect();
    // What fits into the socket's buffer is some hundred answers.
    let question = "status\n".repeat(100);
    let mut dumb = service.connect();
    for _ in 0..100 {
        if dumb.try_send(&question).is_err_and(|error| error.kind() != ErrorKind::WouldBlock) {
            break;
        }
    }
    assert_eq!(client.ask("kill CONT"), "ok");
    eventually("it is let go", || {
        dumb.try_send("x").is_err_and(|error| error.kind() == ErrorKind::BrokenPipe)
    });
    assert_eq!(client.ask("restart"), "ok");
    service.wait_for("it was restarted", |status| status.restarts >= 1 && status.state == State::Up);
}

#[test]
fn a_hundred_clients_are_served_or_told_that_they_are_too_many() {
    let service = sleeping();
    let clients: Vec<Observer> = (0..100).map(|_| service.connect()).collect();
    let mut answers: Vec<String> = Vec::new();
    for mut client in clients {
        let _ = client.try_send("kill CONT\n");
        answers.extend(client.line());
    }
    let served = answers.iter().filter(|answer| *answer == "ok").count();
    let refused = answers.iter().filter(|answer| *answer == "error too many clients").count();
    assert_eq!((served + refused, served >= 16), (answers.len(), true), "{answers:?}");
    eventually("those who left make room", || service.ask("kill CONT") == "ok");
}

#[test]
fn every_command_works_in_every_state() {
    let prepared: [(State, fn() -> Supervised); 5] = [
        (State::Down, || Fixture::new().script("a", "exec sleep 1000").start_down()),
        (State::Up, || Fixture::new().script("a", "exec sleep 1000").start()),
        (State::Starting, || Fixture::new().service("a", "[ready]\nfd = 3").run("exec sleep 1000").start()),
        (State::Backoff, || {
            let toml = "[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
            Fixture::new().service("a", toml).run("[ -e @T/go ] && exec sleep 1000; exit 1").start()
        }),
        (State::Failed, || {
            let toml = "[restart]\nwhen = \"never\"";
            Fixture::new().service("a", toml).run("[ -e @T/go ] && exec sleep 1000; exit 1").start()
        }),
    ];
    for (state, prepare) in prepared {
        for (command, down) in
            [("start", false), ("once", false), ("restart", state == State::Down), ("stop", true)]
        {
            let service = prepare();
            service.until(state);
            service.fixture.write("go", "");
            let refused = command == "restart" && state == State::Down;
            let expected = if refused { "error not wanted up" } else { "ok" };
            assert_eq!(service.ask(command), expected, "{command} while {}", state.word());
            let what = format!("{command} while {} is done", state.word());
            let runs = if state == State::Starting { State::Starting } else { State::Up };
            let goal = if down { State::Down } else { runs };
            service.wait_for(&what, |status| status.state == goal);
            service.tell("exit");
        }
    }
}

#[test]
fn the_status_file_can_be_read_at_any_time_while_it_changes() {
    let toml = "[restart]\ndelay = \"0s\"\nmax-delay = \"0s\"";
    let service = Fixture::new().service("a", toml).run("exit 0").start();
    let _ = service.status();
    // Each reading panics on a text that is no status, or not all of one.
    let mut last = 0;
    while last < 300 {
        let status = service.try_status().unwrap();
        assert!(status.restarts >= last, "it went back");
        assert_eq!(status.supervisor, Some(service.supervisor()));
        last = status.restarts;
    }
}

#[test]
fn the_control_socket_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let service = sleeping();
    let mode = |file: &str| {
        let path = service.fixture.path(&format!("run/service/a/{file}"));
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("control"), mode("status")), (0o600, 0o644));
}
