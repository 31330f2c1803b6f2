//! `svctl wait` and `svctl events`: no change is missed, whenever it comes, and everything ends.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};
use tests::{Fixture, Machine, State, eventually, programs::program};

/// `svctl` under way, which ends with the test.
struct Running(Child, Lines<BufReader<ChildStdout>>);

impl Running {
    fn start(machine: &Machine, words: &[&str]) -> Running {
        let mut command = Command::new(program("svctl"));
        command.arg("--run").arg(machine.fixture.path("run")).args(words);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running(child, lines)
    }

    fn line(&mut self) -> String {
        self.1.next().unwrap().unwrap()
    }

    fn code(&mut self) -> i32 {
        self.0.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Becomes ready when it is told to, and dies then if it is told so.
fn late() -> Fixture {
    let script = "while [ ! -e @T/go ]; do sleep 0.01; done\necho >&3\nexec sleep 1000";
    Fixture::new().service("a", "autostart = false\n[ready]\nfd = 3").run(script)
}

#[test]
fn what_is_already_so_is_not_waited_for() {
    let machine = Fixture::new()
        .tracing("a", "")
        .tracing("off", "autostart = false")
        .service("once", "type = \"oneshot\"")
        .run("true")
        .service("all", "type = \"bundle\"\ncontents = [\"a\", \"once\"]\nautostart = false")
        .boot();
    for words in
        [&["a"][..], &["a", "--up"], &["off", "--down"], &["once", "--done"], &["all"], &["once", "--ready"]]
    {
        let outcome = machine.svctl(&[&["wait"], words].concat());
        assert_eq!(outcome.code, 0, "{words:?} {outcome:?}");
    }
}

#[test]
fn a_wait_begins_before_the_service_has_a_supervisor_and_ends_when_it_is_ready() {
    let machine = late().boot();
    let mut up = Running::start(&machine, &["wait", "--up", "a"]);
    let mut ready = Running::start(&machine, &["wait", "a"]);
    machine.tell("start a");
    assert_eq!(up.code(), 0);
    assert_eq!(machine.state("a"), State::Starting);
    assert!(ready.0.try_wait().unwrap().is_none(), "it is not ready");
    machine.fixture.write("go", "");
    assert_eq!(ready.code(), 0);
    assert_eq!(machine.state("a"), State::Up);
    let mut down = Running::start(&machine, &["wait", "--down", "a"]);
    machine.tell("stop a");
    assert_eq!(down.code(), 0);
    assert_eq!(machine.state("a"), State::Down);
}

#[test]
fn a_wait_is_over_when_time_is_and_says_where_things_stand() {
    let machine = late().boot();
    machine.tell("start a");
    machine.until("a", State::Starting);
    let outcome = machine.svctl(&["wait", "a", "-t", "50ms"]);
    assert_eq!(outcome.code, 99, "{outcome:?}");
    assert!(outcome.error.contains("a: timed out after 50 ms: still starting, pid "), "{outcome:?}");
}

#[test]
fn what_has_failed_for_good_is_not_waited_for() {
    let machine = Fixture::new()
        .service("a", "[restart]\nwhen = \"never\"")
        .run("[ -e @T/go ] || exit 7; exec sleep 1000")
        .service("broken", "colour = \"blue\"")
        .service("skipped", "command = [\"true\"]\ncondition = { path = \"/no/such/path\" }")
        .boot();
    machine.until("a", State::Failed);
    for (name, reason) in [("a", "failed"), ("broken", "invalid"), ("skipped", "skipped")] {
        let outcome = machine.svctl(&["wait", name]);
        assert!(outcome.code == 1 && outcome.error.contains(reason), "{outcome:?}");
        assert_eq!(machine.svctl(&["wait", "--down", name]).code, 0);
    }
    assert_eq!(machine.svctl(&["wait", "nobody"]).code, 3);
    assert_eq!(machine.svctl(&["wait", "--up", "--down", "a"]).code, 100);
    assert_eq!(machine.svctl(&["wait"]).code, 100);
}

#[test]
fn once_runs_a_service_until_it_ends_and_leaves_it_down() {
    let machine = Fixture::new()
        .tracing("base", "autostart = false")
        .service("a", "autostart = false\nrequires = [\"base\"]")
        .run("echo run >> @T/runs\nwhile [ ! -e @T/go ]; do sleep 0.01; done")
        .boot();
    let outcome = machine.svctl(&["once", "a"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!((machine.state("base"), machine.state("a")), (State::Up, State::Up));
    // Another supervisor knows it too.
    let before = machine.status("a");
    machine.send(before.supervisor.unwrap(), tests::Signal::KILL);
    machine.wait_for("a", "is adopted", |status| status.supervisor != before.supervisor);
    let mut done = Running::start(&machine, &["wait", "--done", "a"]);
    machine.fixture.write("go", "");
    assert_eq!(done.code(), 0);
    machine.until("a", State::Done);
    assert_eq!(machine.fixture.read("runs"), "run\n");
    assert_eq!(machine.svctl(&["start", "a"]).code, 0, "and is started again as ever");
    machine.wait_for("a", "is restarted as ever", |status| status.restarts > 0);
}

#[test]
fn events_show_every_change_of_the_services_named_and_of_no_other() {
    let machine = Fixture::new().tracing("a", "").tracing("b", "").boot();
    let mut events = Running::start(&machine, &["events", "a"]);
    let mut objects = Running::start(&machine, &["events", "--json"]);
    // A subscription is there when init has one more descriptor for it.
    let clients = || machine_sockets(&machine);
    eventually("both have subscribed", || clients() >= 2);
    machine.tell("stop b");
    machine.until("b", State::Down);
    machine.tell("stop a");
    let first = events.line();
    let words: Vec<&str> = first.splitn(4, ' ').collect();
    assert_eq!((words[0].len(), words[1], words[2]), (27, "a", "stopping,"), "{first}");
    assert!(events.line().contains(" a down, want down"), "and b is not told of");
    let object: serde_json::Value = serde_json::from_str(&objects.line()).unwrap();
    assert_eq!((object["name"].as_str(), object["state"].as_str()), (Some("b"), Some("stopping")));
    for key in ["time", "want", "overdue", "pid", "starts", "reason"] {
        assert!(object.get(key).is_some(), "{object}");
    }
}

/// How many connections init has that were made to its control socket.
fn machine_sockets(machine: &Machine) -> usize {
    let path = machine.control().display().to_string();
    let table = std::fs::read_to_string(format!("/proc/{}/net/unix", machine.init())).unwrap();
    // The listener itself is one of the lines.
    table.lines().filter(|line| line.ends_with(&path)).count().saturating_sub(1)
}
