//! The end of the machine, asked for in every way there is.

use crate::disks::Disk;
use crate::guest::{PATIENCE, boot};
use crate::images;
use qemu::{Machine, OnReboot};

const DOWN: &str = "reboot: Power down";

/// The places of `parts` in `text`, which must come in this order.
fn in_order(text: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let at = text[from..]
            .find(part)
            .unwrap_or_else(|| panic!("\"{part}\" does not come after {from} in {text}"));
        from += at + part.len();
    }
}

#[test]
fn power_off_drains_the_agent_stops_in_reverse_order_and_writes_the_last_lines() {
    let scratch = Disk::empty("logs");
    let machine = Machine::builder(images::shipped()).disk(scratch.path()).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    // The logs go to a disk that outlives the machine; the logger finds it when it is started again.
    machine.run("mount -t ext4 /dev/vda /var/log && kill -9 $(pidof svlog)").unwrap();
    machine.run("svctl restart mesos-agent mesos-master").unwrap();
    machine.console().skip_to_now();
    machine.power_off().unwrap();
    let console = machine.transcript();
    let end = &console[console.rfind("init: poweroff").expect("the request on the console")..];
    // The agent leaves the cluster while its master and its network are still there.
    in_order(
        end,
        &["mesos-agent: down", "mesos-master: down", "network: down", "unmounting", "powering off", DOWN],
    );
    in_order(end, &["mesos-agent: down", "sshd: down"]);
    assert!(end.trim_end().ends_with(DOWN), "{end}");

    let agent = scratch.ask("cat /mesos-agent/current");
    assert!(agent.contains("SIGUSR1"), "the agent was drained: {agent}");
    assert!(agent.contains("Agent terminating"), "the agent's last words are there: {agent}");
    let master = scratch.ask("cat /mesos-master/current");
    assert!(master.contains("SIGTERM"), "the master's last words are there: {master}");
}

#[test]
fn busyboxs_poweroff_halt_and_reboot_and_ctrl_alt_del_are_obeyed() {
    let image = images::shipped();
    let machine = Machine::builder(&image).on_reboot(OnReboot::Restarts).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let console = machine.console();

    machine.ssh("busybox reboot").unwrap();
    console.wait_for("reboot: Restarting system", PATIENCE).unwrap();
    machine.wait_until_up(PATIENCE).unwrap();

    machine.ctrl_alt_del().unwrap();
    console.wait_for("init: reboot: asked for by signal INT from the kernel", PATIENCE).unwrap();
    console.wait_for("reboot: Restarting system", PATIENCE).unwrap();
    machine.wait_until_up(PATIENCE).unwrap();

    machine.wait_for_ssh(PATIENCE).unwrap();
    machine.ssh("busybox poweroff").unwrap();
    console.wait_for(DOWN, PATIENCE).unwrap();
    assert!(machine.wait_for_exit(PATIENCE), "the machine is off");
}

#[test]
fn halt_stops_the_processor_and_leaves_the_power_on() {
    let machine = boot(&images::shipped());
    machine.wait_for_ssh(PATIENCE).unwrap();
    machine.ssh("busybox halt").unwrap();
    machine.console().wait_for("reboot: System halted", PATIENCE).unwrap();
    machine.pull_plug();
}

#[test]
fn the_power_button_switches_the_machine_off_in_order() {
    let machine = boot(&images::shipped());
    machine.power_button().unwrap();
    let before = machine.console().wait_for(DOWN, PATIENCE).unwrap();
    in_order(&before, &["init: poweroff: asked for by process", "mesos-agent: down", "powering off"]);
    assert!(machine.wait_for_exit(PATIENCE), "the machine is off");
}
