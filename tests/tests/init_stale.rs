//! What has changed on disk since it was loaded is told, and told no longer once it is.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use tests::{Fixture, Machine, State};

const NEWS: &str = "changed on disk since the last reload";

/// The line of `svctl status` about what has changed; empty if there is none.
fn news(machine: &Machine) -> String {
    let status = machine.svctl(&["status"]);
    let line = status.output.lines().find(|line| line.contains(NEWS)).unwrap_or_default();
    line.to_owned()
}

fn is_told(machine: &Machine, what: &str) {
    assert_eq!(news(machine), format!("{NEWS}: {what} (svctl reload takes it over)"));
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    assert_eq!(news(machine), "", "after {what}");
}

#[test]
fn a_definition_that_was_edited_since_it_was_loaded_is_told_until_it_is_loaded() {
    let sleep = "command = [\"sleep\", \"1000\"]\n";
    let machine = Fixture::new()
        .service("a", sleep)
        .service("b", sleep)
        .service("t@", sleep)
        .service("u", "command = [\"sleep\", \"1000\"]\nwants = [\"t@1\"]\n")
        .directory("old")
        .executable("run", "exec sleep 1000")
        .boot();
    machine.until("t@1", State::Up);
    assert_eq!(news(&machine), "");

    // As long as before: the size tells nothing.
    machine.fixture.write("services/a/service.toml", "command = [\"sleep\", \"2000\"]\n");
    let json = machine.svctl(&["status", "--json"]);
    let changed = |name: &str| {
        let line = json.output.lines().find(|line| line.contains(&format!("\"name\": \"{name}\""))).unwrap();
        line.contains("\"changed_on_disk\": true")
    };
    assert_eq!((changed("a"), changed("b"), changed("t@1")), (true, false, false), "{json:?}");
    assert!(machine.svctl(&["status", "a"]).output.contains(NEWS));
    assert!(!machine.svctl(&["status", "b"]).output.contains(NEWS));
    is_told(&machine, "a");

    machine.fixture.write("services/b/service.d/x.toml", "description = \"x\"\n");
    is_told(&machine, "b");
    machine.fixture.write("services/b/service.d/x.toml", "description = \"y\"\n");
    machine.fixture.write("services/t@/service.toml", "command = [\"sleep\", \"3000\"]\n");
    is_told(&machine, "b, t@1");
    machine.fixture.write("services/old/timeout-kill", "7000\n");
    is_told(&machine, "old");
    fs::remove_file(machine.fixture.path("services/old/timeout-kill")).unwrap();
    is_told(&machine, "old");
    machine.fixture.write("services/new/service.toml", sleep);
    is_told(&machine, "services were added or removed");
    fs::remove_dir_all(machine.fixture.path("services/new")).unwrap();
    is_told(&machine, "new");

    // What a service writes into its own directory is no change of it.
    machine.fixture.write("services/a/data", "x");
    assert_eq!(news(&machine), "");
}
