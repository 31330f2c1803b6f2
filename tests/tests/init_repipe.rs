//! A reload that changes who reads what a running service writes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs;
use tests::{Fixture, Machine, State, eventually, process};

/// Writes a line when it is started, and more than one page of them when it is stopped.
const WRITER: &str = "trap 'i=1; while [ $i -le 500 ]; do echo last $i; i=$((i + 1)); done; exit 0' TERM\n\
    echo starts\necho starts >> @T/trace\nwhile :; do sleep 0.01; done";

/// Appends what it reads to a file.
const READER: &str = "#!/bin/sh\nexec cat >> @T/out\n";

fn last(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("last {number}")).collect()
}

fn out(machine: &Machine) -> Vec<String> {
    machine.fixture.read("out").lines().map(str::to_owned).collect()
}

fn give_reader(machine: &Machine, name: &str) {
    let file = format!("services/{name}/log/run");
    machine.fixture.write(&file, READER);
    tests::fixture::make_executable(&machine.fixture.path(&file));
}

fn reload(machine: &Machine) -> String {
    let outcome = machine.svctl(&["reload"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    outcome.output
}

#[test]
fn a_running_service_that_is_given_a_reader_is_restarted_with_it_and_loses_no_line() {
    let machine = Fixture::new().directory("a").executable("run", WRITER).tracing("b", "").boot();
    eventually("both run", || machine.fixture.trace().len() == 2);
    let other = machine.status("b").pid;
    give_reader(&machine, "a");
    let plan = machine.svctl(&["reload", "--plan"]);
    assert_eq!(plan.output, "add      a-log\nchange   a\nrestart  a\nstart    a-log\n", "{plan:?}");
    reload(&machine);
    eventually("its second run is read", || out(&machine) == ["starts"]);
    // What the first has written is where it was to go.
    let expected = [vec!["starts".to_owned()], last(500)].concat();
    eventually("its first run is logged", || machine.log("a") == expected);
    assert_eq!(machine.status("b").pid, other);

    // The pipe is there for its next supervisor too, and for the program that this one replaces itself with.
    let status = machine.status("a");
    machine.send(status.supervisor.unwrap(), tests::Signal::KILL);
    machine.send(status.pid.unwrap(), tests::Signal::KILL);
    eventually("its third run is read", || out(&machine) == ["starts", "starts"]);
    assert_eq!(machine.svctl(&["reexec", "a"]).code, 0);
    machine.send(machine.until("a", State::Up).pid.unwrap(), tests::Signal::KILL);
    eventually("its fourth run is read", || out(&machine).len() == 3);
}

#[test]
fn a_reader_that_is_taken_away_reads_all_that_was_written_for_it_first() {
    let machine =
        Fixture::new().directory("a").executable("run", WRITER).executable("log/run", READER).boot();
    eventually("it is read", || out(&machine) == ["starts"]);
    let reader = machine.outside(machine.until("a-log", State::Up).pid.unwrap());
    fs::remove_dir_all(machine.fixture.path("services/a/log")).unwrap();
    let told = reload(&machine);
    assert!(told.contains("a-log: removed"), "{told}");
    eventually("the reader has ended", || !process::lives(reader));
    assert_eq!(out(&machine), [vec!["starts".to_owned()], last(500)].concat());
    eventually("its second run is logged", || machine.log("a") == ["starts"]);
    eventually("nothing of the reader is left", || !machine.fixture.path("run/service/a-log").exists());

    // It comes back, and so does the pipe.
    give_reader(&machine, "a");
    reload(&machine);
    eventually("its third run is read", || out(&machine).len() == 502);
    assert_eq!(machine.log("a"), [vec!["starts".to_owned()], last(500)].concat());
}

#[test]
fn a_service_that_writes_to_another_reader_now_is_moved_to_it() {
    let reader = |name: &str| format!("command = [\"sh\", \"-c\", \"cat >> @T/{name}; exec sleep 1000\"]\n");
    let machine = Fixture::new()
        .service("one", &reader("one"))
        .service("two", &reader("two"))
        .service("a", "[log]\nto = \"one\"\n")
        .run("echo starts\nexec sleep 1000")
        .boot();
    eventually("it is read by one", || machine.fixture.read("one") == "starts\n");
    machine.fixture.write("services/a/service.toml", "[log]\nto = \"two\"\n");
    reload(&machine);
    eventually("it is read by two", || machine.fixture.read("two") == "starts\n");
    // Nobody writes to the other any more, and it reads nothing.
    machine.until("one", State::Up);
    assert_eq!(machine.fixture.read("one"), "starts\n");
}

#[test]
fn a_reload_that_init_fails_in_still_gives_the_service_its_reader() {
    let machine = Fixture::new().directory("a").executable("run", WRITER).boot();
    eventually("it runs", || machine.fixture.trace().len() == 1);
    give_reader(&machine, "a");
    std::thread::scope(|scope| {
        // If init fails before it has put down what it was asked for, svctl asks the next one.
        let reloading = scope.spawn(|| machine.svctl(&["reload"]));
        eventually("the tree is read", || machine.fixture.path("run/init/next").exists());
        process::send(machine.init(), tests::Signal::parse("SEGV").unwrap());
        let outcome = reloading.join().unwrap();
        assert_eq!(outcome.code, 0, "{outcome:?}");
    });
    eventually("its second run is read", || out(&machine).first().is_some_and(|line| line == "starts"));
    machine.until("a", State::Up);
}
