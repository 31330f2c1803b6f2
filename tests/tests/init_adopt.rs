//! What init does for supervisors that are killed, and for services that have none for a while.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use tests::{Fixture, Machine, Signal, State, Status, WaitStatus, Want, eventually, process};

/// The program that says things.
const SAY: &str = env!("CARGO_BIN_EXE_say");

/// Kills the supervisor of a service.
fn kill_supervisor(machine: &Machine, name: &str) -> Status {
    let before = machine.status(name);
    machine.send(before.supervisor.unwrap(), Signal::KILL);
    before
}

/// The same, and waits until there is another.
fn replace(machine: &Machine, name: &str) -> Status {
    let before = kill_supervisor(machine, name);
    machine.wait_for(name, "has another supervisor", |status| status.supervisor != before.supervisor)
}

#[test]
fn what_is_written_to_the_readiness_descriptor_while_there_is_no_supervisor_counts() {
    let script = "trap '' TERM\nwhile [ ! -e @T/go ]; do sleep 0.01; done\n\
                  echo >&3 && echo written >> @T/trace\nexec sleep 1000";
    let machine = Fixture::new().service("a", "[ready]\nfd = 3").run(script).machine().start();
    let before = machine.until("a", State::Starting);
    // It is young, so that the next one comes after a pause, in which nobody listens.
    kill_supervisor(&machine, "a");
    machine.wait_for_console("a: its supervisor ended");
    machine.fixture.write("go", "");
    let after = machine.until("a", State::Up);
    assert_eq!((after.pid, after.restarts), (before.pid, 0));
    assert_eq!(machine.fixture.trace(), ["written"]);
}

#[test]
fn what_a_service_says_while_its_supervisor_is_killed_is_heard_by_the_next() {
    let count = 48;
    // What each of these brings about takes its time.
    let many = "\"MAINPID=1\", ".repeat(200);
    let mut fixture = Fixture::new();
    for number in 0..count {
        // As soon as it is told that it was heard, or at another moment each: before it is received, while what
        // follows from it is written, and after that.
        let (barrier, time) = if number % 2 == 0 { ("\"--barrier\", ", 0) } else { ("", number * 25) };
        let words = format!("{barrier}\"--kill-parent\", \"{time}\", {many}\"READY=1\", \"STATUS=here\"");
        let toml = format!("command = [\"{SAY}\", {words}]\n[ready]\nnotify = true");
        fixture = fixture.service(&format!("s{number}"), &toml);
    }
    let machine = fixture.machine().start();
    for name in (0..count).map(|number| format!("s{number}")) {
        let status = machine.wait_for(&name, "is ready", |status| status.ready_since.is_some());
        assert_eq!((status.text.as_str(), status.restarts), ("here", 0), "{name}");
    }
}

#[test]
fn why_a_service_does_not_run_stays_told_when_its_supervisor_is_replaced() {
    let machine = Fixture::new().tracing("a", "").tracing("b", "requires = [\"a\"]").boot();
    machine.tell("stop a");
    let before = machine.until("b", State::Failed);
    assert_eq!(machine.svctl(&["reexec", "b"]).code, 0);
    let after = machine.status("b");
    assert_eq!((after.state, after.reason), (State::Failed, before.reason));
    machine.tell("start b");
    machine.until("b", State::Up);
}

#[test]
fn a_finish_script_is_waited_for_and_its_exit_125_counts() {
    let finish = "echo finishes $1 >> @T/trace\nwhile [ ! -e @T/go ]; do sleep 0.01; done\nexit 125";
    let machine = Fixture::new().service("a", "").run("exit 3").finish(finish).machine().start();
    machine.until("a", State::Finishing);
    let after = replace(&machine, "a");
    assert_eq!((after.state, after.pid), (State::Finishing, None));
    machine.fixture.write("go", "");
    let status = machine.until("a", State::Failed);
    assert_eq!((status.last_exit, status.restarts), (Some(WaitStatus::Exited(3)), 0));
    assert_eq!(machine.fixture.trace(), ["finishes 3"], "once");
}

#[test]
fn a_finish_script_that_ends_while_nobody_waits_for_it_counts_too() {
    let finish = "while [ ! -e @T/go ]; do sleep 0.01; done\nexit 125";
    let machine = Fixture::new().service("a", "").run("exit 3").finish(finish).machine().start();
    machine.until("a", State::Finishing);
    kill_supervisor(&machine, "a");
    machine.wait_for_console("a: its supervisor ended");
    machine.fixture.write("go", "");
    machine.until("a", State::Failed);
}

#[test]
fn a_stop_goes_on_after_kill_was_sent_and_before() {
    let script = "trap '' TERM\necho >&3\nexec 3>&-\nwhile [ ! -e @T/go ]; do sleep 0.01; done";
    let toml = "[ready]\nfd = 3\n[stop]\ntimeout = \"1h\"";
    let machine = Fixture::new().service("a", toml).run(script).boot();
    let pid = machine.status("a").pid;
    machine.tell("stop a");
    let before = machine.until("a", State::Stopping);
    let after = replace(&machine, "a");
    assert_eq!((after.state, after.pid, after.saved), (State::Stopping, pid, before.saved));
    machine.fixture.write("go", "");
    let status = machine.until("a", State::Down);
    assert_eq!((status.want, status.last_exit), (Want::Down, Some(WaitStatus::Exited(0))));
}

#[test]
fn what_waits_for_its_next_start_is_not_woken_by_a_new_supervisor_but_by_people() {
    let toml = "command = [\"false\"]\n[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
    let machine = Fixture::new().service("a", toml).machine().start();
    let before = machine.until("a", State::Backoff);
    // What is on disk is told a moment later; a start of what init takes to be up would be none.
    eventually("init has heard of it", || machine.console().contains("a: backoff"));
    let after = replace(&machine, "a");
    assert_eq!((after.state, after.next_start), (State::Backoff, before.next_start));
    assert_eq!((after.restarts, after.last_exit), (before.restarts, before.last_exit));
    machine.tell("start a");
    // That start, and the one restart which waits for nothing; had it been woken before, there were more.
    let last = machine.wait_for("a", "waits again", |status| {
        status.state == State::Backoff && status.restarts > before.restarts
    });
    assert_eq!(last.restarts, before.restarts + 2);
}

#[test]
fn what_was_given_up_stays_so_and_can_be_started() {
    let toml = "[restart]\nwhen = \"never\"";
    let script = "[ -e @T/good ] || exit 1\nexec sleep 1000";
    let machine = Fixture::new().service("a", toml).run(script).machine().start();
    let before = machine.until("a", State::Failed);
    let after = replace(&machine, "a");
    assert_eq!((after.state, after.last_exit), (State::Failed, before.last_exit));
    machine.fixture.write("good", "");
    machine.tell("start a");
    machine.until("a", State::Up);
}

/// Waits until the supervisor of a service has taken what init has told it so far: it serves init and clients in turn.
#[track_caller]
fn wait_until_told(machine: &Machine, name: &str) {
    let control = machine.fixture.path(&format!("run/service/{name}/control"));
    let answer = || -> std::io::Result<usize> {
        let mut stream = UnixStream::connect(&control)?;
        stream.write_all(b"status\n")?;
        stream.read(&mut [0; 16])
    };
    // One that is being replaced hangs up.
    eventually("it answers", || answer().is_ok_and(|count| count > 0));
}

#[test]
fn what_is_wanted_and_does_not_run_is_not_started_by_whoever_takes_over() {
    let count = |name: &str| format!("echo {name} >> @T/trace");
    let later = "[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
    let machine = Fixture::new()
        .service("failed", "[restart]\nwhen = \"never\"")
        .run(&format!("{}\nexit 1", count("failed")))
        .service("done", "[restart]\nwhen = \"never\"")
        .run(&count("done"))
        .service("later", later)
        .run(&format!("{}\nexit 1", count("later")))
        .machine()
        .start();
    let states = [("failed", State::Failed), ("done", State::Done), ("later", State::Backoff)];
    for (name, state) in states {
        machine.wait_for(name, "rests", |status| {
            status.state == state && status.restarts == u32::from(name == "later")
        });
        eventually("init has heard of it", || {
            machine.console().contains(&format!("{name}: {}", state.word()))
        });
    }
    let mut runs = machine.fixture.trace();
    runs.sort();
    assert_eq!(runs, ["done", "failed", "later", "later"]);
    let unchanged = |how: &str| {
        for (name, state) in states {
            wait_until_told(&machine, name);
            assert_eq!(machine.status(name).state, state, "{name}, {how}");
        }
        assert_eq!(machine.fixture.trace().len(), runs.len(), "{how}: {:?}", machine.fixture.trace());
    };
    for (name, _) in states {
        let old = kill_supervisor(&machine, name).supervisor.unwrap();
        eventually("it is gone", || machine.try_outside(old).is_none());
    }
    unchanged("after their supervisors were killed");
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    unchanged("after all were replaced in place");
    process::send(machine.init(), Signal::parse("SEGV").unwrap());
    machine.wait_for_console("recovered from a fault");
    unchanged("after a fault of init");
}

#[test]
fn restarts_that_were_asked_for_survive_the_supervisor_that_was_asked() {
    let machine = Fixture::new().tracing("a", "").boot();
    for _ in 0..3 {
        let before = machine.status("a");
        let supervisor = machine.outside(before.supervisor.unwrap());
        process::send(supervisor, Signal::parse("STOP").unwrap());
        machine.tell("restart a");
        process::send(supervisor, Signal::KILL);
        let after = machine.wait_for("a", "was restarted", |status| {
            status.state == State::Up && status.pid.is_some_and(|pid| before.pid != Some(pid))
        });
        assert_eq!(after.restarts, before.restarts + 1);
    }
}

#[test]
fn a_process_with_the_same_number_is_a_stranger() {
    let script = "echo >&3\nexec 3>&-\nexec sleep 1000";
    // Has the next process get the number that the file names.
    let forger = "pid=$(cat @T/number)\nwhile :; do\necho $((pid - 1)) > /proc/sys/kernel/ns_last_pid || exit 1\n\
                  sleep 1000 &\n[ $! -ne $pid ] || break\nkill $!\ndone\necho forged >> @T/trace\nwait";
    let machine = Fixture::new()
        .service("a", "[ready]\nfd = 3")
        .run(script)
        .service("forger", "autostart = false")
        .run(forger)
        .boot();
    let before = machine.status("a");
    let pid = before.pid.unwrap();
    machine.fixture.write("number", &pid.to_string());
    // Its supervisor waits while it dies, and its number is given away.
    kill_supervisor(&machine, "a");
    machine.wait_for_console("a: its supervisor ended");
    machine.send(pid, Signal::KILL);
    eventually("it is gone", || machine.try_outside(pid).is_none());
    machine.tell("start forger");
    eventually("another has its number", || machine.fixture.trace() == ["forged"]);
    let stranger = machine.outside(pid);
    let after = machine.wait_for("a", "runs again", |status| {
        status.state == State::Up && status.pid.is_some_and(|other| other != pid)
    });
    assert_eq!(after.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    machine.tell("stop a");
    machine.until("a", State::Down);
    assert!(process::lives(stranger));
}

#[test]
fn every_run_ends_once_with_its_own_status_whenever_supervisors_are_killed() {
    let toml = "[restart]\ndelay = \"1ms\"\nmax-delay = \"1ms\"";
    let mut fixture = Fixture::new();
    let names: Vec<String> = (0..12).map(|number| format!("s{number}")).collect();
    for name in &names {
        let script = format!(
            "exec 9> @T/lock-{name}\nflock -n 9 || {{ echo doubled >> @T/trace; exit 99; }}\n\
             echo run {name} $$ >> @T/trace\nsleep 0.0$(($$ % 10)) 9>&-\nexit $(($$ % 97))"
        );
        fixture = fixture.service(name, toml).run(&script).finish("echo end $3 $4 $1 >> @T/trace");
    }
    let machine = fixture.machine().start();
    for round in 0..12_u64 {
        for name in &names {
            eventually("its supervisor is killed", || {
                let Some(status) = machine.try_status(name) else { return false };
                let outer = status.supervisor.and_then(|pid| machine.try_outside(pid));
                outer.is_some_and(|pid| sys::process::signal(pid, Signal::KILL).is_ok())
            });
            std::thread::sleep(std::time::Duration::from_micros(round * 131 % 700));
        }
    }
    for name in &names {
        machine.tell(&format!("stop {name}"));
        machine.until(name, State::Down);
    }
    let trace = machine.fixture.trace();
    let mut ends: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for line in &trace {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["run", name, pid] => {
                ends.entry(((*name).to_owned(), (*pid).to_owned())).or_default();
            }
            ["end", name, pid, code] => {
                ends.entry(((*name).to_owned(), (*pid).to_owned())).or_default().push((*code).to_owned());
            }
            _ => panic!("{line}"),
        }
    }
    for name in &names {
        let status = machine.status(name);
        // A last run that was stopped before it said a word is known by its end.
        let runs = ends.keys().filter(|(other, _)| other == name).count();
        assert_eq!(usize::try_from(status.restarts).unwrap() + 1, runs, "{name}");
        let unknown = machine.log(name).iter().find(|line| line.contains("ended with unknown")).cloned();
        assert_eq!(unknown, None, "{name}");
    }
    let mut stopped = 0;
    for ((name, pid), codes) in &ends {
        let number: u32 = pid.parse().unwrap();
        let stop = codes.as_slice() == ["256"];
        stopped += u32::from(stop);
        assert!(
            stop || codes.as_slice() == [(number % 97).to_string()],
            "{name} {pid}: {codes:?}\n{}",
            machine.log(name).join("\n")
        );
    }
    assert!(stopped <= u32::try_from(names.len()).unwrap(), "only the last runs were stopped: {stopped}");
}

#[test]
fn another_supervisor_of_a_service_is_no_reason_to_go_on_about_it() {
    let boot = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").machine();
    boot.fixture().compile();
    // Somebody else has the lock from the beginning.
    let lock = boot.fixture().path("run/service/a/lock");
    let held = sys::fs::lock(&lock).unwrap();
    let machine = boot.start();
    machine.wait_for_console("a: its supervisor ended with exit 111 (starting it again)");
    // Twice more in vain: its pause is one second.
    let began = machine.log("a").len();
    eventually("it was tried again", || machine.log("a").len() >= began.max(1) + 2);
    assert_eq!(machine.console().matches("its supervisor ended with exit 111").count(), 1);
    drop(held);
    machine.until("a", State::Up);
}

#[test]
fn a_program_that_cannot_go_on_is_refused_and_one_that_can_takes_over_in_place() {
    let machine = Fixture::new()
        .service("a", "command = [\"sleep\", \"1000\"]")
        .machine()
        .only_programs(&["supervise", "svctl", "svlog"])
        .start();
    let before = machine.until("a", State::Up);
    let link = machine.fixture.path("programs/supervise");
    let ask = || tests::Observer::connect(&machine.fixture.path("run/service/a/control")).ask("reexec");
    let good = std::fs::read_link(&link).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::fs::write(&link, "#!/bin/sh\nexit 1\n").unwrap();
    tests::fixture::make_executable(&link);
    assert!(ask().starts_with("error the program on disk cannot go on"));
    let same = |status: &Status| (status.pid, status.supervisor, status.restarts, status.started);
    assert_eq!(same(&machine.status("a")), same(&before));
    // A copy is another program, at the same path.
    tests::fixture::copy_program(&good, &link);
    assert_eq!(ask(), "ok");
    let supervisor = machine.outside(before.supervisor.unwrap());
    // By what it is: its path may be seen from another root.
    let file = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).unwrap();
    let executes = PathBuf::from(format!("/proc/{supervisor}/exe"));
    eventually("the new one runs", || file(&executes) == file(&link));
    assert_eq!(same(&machine.status("a")), same(&before));
    // Init still speaks with it.
    machine.tell("stop a");
    machine.until("a", State::Down);
    machine.tell("start a");
    machine.until("a", State::Up);
    assert_eq!(machine.status("a").supervisor, before.supervisor);
}

#[test]
fn a_oneshot_that_is_killed_with_its_supervisor_is_run_once() {
    let script = "echo runs >> @T/trace\nwhile [ ! -e @T/go ]; do sleep 0.01; done";
    let machine = Fixture::new().service("a", "type = \"oneshot\"").run(script).machine().start();
    let pid = machine.wait_for("a", "runs", |status| status.pid.is_some()).pid;
    let after = replace(&machine, "a");
    assert_eq!((after.state, after.pid), (State::Starting, pid));
    machine.fixture.write("go", "");
    machine.until("a", State::Done);
    assert_eq!(machine.fixture.trace(), ["runs"]);
}

#[test]
fn who_waits_for_a_restart_is_told_of_it_even_if_the_supervisor_is_killed_or_replaced_meanwhile() {
    let script = "trap 'while [ ! -e @T/go ]; do sleep 0.01; done; rm @T/go; exit 0' TERM\necho >&3\nexec 3>&-\n\
                  while :; do sleep 1000 & wait; done";
    let machine = Fixture::new().service("a", "[ready]\nfd = 3").run(script).boot();
    for way in ["killed", "replaced"] {
        let before = machine.status("a");
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| machine.svctl(&["restart", "a"]));
            machine.until("a", State::Stopping);
            if way == "killed" {
                replace(&machine, "a");
            } else {
                let mut client = tests::Observer::connect(&machine.fixture.path("run/service/a/control"));
                assert_eq!(client.ask("reexec"), "ok");
                assert_eq!(client.line(), None);
            }
            machine.fixture.write("go", "");
            let outcome = waiting.join().unwrap();
            assert_eq!(outcome.code, 0, "{way}: {outcome:?}");
        });
        let after = machine.status("a");
        assert_eq!((after.state, after.restarts), (State::Up, before.restarts + 1), "{way}");
    }
}
