//! Services with a control group of their own. Without version 2 of these, or the right to make one, there is
//! nothing to test but that it is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Pid, State, Supervised, eventually, process};

/// Whether such groups can be made here.
fn usable() -> bool {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .into_iter()
        .find(|root| std::path::Path::new(root).join("cgroup.controllers").exists());
    let Some(root) = root else { return false };
    let place = std::path::Path::new(root).join(format!("mainstay-test-{}", std::process::id()));
    std::fs::create_dir(&place).and_then(|()| std::fs::remove_dir(&place)).is_ok()
}

fn child(service: &Supervised) -> Pid {
    eventually("there is a child", || !service.fixture.read("child").trim().is_empty());
    service.fixture.read("child").trim().parse().ok().and_then(Pid::new).unwrap()
}

/// Has the supervisor end in order: it takes its group with it.
fn leave(service: &mut Supervised) {
    service.tell("halt");
    assert!(service.ended().success());
}

/// Starts a process in a session of its own, which no process group reaches.
const STRAY: &str = "setsid sh -c 'echo $$ > @T/child.new; mv @T/child.new @T/child; exec sleep 1007' &\n\
                     while [ ! -e @T/child ]; do sleep 0.01; done\n";

#[test]
fn what_a_service_leaves_behind_in_its_group_is_killed_before_it_runs_again() {
    if !usable() {
        return;
    }
    let script = format!("[ -e @T/child ] && exec sleep 1008\n{STRAY}exit 1");
    let mut service = Fixture::new().service("a", "[stop]\nscope = \"cgroup\"").run(&script).start();
    service.wait_for("it runs again", |status| status.restarts == 1 && status.state == State::Up);
    let stray = child(&service);
    eventually("the stray process is gone", || !process::lives(stray));
    service.wait_for_log("were left in its control group");
    leave(&mut service);
}

#[test]
fn a_stop_reaches_every_process_of_the_group_and_the_supervisor_is_not_in_it() {
    if !usable() {
        return;
    }
    let script = format!("{STRAY}echo >&3\nexec sleep 1009");
    let toml = "[ready]\nfd = 3\n[stop]\nscope = \"cgroup\"";
    let mut service = Fixture::new().service("a", toml).run(&script).start();
    service.up();
    let stray = child(&service);
    let group = |pid: Pid| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(group(stray).contains("mainstay"), "{}", group(stray));
    assert!(!group(service.supervisor()).contains("mainstay"));
    service.tell("stop");
    service.until(State::Down);
    eventually("the stray process is gone", || !process::lives(stray));
    leave(&mut service);
}

#[test]
fn a_stop_reaches_the_groups_that_a_service_makes_below_its_own_and_they_go_with_it() {
    if !usable() {
        return;
    }
    let nested = "G=$(sed -n 's/^0:://p' /proc/self/cgroup)\n\
                  for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do [ -e $root$G/cgroup.procs ] && G=$root$G && break; done\n\
                  mkdir -p $G/one/two; echo $G > @T/group\n\
                  setsid sh -c 'echo 0 > '$G'/one/two/cgroup.procs; trap \"echo term >> @T/trace; exit 0\" TERM\n\
                  echo $$ > @T/child.new; mv @T/child.new @T/child; while :; do sleep 0.01; done' &\n\
                  while [ ! -e @T/child ]; do sleep 0.01; done\ntrap 'wait; exit 0' TERM\necho >&3\nwait";
    let toml = "[ready]\nfd = 3\n[stop]\nscope = \"cgroup\"";
    let mut service = Fixture::new().service("a", toml).run(nested).start();
    service.up();
    let stray = child(&service);
    let group = std::fs::read_to_string(format!("/proc/{stray}/cgroup")).unwrap();
    assert!(group.contains("/one/two"), "{group}");
    let place = service.fixture.read("group").trim().to_owned();
    service.tell("stop");
    service.until(State::Down);
    eventually("the nested process is gone", || !process::lives(stray));
    assert_eq!(service.fixture.trace(), ["term"], "it was asked before it was killed");
    leave(&mut service);
    eventually("its groups are gone", || !std::path::Path::new(&place).exists());
}
