//! Init's control socket under clients that mean harm: others are served, and nothing is left of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;
use tests::hostile::{Hostile, WAYS, held};
use tests::{DEADLINE, Fixture, Machine, State, eventually, process, programs::program};

/// As many kilobytes as the heap may have grown by: what was needed at once, and not what was sent.
const GROWTH: u64 = 256;

/// A user of its own for these tests.
const STRANGER: u32 = 65_431;

fn machine() -> Machine {
    Fixture::new().tracing("a", "").tracing("b", "").boot()
}

/// While they are at it, another client has its way; and in the end all is as before.
#[track_caller]
fn serves_others_under(machine: &Machine, hostile: Hostile) {
    let before = held(machine.init());
    for _ in 0..20 {
        let last = machine.status("a").pid;
        let outcome = machine.svctl(&["restart", "a"]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_ne!(machine.status("a").pid, last);
        let outcome = machine.svctl(&["stop", "b"]);
        assert_eq!((outcome.code, machine.state("b")), (0, State::Down), "{outcome:?}");
        let outcome = machine.svctl(&["start", "b"]);
        assert_eq!((outcome.code, machine.state("b")), (0, State::Up), "{outcome:?}");
    }
    drop(hostile);
    eventually("their descriptors are closed", || held(machine.init()).0 <= before.0);
    let after = held(machine.init());
    assert!(after.1 <= before.1 + GROWTH, "{before:?}, then {after:?}");
}

#[test]
fn others_are_served_whatever_clients_do() {
    let machine = machine();
    let hostile = Hostile::start(Path::new(env!("CARGO_BIN_EXE_hostile")), &machine.control(), &WAYS, None);
    serves_others_under(&machine, hostile);
}

#[test]
fn root_has_its_way_while_a_stranger_does_all_that() {
    if process::own_user() != 0 {
        return;
    }
    let settings = "mainstay-settings 1\nrule \nuser 65431\nverb restart\nservice b\n";
    let fixture = Fixture::new().tracing("a", "").tracing("b", "").file("settings", settings);
    let boot = fixture.machine().only_programs(&["init", "supervise", "svlog"]);
    // What the compiler of definitions would write.
    let compiler = format!(
        "#!/bin/sh\ncp @T/settings @T/run/init/settings\nexec {} \"$@\"\n",
        program("svctl").display()
    );
    boot.fixture().write("programs/svctl", &compiler);
    let everybody = || std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(boot.fixture().path("programs/svctl"), everybody()).unwrap();
    let copy = boot.fixture().path("hostile");
    tests::fixture::copy_program(Path::new(env!("CARGO_BIN_EXE_hostile")), &copy);
    let machine = boot.start();
    machine.wait_for_boot();
    for place in ["", "run"] {
        std::fs::set_permissions(machine.fixture.path(place), everybody()).unwrap();
    }
    let hostile = Hostile::start(&copy, &machine.control(), &WAYS, Some(STRANGER));
    let refused = format!("user {STRANGER} may not kill a");
    let begun = Instant::now();
    eventually("it is at it", || {
        assert!(begun.elapsed() < DEADLINE);
        machine.ask("events") == "ok" && machine.console().len() < 1_000_000
    });
    serves_others_under(&machine, hostile);
    assert!(machine.console().matches(&refused).count() <= 20, "{}", machine.console());
}

#[test]
fn a_thousand_clients_that_say_nothing_keep_nobody_out() {
    let machine = machine();
    let _ = sys::fd::raise_limit();
    let _silent: Vec<_> =
        (0..1000).map(|_| std::os::unix::net::UnixStream::connect(machine.control()).unwrap()).collect();
    let outcome = machine.svctl(&["stop", "a"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert!(held(machine.init()).0 < 150, "{:?}", held(machine.init()));
}
