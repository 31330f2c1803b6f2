//! Services that run from container images: made, killed, renewed, and told of when they cannot be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::archive::{Entry, archive};
use tests::{Fixture, Pid, Signal, State, Supervised, eventually, images, process};

/// A layout with one image: its own file `version`, and this machine's programs by a volume.
fn layout(fixture: &Fixture, version: &str) {
    let layer = archive(&[
        Entry::directory("usr"),
        Entry::directory("work"),
        Entry::symlink("bin", "usr/bin"),
        Entry::symlink("lib", "usr/lib"),
        Entry::symlink("lib64", "usr/lib64"),
        Entry::file("version", version),
    ]);
    let config = format!(
        "{{\"Cmd\": [\"/usr/bin/sleep\", \"1000\"], \"Env\": [\"FROM_IMAGE={version}\"], \"WorkingDir\": \"/work\"}}"
    );
    tests::layout::write(fixture, "images/app", &layer, &config);
}

/// A service from that image, with a store of its own.
fn service(version: &str, more: &str) -> Fixture {
    let toml = format!(
        "[image]\nreference = \"oci:@T/images/app:1\"\nbackend = \"copy\"\npull = \"always\"\n\
         volumes = [\"/usr:/usr:ro\"]\n\
         options = {{ store = \"@T/store\", containers = \"@T/containers\", local = \"@T/images\" }}\n{more}"
    );
    let fixture = Fixture::new().service("a", &toml);
    layout(&fixture, version);
    fixture
}

fn version(pid: Pid) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/root/version")).unwrap_or_default()
}

fn parent(pid: Pid) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The roots that there are.
fn roots(service: &Supervised) -> Vec<String> {
    let place = service.fixture.path("containers/a/backends/copy/rootfses");
    let mut names: Vec<String> = std::fs::read_dir(place)
        .map(|found| found.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn a_service_runs_in_the_root_of_its_image_is_restarted_in_a_new_one_and_updated_by_a_restart() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    let service = service("one", "").start();
    let pid = service.up();
    assert_eq!(version(pid), "one");
    assert_eq!(parent(pid), Some(service.supervisor().number()), "it is the supervisor's own child");
    // It has none for a moment, if it executes something else.
    let environment = || std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
    eventually("it has the image's environment", || environment().contains("FROM_IMAGE=one"));
    assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().to_str(), Some("/work"));
    assert!(!std::fs::exists(format!("/proc/{pid}/root/etc/passwd")).unwrap(), "the machine's is not there");
    eventually("there is one root", || roots(&service).len() == 1);
    let first = roots(&service);
    process::send(pid, Signal::KILL);
    let status =
        service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
    assert_eq!(version(status.pid.unwrap()), "one");
    eventually("the root before is gone", || roots(&service).len() == 1 && roots(&service) != first);
    layout(&service.fixture, "two");
    service.tell("restart");
    service.wait_for("it runs again", |new| new.state == State::Up && new.pid != status.pid);
    assert_eq!(version(service.up()), "two");
    eventually("the root before is gone", || roots(&service).len() == 1);
    service.tell("stop");
    service.until(State::Down);
}

#[test]
fn an_image_that_is_missing_or_broken_is_a_failed_start_that_names_it() {
    let fixture = service("one", "[restart]\ndelay = \"60s\"");
    let blobs = fixture.path("images/app/blobs/sha256");
    std::fs::remove_dir_all(fixture.path("images/app")).unwrap();
    let service = fixture.start();
    let status = service.wait_for("it waits", |status| status.state == State::Backoff);
    assert!(status.reason.starts_with("unable to prepare its start: "), "{}", status.reason);
    assert!(status.reason.contains("images/app"), "{}", status.reason);
    layout(&service.fixture, "one");
    for blob in std::fs::read_dir(blobs).unwrap().flatten() {
        let mut bytes = std::fs::read(blob.path()).unwrap();
        let last = bytes.last_mut().unwrap();
        *last = last.wrapping_add(1);
        std::fs::write(blob.path(), bytes).unwrap();
    }
    service.tell("start");
    let broken = |reason: &str| reason.contains("sha256:") || reason.contains("digest");
    service.wait_for("it waits", |status| status.state == State::Backoff && broken(&status.reason));
    assert_eq!(roots(&service), [""; 0], "nothing is left of it");
}

#[test]
fn a_supervisor_killed_at_any_time_of_a_start_leaves_one_process_and_one_root() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    let mut service = service("one", "").start();
    for round in 0..20_u32 {
        // At other places each time: what is waited for is some work done, not time.
        for _ in 0..round * 40 {
            let _ = service.try_status();
        }
        service.kill_supervisor();
        service.start_again(&["--up"]);
    }
    let pid = service.up();
    assert_eq!(version(pid), "one");
    process::send(pid, Signal::KILL);
    service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
    eventually("there is one root", || roots(&service).len() == 1);
    // A mount names its root within its own filesystem, which may be one at /tmp.
    let place = service.fixture.place().file_name().unwrap().to_str().unwrap().to_owned();
    let ours = |pid: &Pid| {
        std::fs::read_to_string(format!("/proc/{pid}/environ")).is_ok_and(|text| text.contains("FROM_IMAGE"))
            && std::fs::read_to_string(format!("/proc/{pid}/mountinfo"))
                .is_ok_and(|text| text.contains(&place))
    };
    let pid = |entry: std::fs::DirEntry| Pid::new(entry.file_name().to_str()?.parse().ok()?);
    let all = || std::fs::read_dir("/proc").unwrap().flatten().filter_map(pid);
    // It has no environment for a moment, if it executes something else.
    eventually("there is one process, which has its environment", || all().filter(ours).count() == 1);
}

#[test]
fn the_root_before_is_kept_until_the_new_one_is_ready() {
    if !images::are_we_root("that services run from images") {
        return;
    }
    let ready = "[ready]\ncommand = [\"test\", \"-e\", \"@T/go\"]\ninterval = \"10ms\"";
    let fixture = service("one", ready);
    fixture.write("go", "");
    let service = fixture.start();
    let first = service.up();
    eventually("it has settled", || service.fixture.path("containers/a/settled").exists());
    let kept = roots(&service);
    assert_eq!(kept.len(), 1);
    std::fs::remove_file(service.fixture.path("go")).unwrap();
    layout(&service.fixture, "two");
    for _ in 0..3 {
        let before = service.status().pid;
        service.tell("restart");
        let status = service.wait_for("another runs", |status| status.pid.is_some() && status.pid != before);
        assert_ne!(status.pid, Some(first));
        assert_eq!((status.state, version(status.pid.unwrap())), (State::Starting, "two".to_owned()));
        let now = roots(&service);
        assert!(now.len() == 2 && now.contains(&kept[0]), "the one that was ready, and this: {now:?}");
    }
    service.fixture.write("go", "");
    service.up();
    eventually("only the new one is there", || roots(&service).len() == 1 && roots(&service) != kept);
}
