//! Namespaces of a service's own.

use crate::{forbids, outcome, privileged, service};
use tests::{State, process};

#[test]
fn a_network_of_its_own_reaches_nothing_but_itself() {
    if !privileged() {
        return;
    }
    let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listening.local_addr().unwrap().port();
    let script = format!(
        "exec bash -c '(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo \"> reached\"; echo \"> end\"'"
    );
    forbids("network = \"private\"", &script, "end", "reached end");
    // Its loopback interface is up.
    let own = "exec perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or die; \
               $c = IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $l->sockport) or die; print \"> itself\\n\"'";
    assert_eq!(outcome("network = \"private\"", own), "itself");
}

#[test]
fn a_network_that_is_there_is_joined() {
    if !privileged() {
        return;
    }
    let other = service("network = \"private\"", "exec sleep 1000").start();
    let pid = other.up();
    let file = format!("/proc/{pid}/ns/net");
    let link = std::fs::read_link(&file).unwrap();
    let joined = outcome(&format!("network = \"{file}\""), "readlink /proc/self/ns/net | sed 's/^/> /'");
    assert_eq!(joined, link.display().to_string());
    let failed = service("network = \"/run/netns/none-such\"", "true").start();
    failed.wait_for_log(
        "unable to enter the network namespace of /run/netns/none-such: No such file or directory",
    );
}

#[test]
fn process_numbers_of_its_own_show_nobody_else() {
    if !privileged() {
        return;
    }
    let outside = std::process::id();
    let script = format!(
        "echo \"> $$\"; [ -e /proc/{outside}/comm ] && kill -0 {outside} 2>/dev/null && echo '> reached'; echo '> end'"
    );
    assert_eq!(outcome("private-pids = true", &script), "1 end");
    assert!(outcome("", &script).ends_with(" reached end"));
}

#[test]
fn host_name_and_queues_are_its_own() {
    if !privileged() {
        return;
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(outcome("hostname = \"inner\"", "hostname | sed 's/^/> /'"), "inner");
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap(), own);
    // shmget of 4 kB that anybody may look for, of this test's own number, and looked for outside.
    let key = 0x5a00_0000 | std::process::id();
    let make = format!(
        "exec perl -e '$r = syscall(29, {key}, 4096, 01666); print \"> \", ($r < 0 ? $!+0 : \"made\"), \"\\n\"'"
    );
    let look = format!(
        "exec perl -e '$r = syscall(29, {key}, 0, 0); print \"> \", ($r < 0 ? $!+0 : \"found\"), \"\\n\"; syscall(31, $r, 0, 0) if $r >= 0'"
    );
    assert_eq!(outcome("private-ipc = true", &make), "made");
    assert_eq!(outcome("", &look), "2", "nobody outside sees it");
    assert_eq!(outcome("", &make), "made");
    assert_eq!(outcome("private-ipc = true", &look), "2", "nor the other way");
    assert_eq!(outcome("", &look), "found");
}

#[test]
fn users_of_its_own_have_no_privilege_outside() {
    if !privileged() {
        return;
    }
    let script = "id -u | sed 's/^/> /'; hostname \"$(hostname)\" 2>/dev/null && echo '> set'; echo '> end'";
    forbids("private-users = true", script, "0 end", "0 set end");
    let map = "private-users = true\nuser-map = \"0 100000 65536\"";
    let running = service(map, "exec sleep 1000").start();
    let pid = running.up();
    assert_eq!(process::field(pid, "Uid").unwrap(), "100000\t100000\t100000\t100000");
    assert_eq!(process::field(pid, "Gid").unwrap(), "100000\t100000\t100000\t100000");
    // Of the helper that told the kernel so there is nothing left.
    assert_eq!(process::children(running.supervisor()), [pid]);
    assert_eq!(running.status().state, State::Up);
}

/// Where version 2 of control groups is, if groups can be made there.
fn groups() -> Option<std::path::PathBuf> {
    let mut roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].into_iter().map(std::path::PathBuf::from);
    let root = roots.find(|root| root.join("cgroup.controllers").exists())?;
    let place = root.join(format!("sandbox-look-{}", std::process::id()));
    std::fs::create_dir(&place).ok().map(|()| place)
}

#[test]
fn control_groups_of_its_own_are_all_that_it_sees() {
    let Some(other) = groups().filter(|_| privileged()) else { return };
    let name = other.file_name().unwrap().to_str().unwrap();
    let look = format!(
        "find /sys/fs/cgroup -name {name} 2>/dev/null | grep -q . && echo '> other'; grep -q '^0::/$' /proc/self/cgroup && echo '> root'; \
         mkdir /sys/fs/cgroup/own 2>/dev/null && rmdir /sys/fs/cgroup/own && echo '> made'; echo '> end'"
    );
    let own = "private-control-groups = true";
    let without = outcome("", &look);
    assert!(without.starts_with("other "), "{without}");
    assert_eq!(outcome(own, &look), "root made end");
    // Together: its own, which cannot be changed.
    assert_eq!(outcome(&format!("{own}\nprotect = \"control-groups\""), &look), "root end");
    let users = format!("{own}\nprivate-users = true");
    assert_eq!(outcome(&users, "sed -n 's/^0::/> /p' /proc/self/cgroup"), "/");
    std::fs::remove_dir(other).unwrap();
}

#[test]
fn maps_leave_out_whoever_is_not_in_them() {
    if !privileged() {
        return;
    }
    let place = crate::Place::new();
    let file = place.0.join("open/file");
    let mode = |mode| std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(&file, mode(0o600)).unwrap();
    let read = place.text("cat @P/open/file 2>/dev/null | sed 's/^/> /'; echo '> end'");
    // Root of those users is another one's number outside.
    let users = "private-users = true";
    assert_eq!(outcome(users, &read), "text end");
    assert_eq!(outcome(&format!("{users}\nuser-map = \"0 100000 65536\""), &read), "end");
    // The same by the group alone: the file is somebody else's, and its group's to read.
    std::os::unix::fs::chown(&file, Some(70_000), Some(0)).unwrap();
    std::fs::set_permissions(&file, mode(0o040)).unwrap();
    let map = format!("{users}\nuser-map = \"0 0 1\"");
    assert_eq!(outcome(&map, &read), "text end");
    assert_eq!(outcome(&format!("{map}\ngroup-map = \"0 100000 1\""), &read), "end");
}

#[test]
fn a_supervisor_without_privileges_sandboxes_by_users_of_its_own() {
    let Some(mut ours) = crate::life::unprivileged(
        "private-users = true\nprivate-pids = true\nprivate-tmp = true\nnetwork = \"private\"\nhostname = \"inner\"",
        "echo \"> $$ $(hostname) $(ls -A /tmp | wc -l)\"; exec sleep 1000",
    ) else {
        return;
    };
    ours.wait_for_log("> 1 inner 0");
    ours.tell("stop");
    ours.tell("halt");
    assert!(ours.ended().success());
}
