//! Services that run from container images on the shipped system, which lives in its initramfs: the node exporter from
//! each kind of image, supervised.

use crate::disks::Disk;
use crate::exporter::{self, PORTS, USER};
use crate::guest::{PATIENCE, define, eventually, read, status, wait_for};
use crate::images;
use qemu::{Machine, OnReboot};
use serde_json::Value;

/// What each kind is called.
const REFERENCES: [(&str, &str); 3] =
    [("docker", "docker:///exporter"), ("oci", "oci:exporter"), ("appc", "appc:example.org/exporter")];

const MOUNT: &str = "mkdir -p /mnt/disk /var/lib/images && mount -t ext4 /dev/vda /mnt/disk && \
                     mount --bind /mnt/disk/images /var/lib/images";

/// Ready as soon as nobody objects, so that what happens before can be looked at.
fn exporter(kind: &str, version: &str) -> String {
    let (_, reference) = REFERENCES.iter().find(|(name, _)| *name == kind).unwrap();
    format!(
        "[image]\nreference = \"{reference}:{version}\"\n\
         [ready]\ncommand = [\"test\", \"!\", \"-e\", \"/run/not-yet\"]\ninterval = \"100ms\"\n\
         [limits]\nmemory.max = \"200MiB\"\npids.max = 50"
    )
}

fn name(kind: &str) -> String {
    format!("exporter-{kind}")
}

#[test]
fn the_exporter_runs_from_every_kind_of_image_as_any_service_does() {
    if !tests::images::are_we_root("that services run from images in a whole machine") {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let local = files.path().join("images");
    std::fs::create_dir(&local).unwrap();
    exporter::make(&local);
    let disk = Disk::holding("images", 160, files.path());
    let builder = Machine::builder(images::shipped()).disk(disk.path()).memory(768);
    let machine = builder.on_reboot(OnReboot::Restarts).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();

    machine.run(MOUNT).unwrap();
    PORTS.iter().for_each(|(kind, _)| define(&machine, &name(kind), &exporter(kind, "1")));
    machine.ssh("svctl reload").unwrap();
    for (kind, port) in PORTS {
        it_is_the_supervisors_child_in_a_root_of_its_own(&machine, kind, port);
        it_is_killed_and_restarted(&machine, kind);
        it_is_updated_by_a_restart(&machine, kind, port);
    }
    the_backend_is_told(&machine);
    want_of_memory_and_of_processes_is_the_services_own(&machine);
    a_fault_of_process_1_and_its_replacement_change_nothing(&machine);
    what_an_earlier_boot_has_left_is_destroyed(&machine);
    machine.power_off().unwrap();
}

fn pid(machine: &Machine, kind: &str) -> u64 {
    let service = wait_for(machine, &name(kind), "is up", |service| service.state == "up");
    service.pid.unwrap()
}

/// A field of `/proc/PID/status`.
fn field(machine: &Machine, pid: u64, key: &str) -> String {
    read(machine, &format!("/proc/{pid}/status | sed -n 's/^{key}:[[:space:]]*//p'"))
}

fn version(machine: &Machine, port: u16) -> String {
    let ask = format!("wget -qO- http://127.0.0.1:{port}/metrics");
    let metrics =
        eventually("an answer of the exporter", || machine.run(&ask).map_err(|error| error.to_string()));
    assert!(metrics.contains("node_uname_info"), "{metrics}");
    let line = metrics.lines().find_map(|line| line.strip_prefix("exporter_image{version=\""));
    line.unwrap_or_else(|| panic!("no version in {metrics}")).split('"').next().unwrap().to_owned()
}

/// The roots of a service, and how they were made.
fn roots(machine: &Machine, service: &str) -> Vec<Value> {
    let text = machine.run("svctl image containers --json").unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let found = all.as_array().unwrap().iter().find(|one| one["container"] == service);
    found.map(|one| one["roots"].as_array().unwrap().clone()).unwrap_or_default()
}

fn it_is_the_supervisors_child_in_a_root_of_its_own(machine: &Machine, kind: &str, port: u16) {
    let pid = pid(machine, kind);
    let parent = field(machine, pid, "PPid");
    let supervisor = machine.run(&format!("tr '\\0' ' ' < /proc/{parent}/cmdline")).unwrap();
    assert!(supervisor.contains("supervise") && supervisor.contains(&name(kind)), "{kind}: {supervisor}");
    // Its own root is all that it sees: of the machine's there is nothing left.
    let mounts = read(machine, &format!("/proc/{pid}/mountinfo"));
    let places: Vec<&str> = mounts.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    assert_eq!(places.iter().filter(|place| **place == "/").count(), 1, "{kind}: {mounts}");
    for place in ["/run", "/mnt/disk", "/var/lib/images"] {
        assert!(!places.contains(&place), "{kind}: {mounts}");
    }
    let root = format!("/proc/{pid}/root");
    machine
        .run(&format!("test ! -e {root}/usr/sbin/init && test -e {root}/etc/exporter/image.prom"))
        .unwrap();
    let user = format!("{USER}\t{USER}\t{USER}\t{USER}");
    assert_eq!(field(machine, pid, "Uid"), user, "{kind}: the image's user");
    assert_eq!(version(machine, port), "1", "{kind}");
    let group = format!("0::/mainstay/{}", name(kind));
    assert_eq!(read(machine, &format!("/proc/{pid}/cgroup")), group);
}

fn it_is_killed_and_restarted(machine: &Machine, kind: &str) {
    let before = pid(machine, kind);
    let parent = field(machine, before, "PPid");
    machine.run(&format!("kill -9 {before}")).unwrap();
    let again = wait_for(machine, &name(kind), "is up again", |service| {
        service.state == "up" && service.pid != Some(before)
    });
    assert_eq!(field(machine, again.pid.unwrap(), "PPid"), parent, "{kind}: by the same supervisor");
    machine.run(&format!("svctl restart {}", name(kind))).unwrap();
    assert_ne!(pid(machine, kind), again.pid.unwrap());
}

/// The root before is there until the new one is ready.
fn it_is_updated_by_a_restart(machine: &Machine, kind: &str, port: u16) {
    eventually("the roots of earlier starts are gone", || match roots(machine, &name(kind)).len() {
        1 => Ok(()),
        some => Err(some.to_string()),
    });
    let first = roots(machine, &name(kind));
    define(machine, &name(kind), &exporter(kind, "2"));
    machine.run("touch /run/not-yet && svctl reload --no-wait").unwrap();
    wait_for(machine, &name(kind), "has begun", |service| {
        service.state == "starting" && service.pid.is_some()
    });
    let both = roots(machine, &name(kind));
    assert!(both.len() == 2 && both.contains(&first[0]), "{kind}: {both:?}");
    machine.run("rm /run/not-yet").unwrap();
    pid(machine, kind);
    assert_eq!(version(machine, port), "2", "{kind}");
    eventually("the root before is gone", || {
        let now = roots(machine, &name(kind));
        if now.len() == 1 && now != first { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// The initramfs is a tmpfs with this kernel, where overlayfs works; on a ramfs, which cannot keep what it writes, there
/// are copies.
fn the_backend_is_told(machine: &Machine) {
    for (kind, _) in PORTS {
        let root = &roots(machine, &name(kind))[0];
        assert_eq!(root["backend"], "overlay", "{kind}: {root}");
        let log = read(machine, &format!("/var/log/{}/current", name(kind)));
        for said in ["backend overlay", "not by bind: it takes one layer, and there are 2"] {
            assert!(log.contains(said), "{kind}: {log}");
        }
    }
    let elsewhere = "mkdir /mnt/ramfs && mount -t ramfs none /mnt/ramfs && \
                     svctl image provision --containers=/mnt/ramfs/containers oci:exporter:1 --container copied 2>&1";
    let told = machine.run(elsewhere).unwrap();
    assert!(told.contains("backend copy") && told.contains("not by overlay: the filesystem of "), "{told}");
    machine.run("test -x /mnt/ramfs/containers/copied/backends/copy/rootfses/*/bin/busybox").unwrap();
    machine
        .run("svctl image --containers=/mnt/ramfs/containers destroy copied && umount /mnt/ramfs")
        .unwrap();
    let complaints = machine.transcript().matches("unrecognized mount option").count();
    assert_eq!(complaints, 0, "the kernel was asked for what it does not know");
}

fn want_of_memory_and_of_processes_is_the_services_own(machine: &Machine) {
    let before = status(machine);
    let image = "[image]\nreference = \"oci:exporter:1\"\n[restart]\ngive-up = { deaths = 2, within = \"1h\" }\n[limits]";
    let hog = "command = [\"/bin/busybox\", \"dd\", \"if=/dev/zero\", \"of=/dev/null\", \"bs=64M\"]";
    define(machine, "hog", &format!("{hog}\n{image}\nmemory.max = \"16MiB\"\nmemory.swap.max = 0"));
    let crowd = "command = [\"/bin/busybox\", \"sh\", \"-c\", \"for i in 1 2 3 4 5 6; do busybox sleep 1000 & done; wait\"]";
    define(machine, "crowd", &format!("{crowd}\n{image}\npids.max = 4"));
    machine.ssh("svctl reload").unwrap();
    let hog = wait_for(machine, "hog", "is given up", |service| service.state == "failed");
    assert!(hog.reason.contains("killed for want of memory"), "{}", hog.reason);
    let shown = machine.ssh("svctl status hog").unwrap().stdout;
    assert!(shown.contains("oom kills"), "{shown}");
    wait_for(machine, "crowd", "is given up", |service| service.state == "failed");
    let log = read(machine, "/var/log/crowd/current");
    assert!(log.contains("can't fork"), "{log}");
    let after = status(machine);
    for (name, service) in &before {
        assert_eq!(after[name], *service, "{name} has nothing to do with it");
    }
    let exposure = machine.run("svctl exposure exporter-docker hog").unwrap();
    assert!(exposure.contains("exporter-docker"), "{exposure}");
}

fn a_fault_of_process_1_and_its_replacement_change_nothing(machine: &Machine) {
    let pids = || PORTS.map(|(kind, _)| pid(machine, kind));
    let before = pids();
    for what in ["kill -SEGV 1", "svctl reexec"] {
        machine.ssh(what).unwrap();
        eventually("an answer of init", || {
            let asked = machine.ssh("svctl start sshd").map_err(|error| error.to_string())?;
            if asked.status == 0 { Ok(()) } else { Err(asked.stderr) }
        });
        assert_eq!(pids(), before, "{what}");
    }
    assert_eq!(roots(machine, "exporter-oci").len(), 1);
    it_is_killed_and_restarted(machine, "oci");
}

/// Containers on a disk, one inside of another, are there after a reboot, when nobody knows of them.
fn what_an_earlier_boot_has_left_is_destroyed(machine: &Machine) {
    let settings = "mkdir -p /etc/mainstay && printf 'containers = \"/mnt/disk/containers\"\\nstore = \"/mnt/disk/store\"\\n' \
                    > /etc/mainstay/image.toml";
    machine.run(settings).unwrap();
    for container in ["left", "left/inside"] {
        machine
            .run(&format!(
                "svctl image --quiet provision docker:///exporter:1 --container {container} --writable"
            ))
            .unwrap();
    }
    machine.ssh("busybox reboot").unwrap();
    machine.console().wait_for("reboot: Restarting system", PATIENCE).unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    machine.wait_for_ssh(PATIENCE).unwrap();
    machine.run(MOUNT).unwrap();
    machine.run(settings).unwrap();
    assert_eq!(roots(machine, "left/inside").len(), 1, "the disk has kept it");
    define(machine, "exporter-docker", &exporter("docker", "1"));
    machine.run("svctl restart images").unwrap();
    let log = read(machine, "/var/log/images/current");
    let destroyed: Vec<&str> =
        log.lines().filter_map(|line| Some(line.split_once("destroyed: ")?.1)).collect();
    assert_eq!(destroyed, ["left/inside", "left"], "{log}");
    machine.ssh("svctl reload").unwrap();
    pid(machine, "docker");
    assert_eq!(version(machine, 9201), "1");
    let all = machine.run("svctl image containers").unwrap();
    assert!(!all.contains("left"), "{all}");
}
