//! What a Mesos agent needs of the machine so that it can run tasks from images, one by one.

use crate::guest::{boot, read, status};
use crate::images;
use qemu::Machine;
use std::collections::BTreeMap;

#[test]
fn the_machine_is_as_an_agent_needs_it_that_runs_tasks_from_images() {
    let machine = boot(&images::shipped());
    // Mesos 1.11, which the stand-in says it is, does not know control groups of version 2.
    let before = environment(&machine, pid(&machine));
    assert_eq!(before["MESOS_LAUNCHER"], "posix");
    assert!(!before.contains_key("MESOS_IMAGE_PROVIDERS"), "{before:?}");
    // Later ones do. The executors are of before: the next agent takes them over.
    machine.run("echo MESOS_LAUNCHER=linux > /etc/default/mesos-agent && svctl restart mesos-agent").unwrap();
    let agent = pid(&machine);
    let environment = environment(&machine, agent);
    init_says_at_once_that_it_is_not_systemd(&machine);
    the_host_name_and_the_address_are_known(&machine, &environment);
    control_groups_are_prepared_and_nobody_elses(&machine, &environment);
    mounts_spread_as_the_isolator_wants_them(&machine, &environment);
    the_root_can_be_pivoted_away_from(&machine);
    programs_do_what_they_are_executed_for(&machine, &environment);
    images_are_enabled_with_all_that_they_imply(&machine, &environment);
    // It was replaced, as init and the supervisors were.
    let agent = pid(&machine);
    let numbers = |pid: &str| machine.run(&format!("readlink /proc/{pid}/ns/pid")).unwrap();
    assert_eq!(numbers(&agent.to_string()), numbers("1"), "its executors are not to end with it");
    machine.power_off().unwrap();
}

pub(crate) fn pid(machine: &Machine) -> u64 {
    status(machine)["mesos-agent"].pid.unwrap()
}

/// The variables of the agent.
pub(crate) fn environment(machine: &Machine, agent: u64) -> BTreeMap<String, String> {
    let text = machine.run(&format!("tr '\\0' '\\n' < /proc/{agent}/environ")).unwrap();
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The agent executes this before all else, in a shell.
fn init_says_at_once_that_it_is_not_systemd(machine: &Machine) {
    let version = machine.run("sh -c \"$(realpath /sbin/init) --version\" < /dev/null").unwrap();
    assert!(version.starts_with("mainstay init "), "{version}");
    assert_eq!(read(machine, "/proc/1/comm /proc/sys/kernel/hostname"), "init\nmainstay");
}

fn the_host_name_and_the_address_are_known(machine: &Machine, agent: &BTreeMap<String, String>) {
    let echo = machine.run("ping -c 1 \"$(hostname)\"").unwrap();
    assert!(echo.starts_with("PING mainstay (127.0.1.1)"), "{echo}");
    assert_eq!(agent["MESOS_HOSTNAME_LOOKUP"], "false");
    let address = &agent["MESOS_ADVERTISE_IP"];
    assert_eq!(*address, read(machine, "/run/network/address"));
    assert!(!address.starts_with("127."), "{address}");
    // Where there is none yet, it is not begun with a wrong one.
    let early =
        "unshare -m sh -c 'mount -t tmpfs none /run/network && exec sh /etc/services.d/mesos-agent/run'";
    let refused = machine.ssh(early).unwrap();
    assert!(refused.status == 1 && refused.stdout.contains("has no address yet"), "{refused:?}");
}

/// Version 2 at its place and nowhere else, controllers down to the containers, and what is there is the agent's alone.
fn control_groups_are_prepared_and_nobody_elses(machine: &Machine, agent: &BTreeMap<String, String>) {
    let mounts = read(machine, "/proc/self/mountinfo");
    let found: Vec<&str> = mounts.lines().filter(|line| line.contains(" - cgroup2 ")).collect();
    assert!(found.len() == 1 && found[0].contains(" /sys/fs/cgroup "), "{mounts}");
    for group in ["/sys/fs/cgroup", "/sys/fs/cgroup/mesos"] {
        let enabled = read(machine, &format!("{group}/cgroup.subtree_control"));
        for controller in ["cpu", "memory", "io", "pids", "cpuset"] {
            assert!(enabled.split(' ').any(|word| word == controller), "{controller} of {group}: {enabled}");
        }
    }
    assert_eq!(agent["MESOS_AGENT_SUBSYSTEMS"], "cpu,memory");

    // A container of the agent's outlives whatever becomes of the agent and of us.
    let make = "cd /sys/fs/cgroup/mesos && mkdir -p one/leaf && echo $((64 << 20)) > one/memory.max && \
                setsid sh -c 'echo $$ > one/leaf/cgroup.procs; exec sleep 100000' < /dev/null > /dev/null 2>&1 & \
                cd /sys/fs/cgroup/mesos && until cat one/leaf/cgroup.procs 2>/dev/null | grep .; do usleep 1000; done";
    let container = machine.run(make).unwrap();
    machine.run("svctl restart mesos-agent && svctl reload && svctl reexec").unwrap();
    let all = machine
        .run("cat /sys/fs/cgroup/mesos/one/leaf/cgroup.procs; grep -l ::/mesos /proc/[0-9]*/cgroup")
        .unwrap();
    let (procs, users) = all.split_at(container.len());
    assert_eq!(procs, container, "it is as it was");
    let users: Vec<&str> = users.lines().collect();
    assert_eq!(users, [format!("/proc/{}/cgroup", container.trim())], "and nobody else is there");
    machine.run(&format!("kill {}", container.trim())).unwrap();
}

/// The option of a mount by which it belongs to a peer group, of the last one at `place`.
fn peers(mounts: &str, place: &str) -> Option<String> {
    let mount = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some(place))?;
    mount.split(' ').find(|word| word.starts_with("shared:")).map(str::to_owned)
}

fn mounts_spread_as_the_isolator_wants_them(machine: &Machine, agent: &BTreeMap<String, String>) {
    let mounts = read(machine, "/proc/self/mountinfo");
    let (root, work) = (peers(&mounts, "/"), peers(&mounts, &agent["MESOS_WORK_DIR"]));
    assert!(root.is_some() && work.is_some() && root != work, "{root:?} {work:?}: {mounts}");
    // Devices of containers are made here.
    let device = "d=$1/containers/try; mkdir -p $d && mknod $d/null c 1 3 && echo x > $d/null && rm -r $d && echo used";
    let used = machine.run(&format!("set -- {}; {device}", agent["MESOS_RUNTIME_DIR"])).unwrap();
    assert_eq!(used, "used\n");
}

fn the_root_can_be_pivoted_away_from(machine: &Machine) {
    let pivot = "mkdir -p /tmp/new && mount -t tmpfs none /tmp/new && mkdir /tmp/new/old && \
                 unshare -m sh -c 'mount --make-rprivate / && cd /tmp/new && pivot_root . old && echo pivoted'; \
                 umount /tmp/new";
    assert_eq!(machine.run(pivot).unwrap(), "pivoted\n");
}

/// What is executed by name, as it is executed. `curl`, which only fetches from registries, comes with whoever wants that.
fn programs_do_what_they_are_executed_for(machine: &Machine, agent: &BTreeMap<String, String>) {
    let script = "set -e; mkdir -p /tmp/p/from/sub; cd /tmp/p; echo text > from/sub/file; ln -s file from/sub/link\n\
        cp -aT from to; test -L to/sub/link\n\
        tar -c -f a.tar -C from sub; gzip a.tar; gzip -d a.tar.gz; mkdir out; tar -x -f a.tar -C out\n\
        gzip -c a.tar > b.tar.gz; tar -x -z -f b.tar.gz -C out; cmp from/sub/file out/sub/file\n\
        sha512sum a.tar | grep -q '^[0-9a-f]\\{128\\} '\n\
        du -k -s from | grep -q '^[0-9]'\n\
        mount --bind from to; mount --make-private to; mount --make-rslave to; mount --make-shared to\n\
        mount -n -o bind,remount,ro to; umount to\n\
        ip addr show lo | grep -q 127.0.0.1; ifconfig lo | grep -q 127.0.0.1\n\
        cd /; rm -r -f /tmp/p; echo done";
    let path = &agent["PATH"];
    let said = machine.run(&format!("PATH={path} sh -c '{}'", script.replace('\'', "'\\''"))).unwrap();
    assert_eq!(said, "done\n");
}

/// Images take the launcher, the launcher takes control groups, and Docker's take an isolator of their own.
fn images_are_enabled_with_all_that_they_imply(machine: &Machine, agent: &BTreeMap<String, String>) {
    assert_eq!(agent["MESOS_LAUNCHER"], "linux");
    assert_eq!(agent["MESOS_IMAGE_PROVIDERS"], "DOCKER,APPC");
    let isolation: Vec<&str> = agent["MESOS_ISOLATION"].split(',').collect();
    for isolator in ["filesystem/linux", "docker/runtime", "appc/runtime", "cgroups/cpu", "cgroups/mem"] {
        assert!(isolation.contains(&isolator), "{isolator} in {isolation:?}");
    }
    assert_eq!(agent["MESOS_DOCKER_REGISTRY"], "/var/lib/images");
    assert_eq!(agent["MESOS_APPC_SIMPLE_DISCOVERY_URI_PREFIX"], "/var/lib/images/");
    machine.run("test -d /var/lib/images").unwrap();
    for (variable, below) in [("MESOS_DOCKER_STORE_DIR", "docker"), ("MESOS_APPC_STORE_DIR", "appc")] {
        assert_eq!(agent[variable], format!("/var/lib/mesos/store/{below}"), "not in /tmp");
    }
    assert_eq!(agent["MESOS_SYSTEMD_ENABLE_SUPPORT"], "false");
}
