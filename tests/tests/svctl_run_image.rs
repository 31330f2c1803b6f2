//! Transient services from images, and the roots of services that are gone.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests")]

use serde_json::Value;
use std::fs;
use tests::archive::{Entry, archive};
use tests::{Fixture, Machine, Pid, State, eventually, images, process, programs::program};

const OPTIONS: &str = "{ store = \"@T/store\", containers = \"@T/containers\", local = \"@T/images\" }";

/// A layout with one image: its own file `version`, and this machine's programs by a volume.
fn layout(fixture: &Fixture) {
    let layer = archive(&[
        Entry::directory("usr"),
        Entry::symlink("bin", "usr/bin"),
        Entry::symlink("lib", "usr/lib"),
        Entry::symlink("lib64", "usr/lib64"),
        Entry::file("version", "one"),
    ]);
    let config = "{\"Cmd\": [\"/usr/bin/sleep\", \"1000\"], \"Env\": [\"FROM_IMAGE=one\"]}";
    tests::layout::write(fixture, "images/app", &layer, config);
}

/// The definition of a service from it.
fn from_image() -> String {
    format!(
        "[image]\nreference = \"oci:@T/images/app:1\"\nbackend = \"copy\"\nvolumes = [\"/usr:/usr:ro\"]\noptions = {OPTIONS}"
    )
}

/// A service from an image, with a store of its own.
fn fixture() -> Fixture {
    let fixture = Fixture::new().service("a", &from_image()).service("b", "command = [\"sleep\", \"1000\"]");
    layout(&fixture);
    fixture
}

fn checked() -> bool {
    images::are_we_root("that services run from images")
}

/// Runs a transient service from the image.
fn run(machine: &Machine, name: &str, more: &[&str]) {
    let place = machine.fixture.place().display().to_string();
    let reference = format!("oci:{place}/images/app:1");
    let options = format!("image.options={}", OPTIONS.replace("@T", &place));
    let words = ["run", "--name", name, "--image", &reference, "--volume", "/usr:/usr:ro", "--property"];
    let words = [&words[..], &[options.as_str(), "--property", "image.backend=copy"], more].concat();
    let outcome = machine.svctl(&words);
    assert_eq!(outcome.code, 0, "{outcome:?} {}", machine.console());
}

fn has_roots(machine: &Machine, name: &str) -> bool {
    machine.fixture.path(&format!("containers/{name}")).exists()
}

/// How many programs that take roots away init has started, and has not seen end.
fn sweepers(machine: &Machine) -> usize {
    let sweeps = |pid: &Pid| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|words| words.split(|byte| *byte == 0).any(|word| word == b"sweep"))
    };
    process::children(machine.init()).iter().filter(|pid| sweeps(pid)).count()
}

/// What init has set aside for the provisioner.
fn set_aside(machine: &Machine) -> usize {
    fs::read_dir(machine.fixture.path("run/init/forgotten")).into_iter().flatten().count()
}

#[test]
fn a_service_from_an_image_is_run_shown_and_destroyed_with_its_roots() {
    if !checked() {
        return;
    }
    let machine = fixture().boot();
    run(&machine, "x", &["--env", "OWN=1"]);
    let pid = machine.status("x").pid.unwrap();
    let inside = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", machine.outside(pid)));
    assert_eq!(inside("root/version").unwrap(), "one");
    eventually("it has its environment and the image's", || {
        let text = inside("environ").unwrap_or_default();
        text.contains("FROM_IMAGE=one") && text.contains("OWN=1")
    });
    let outcome = machine.svctl(&["containers", "--json"]);
    let all: Value = serde_json::from_str(&outcome.output).expect(&outcome.output);
    assert_eq!((&all[0]["name"], &all[0]["transient"]), (&"a".into(), &false.into()), "{all}");
    assert_eq!((&all[1]["name"], &all[1]["transient"]), (&"x".into(), &true.into()), "{all}");
    assert!(all[1]["image"].as_str().unwrap().ends_with("images/app:1"), "{all}");
    assert!(all[1]["root"].as_str().unwrap().contains("containers/x"), "{all}");
    assert!(all[1]["image_id"].as_str().unwrap().contains("sha256:"), "{all}");
    assert_eq!(machine.svctl(&["destroy", "x"]).code, 0);
    assert!(!has_roots(&machine, "x") && has_roots(&machine, "a"));
    // The same name again and again: what is left of the one before takes nothing from the next.
    for _ in 0..4 {
        run(&machine, "x", &[]);
        let pid = machine.status("x").pid.unwrap();
        assert_eq!(
            fs::read_to_string(format!("/proc/{}/root/version", machine.outside(pid))).unwrap(),
            "one"
        );
        assert_eq!(machine.svctl(&["destroy", "--now", "x"]).code, 0);
    }
    eventually("nothing is left to be done", || set_aside(&machine) == 0);
    assert!(!has_roots(&machine, "x"));
    assert_eq!(machine.state("a"), State::Up);
}

#[test]
fn what_an_image_cannot_do_is_a_failed_start_and_leaves_no_root() {
    if !checked() {
        return;
    }
    let machine = fixture().boot();
    let outcome =
        machine.svctl(&["run", "--name", "x", "--image", "oci:/no/such/layout:1", "--wait", "--rm"]);
    assert_eq!(outcome.code, 1, "{outcome:?}");
    assert!(outcome.error.contains("/no/such/layout"), "{outcome:?}");
    assert!(!machine.fixture.path("run/services.d/x").exists());
    eventually("nothing is left to be done", || set_aside(&machine) == 0);
}

#[test]
fn a_service_whose_options_are_wrong_is_destroyed_all_the_same() {
    if !checked() {
        return;
    }
    let machine = fixture().boot();
    for options in ["{ stor = \"/x\" }", "{ store = \"relative\" }", "{ store = \"/dev/null/store\" }"] {
        let options = format!("image.options={options}");
        let words = ["run", "--name", "x", "--image", "oci:/no/such/layout:1", "--property", &options];
        let outcome = machine.svctl(&words);
        assert_eq!(outcome.code, 1, "{outcome:?}");
        let outcome = machine.svctl(&["destroy", "x"]);
        assert_eq!((outcome.code, outcome.error.as_str()), (0, ""), "{options}: {outcome:?}");
        assert!(!machine.fixture.path("run/services.d/x").exists());
        eventually("nothing is left to be done", || set_aside(&machine) == 0);
    }
}

#[test]
fn the_roots_of_a_service_go_when_a_reload_takes_it_away() {
    if !checked() {
        return;
    }
    let machine = fixture().boot();
    assert!(has_roots(&machine, "a"));
    fs::remove_dir_all(machine.fixture.path("services/a")).unwrap();
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    eventually("its roots are gone", || !has_roots(&machine, "a"));
    eventually("nothing is left to be done", || set_aside(&machine) == 0);
    assert!(!machine.fixture.path("run/service/a").exists());
    assert_eq!(machine.state("b"), State::Up);
}

#[test]
fn roots_that_could_not_be_taken_away_are_when_init_goes_on() {
    if !checked() {
        return;
    }
    let machine =
        fixture().machine().only_programs(&["init", "supervise", "svctl", "svlog", "svctl-image"]).start();
    machine.wait_for_boot();
    let link = machine.fixture.path("programs/svctl-image");
    fs::remove_file(&link).unwrap();
    fs::remove_dir_all(machine.fixture.path("services/a")).unwrap();
    assert_eq!(machine.svctl(&["reload"]).code, 0);
    machine.wait_for_console("unable to take away the roots of what was forgotten");
    assert!(has_roots(&machine, "a") && set_aside(&machine) == 1);
    std::os::unix::fs::symlink(program("svctl-image"), link).unwrap();
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
    eventually("its roots are gone", || !has_roots(&machine, "a") && set_aside(&machine) == 0);
}

#[test]
fn one_sweeper_at_a_time_takes_roots_away_and_none_is_forgotten() {
    if !checked() {
        return;
    }
    let fixture = fixture().service("c", &from_image()).service("d", &from_image());
    let machine =
        fixture.machine().only_programs(&["init", "supervise", "svctl", "svlog", "svctl-image"]).start();
    machine.wait_for_boot();
    let (link, gate) = (machine.fixture.path("programs/svctl-image"), machine.fixture.path("gate"));
    nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::remove_file(&link).unwrap();
    // One that waits at its end, as for a disk.
    let place = machine.fixture.place().display().to_string();
    let real = program("svctl-image").display().to_string();
    let waits = format!(
        "#!/bin/sh\ncase \"$*\" in\n*sweep*) {real} \"$@\"; echo swept >> {place}/sweeps; read go < {place}/gate;;\n\
         *) exec {real} \"$@\";;\nesac\n"
    );
    fs::write(&link, waits).unwrap();
    tests::fixture::make_executable(&link);
    let take_away = |name: &str| {
        fs::remove_dir_all(machine.fixture.path(&format!("services/{name}"))).unwrap();
        assert_eq!(machine.svctl(&["reload"]).code, 0);
    };
    take_away("a");
    eventually("one is through", || machine.fixture.read("sweeps") == "swept\n");
    take_away("c");
    take_away("d");
    // It is said after a sweeper was started, if one was; and one ends no sooner than it is let through the gate.
    machine.wait_for_console("c: forgotten");
    machine.wait_for_console("d: forgotten");
    assert_eq!(sweepers(&machine), 1);
    assert_eq!(set_aside(&machine), 2);
    fs::write(&gate, "go\n").unwrap();
    eventually("there was more to do", || machine.fixture.read("sweeps") == "swept\nswept\n");
    fs::write(&gate, "go\n").unwrap();
    let gone = || ["a", "c", "d"].iter().all(|name| !has_roots(&machine, name));
    eventually("their roots are gone", || gone() && set_aside(&machine) == 0);
}
