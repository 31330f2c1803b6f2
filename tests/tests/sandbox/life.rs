//! A sandboxed service is supervised like any other.

use crate::{privileged, service};
use tests::{State, Supervised, eventually, process};

/// A service of a supervisor that is nobody; none where the tests cannot become nobody.
pub(crate) fn unprivileged(settings: &str, script: &str) -> Option<Supervised> {
    if !privileged() {
        return Some(service(settings, script).start());
    }
    let users = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default();
    (users.trim() != "0").then(|| service(settings, script).start_as(65534))
}

const ALL: &str = "system = \"strict\"\nprivate-tmp = true\nprivate-devices = true\nprivate-pids = true\nprivate-ipc = true\n\
                   network = \"private\"\nhostname = \"inner\"\nhome = \"hidden\"\nprotect = \"all\"\n\
                   deny = [\"setuid-files\", \"namespaces\", \"write-execute\", \"real-time\", \"personality\"]\n\
                   address-families = [\"unix\"]\nsystem-calls = [\"@service\"]";

#[test]
fn users_of_its_own_start_again_in_a_group_that_was_killed() {
    if !privileged() {
        return;
    }
    // What is left behind is killed with the whole group, after which a clone into it may have to be done in two steps.
    let toml = "command = [\"/bin/sh\", \"-c\", \"sleep 1000 & echo '> begun'\"]\n[restart]\ndelay = \"1ms\"\n\
                [stop]\nscope = \"cgroup\"\n[sandbox]\nprivate-users = true\nuser-map = \"0 100000 65536\"";
    let running = tests::Fixture::new().service("a", toml).start();
    eventually("it has begun three times", || running.log().matches("> begun").count() >= 3);
}

#[test]
fn with_everything_closed_a_service_runs_and_is_taken_over_by_another_supervisor() {
    if !privileged() {
        return;
    }
    let script = "trap 'echo \"> stopped\"; exit 0' TERM; echo \"> $$\"; while :; do sleep 0.05; done";
    let mut running = service(ALL, script).start();
    let pid = running.up();
    running.wait_for_log("> 1");
    running.kill_supervisor();
    assert!(process::lives(pid));
    running.start_again(&["--resume"]);
    assert_eq!(running.up(), pid);
    eventually("the new supervisor says so", || running.status().supervisor == Some(running.supervisor()));
    running.tell("reexec");
    assert_eq!(running.up(), pid);
    running.tell("stop");
    running.until(State::Down);
    running.wait_for_log("> stopped");
    assert!(!process::lives(pid));
}

#[test]
fn what_a_service_leaves_behind_ends_with_its_process_numbers() {
    if !privileged() {
        return;
    }
    let running = service("private-pids = true", "setsid sleep 1003 & exec sleep 1004").start();
    let pid = running.up();
    let left = || process::descendants(running.supervisor());
    eventually("there are two", || left().len() == 2);
    let both = left();
    running.tell("kill KILL");
    eventually("both are gone", || both.iter().all(|one| !process::lives(*one)));
    assert!(!process::lives(pid));
}

#[test]
fn a_supervisor_of_a_service_without_a_sandbox_makes_no_helper_and_no_namespace() {
    let plain = service("", "exec sleep 1000").start();
    let pid = plain.up();
    for kind in ["mnt", "net", "pid", "uts", "ipc", "user"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        assert_eq!(of(&pid.to_string()), of("self"), "{kind}");
    }
    assert_eq!(process::field(pid, "Seccomp").unwrap(), "0");
}
