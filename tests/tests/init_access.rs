//! Who may ask init for what, and the record of who did.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use tests::{Boot, Fixture, Machine, Outcome, Signal, State, WaitStatus, process, programs::program};

/// A user of its own for these tests, in no group that a rule could name by chance.
const OPERATOR: u32 = 65_432;
const GROUP: u32 = 65_433;

/// `a` may be restarted and signalled by the operator, `b` by a group; nobody may do anything else.
const RULES: &str = "[[allow]]\nusers = [65432]\nverbs = [\"restart\", \"kill\", \"stop\", \"start\"]\nservices = [\"a*\"]\n\
    [[allow]]\ngroups = [65433]\nverbs = [\"*\"]\nservices = [\"b\"]\n";

fn machine() -> Machine {
    started(Fixture::new().tracing("a", "").tracing("b", "").machine())
}

/// A machine with the settings RULES.
fn with_rules() -> Machine {
    started(Fixture::new().tracing("a", "").tracing("b", "").file("init.toml", RULES).machine())
}

/// One whose compiler leaves these compiled settings behind, as that of another version might.
fn with_compiled(settings: &str) -> Machine {
    let compiler = format!(
        "#!/bin/sh\n{} \"$@\" || exit\n[ \"$1\" != compile ] || cp @T/compiled @T/run/init/settings\n",
        program("svctl").display()
    );
    let fixture = Fixture::new().tracing("a", "").tracing("b", "").file("compiled", settings);
    let boot = fixture.machine().only_programs(&["init", "supervise", "svlog"]);
    boot.fixture().write("programs/svctl", &compiler);
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(boot.fixture().path("programs/svctl"), mode).unwrap();
    started(boot)
}

fn started(boot: Boot) -> Machine {
    // An ordinary process, so that it sees its clients' numbers.
    let boot = boot.as_ordinary_process();
    // The programs may lie where only their builder is let in.
    tests::fixture::copy_program(&program("svctl"), &boot.fixture().path("svctl"));
    let machine = boot.start();
    machine.wait_for_boot();
    for place in ["", "run", "logs"] {
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(machine.fixture.path(place), mode).unwrap();
    }
    machine
}

/// Runs `svctl` as another user; none if we may not become one.
fn as_user(machine: &Machine, user: u32, group: Option<u32>, words: &[&str]) -> Option<Outcome> {
    if process::own_user() != 0 {
        return None;
    }
    let mut command = Command::new("setpriv");
    command.args([format!("--reuid={user}"), format!("--regid={user}")]);
    command.arg(group.map_or_else(|| "--clear-groups".to_owned(), |group| format!("--groups={group}")));
    command.arg("--").arg(machine.fixture.path("svctl"));
    command.arg("--run").arg(machine.fixture.path("run")).arg("--logs").arg(machine.fixture.path("logs"));
    let output = command.args(words).stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some(Outcome {
        code: output.status.code().unwrap_or(-1),
        output: text(&output.stdout),
        error: text(&output.stderr),
    })
}

#[test]
fn without_rules_the_socket_is_its_owners_alone() {
    let machine = machine();
    let mode = std::fs::metadata(machine.control()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let Some(outcome) = as_user(&machine, OPERATOR, None, &["restart", "a"]) else { return };
    assert_eq!(outcome.code, 111, "{outcome:?}");
    assert!(outcome.error.contains("Permission denied"), "{outcome:?}");
}

#[test]
fn a_user_may_do_what_a_rule_says_and_nothing_else() {
    let machine = with_rules();
    let before = machine.status("a").pid;
    let Some(outcome) = as_user(&machine, OPERATOR, None, &["restart", "a"]) else { return };
    assert_eq!(outcome.code, 0, "{outcome:?}\n{}", machine.console());
    assert_ne!(machine.status("a").pid, before);
    machine.wait_for_console("(svctl) of user 65432");
    assert!(machine.console().contains("restart a: asked for by process"), "{}", machine.console());
    for (words, what) in [
        (&["restart", "b"][..], "restart b"),
        (&["pause", "a"], "pause a"),
        (&["kill", "b", "TERM"], "kill b"),
        (&["reload", "a"], "reload a"),
        (&["poweroff"], "poweroff"),
    ] {
        let outcome = as_user(&machine, OPERATOR, None, words).unwrap();
        let why = format!("not allowed: user 65432 may not {what}");
        assert!(outcome.code == 1 && outcome.error.contains(&why), "{outcome:?}");
        machine.wait_for_console(&why);
    }
    assert_eq!(machine.state("b"), State::Up);
}

#[test]
fn a_rule_for_a_group_is_for_its_members() {
    let machine = with_rules();
    let Some(outcome) = as_user(&machine, OPERATOR, Some(GROUP), &["stop", "b"]) else { return };
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(machine.state("b"), State::Down);
    let outcome = as_user(&machine, 65_431, None, &["stop", "b"]).unwrap();
    assert!(outcome.code == 1 && outcome.error.contains("user 65431 may not"), "{outcome:?}");
}

#[test]
fn what_a_user_asks_of_a_service_goes_through_init_and_reaches_it() {
    let machine = with_rules();
    let Some(outcome) = as_user(&machine, OPERATOR, None, &["kill", "a", "KILL"]) else { return };
    assert_eq!(outcome.code, 0, "{outcome:?}");
    machine.wait_for("a", "was killed", |status| {
        status.last_exit == Some(WaitStatus::Signalled { signal: Signal::KILL, core: false })
    });
}

#[test]
fn every_change_is_on_record_with_who_asked() {
    let machine = machine();
    assert_eq!(machine.svctl(&["stop", "a"]).code, 0);
    assert_eq!(machine.svctl(&["restart", "b"]).code, 0);
    let user = process::own_user();
    let records = |name: &str, text: &str| {
        tests::eventually(&format!("the log of {name} has {text}"), || {
            let ends = format!("(svctl) of user {user}");
            machine.log(name).iter().any(|line| line.contains(text) && line.ends_with(&ends))
        });
    };
    records("a", "init: stop a: asked for by process ");
    records("b", "supervise b: restart: asked for by process ");
    assert!(machine.console().contains("init: stop a: asked for by process "), "{}", machine.console());
}

#[test]
fn settings_that_cannot_be_read_allow_nobody_anything() {
    let machine = with_rules();
    let mode = || std::fs::metadata(machine.control()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o666);
    let machine = with_compiled("mainstay-settings 0\n");
    machine.wait_for_console("init/settings: it was written by another version (going on without)");
    let mode = std::fs::metadata(machine.control()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
}

#[test]
fn refusals_do_not_fill_the_console() {
    let machine = with_rules();
    if process::own_user() != 0 {
        return;
    }
    for _ in 0..15 {
        let outcome = as_user(&machine, OPERATOR, None, &["stop", "b"]).unwrap();
        assert_eq!(outcome.code, 1, "{outcome:?}");
    }
    assert_eq!(machine.console().matches("user 65432 may not stop b").count(), 10);
}
