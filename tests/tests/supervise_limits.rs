//! The control group of a service as far as a machine has it whose version 2 has no controllers: what needs those is
//! tested in a whole machine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tests::{Fixture, Pid, State, Supervised, eventually};

const IDLE: &str = "command = [\"sleep\", \"1000\"]\n";

/// Where version 2 is, if groups can be made there.
fn root() -> Option<PathBuf> {
    let mut roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(PathBuf::from);
    let root = roots.find(|root| root.join("cgroup.controllers").exists())?;
    let place = root.join(format!("mainstay-test-limits-{}", std::process::id()));
    std::fs::create_dir(&place).and_then(|()| std::fs::remove_dir(&place)).ok().map(|()| root)
}

/// The group of a process below the root of version 2.
fn group(pid: Pid) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    text.lines().find_map(|line| line.strip_prefix("0::")).unwrap().to_owned()
}

fn leave(service: &mut Supervised) {
    service.tell("halt");
    assert!(service.ended().success());
}

#[test]
fn a_delegated_group_is_its_users_and_is_begun_anew_at_every_start() {
    let Some(root) = root().filter(|_| nix::unistd::geteuid().is_root()) else { return };
    let toml = format!("{IDLE}user = \"nobody\"\n[limits]\ndelegate = true");
    let mut service = Fixture::new().service("a", &toml).start();
    let pid = service.up();
    let place = PathBuf::from(service.status().group);
    assert_eq!(place, root.join(group(pid).trim_start_matches('/')));
    assert!(group(service.supervisor()) != group(pid), "the supervisor is outside");
    for file in ["", "cgroup.procs", "cgroup.subtree_control"] {
        assert_eq!(place.join(file).metadata().unwrap().uid(), 65534, "{file}");
    }
    assert_eq!(place.join("cgroup.freeze").metadata().unwrap().uid(), 0);
    // What the service has made there is gone at the next start, and what was not is its again.
    std::fs::create_dir(place.join("own")).unwrap();
    service.tell("restart");
    service.wait_for("it runs again", |status| status.state == State::Up && status.pid != Some(pid));
    assert!(!place.join("own").exists());
    assert_eq!(place.metadata().unwrap().uid(), 65534);
    leave(&mut service);
    assert!(!place.exists(), "the group goes with the service");
}

#[test]
fn a_group_that_is_not_delegated_stays_roots() {
    if root().is_none() || !nix::unistd::geteuid().is_root() {
        return;
    }
    let toml = format!("{IDLE}user = \"nobody\"\n[stop]\nscope = \"cgroup\"");
    let mut service = Fixture::new().service("a", &toml).start();
    service.up();
    assert_eq!(Path::new(&service.status().group).metadata().unwrap().uid(), 0);
    leave(&mut service);
}

#[test]
fn a_limit_that_cannot_be_set_is_a_warning_or_a_failure_as_the_definition_says() {
    let limit = "[limits]\nmemory.max = \"64MiB\"";
    let controllers = root().map(|root| std::fs::read_to_string(root.join("cgroup.controllers")).unwrap());
    if controllers.as_ref().is_some_and(|text| text.contains("memory")) {
        return;
    }
    let problem = if controllers.is_some() {
        "unable to set memory.max of its control group: there is no controller \"memory\""
    } else {
        "unable to make its control group: "
    };
    let mut service = Fixture::new().service("a", &format!("{IDLE}{limit}")).start();
    service.up();
    service.wait_for_log(&format!("warning: {problem}"));
    service.tell("restart");
    service.wait_for("it runs again", |status| status.restarts == 1 && status.state == State::Up);
    assert_eq!(service.log().matches("memory.max").count(), 1, "it is said once: {}", service.log());
    assert!(service.status().unlimited.starts_with(problem), "it is not in force for the second run either");
    leave(&mut service);

    let toml = format!("{IDLE}{limit}\nstrict = true\n[restart]\ngive-up = {{ deaths = 1 }}");
    let mut service = Fixture::new().service("a", &toml).start();
    service.until(State::Failed);
    service.wait_for_log(problem);
    assert_eq!(service.status().pid, None);
    leave(&mut service);
}

#[test]
fn a_supervisor_that_takes_over_finds_the_group_that_the_definition_asks_for() {
    if root().is_none() {
        return;
    }
    let mut service = Fixture::new().service("a", &format!("{IDLE}[limits]\ndelegate = true")).start();
    let pid = service.up();
    let group_before = service.status().group;
    service.kill_supervisor();
    service.start_again(&["--resume"]);
    service.wait_for("it is adopted", |status| status.supervisor == Some(service.supervisor()));
    assert_eq!((service.up(), service.status().group), (pid, group_before.clone()));
    service.tell("stop");
    service.until(State::Down);
    leave(&mut service);
    eventually("the group is gone", || !Path::new(&group_before).exists());
}
