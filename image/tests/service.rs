//! A service that runs from an image, whose provisioner dies at each step or finds no room: the next start is whole.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "common/archive.rs"]
mod archive;
#[path = "common/images.rs"]
mod images;

use archive::{Item, archive};
use images::docker;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use serde_json::json;
use service::Definition;
use std::path::Path;
use std::process::Command;
use tests::fixture::make_executable;
use tests::{Fixture, Pid, Signal, State, Supervised, eventually, process};

/// Mounts of its own, for this thread and whatever it starts.
fn apart() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
}

/// An archive of two layers: its own file, and places for this machine's programs.
fn save(fixture: &Fixture, version: &str) {
    let layers = [
        archive(&[
            Item::directory("usr"),
            Item::symlink("bin", "usr/bin"),
            Item::symlink("lib", "usr/lib"),
            Item::symlink("lib64", "usr/lib64"),
        ]),
        archive(&[Item::file("version", version), Item::file("padding", &"x".repeat(20_000))]),
    ];
    let bytes = archive(&docker(&["app:1"], &json!({"Cmd": ["/usr/bin/sleep", "1000"]}), &layers));
    std::fs::create_dir_all(fixture.path("local")).unwrap();
    std::fs::write(fixture.path("local/app:1.tar"), bytes).unwrap();
}

/// The provisioner of this build, by a script that has it die once at the step that the file `fault` names.
fn service(backend: &str, more: &str) -> Fixture {
    let toml = format!(
        "[image]\nreference = \"app:1\"\nbackend = \"{backend}\"\npull = \"always\"\nvolumes = [\"/usr:/usr:ro\"]\n\
         options = {{ store = \"@T/disk/store\", containers = \"@T/disk/containers\", local = \"@T/local\" }}\n\
         [restart]\ndelay = \"10ms\"\n{more}"
    );
    let fixture = Fixture::new().service("a", &toml);
    std::fs::create_dir_all(fixture.path("disk")).unwrap();
    let program = env!("CARGO_BIN_EXE_svctl-image");
    fixture.write(
        "provisioner",
        &format!(
            "#!/bin/sh\nif [ -e @T/$1.fault ]; then\n\
             MAINSTAY_IMAGE_FAULT=$(cat @T/$1.fault); export MAINSTAY_IMAGE_FAULT; rm @T/$1.fault\nfi\n\
             exec {program} \"$@\"\n"
        ),
    );
    make_executable(&fixture.path("provisioner"));
    fixture
}

fn start(fixture: Fixture) -> Supervised {
    fixture.compile();
    let path = fixture.path("run/service/a/definition");
    let mut definition = Definition::decode(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let ours = fixture.path("provisioner").to_str().unwrap().to_owned();
    ours.clone_into(&mut definition.prepare_command[0]);
    definition.settle_command[0] = ours;
    std::fs::write(&path, definition.encode()).unwrap();
    Supervised::start_compiled(fixture, &["--up"])
}

fn provisioner(fixture: &Fixture, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svctl-image"));
    for (option, name) in [("--store", "disk/store"), ("--containers", "disk/containers"), ("--run", "run")] {
        command.arg(option).arg(fixture.path(name));
    }
    let output = command.args(words).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{words:?}: {out}{err}");
    out
}

fn version(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/root/version")).unwrap_or_default()
}

fn names(path: &Path) -> Vec<String> {
    let found = std::fs::read_dir(path).into_iter().flatten().flatten();
    found.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn roots(fixture: &Fixture, backend: &str) -> Vec<String> {
    names(&fixture.path(&format!("disk/containers/a/backends/{backend}/rootfses")))
}

/// Everything that is there is whole, and there is no more of it than a service takes that runs once.
fn is_whole(service: &Supervised, backend: &str) {
    let fixture = &service.fixture;
    eventually("there is one root", || roots(fixture, backend).len() == 1);
    provisioner(fixture, &["verify"]);
    assert!(provisioner(fixture, &["gc", "--wait"]).starts_with("0 layers"), "no layer is nobody's");
    assert_eq!(names(&fixture.path("disk/store/staging")), [""; 0]);
    assert_eq!(names(&fixture.path("disk/store/layers")).len(), 2);
}

const STEPS: [&str; 12] = [
    "described",
    "layer-unpacked",
    "file-staged",
    "layer-synced",
    "layer-complete",
    "layers-complete",
    "image-complete",
    "root-recorded",
    "root-made",
    "root-complete",
    "before-prepared",
    "prepared",
];

#[test]
fn a_provisioner_that_dies_at_any_step_of_a_start_costs_that_start_and_nothing_else() {
    if !archive::are_we_root() {
        return;
    }
    for backend in ["copy", "overlay"] {
        apart();
        for step in STEPS.into_iter().chain(["current"]) {
            let fixture = service(backend, "");
            save(&fixture, "one");
            fixture.write("provision.fault", step);
            let service = start(fixture);
            let pid = service.up();
            assert_eq!(version(pid), "one", "{backend}, {step}");
            assert!(!service.fixture.path("provision.fault").exists(), "{backend}, {step}: it did not die");
            service.wait_for_log("unable to prepare its start: the command ended with signal KILL");
            is_whole(&service, backend);
        }
    }
}

/// Between what was made for a start and the start, and where the root before is thrown away.
#[test]
fn a_provisioner_that_dies_while_a_service_is_updated_leaves_the_new_version_or_begins_it_again() {
    if !archive::are_we_root() {
        return;
    }
    apart();
    for (verb, step) in [
        ("provision", "root-made"),
        ("provision", "prepared"),
        ("provision", "root-destroyed"),
        ("settle", "settled"),
    ] {
        let fixture = service("overlay", "");
        save(&fixture, "one");
        let service = start(fixture);
        let pid = service.up();
        is_whole(&service, "overlay");
        save(&service.fixture, "two");
        service.fixture.write(&format!("{verb}.fault"), step);
        process::send(pid, Signal::KILL);
        let fault = service.fixture.path(&format!("{verb}.fault"));
        eventually(&format!("it has died at {step}"), || !fault.exists());
        let status =
            service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
        assert_eq!(version(status.pid.unwrap()), "two", "{step}");
        // What settling has left, the next start takes away.
        let pid = status.pid.unwrap();
        process::send(pid, Signal::KILL);
        service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
        eventually("there is one root", || roots(&service.fixture, "overlay").len() == 1);
        provisioner(&service.fixture, &["verify"]);
        let mounted = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        let ours = service.fixture.path("disk").display().to_string();
        assert_eq!(mounted.lines().filter(|line| line.contains(&ours)).count(), 1, "{step}: {mounted}");
    }
}

/// A supervisor that is killed after the root was made and before the process was started begins anew.
#[test]
fn a_supervisor_killed_between_the_root_and_the_start_leaves_one_root_and_one_process() {
    if !archive::are_we_root() {
        return;
    }
    apart();
    let fixture = service("copy", "");
    save(&fixture, "one");
    // What is left for the supervisor is there; the provisioner has not ended.
    let script = fixture.read("provisioner").replace(
        "exec ",
        "[ -e @T/held ] || { touch @T/held; HOLD=1; }\nif [ \"$HOLD\" ]; then \"$@\"; sleep 1000; fi\nexec ",
    );
    let program = env!("CARGO_BIN_EXE_svctl-image");
    let script = script.replace("then \"$@\";", &format!("then {program} \"$@\"; touch @T/made;"));
    fixture.write("provisioner", &script);
    let mut service = start(fixture);
    eventually("the root is made", || service.fixture.path("made").exists());
    assert!(service.fixture.path("run/service/a/prepared").exists());
    service.kill_supervisor();
    service.start_again(&["--up"]);
    assert_eq!(version(service.up()), "one");
    is_whole(&service, "copy");
}

/// A disk of so many KiB and files.
fn disk(fixture: &Fixture, size: u32, files: u32, again: bool) {
    let options = format!("size={size}k,nr_inodes={files}");
    let flags = if again { MsFlags::MS_REMOUNT } else { MsFlags::empty() };
    mount(None::<&str>, &fixture.path("disk"), Some("tmpfs"), flags, Some(options.as_str())).unwrap();
}

#[test]
fn a_service_without_room_says_so_and_runs_when_there_is() {
    if !archive::are_we_root() {
        return;
    }
    apart();
    // Without room for the store, for a layer, for the root; for bytes and for files.
    for (size, files) in [(4, 1000), (16, 1000), (40, 1000), (64, 1000), (4000, 6), (4000, 14), (4000, 24)] {
        let fixture = service("copy", "");
        save(&fixture, "one");
        disk(&fixture, size, files, false);
        let service = start(fixture);
        let said = |status: &tests::Status| {
            status.reason.starts_with("unable to prepare its start: ")
                && status.reason.contains("No space left on device")
        };
        let status = service.wait_for("it says why", |status| status.state == State::Backoff && said(status));
        assert_eq!(status.pid, None, "{size} KiB, {files} files");
        assert_eq!(roots(&service.fixture, "copy"), [""; 0], "{size} KiB, {files} files: {}", status.reason);
        disk(&service.fixture, 8000, 2000, true);
        assert_eq!(version(service.up()), "one", "{size} KiB, {files} files");
        assert_eq!(service.status().reason, "");
        is_whole(&service, "copy");
    }
}
