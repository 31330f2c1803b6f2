//! What is done before each start: a command that makes what the process runs in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Pid, State, Supervised, eventually, process};

/// A service whose preparation is this script, and which says when it runs.
fn prepared_by(script: &str, more: &str) -> Supervised {
    let run = "echo run >> @T/trace; exec sleep 1000";
    let toml = format!(
        "command = [\"sh\", \"-c\", \"{run}\"]\n\
         [prepare]\ncommand = [\"sh\", \"-c\", \"echo prepare >> @T/trace; {script}\"]\n{more}"
    );
    Fixture::new().service("a", &toml).start()
}

/// Notes its number in a file and hangs.
const HANG: &str = "echo $$ > @T/number.new; mv @T/number.new @T/number; exec sleep 1001";

fn number(service: &Supervised) -> Pid {
    let path = service.fixture.path("number");
    let read = || Pid::new(std::fs::read_to_string(&path).ok()?.trim().parse().ok()?);
    eventually("it has begun", || read().is_some());
    let number = read().unwrap();
    std::fs::remove_file(&path).unwrap();
    number
}

#[test]
fn a_start_waits_for_what_it_needs_and_so_does_every_one_after_it() {
    let service = prepared_by("until test -e @T/go; do sleep 0.01; done", "");
    let status = service.wait_for("it is being prepared", |status| status.preparing);
    assert_eq!((status.state, status.pid), (State::Starting, None));
    assert_eq!(service.wait_for_trace(1), ["prepare"]);
    service.fixture.write("go", "");
    let pid = service.up();
    assert!(!service.status().preparing);
    service.wait_for_trace(2);
    process::send(pid, tests::Signal::KILL);
    assert_eq!(service.wait_for_trace(4), ["prepare", "run", "prepare", "run"]);
}

#[test]
fn a_start_that_could_not_be_prepared_has_failed_and_the_reason_is_told() {
    let script = "test -e @T/go || { echo no such image > @T/run/service/a/unprepared; exit 3; }";
    let service = prepared_by(script, "[restart]\ndelay = \"60s\"");
    let status = service.wait_for("it waits", |status| status.state == State::Backoff);
    assert_eq!(status.reason, "unable to prepare its start: no such image");
    service.wait_for_log("warning: unable to prepare its start: no such image (restarting");
    assert!(!service.fixture.trace().contains(&"run".to_owned()));
    service.fixture.write("go", "");
    service.tell("start");
    service.up();
    assert_eq!(service.status().reason, "");
}

#[test]
fn a_start_that_is_never_prepared_is_given_up_and_says_by_what_status() {
    let service = prepared_by("exit 7", "[restart]\nwhen = \"never\"");
    let status = service.until(State::Failed);
    assert_eq!(status.reason, "unable to prepare its start: the command ended with exit 7");
    assert_eq!(service.fixture.trace(), ["prepare"]);
}

#[test]
fn what_was_given_up_because_it_could_not_be_prepared_says_why_also_to_the_next_supervisor() {
    let script = "echo no such image > @T/run/service/a/unprepared; exit 3";
    let toml = "[restart]\ndelay = \"1ms\"\ngive-up = { deaths = 3, within = \"1h\" }";
    let mut service = prepared_by(script, toml);
    let said = "gave up after too many failed starts: unable to prepare its start: no such image";
    assert_eq!(service.until(State::Failed).reason, said);
    service.kill_supervisor();
    service.start_again(&["--resume"]);
    let next = service.supervisor();
    let status = service.wait_for("the next has told of it", |status| status.supervisor == Some(next));
    assert_eq!((status.state, status.reason.as_str()), (State::Failed, said));
}

#[test]
fn a_command_that_is_not_there_is_a_failed_start() {
    let toml =
        "command = [\"sleep\", \"1\"]\n[prepare]\ncommand = [\"/no/such\"]\n[restart]\nwhen = \"never\"";
    let fixture = Fixture::new().service("a", toml);
    let service = fixture.start();
    let reason = service.until(State::Failed).reason;
    assert!(reason.contains("unable to execute /no/such: No such file or directory"), "{reason}");
}

#[test]
fn a_stop_ends_the_preparation() {
    let service = prepared_by(HANG, "");
    let command = number(&service);
    service.tell("stop");
    service.until(State::Down);
    eventually("the command is gone", || !process::lives(command));
    assert_eq!(service.fixture.trace(), ["prepare"]);
}

#[test]
fn a_preparation_that_hangs_is_killed_and_begun_again_with_the_usual_waits() {
    let service = prepared_by(HANG, "timeout = \"50ms\"\n[restart]\ndelay = \"10ms\"");
    let first = number(&service);
    eventually("it is gone", || !process::lives(first));
    let second = number(&service);
    assert_ne!(first, second);
    service.wait_for_log("unable to prepare its start: took too long (restarting");
    service.tell("stop");
    service.until(State::Down);
}

#[test]
fn a_supervisor_killed_while_it_prepares_takes_that_along_and_the_next_begins_anew() {
    let mut service = prepared_by(&format!("test -e @T/go || {{ {HANG}; }}"), "");
    let command = number(&service);
    service.kill_supervisor();
    eventually("the command is gone", || !process::lives(command));
    service.fixture.write("go", "");
    service.start_again(&[]);
    let pid = service.up();
    assert_eq!(service.wait_for_trace(3), ["prepare", "prepare", "run"]);
    service.kill_supervisor();
    service.start_again(&[]);
    let new = Some(service.supervisor());
    let status = service.wait_for("it is adopted", |status| status.supervisor == new);
    assert_eq!((status.state, status.pid), (State::Up, Some(pid)));
    assert_eq!(service.fixture.trace().len(), 3, "nothing is made for what runs");
}

#[test]
fn a_supervisor_killed_just_after_a_start_makes_nothing_anew_under_the_process() {
    let mut service = prepared_by("true", "");
    let pid = service.up();
    service.wait_for_trace(2);
    let starting = service.status().encode().lines().filter(|line| !line.starts_with("pid")).fold(
        String::new(),
        |text, line| match line.split_once(' ') {
            Some(("state", _)) => text + "state starting\n",
            // As it stood while the start was being prepared, before there was a process.
            Some(("saved", saved)) => {
                let words: Vec<&str> = saved.split(' ').collect();
                let running = words.iter().position(|word| *word == "running").unwrap();
                let rest = words[running + 3..].join(" ");
                let rest = rest.replacen(words[running + 7], "1", 2);
                text + &format!("saved {} spawning {rest}\n", words[..running].join(" "))
            }
            _ => text + line + "\n",
        },
    );
    service.kill_supervisor();
    let path = service.fixture.path("run/service/a/status");
    std::fs::write(path, starting).unwrap();
    service.start_again(&[]);
    let new = Some(service.supervisor());
    let status =
        service.wait_for("it is adopted", |status| status.supervisor == new && status.state == State::Up);
    assert_eq!(status.pid, Some(pid));
    assert_eq!(service.fixture.trace().len(), 2);
}

#[test]
fn a_service_that_is_told_to_exit_while_it_prepares_is_down() {
    let mut service = prepared_by(HANG, "");
    let command = number(&service);
    process::send(service.supervisor(), tests::Signal::TERM);
    assert!(service.ended().success());
    eventually("the command is gone", || !process::lives(command));
}
