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

    wait_for(&machine, "held", "is up", |service| service.state == "up");
    a_kill_is_told_of_a_service_without_limits(&machine);
    what_is_held_is_held_and_can_be_changed_while_it_runs(&machine);
    what_is_delegated_can_be_divided_by_its_user(&machine);
    let free = read(&machine, &format!("/proc/{}/cgroup", status(&machine)["free"].pid.unwrap()));
    assert_eq!(free, "0::/mainstay/free", "a service that asks for nothing has a group to be counted by");
    what_has_no_limits_is_given_some_while_it_runs(&machine);
    let signalled =
        "svctl stop free && svctl status free | head -1 && cat /sys/fs/cgroup/mainstay/free/cgroup.procs";
    let stopped = machine.run(signalled);
    assert!(stopped.as_ref().is_ok_and(|text| text.contains("down")), "{stopped:?}");
    assert_eq!(
        read(&machine, "/sys/fs/cgroup/mesos/cgroup.subtree_control"),
        read(&machine, "/sys/fs/cgroup/cgroup.subtree_control")
    );
    machine.power_off().unwrap();
}

/// Somebody else has limited the group: it stands for the machine that has no more memory.
fn a_kill_is_told_of_a_service_without_limits(machine: &Machine) {
    define(
        machine,
        "greedy",
        "command = [\"sh\", \"-c\", \"while [ ! -e /run/go ]; do sleep 0.1; done; exec dd if=/dev/zero of=/dev/null bs=64M\"]\n[restart]\nwhen = \"never\"",
    );
    machine.ssh("svctl reload").unwrap();
    wait_for(machine, "greedy", "is up", |service| service.state == "up");
    let group = "/sys/fs/cgroup/mainstay/greedy";
    machine
        .run(&format!("echo 16M > {group}/memory.max; echo 0 > {group}/memory.swap.max; touch /run/go"))
        .unwrap();
    let greedy = wait_for(machine, "greedy", "is killed", |service| service.pid.is_none());
    assert!(greedy.reason.contains("killed for want of memory"), "{}", greedy.reason);
    let page = machine.run("svctl metrics").unwrap();
    let page = tests::exposition::Page::parse(&page).unwrap_or_else(|why| panic!("{why}\n{page}"));
    let of = |name: &str| page.get(&format!("mainstay_service_{name}"), &["service=greedy"]);
    assert!(of("oom_kills_total").is_some_and(|kills| kills >= 1.0));
    assert_eq!(of("last_exit_oom"), Some(1.0));
    let held = |name: &str| page.get(&format!("mainstay_service_{name}"), &["service=held"]);
    assert_eq!((held("processes"), held("processes_limit")), (Some(1.0), Some(9.0)));
    assert_eq!(held("memory_limit_bytes"), Some(33_554_432.0));
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

fn what_has_no_limits_is_given_some_while_it_runs(machine: &Machine) {
    let before = status(machine)["free"].pid;
    let limits = "cat /sys/fs/cgroup/mainstay/free/memory.max /sys/fs/cgroup/mainstay/free/pids.max";
    let seen = machine.run(&format!("svctl update free memory.max=24MiB pids.max=30 && {limits}")).unwrap();
    assert_eq!(seen, format!("{}\n30\n", 24 << 20));
    let used = machine.run("svctl usage free --json").unwrap();
    assert!(used.contains(&(24 << 20).to_string()), "{used}");
    let seen = machine.run(&format!("svctl update free --reset && {limits}")).unwrap();
    assert!(seen.starts_with("max\n"), "{seen}");
    assert_eq!(status(machine)["free"].pid, before, "it was not restarted for them");
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
    let shown = machine.ssh("svctl status limited").unwrap().stdout;
    assert!(
        shown.contains("unlimited    unable to make its control group: there is no version 2"),
        "{shown}"
    );
    let strict = "command = [\"sleep\", \"100000\"]\n[limits]\nmemory.max = \"16MiB\"\nstrict = true\n[restart]\ngive-up = { deaths = 1 }";
    define(&machine, "strict", strict);
    machine.ssh("svctl reload").unwrap();
    let strict = wait_for(&machine, "strict", "is given up", |service| service.state == "failed");
    assert!(strict.reason.contains("there is no version 2"), "{}", strict.reason);
    machine.power_off().unwrap();
}
