//! System calls: by set, by name, by what they are called with. They are made by perl, which every Debian has.

use crate::{forbids, outcome, privileged, service};
use tests::{State, WaitStatus};

/// A script that makes a call and tells what came of it: `done`, or the number of the error.
pub(crate) fn call(arguments: &str) -> String {
    format!(
        "exec perl -e '$| = 1; $r = syscall({arguments}); print \"> \", ($r < 0 ? $!+0 : \"done\"), \"\\n\"'"
    )
}

pub(crate) const EPERM: &str = "1";

#[test]
fn calls_that_are_not_listed_fail_kill_or_are_noted() {
    // getppid, which takes nothing and never fails.
    let getppid = call("110");
    forbids("system-calls = [\"@service\", \"-getppid\"]", &getppid, EPERM, "done");
    forbids("system-calls = [\"-getppid\"]", &getppid, EPERM, "done");
    assert_eq!(outcome("system-calls = [\"@service\"]", &getppid), "done");
    assert_eq!(
        outcome("system-calls = [\"@service\", \"-getppid\"]\ndenied-calls = \"log\"", &getppid),
        "done"
    );
    let killing = "system-calls = [\"@service\", \"-getppid\"]\ndenied-calls = \"kill\"";
    let killed = service(killing, &getppid).start();
    let status = killed.wait_for("it has ended", |status| status.last_exit.is_some());
    assert!(
        matches!(status.last_exit, Some(WaitStatus::Signalled { signal, .. }) if signal.number() == 31),
        "{:?}",
        status.last_exit
    );
    // A set that is not in the list.
    forbids("system-calls = [\"@service\"]", &call("101, 9, 0, 0, 0"), EPERM, "3");
}

#[test]
fn why_a_program_is_not_executed_is_told_although_the_filter_kills() {
    let toml = "command = [\"/none/such\"]\n[sandbox]\nsystem-calls = [\"read\"]\ndenied-calls = \"kill\"";
    let failing = tests::Fixture::new().service("a", toml).start();
    failing.wait_for_log("unable to execute /none/such: No such file or directory");
    assert_eq!(failing.status().last_exit, None);
}

#[test]
fn what_may_not_be_written_is_not_executed_in_another_domain_either() {
    // READ_IMPLIES_EXEC.
    forbids("deny = [\"write-execute\"]", &call("135, 0x400000"), EPERM, "done");
    // All ones ask for the domain that there is.
    assert_eq!(outcome("deny = [\"write-execute\"]", &call("135, 0xffffffff")), "done");
    // It makes files by what no filter sees: without an address of its settings it would say so (EFAULT).
    forbids("deny = [\"setuid-files\"]", &call("425, 1, 0"), EPERM, "14");
}

#[test]
fn sockets_are_of_the_families_that_are_listed() {
    let setting = "address-families = [\"unix\", \"inet\"]";
    for (family, with) in [(1, "done"), (2, "done"), (10, "97"), (16, "97")] {
        forbids(setting, &call(&format!("41, {family}, 2, 0")), with, "done");
    }
    forbids("address-families = []", &call("41, 1, 1, 0"), "97", "done");
}

#[test]
fn nothing_is_made_that_gives_away_the_rights_of_its_owner() {
    let place = std::env::temp_dir().join(format!("setuid-{}", std::process::id()));
    std::fs::write(&place, "").unwrap();
    let script = format!(
        "chmod 0755 {0} && echo '> plain'; chmod 4755 {0} 2>/dev/null && echo '> setuid'; chmod 2755 {0} 2>/dev/null && echo '> setgid'; echo '> end'",
        place.display()
    );
    forbids("deny = \"setuid-files\"", &script, "plain end", "plain setuid setgid end");
    std::fs::remove_file(place).unwrap();
}

#[test]
fn no_namespace_is_made_or_entered() {
    if !privileged() {
        return;
    }
    let script = "unshare -m true 2>/dev/null && echo '> mount'; unshare -U true 2>/dev/null && echo '> user'; \
                  nsenter -n/proc/self/ns/net true 2>/dev/null && echo '> enter'; (true) && echo '> fork'";
    forbids("deny = [\"namespaces\"]", script, "fork", "mount user enter fork");
}

#[test]
fn memory_is_not_executable_and_writable() {
    // mmap of a page, anonymous and private: with PROT_READ | PROT_WRITE | PROT_EXEC, and without the last.
    forbids("deny = [\"write-execute\"]", &call("9, 0, 4096, 7, 0x22, -1, 0"), EPERM, "done");
    assert_eq!(outcome("deny = [\"write-execute\"]", &call("9, 0, 4096, 3, 0x22, -1, 0")), "done");
    // mprotect of nothing.
    forbids("deny = [\"write-execute\"]", &call("10, 0, 0, 5"), EPERM, "done");
}

#[test]
fn neither_real_time_nor_another_personality_is_had() {
    let script =
        "chrt -b 0 true && echo '> batch'; chrt -f 1 true 2>/dev/null && echo '> fifo'; echo '> end'";
    if privileged() {
        forbids("deny = [\"real-time\"]", script, "batch end", "batch fifo end");
    }
    // ADDR_NO_RANDOMIZE, and asking only.
    forbids("deny = [\"personality\"]", &call("135, 0x0040000"), EPERM, "done");
    assert_eq!(outcome("deny = [\"personality\"]", &call("135, 0xffffffff")), "done");
}

#[test]
fn what_is_protected_is_out_of_reach() {
    if !privileged() {
        return;
    }
    // adjtimex that changes nothing: a structure of zeros. syslog: how large the buffer is. init_module of nothing.
    let adjtimex = "exec perl -e '$b = \"\\0\" x 256; $r = syscall(159, $b); print \"> \", ($r < 0 ? $!+0 : \"done\"), \"\\n\"'";
    forbids("protect = [\"clock\"]", adjtimex, EPERM, "done");
    forbids("protect = [\"logs\"]", &call("103, 10, 0, 0"), EPERM, "done");
    forbids(
        "protect = [\"logs\"]",
        "head -c 0 /dev/kmsg 2>/dev/null && (exec 3</dev/kmsg) 2>/dev/null && echo '> open'; echo '> end'",
        "end",
        "open end",
    );
    // EFAULT, EINVAL or ENOEXEC without: there is nothing at that address.
    let module = call("175, 0, 0, 0");
    assert_eq!(outcome("protect = [\"modules\"]", &module), EPERM);
    assert_ne!(outcome("", &module), EPERM);
    let set = "cat /proc/sys/kernel/panic_on_oops >/tmp/t-$$; cat /tmp/t-$$ 2>/dev/null >/proc/sys/kernel/panic_on_oops && echo '> set'; rm /tmp/t-$$; echo '> end'";
    forbids("protect = [\"tunables\"]", set, "end", "set end");
    let group = "mkdir /sys/fs/cgroup/sandbox-$$ 2>/dev/null && echo '> made' && rmdir /sys/fs/cgroup/sandbox-$$; echo '> end'";
    if std::path::Path::new("/sys/fs/cgroup/cgroup.procs").exists() {
        forbids("protect = [\"control-groups\"]", group, "end", "made end");
    }
    let name = "hostname \"$(hostname)\" 2>/dev/null && echo '> set'; echo '> end'";
    forbids("protect = [\"hostname\"]", name, "end", "set end");
    forbids("protect = \"all\"", name, "end", "set end");
    forbids("protect = \"all\"", set, "end", "set end");
}

#[test]
fn a_filter_goes_with_that_nothing_gains_privileges() {
    let look = "grep NoNewPrivs /proc/self/status | tr -d '\\t' | sed 's/^/> /'";
    forbids("system-calls = [\"@service\"]", look, "NoNewPrivs:1", "NoNewPrivs:0");
    let running = service("system-calls = [\"@service\"]", "exec sleep 1000").start();
    let pid = running.up();
    assert_eq!(tests::process::field(pid, "Seccomp").unwrap(), "2");
    assert_eq!(running.status().state, State::Up);
}
