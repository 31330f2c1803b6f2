//! Init for one user: places of that user, one for each, found by `svctl`.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests"
)]

use std::fs::{File, metadata};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Output, Stdio};
use tests::programs::program;
use tests::{Fixture, Pid, Signal, State, Status, eventually, process};

struct User {
    child: Child,
    fixture: Fixture,
}

/// A program with the fixture's directories as those of the user.
fn for_user(fixture: &Fixture, name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.env("XDG_RUNTIME_DIR", fixture.path("run")).env("XDG_STATE_HOME", fixture.path("state"));
    command.env_remove("MAINSTAY_RUN").stdin(Stdio::null());
    command
}

fn start(fixture: Fixture) -> User {
    let mut command = for_user(&fixture, "init");
    command.arg("--user").arg(fixture.path("services"));
    command.stdout(File::options().append(true).create(true).open(fixture.path("console")).unwrap());
    command.stderr(File::options().append(true).open(fixture.path("console")).unwrap());
    let child = sys::child::die_with_parent(&mut command).spawn().unwrap();
    User { child, fixture }
}

impl User {
    fn init(&self) -> Pid {
        Pid::new(self.child.id().cast_signed()).unwrap()
    }

    fn svctl(&self, words: &[&str]) -> Output {
        for_user(&self.fixture, "svctl").args(words).output().unwrap()
    }

    fn wait_for_boot(&self) {
        eventually("it has booted", || self.fixture.read("console").contains("startup complete"));
    }

    fn status(&self, name: &str) -> Option<Status> {
        Status::decode(&self.fixture.read(&format!("run/mainstay/service/{name}/status")))
    }

    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        tests::wait::eventually_some("it has ended", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let below = process::descendants(self.init());
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in below {
            let _ = sys::process::signal(pid, Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("--- the console\n{}", self.fixture.read("console"));
        }
    }
}

#[test]
fn its_places_are_the_users_and_svctl_finds_them() {
    let mut user = start(Fixture::new().tracing("a", "").script("b", "echo said; exec sleep 1000"));
    user.wait_for_boot();
    for words in [&["--user", "status"][..], &["--user", "status", "--json"]] {
        let output = user.svctl(words);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains("up"), "{words:?} {output:?}");
    }
    eventually("its log is the user's", || {
        user.fixture.read("state/mainstay/log/b/current").contains("said")
    });
    let logs = user.svctl(&["--user", "logs", "b"]);
    assert!(String::from_utf8_lossy(&logs.stdout).contains("said"), "{logs:?}");
    let mode = metadata(user.fixture.path("run/mainstay")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    assert_eq!(user.svctl(&["--user", "poweroff"]).status.code(), Some(0));
    assert_eq!(user.end(), Some(0));
    assert_eq!(user.fixture.trace(), ["a starts", "a stops"]);
}

#[test]
fn the_signals_of_a_terminal_stop_it_in_order() {
    for signal in ["INT", "HUP", "QUIT", "TERM"] {
        let mut user = start(Fixture::new().tracing("a", ""));
        eventually("a runs", || user.fixture.trace().len() == 1);
        process::send(user.init(), Signal::parse(signal).unwrap());
        assert_eq!(user.end(), Some(0), "{signal}");
        assert_eq!(user.fixture.trace(), ["a starts", "a stops"], "{signal}");
    }
}

#[test]
fn a_second_one_is_refused_and_the_first_does_not_notice() {
    let user = start(Fixture::new().tracing("a", ""));
    user.wait_for_boot();
    let before = user.status("a").unwrap().pid;
    let second =
        for_user(&user.fixture, "init").arg("--user").arg(user.fixture.path("services")).output().unwrap();
    assert_eq!(second.status.code(), Some(111));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another init runs over"), "{second:?}");
    assert_eq!(user.status("a").unwrap().pid, before);
    assert!(user.svctl(&["--user", "status", "a"]).status.success());
}

#[test]
fn one_that_is_killed_leaves_nothing_that_runs_twice() {
    let fixture = Fixture::new()
        .service("a", "")
        .run("exec 9> @T/alone; flock -n 9 || echo twice >> @T/twice\nexec sleep 1003");
    let mut user = start(fixture);
    user.wait_for_boot();
    let before = user.status("a").unwrap().pid.unwrap();
    process::send(user.init(), Signal::KILL);
    user.child.wait().unwrap();
    user.fixture.write("console", "");
    let fixture = std::mem::take(&mut user.fixture);
    drop(user);
    let user = start(fixture);
    eventually("a runs again", || {
        user.status("a").is_some_and(|status| {
            status.state == State::Up && status.pid.is_some_and(|pid| pid != before && process::lives(pid))
        })
    });
    assert!(!process::lives(before));
    assert_eq!(user.fixture.read("twice"), "");
}
