//! Services from images beside others: with nothing in them, without room, while init is replaced, and stopped while
//! their image is being fetched.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use image::digest::{Algorithm, Digest};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::path::Path;
use std::process::Command;
use tests::archive::{Entry, archive};
use tests::programs::program;
use tests::registry::{Fault, Registry};
use tests::{Fixture, Machine, Pid, Signal, State, eventually, images, process};

/// Mounts of its own, for this thread and whatever it starts.
fn apart() {
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
}

/// An archive as `docker save` writes it, where local images are looked for.
fn save(fixture: &Fixture, config: &str, layer: &[u8]) {
    let diff_id = Digest::of(Algorithm::Sha256, layer);
    let config = format!(
        "{{\"config\": {config}, \"rootfs\": {{\"type\": \"layers\", \"diff_ids\": [\"{diff_id}\"]}}}}"
    );
    let name = format!("{}.json", Digest::of(Algorithm::Sha256, config.as_bytes()).hex());
    let list =
        format!("[{{\"Config\": \"{name}\", \"RepoTags\": [\"app:1\"], \"Layers\": [\"1/layer.tar\"]}}]");
    let bytes = archive(&[
        Entry::file("manifest.json", list),
        Entry::file(&name, config),
        Entry::file("1/layer.tar", layer),
    ]);
    std::fs::create_dir_all(fixture.path("local")).unwrap();
    std::fs::write(fixture.path("local/app:1.tar"), bytes).unwrap();
}

/// What has this machine's programs by a volume.
fn with_programs(version: &str) -> Vec<u8> {
    archive(&[
        Entry::directory("usr"),
        Entry::symlink("bin", "usr/bin"),
        Entry::symlink("lib", "usr/lib"),
        Entry::symlink("lib64", "usr/lib64"),
        Entry::file("version", version),
    ])
}

const SLEEPS: &str = "{\"Cmd\": [\"/usr/bin/sleep\", \"1000\"]}";

fn definition(backend: &str, more: &str) -> String {
    format!(
        "[image]\nreference = \"app:1\"\nbackend = \"{backend}\"\npull = \"always\"\n\
         options = {{ store = \"@T/disk/store\", containers = \"@T/disk/containers\", local = \"@T/local\" }}\n{more}"
    )
}

fn roots(fixture: &Fixture, backend: &str) -> usize {
    let place = fixture.path(&format!("disk/containers/a/backends/{backend}/rootfses"));
    std::fs::read_dir(place).map_or(0, Iterator::count)
}

fn version(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/root/version")).unwrap_or_default()
}

/// Mounts of the fixture's that this process sees.
fn mounts(fixture: &Fixture, of: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/{of}/mountinfo")).unwrap();
    let place = fixture.path("disk/containers").display().to_string();
    text.lines().filter(|line| line.contains(&place)).count()
}

/// One static program, and nothing else: no shell, no `/tmp`, no `/proc`.
#[test]
fn an_image_of_one_program_and_nothing_else_runs() {
    if !images::are_we_root("that an image of one program runs") {
        return;
    }
    for backend in ["copy", "overlay"] {
        apart();
        let fixture = Fixture::new().service("a", &definition(backend, "[restart]\nwhen = \"never\""));
        let bytes = std::fs::read(program("svctl-image")).unwrap();
        let layer = archive(&[Entry { mode: 0o755, ..Entry::file("one", bytes) }]);
        save(&fixture, "{\"Entrypoint\": [\"/one\"], \"Cmd\": [\"--help\"]}", &layer);
        let service = fixture.start();
        service.wait_for_log("Usage:");
        let status = service.wait_for("it has ended", |status| status.last_exit.is_some());
        assert!(status.last_exit.unwrap().success(), "{backend}: {:?}", status.last_exit);
    }
}

#[test]
fn what_the_image_says_of_the_environment_reaches_the_service_and_nobody_else() {
    if !images::are_we_root("whom the environment of an image reaches") {
        return;
    }
    apart();
    let more = "volumes = [\"/usr:/usr:ro\"]\n[environment]\nFROM_BOTH = \"definition\"";
    let fixture = Fixture::new().service("a", &definition("copy", more));
    let config = "{\"Cmd\": [\"/usr/bin/sleep\", \"1000\"], \
        \"Env\": [\"LIBPROCESS_IP=192.0.2.1\", \"FROM_IMAGE=1\", \"FROM_BOTH=image\", \"nothing\"]}";
    save(&fixture, config, &with_programs("one"));
    let service = fixture.start();
    let pid = service.up();
    let of = |pid: Pid| std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let has = |pid: Pid, text: &str| of(pid).split(|byte| *byte == 0).any(|word| word == text.as_bytes());
    // It has none for a moment, if it executes something else.
    eventually("it has the image's", || has(pid, "LIBPROCESS_IP=192.0.2.1") && has(pid, "FROM_IMAGE=1"));
    assert!(has(pid, "FROM_BOTH=definition") && !has(pid, "FROM_BOTH=image"), "the definition's wins");
    let supervisor = service.supervisor();
    assert!(!has(supervisor, "LIBPROCESS_IP=192.0.2.1") && !has(supervisor, "FROM_IMAGE=1"));
}

/// Whoever waits for an image that hangs is stopped at once, and nothing is left of it.
#[test]
fn a_service_that_is_stopped_while_its_image_is_fetched_lets_the_registry_go() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    apart();
    let registry = Registry::start();
    let layer = with_programs("one");
    let sample = registry.contents(|contents| contents.image("app", "1", &[&layer]));
    registry.fault(&sample.layers[0], 1, Fault::Silence(100));
    let toml =
        definition("copy", "volumes = [\"/usr:/usr:ro\"]\ncommand = \"@C\"").replace("command = \"@C\"", "");
    let toml = toml
        .replace("local = \"@T/local\"", &format!("local = \"@T/local\", registry = \"{}\"", registry.url()));
    let service =
        Fixture::new().service("a", &format!("command = [\"/usr/bin/sleep\", \"1000\"]\n{toml}")).start();
    eventually("the layer is asked for", || !registry.requests_for(&sample.layers[0]).is_empty());
    let status = service.wait_for("it is prepared", |status| status.preparing);
    assert_eq!((status.state, status.pid), (State::Starting, None));
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(roots(&service.fixture, "copy"), 0);
    eventually("nobody fetches any more", || process::children(service.supervisor()).is_empty());
    eventually("the registry serves nobody", || registry.serving() == 0);
    // The next start begins anew, and whatever was left of the first is nobody's.
    service.tell("start");
    assert_eq!(version(service.up()), "one");
    assert_eq!(registry.requests_for(&sample.layers[0]).len(), 2);
    let output = Command::new(program("svctl-image"))
        .args(["--store".as_ref(), service.fixture.path("disk/store").as_os_str()])
        .args(["--containers".as_ref(), service.fixture.path("disk/containers").as_os_str()])
        .args(["recover", "a"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(std::fs::read_dir(service.fixture.path("disk/store/staging")).unwrap().count(), 0);
}

fn disk(fixture: &Path, size: u32, again: bool) {
    let flags = if again { MsFlags::MS_REMOUNT } else { MsFlags::empty() };
    mount(None::<&str>, &fixture.join("disk"), Some("tmpfs"), flags, Some(format!("size={size}k").as_str()))
        .unwrap();
}

/// A machine with the service `a` from an image, and `other` without.
fn machine(backend: &str, size: Option<u32>) -> Machine {
    let more = "volumes = [\"/usr:/usr:ro\"]\n[restart]\ndelay = \"10ms\"";
    let fixture = Fixture::new().tracing("other", "").service("a", &definition(backend, more));
    std::fs::create_dir_all(fixture.path("disk")).unwrap();
    save(&fixture, SLEEPS, &with_programs("one"));
    if let Some(size) = size {
        disk(fixture.place(), size, false);
    }
    fixture.machine().start()
}

#[test]
fn a_full_disk_costs_the_service_from_the_image_its_start_and_no_other_anything() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    apart();
    let machine = machine("copy", Some(16));
    let other = machine.until("other", State::Up);
    let status =
        machine.wait_for("a", "says why", |status| status.reason.contains("No space left on device"));
    assert!(status.reason.starts_with("unable to prepare its start: "), "{}", status.reason);
    let shown = machine.svctl(&["status", "a"]);
    assert!(shown.output.contains("No space left on device"), "{shown:?}");
    disk(machine.fixture.place(), 8000, true);
    let status = machine.until("a", State::Up);
    assert_eq!(version(machine.outside(status.pid.unwrap())), "one");
    let after = machine.status("other");
    assert_eq!((after.pid, after.restarts, after.state), (other.pid, 0, State::Up));
}

/// Init and its supervisors are replaced: the service stays, its root stays mounted, and the next start takes it away.
#[test]
fn a_root_that_was_mounted_before_init_was_replaced_is_kept_and_goes_with_its_service() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    apart();
    let machine = machine("overlay", None);
    let first = machine.until("a", State::Up);
    let pid = machine.outside(first.pid.unwrap());
    let init = machine.init().to_string();
    eventually("there is one root", || roots(&machine.fixture, "overlay") == 1);
    let mounted = mounts(&machine.fixture, &init);
    assert!(mounted > 0, "it is mounted");
    let said = machine.svctl(&["reexec"]);
    assert_eq!(said.code, 0, "{said:?}");
    let after = machine.wait_for("a", "has another supervisor", |status| status.state == State::Up);
    assert_eq!((after.pid, version(pid).as_str()), (first.pid, "one"));
    assert_eq!(mounts(&machine.fixture, &init), mounted);
    process::send(pid, Signal::KILL);
    machine.wait_for("a", "runs again", |status| status.state == State::Up && status.pid != first.pid);
    eventually("only the new root is there", || {
        roots(&machine.fixture, "overlay") == 1 && mounts(&machine.fixture, &init) == mounted
    });
    assert_eq!(machine.svctl(&["stop", "a"]).code, 0);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let fixture = Fixture::new();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program("svctl-image"));
    for (option, place) in [("--store", "store"), ("--containers", "containers")] {
        command.arg(option).arg(fixture.path(place));
    }
    let outcome = command.arg("list").stdout(writer).output().unwrap();
    assert_eq!((outcome.status.code(), outcome.stderr.as_slice()), (Some(0), &b""[..]), "{outcome:?}");
    // What is full loses something, and is one.
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let outcome = command.stdout(full).output().unwrap();
    assert_eq!(outcome.status.code(), Some(111), "{outcome:?}");
}

#[test]
fn a_root_that_a_service_runs_in_is_destroyed_only_by_force() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    apart();
    let more = "volumes = [\"/usr:/usr:ro\"]";
    let fixture = Fixture::new().service("a", &definition("copy", more));
    save(&fixture, SLEEPS, &with_programs("one"));
    let service = fixture.start();
    let pid = service.up();
    let fixture = &service.fixture;
    let run = |words: &[&str]| {
        let mut command = Command::new(program("svctl-image"));
        for (option, name) in
            [("--store", "disk/store"), ("--containers", "disk/containers"), ("--run", "run")]
        {
            command.arg(option).arg(fixture.path(name));
        }
        let output = command.args(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = run(&["destroy", "a"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains(&format!("service a runs in it as process {pid}")), "{said}");
    assert_eq!(run(&["recover"]).0, Some(0), "nobody means it");
    assert_eq!((roots(fixture, "copy"), version(pid).as_str()), (1, "one"));
    assert_eq!(run(&["destroy", "a", "--force"]).0, Some(0));
    assert_eq!(roots(fixture, "copy"), 0);
    service.tell("stop");
    service.until(State::Down);
    service.tell("start");
    assert_eq!(version(service.up()), "one");
    service.tell("stop");
    service.until(State::Down);
    assert_eq!(run(&["destroy", "a"]).0, Some(0), "nobody runs in it");
}
