//! What a service may use, held to by a real kernel with all its controllers.

use crate::guest::{PATIENCE, boot, define, eventually, read, status, wait_for};
use crate::images;
use qemu::Machine;

#[test]
fn a_service_is_held_to_its_limits_and_a_kill_for_want_of_memory_is_told() {
    let machine = boot(&images::shipped());
    let idle = "command = [\"sleep\", \"100000\"]";
    // A buffer of 64 MiB, which is filled.
    define(
        &machine,
        "hog",
        "command = [\"dd\", \"if=/dev/zero\", \"of=/dev/null\", \"bs=64M\"]\n\
         [restart]\ngive-up = { deaths = 2, within = \"1h\" }\n\
         [limits]\nmemory.max = \"16MiB\"\nmemory.swap.max = 0",
    );
    define(
        &machine,
        "held",
        &format!(
            "{idle}\n[limits]\npids.max = 9\ncpu.max = \"50%\"\ncpu.weight = 50\nmemory.max = \"32MiB\""
        ),
    );
    define(
        &machine,
        "delegated",
        &format!("{idle}\nuser = \"nobody\"\n[limits]\ndelegate = true\npids.max = 50"),
    );
    define(&machine, "free", idle);
    machine.ssh("svctl reload").unwrap();

    let hog = wait_for(&machine, "hog", "is given up", |service| service.state == "failed");
    assert!(hog.reason.contains("killed for want of memory"), "{}", hog.reason);
    let shown = machine.ssh("svctl status hog").unwrap().stdout;
    assert!(shown.contains("oom kills"), "{shown}");
    let log = read(&machine, "/var/log/hog/current");
    assert!(log.contains("killed for want of memory after"), "{log}");

    what_is_held_is_held_and_can_be_changed_while_it_runs(&machine);
    what_is_delegated_can_be_divided_by_its_user(&machine);
    let free = read(&machine, &format!("/proc/{}/cgroup", status(&machine)["free"].pid.unwrap()));
    assert_eq!(free, "0::/", "a service that asks for nothing has no group");
    assert_eq!(
        read(&machine, "/sys/fs/cgroup/mesos/cgroup.subtree_control"),
        read(&machine, "/sys/fs/cgroup/cgroup.subtree_control")
    );
    machine.power_off().unwrap();
}

fn what_is_held_is_held_and_can_be_changed_while_it_runs(machine: &Machine) {
    let group = "/sys/fs/cgroup/mainstay/held";
    let held = wait_for(machine, "held", "is up", |service| service.state == "up");
    assert_eq!(read(machine, &format!("/proc/{}/cgroup", held.pid.unwrap())), "0::/mainstay/held");
    assert_eq!(read(machine, &format!("{group}/cpu.max")), "50000 100000");
    assert_eq!(read(machine, &format!("{group}/cpu.weight")), "50");
    assert_eq!(read(machine, &format!("{group}/pids.max")), "9");
    let shown = machine.ssh("svctl status held").unwrap().stdout;
    for text in ["processes", "1 of 9", "of 32 MiB", "processor"] {
        assert!(shown.contains(text), "{text} in {shown}");
    }
    // Another process than the ninth cannot be made there.
    let crowd =
        "echo $$ > cgroup.procs; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 9 & done; kill $(jobs -p)";
    machine.ssh(&format!("cd {group}; sh -c '{crowd}'")).unwrap();
    assert_ne!(read(machine, &format!("{group}/pids.events")), "max 0");

    define(
        machine,
        "held",
        "command = [\"sleep\", \"100000\"]\n[limits]\npids.max = 70\nmemory.max = \"48MiB\"",
    );
    machine.ssh("svctl reload").unwrap();
    eventually("the new limits", || {
        let seen =
            read(machine, &format!("{group}/pids.max {group}/memory.max {group}/cpu.max {group}/cpu.weight"));
        if seen == format!("70\n{}\nmax 100000\n100", 48 << 20) { Ok(()) } else { Err(seen) }
    });
    assert_eq!(status(machine)["held"].pid, held.pid, "it was not restarted for them");
}

fn what_is_delegated_can_be_divided_by_its_user(machine: &Machine) {
    let group = "/sys/fs/cgroup/mainstay/delegated";
    wait_for(machine, "delegated", "is up", |service| service.state == "up");
    let owner = machine.run(&format!("stat -c %U {group} {group}/cgroup.procs {group}/pids.max")).unwrap();
    assert_eq!(owner, "nobody\nnobody\nroot\n");
}

#[test]
fn version_1_is_there_for_those_who_ask_for_it() {
    let machine = Machine::builder(images::shipped()).argument("mainstay.cgroup=v1").boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let mounts = machine.run("cat /proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(" - cgroup2 "), "{mounts}");
    for controller in ["memory", "freezer", "cpu", "pids", "devices"] {
        let line = mounts.lines().find(|line| line.contains(&format!(" /sys/fs/cgroup/{controller} ")));
        let line = line.unwrap_or_else(|| panic!("no {controller} in {mounts}"));
        let options = line.rsplit(' ').next().unwrap();
        assert_eq!(options, format!("rw,{controller}"), "alone in its hierarchy");
    }
    // The agent makes its own groups, and mounts what is missing.
    let script = "mkdir /sys/fs/cgroup/freezer/mesos /sys/fs/cgroup/another && echo made";
    assert_eq!(machine.run(script).unwrap(), "made\n");
    let agent = crate::mesos::environment(&machine, crate::mesos::pid(&machine));
    assert_eq!(agent["MESOS_LAUNCHER"], "linux", "by the freezer");
    assert_eq!(agent["MESOS_IMAGE_PROVIDERS"], "DOCKER,APPC");
    assert!(!agent.contains_key("MESOS_AGENT_SUBSYSTEMS"), "which is of version 2");
    define(&machine, "limited", "command = [\"sleep\", \"100000\"]\n[limits]\nmemory.max = \"16MiB\"");
    machine.ssh("svctl reload").unwrap();
    wait_for(&machine, "limited", "is up", |service| service.state == "up");
    let log = read(&machine, "/var/log/limited/current");
    assert!(log.contains("unable to make its control group: there is no version 2"), "{log}");
    machine.power_off().unwrap();
}
