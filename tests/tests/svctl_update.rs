//! Limits changed while a service runs, and what services use. This machine's groups may have no controllers: what the kernel
//! does with the limits is tested in a whole machine.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use service::Definition;
use std::path::Path;
use tests::{Fixture, Machine, State};

/// Whether services can have groups of their own, and whether memory is counted in them.
fn groups() -> (bool, bool) {
    let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(Path::new);
    let root = roots.into_iter().find(|root| root.join("cgroup.controllers").exists());
    let Some(root) = root.filter(|_| nix::unistd::geteuid().is_root()) else { return (false, false) };
    let place = root.join(format!("mainstay-test-update-{}", std::process::id()));
    let usable = std::fs::create_dir(&place).and_then(|()| std::fs::remove_dir(&place)).is_ok();
    let controllers = std::fs::read_to_string(root.join("cgroup.controllers")).unwrap();
    (usable, controllers.contains("memory"))
}

fn limits(machine: &Machine, name: &str) -> Vec<(String, String)> {
    let text = machine.fixture.read(&format!("run/service/{name}/definition"));
    Definition::decode(&text).unwrap().process.group.files
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

#[test]
fn limits_are_changed_without_a_restart_and_taken_back() {
    let (usable, memory) = groups();
    if !usable {
        return;
    }
    let machine = Fixture::new().service("fixed", "command = [\"sleep\", \"1000\"]").boot();
    assert_eq!(machine.svctl(&["run", "--name", "x", "/bin/sleep", "1000"]).code, 0);
    let before = machine.status("x");
    let file = machine.fixture.path("run/services.d/x/service.d/50-update.toml");
    for (words, expected) in [
        (&["memory.max=64MiB"][..], &[("memory.max", "67108864")][..]),
        (&["cpu.weight=50"], &[("memory.max", "67108864"), ("cpu.weight", "50")]),
        (&["memory.max=32MiB"], &[("cpu.weight", "50"), ("memory.max", "33554432")]),
    ] {
        let outcome = machine.svctl(&[&["update", "x"], words].concat());
        assert_eq!(outcome.code, i32::from(!memory), "{outcome:?}");
        assert!(memory || outcome.error.contains("the kernel has no such controller"), "{outcome:?}");
        let mut found = limits(&machine, "x");
        found.sort();
        let mut expected: Vec<(String, String)> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        expected.sort();
        assert_eq!(found, expected);
    }
    for (words, text) in [
        (&["memory.max=1x"][..], "memory.max=1x"),
        (&["nofile=5"], "cannot be changed while it runs"),
        (&["memory.max"], "KEY=VALUE"),
    ] {
        let outcome = machine.svctl(&[&["update", "x"], words].concat());
        assert_eq!(outcome.code, 100, "{outcome:?}");
        assert!(outcome.error.contains(text), "{outcome:?}");
    }
    assert_eq!(limits(&machine, "x").len(), 2, "what was wrong has changed nothing");
    let told = machine.svctl(&["update", "x", "--json", "pids.max=99"]);
    let told = json(&told.output);
    assert_eq!((&told["running"], &told["limits"][0]["wanted"]), (&true.into(), &"99".into()), "{told}");
    assert_eq!(machine.svctl(&["update", "x", "--reset"]).code, 0);
    assert!(limits(&machine, "x").is_empty() && !file.exists());
    assert!(machine.fixture.path("run/services.d/x/service.toml").exists());
    let after = machine.status("x");
    assert_eq!((after.pid, after.restarts), (before.pid, before.restarts));
    assert_eq!(machine.svctl(&["update", "nobody", "pids.max=1"]).code, 3);
}

#[test]
fn what_runs_without_a_group_is_not_restarted_for_one() {
    let machine = Fixture::new()
        .service("fixed", "command = [\"sleep\", \"1000\"]")
        .service("down", "command = [\"sleep\", \"1000\"]\nautostart = false")
        .boot();
    let before = machine.status("fixed").pid;
    let outcome = machine.svctl(&["update", "fixed", "memory.max=64MiB"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.error.contains("without a control group of its own"), "{outcome:?}");
    assert_eq!(machine.svctl(&["reload"]).output, "nothing has changed\n");
    assert_eq!(machine.status("fixed").pid, before);
    assert!(!machine.fixture.path("run/services.d/fixed").exists(), "nothing is left");
    let outcome = machine.svctl(&["update", "down", "memory.max=64MiB"]);
    assert_eq!(outcome.code, 0, "{outcome:?}");
    assert_eq!(limits(&machine, "down"), [("memory.max".to_owned(), "67108864".to_owned())]);
    assert_eq!(machine.svctl(&["start", "down"]).code, 0);
    assert_eq!(machine.svctl(&["update", "--reset", "down"]).code, 1, "it would have to be restarted");
    assert_eq!(machine.svctl(&["stop", "down"]).code, 0);
    assert_eq!(machine.svctl(&["update", "--reset", "down"]).code, 0);
    assert!(!machine.fixture.path("run/services.d/down").exists(), "nothing is left");
}

#[test]
fn usage_is_of_the_group_or_else_of_the_processes_and_says_so() {
    let (usable, memory) = groups();
    let machine = Fixture::new()
        .script("fixed", "sleep 1000 & wait")
        .service("down", "command = [\"sleep\", \"1000\"]\nautostart = false")
        .machine()
        .as_ordinary_process()
        .start();
    machine.until("fixed", State::Up);
    let outcome = machine.svctl(&["usage", "--json", "fixed"]);
    let told = &json(&outcome.output)[0];
    assert_eq!((&told["from"]["cpu"], &told["from"]["memory"]), (&"proc".into(), &"proc".into()), "{told}");
    assert_eq!(told["group"], Value::Null);
    assert!(told["processes"].as_u64() >= Some(1) && told["memory"]["current"].as_u64() > Some(0), "{told}");
    assert!(told["cpu"]["total"].as_f64() >= Some(0.0) && told["timestamp"].as_f64() > Some(0.0), "{told}");
    let text = machine.svctl(&["usage", "fixed"]);
    assert!(text.code == 0 && text.output.contains("(of the processes there are)"), "{text:?}");
    let down = machine.svctl(&["usage", "--json", "down"]);
    assert_eq!(down.code, 1, "{down:?}");
    assert_eq!(json(&down.output)[0]["memory"]["current"], Value::Null);
    assert_eq!(machine.svctl(&["usage", "nobody"]).code, 3);
    if !usable {
        return;
    }
    let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000 & wait";
    assert_eq!(machine.svctl(&["run", "--name", "x", "/bin/sh", "-c", script]).code, 0);
    let ask = || json(&machine.svctl(&["usage", "--json", "x"]).output)[0].clone();
    tests::eventually("both of its processes are counted", || ask()["processes"] == 2);
    let told = ask();
    assert_eq!(told["from"]["cpu"], "cgroup2", "{told}");
    assert_eq!(told["from"]["memory"], if memory { "cgroup2" } else { "proc" }, "{told}");
    assert!(told["cpu"]["user"].as_f64() > Some(0.0), "{told}");
    assert!(told["group"].as_str().unwrap().ends_with("/x"), "{told}");
    assert_eq!(machine.svctl(&["destroy", "--now", "x"]).code, 0);
}
