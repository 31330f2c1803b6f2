//! `svctl why`: what is to blame is named, with the edges that lead there, and nobody is asked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Machine, Signal, State, eventually, process};

fn why(machine: &Machine, name: &str) -> (i32, String) {
    let outcome = machine.svctl(&["why", name]);
    assert_eq!(outcome.error, "");
    (outcome.code, outcome.output)
}

/// The lines without what differs from run to run.
fn shape(text: &str) -> Vec<String> {
    let cut = |line: &str| line.split(" for ").next().unwrap().to_owned();
    text.lines().map(cut).collect()
}

#[test]
fn a_chain_of_waits_ends_in_what_has_not_become_ready() {
    let machine = Fixture::new()
        .service("base", "[ready]\nfd = 3")
        .run("echo still looking for it\nexec sleep 1000")
        .tracing("clock", "after = [\"base\"]")
        .tracing("middle", "requires = [\"base\"]")
        .tracing("top", "requires = [\"middle\"]\nafter = [\"clock\"]")
        .machine()
        .start();
    machine.until("top", State::Blocked);
    machine.until("base", State::Starting);
    eventually("the log has it", || !machine.log("base").is_empty());
    let (code, text) = why(&machine, "top");
    assert_eq!(code, 1);
    let lines = shape(&text);
    assert_eq!(lines[..3], ["top: blocked", "  requires middle: blocked", "    requires base: starting"]);
    assert!(text.contains("      it has not become ready, "), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("      | ") && line.contains("still looking")),
        "{text}"
    );
    assert!(text.contains("\n  after clock: blocked"), "{text}");
    assert!(text.contains("\n      (see above)"), "once is enough: {text}");
}

#[test]
fn it_answers_while_init_and_the_supervisors_hang() {
    let machine = Fixture::new().service("a", "[ready]\nfd = 3").run("exec sleep 1000").machine().start();
    let status = machine.wait_for("a", "runs", |status| status.pid.is_some());
    machine.send(status.supervisor.unwrap(), Signal::parse("STOP").unwrap());
    process::send(machine.init(), Signal::parse("STOP").unwrap());
    let (code, text) = why(&machine, "a");
    process::send(machine.init(), Signal::parse("CONT").unwrap());
    assert_eq!(code, 1);
    assert!(text.contains("it has not become ready"), "{text}");
}

#[test]
fn what_failed_is_told_with_its_last_exit_and_its_last_words() {
    let machine = Fixture::new()
        .service("base", "[restart]\nwhen = \"never\"")
        .run("echo no disk; exit 127")
        .tracing("top", "requires = [\"base\"]")
        .boot();
    machine.until("top", State::Failed);
    eventually("the log has it", || !machine.log("base").is_empty());
    let (code, text) = why(&machine, "top");
    assert_eq!(
        (code, &shape(&text)[..2]),
        (1, &["top: failed".to_owned(), "  requires base: failed".to_owned()][..])
    );
    assert!(text.contains("its last run exited with 127 (a shell did not find a command)"), "{text}");
    assert!(text.contains("no disk"), "{text}");
}

#[test]
fn what_dies_again_and_again_is_told_with_its_next_start() {
    let toml = "[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
    let machine = Fixture::new().service("a", toml).run("kill -9 $$").machine().start();
    machine.until("a", State::Backoff);
    let (code, text) = why(&machine, "a");
    assert_eq!(code, 1);
    assert!(text.contains("it died, and is started again in "), "{text}");
    assert!(text.contains("was ended by the signal KILL (by somebody"), "{text}");
}

#[test]
fn what_is_down_is_told_with_who_stopped_it() {
    let machine = Fixture::new()
        .tracing("a", "")
        .tracing("b", "requires = [\"a\"]")
        .tracing("c", "autostart = false")
        .boot();
    let (code, text) = why(&machine, "b");
    assert_eq!((code, shape(&text)), (0, vec!["b: up".to_owned()]));
    assert_eq!(machine.svctl(&["stop", "a"]).code, 0);
    eventually("the log has it", || machine.log("a").iter().any(|line| line.contains("asked for by")));
    let (code, text) = why(&machine, "b");
    assert_eq!((code, &shape(&text)[1][..]), (1, "  requires a: down"));
    assert!(text.contains("    stop: asked for by "), "{text}");
    let (code, text) = why(&machine, "c");
    assert_eq!(code, 0, "down as wanted");
    assert!(text.contains("nobody has asked for it (autostart = false)"), "{text}");
}

#[test]
fn what_is_broken_or_skipped_is_told_with_the_reason() {
    let machine = Fixture::new()
        .service("broken", "colour = \"blue\"\ncommand = [\"true\"]")
        .service("skipped", "command = [\"true\"]\ncondition = { path = \"/no/such/path\" }")
        .tracing("top", "requires = [\"broken\"]")
        .boot();
    let (_, text) = why(&machine, "top");
    assert!(
        text.contains("\n  requires broken: invalid") && text.contains("unknown key \"colour\""),
        "{text}"
    );
    let (code, text) = why(&machine, "skipped");
    assert!(code == 0 && text.contains("/no/such/path"), "{text}");
    assert_eq!(machine.svctl(&["why", "nobody"]).code, 3);
}
