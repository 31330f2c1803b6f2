//! A supervisor's control socket under clients that mean harm.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;
use tests::hostile::{Hostile, WAYS, held};
use tests::{Fixture, Observer, State, Supervised, eventually};

/// As many kilobytes as the heap may have grown by.
const GROWTH: u64 = 128;

const TOML: &str = "command = [\"sleep\", \"1000\"]\n[restart]\ndelay = \"0s\"\nmax-delay = \"0s\"";

fn service() -> Supervised {
    let service = Fixture::new().service("a", TOML).start();
    service.up();
    service
}

#[test]
fn others_are_served_whatever_clients_do() {
    let service = service();
    let control = service.fixture.path("run/service/a/control");
    let before = held(service.supervisor());
    let hostile = Hostile::start(Path::new(env!("CARGO_BIN_EXE_hostile")), &control, &WAYS, None);
    for _ in 0..20 {
        let last = service.status();
        // One that is turned away comes again, as svctl does.
        eventually("a restart is taken", || {
            let mut client = Observer::connect(&control);
            client.try_send("restart\n").is_ok() && client.line().as_deref() == Some("ok")
        });
        service.wait_for("it was restarted", |status| {
            status.state == State::Up && status.restarts > last.restarts && status.pid != last.pid
        });
    }
    drop(hostile);
    eventually("their descriptors are closed", || held(service.supervisor()).0 <= before.0);
    let after = held(service.supervisor());
    assert!(after.1 <= before.1 + GROWTH, "{before:?}, then {after:?}");
}

#[test]
fn a_service_that_dies_under_that_is_started_again() {
    let service = service();
    let control = service.fixture.path("run/service/a/control");
    let _hostile = Hostile::start(Path::new(env!("CARGO_BIN_EXE_hostile")), &control, &WAYS, None);
    for _ in 0..10 {
        let pid = service.up();
        tests::process::send(pid, tests::Signal::KILL);
        service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
    }
}
