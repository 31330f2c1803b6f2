//! What the kernel, or the supervisor's privileges, cannot do.

use crate::{privileged, service};
use tests::State;

#[test]
fn a_step_that_fails_is_named_and_nothing_runs() {
    if !privileged() {
        return;
    }
    let failed = service("read-only = [\"/none-such\"]", "echo '> ran'").start();
    failed.wait_for_log("unable to restrict the mount at /none-such: No such file or directory");
    assert!(!failed.log().contains("> ran"));
    let failed = service("hidden = [\"/none-such\"]", "echo '> ran'").start();
    failed.wait_for_log("unable to hide /none-such: No such file or directory");
    let failed = service("system = \"strict\"\nwritable = [\"/none-such\"]", "echo '> ran'").start();
    failed.wait_for_log("unable to restrict the mount at / except /none-such");
}

#[test]
fn a_step_that_may_fail_is_warned_of_and_the_service_runs() {
    if !privileged() {
        return;
    }
    let toml = "read-only = [\"/none-such\"]\nprivate-tmp = true\nkernel-lacks = \"warning\"";
    let running = service(toml, "ls -A /tmp | wc -l | sed 's/^/> /'; exec sleep 1000").start();
    running.wait_for_log("> 0");
    running.wait_for_log(
        "warning: unable to restrict the mount at /none-such: No such file or directory (going on without)",
    );
    assert_eq!(running.status().state, State::Up);
}

#[test]
fn without_the_privilege_for_namespaces_a_service_fails_or_does_without_and_the_machine_is_untouched() {
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let Some(strict) = crate::life::unprivileged("hostname = \"inner\"", "echo '> ran'; exec sleep 1000")
    else {
        return;
    };
    strict.wait_for_log("unable to make its namespaces: Operation not permitted");
    assert!(!strict.log().contains("> ran"));
    let toml = "hostname = \"inner\"\nprivate-tmp = true\nkernel-lacks = \"warning\"";
    let lenient = crate::life::unprivileged(toml, "echo \"> ran on $(hostname)\"; exec sleep 1000").unwrap();
    lenient.wait_for_log(&format!("> ran on {}", own.trim()));
    lenient.wait_for_log(
        "warning: unable to make its own uts namespace: Operation not permitted (going on without)",
    );
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), own);
}
