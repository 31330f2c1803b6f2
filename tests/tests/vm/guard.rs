//! What guards the machine when all else has failed: the watchdog, the emergency shell, and another kernel.

use crate::disks::Disk;
use crate::guest::{PATIENCE, eventually};
use crate::images;
use qemu::{Machine, OnReboot};
use std::time::Duration;

/// In seconds; the machine is watched for longer than this.
const WATCHDOG: f64 = 8.0;

fn uptime(machine: &Machine) -> f64 {
    machine.run("cut -d ' ' -f 1 /proc/uptime").unwrap().trim().parse().unwrap()
}

#[test]
fn the_watchdog_is_fed_by_the_loop_of_process_1_and_by_nothing_else() {
    let image = images::shipped();
    let builder = Machine::builder(&image).argument(format!("mainstay.watchdog={WATCHDOG}"));
    let machine = builder.on_reboot(OnReboot::Ends).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let console = machine.console();
    machine.run("modprobe softdog && svctl restart power-button").unwrap();
    console.wait_for("init: watchdog", PATIENCE).unwrap();

    let begun = uptime(&machine);
    eventually("the watchdog's time to pass", || match uptime(&machine) - begun {
        passed if passed > 2.0 * WATCHDOG => Ok(()),
        passed => Err(format!("{passed} s")),
    });

    // Everything else goes on: the logger, the supervisors, the services, and this very shell.
    let freeze = "cd /sys/fs/cgroup && mkdir frozen && echo 1 > frozen/cgroup.procs && echo 1 > frozen/cgroup.freeze && \
                  grep -c 'frozen 1' frozen/cgroup.events";
    assert_eq!(machine.run(freeze).unwrap(), "1\n");
    console.wait_for("softdog: Initiating system reboot", PATIENCE).unwrap();
    assert!(machine.wait_for_exit(Duration::from_secs(30)), "{}", machine.transcript());
}

#[test]
fn an_emergency_shell_comes_first_and_the_boot_goes_on_when_it_ends() {
    let machine = Machine::builder(images::shipped()).argument("mainstay.emergency").boot().unwrap();
    let console = machine.console();
    console.wait_for("emergency shell on the console", PATIENCE).unwrap();
    console.send_line("cat /proc/$PPID/comm; tty; echo shown-$((1 + 1))").unwrap();
    let shown = console.wait_for("shown-2", PATIENCE).unwrap();
    assert!(shown.contains("init") && shown.contains("/dev/"), "{shown}");
    assert!(!shown.contains("startup complete"), "{shown}");
    console.send_line("exit").unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    machine.power_off().unwrap();
}

#[test]
fn another_kernel_is_loaded_and_started_after_an_orderly_end() {
    let image = images::shipped();
    let disk = Disk::holding("kernel", 64, &image);
    let machine = Machine::builder(&image).disk(disk.path()).memory(768).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let console = machine.console();

    let refused = machine.ssh("svctl kexec").unwrap();
    assert!(!refused.success() && refused.stderr.contains("loaded"), "{refused:?}");
    let none = machine.ssh("svctl kexec /etc/passwd").unwrap();
    assert!(!none.success() && none.stderr.contains("unable to load the kernel /etc/passwd"), "{none:?}");

    machine.run("mkdir /tmp/disk && mount /dev/vda /tmp/disk").unwrap();
    console.skip_to_now();
    let load =
        "svctl kexec /tmp/disk/vmlinuz /tmp/disk/initramfs --append \"$(cat /proc/cmdline) second=kernel\"";
    machine.run(load).unwrap();
    let end = console.wait_for("kexec_core: Starting new kernel", PATIENCE).unwrap();
    assert!(end.contains("mesos-agent: down") && end.contains("unmounting"), "{end}");
    machine.wait_until_up(PATIENCE).unwrap();
    let words = machine.run("cat /proc/cmdline; cut -d. -f1 /proc/uptime").unwrap();
    assert!(words.contains("second=kernel"), "{words}");
    machine.power_off().unwrap();
}
