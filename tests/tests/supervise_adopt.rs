//! What one supervisor leaves to the next, whenever it is killed; and a supervisor that is replaced in place.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::process::Command;
use tests::programs::program;
use tests::{Fixture, Signal, State, Status, Supervised, Want, eventually, process};

/// Kills the supervisor and starts another, which goes on; returns what that says first.
fn replace(service: &mut Supervised) -> Status {
    service.kill_supervisor();
    service.start_again(&["--resume"]);
    adopted(service)
}

fn adopted(service: &Supervised) -> Status {
    let new = Some(service.supervisor());
    service.wait_for("there is another supervisor", |status| status.supervisor == new)
}

/// A service that ends when a file appears, and not by TERM.
fn stubborn(toml: &str) -> Supervised {
    let script = "trap '' TERM\necho >&3\nexec 3>&-\nwhile [ ! -e @T/end ]; do sleep 0.01; done\nrm @T/end";
    Fixture::new().service("a", &format!("[ready]\nfd = 3\n{toml}")).run(script).start()
}

#[test]
fn a_wait_for_the_next_start_goes_on_to_the_same_moment_with_the_same_history() {
    let toml = "command = [\"false\"]\n[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
    let mut service = Fixture::new().service("a", toml).start();
    let before = service.until(State::Backoff);
    let after = replace(&mut service);
    assert_eq!((after.state, after.want, after.next_start), (State::Backoff, Want::Up, before.next_start));
    assert_eq!((after.restarts, after.last_exit), (before.restarts, before.last_exit));
    assert_eq!((after.since, after.reason, after.saved), (before.since, before.reason, before.saved));
    service.tell("start");
    service.wait_for("it was started again", |status| status.restarts > before.restarts);
}

#[test]
fn what_was_given_up_stays_so() {
    let toml = "command = [\"false\"]\n[restart]\ngive-up = { deaths = 1, within = \"1h\" }";
    let mut service = Fixture::new().service("a", toml).start();
    let before = service.until(State::Failed);
    let after = replace(&mut service);
    assert_eq!((after.state, after.restarts, after.want), (State::Failed, before.restarts, before.want));
    assert_eq!(after.reason, before.reason);
}

#[test]
fn a_stop_and_a_restart_that_were_under_way_go_on_to_the_same_deadline() {
    for (command, end) in [("stop", State::Down), ("restart", State::Up)] {
        let mut service = stubborn("[stop]\ntimeout = \"1h\"");
        let pid = service.up();
        service.tell(command);
        let before = service.until(State::Stopping);
        let after = replace(&mut service);
        assert_eq!((after.state, after.want, after.pid), (State::Stopping, before.want, Some(pid)));
        assert_eq!(after.saved, before.saved, "{command}");
        service.fixture.write("end", "");
        let status =
            service.wait_for("it has ended", |status| status.state == end && status.pid != Some(pid));
        assert_eq!(status.restarts, u32::from(command == "restart"));
    }
}

#[test]
fn a_command_that_was_answered_is_carried_out_even_if_the_supervisor_is_killed_at_once() {
    for _ in 0..20 {
        let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
        let pid = service.up();
        service.tell("restart");
        replace(&mut service);
        let status = service.wait_for("it was restarted", |status| {
            status.state == State::Up && status.pid.is_some_and(|other| other != pid)
        });
        assert_eq!(status.restarts, 1);
        service.tell("stop");
        service.until(State::Down);
    }
}

#[test]
fn what_is_paused_stays_paused_and_can_be_continued() {
    let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    service.tell("pause");
    let stopped = || process::stat(pid).is_some_and(|stat| stat.state == 'T');
    eventually("it is stopped", stopped);
    let after = replace(&mut service);
    assert!(after.paused && stopped());
    service.tell("continue");
    eventually("it goes on", || process::stat(pid).is_some_and(|stat| stat.state == 'S'));
}

#[test]
fn a_service_wanted_once_is_so_for_the_next_supervisor() {
    let mut service = stubborn("");
    service.tell("once");
    let pid = service.up();
    let after = replace(&mut service);
    assert_eq!((after.want, after.pid), (Want::Once, Some(pid)));
    service.fixture.write("end", "");
    let status = service.wait_for("it has ended", |status| status.pid.is_none());
    assert_eq!((status.want, status.restarts), (Want::Down, 0));
}

/// Changes lines of the status file, as if a stranger had the number now.
fn forge(service: &Supervised, key: &str, value: &str) {
    let path = service.fixture.path("run/service/a/status");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("{key} "))).map(str::to_owned);
    let Some(line) = line else { return };
    std::fs::write(&path, text.replace(&line, &format!("{key} {value}"))).unwrap();
}

#[test]
fn a_process_of_another_boot_or_with_another_inode_is_a_stranger() {
    for (key, value) in [("boot", "00000000-0000-0000-0000-000000000000"), ("pid-inode", "1")] {
        let mut service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
        let before = service.status();
        let pid = service.up();
        if key == "pid-inode" && before.pid_inode.is_none() {
            continue;
        }
        service.kill_supervisor();
        forge(&service, key, value);
        let spawned = service.fixture.path("run/service/a/spawned");
        let text = std::fs::read_to_string(&spawned).unwrap();
        std::fs::write(
            &spawned,
            text.replace(&before.boot, if key == "boot" { value } else { &before.boot }),
        )
        .unwrap();
        service.start_again(&["--resume", "--wanted", "start"]);
        let status = service.wait_for("another runs", |status| status.pid.is_some_and(|other| other != pid));
        assert_eq!((status.state, status.want), (State::Up, Want::Up), "{key}");
        service.tell("stop");
        service.until(State::Down);
        assert!(process::lives(pid), "{key}: the stranger was not touched");
        process::send(pid, Signal::KILL);
    }
}

#[test]
fn a_second_supervisor_says_who_the_first_is_and_ends_with_111() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    let second =
        Command::new(program("supervise")).arg("--run").arg(service.fixture.path("run")).arg("a").output();
    let second = second.unwrap();
    assert_eq!(second.status.code(), Some(111));
    let text = String::from_utf8_lossy(&second.stderr).into_owned();
    let first = service.supervisor();
    assert!(text.contains(&format!("another supervisor, process {first}, has the service")), "{text}");
    assert_eq!((service.status().pid, service.ask("start").as_str()), (Some(pid), "ok"));
}

#[test]
fn a_thousand_replacements_in_place_are_not_noticed_by_the_service_and_lose_no_line() {
    let script = "echo >&3\nexec 3>&-\ni=0\nwhile [ ! -e @T/enough ]; do echo line $i || exit 9\n\
                  i=$((i + 1)); [ $((i % 100)) -ne 0 ] || sleep 0.001\ndone\necho last $i\nexec sleep 1000";
    let service = Fixture::new().service("a", "[ready]\nfd = 3").run(script).start();
    let (pid, supervisor) = (service.up(), service.supervisor());
    let before = service.status();
    for _ in 0..1000 {
        let mut client = service.connect();
        assert_eq!(client.ask("reexec"), "ok");
        assert_eq!(client.line(), None, "the program that was asked is gone");
        // The next one answers at the same place.
        service.tell("kill CONT");
    }
    let after = service.status();
    assert_eq!((after.pid, after.supervisor), (Some(pid), Some(supervisor)));
    assert_eq!((after.restarts, after.started, after.ready_since), (0, before.started, before.ready_since));
    service.fixture.write("enough", "");
    service.wait_for_log("last");
    let log = service.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.starts_with("line ")).collect();
    for (number, line) in lines.iter().enumerate() {
        assert_eq!(*line, format!("line {number}"));
    }
    assert!(log.contains(&format!("last {}", lines.len())));
    // It is a child of the supervisor still, and not a stranger that was adopted.
    assert_eq!(process::stat(pid).unwrap().parent, supervisor.number());
    process::send(pid, Signal::KILL);
    let status = service.wait_for("another runs", |status| status.pid.is_some_and(|other| other != pid));
    assert_eq!(status.last_exit.unwrap().to_string(), "signal KILL");
}

#[test]
fn a_replacement_reads_the_definition_again() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    service.fixture.write("services/a/service.toml", "command = [\"sleep\", \"2000\"]");
    service.fixture.compile();
    assert_eq!(service.ask("reexec"), "ok");
    service.tell("restart");
    let status = service.wait_for("another runs", |status| status.pid.is_some_and(|other| other != pid));
    let line = std::fs::read_to_string(format!("/proc/{}/cmdline", status.pid.unwrap())).unwrap();
    assert_eq!(line, "sleep\u{0}2000\u{0}");
}

#[test]
fn a_definition_that_cannot_be_read_refuses_the_replacement() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let pid = service.up();
    service.fixture.write("run/service/a/definition", "mainstay-definition 999\n");
    assert!(service.ask("reexec").starts_with("error the program on disk cannot go on"));
    assert_eq!((service.up(), service.status().supervisor), (pid, Some(service.supervisor())));
    service.wait_for_log("going on as before");
}

#[test]
fn a_program_tells_which_state_it_can_go_on_with() {
    let status = |version: &str| {
        Command::new(program("supervise")).args(["--compatible", version]).status().unwrap().code()
    };
    assert_eq!(status(service::machine::STATE_VERSION), Some(0));
    assert_eq!(status("m0"), Some(1));
}
