//! PID 1 under a real kernel.

use crate::guest::{PATIENCE, boot};
use crate::images;
use qemu::Machine;

#[test]
fn ten_thousand_orphans_leave_no_zombie() {
    let machine = boot(&images::shipped());
    // Each of the hundred shells leaves a hundred children behind, which init has to take in and to reap.
    let script = "i=0; while [ $i -lt 100 ]; do sh -c 'j=0; while [ $j -lt 100 ]; do (:)& j=$((j+1)); done' & \
                  i=$((i+1)); done; wait";
    machine.run(script).unwrap();
    let zombies = "ls -d /proc/[0-9]*/stat | xargs cat 2>/dev/null | sed 's/.*) //' | grep -c '^Z' || true";
    crate::guest::eventually("the last zombie's end", || match machine.run(zombies).unwrap().trim() {
        "0" => Ok(()),
        some => Err(format!("{some} zombies")),
    });
    let forks = machine.run("sed -n 's/^processes //p' /proc/stat").unwrap();
    assert!(forks.trim().parse::<u64>().unwrap() > 10_000, "{forks}");
    machine.power_off().unwrap();
}

#[test]
fn rescue_brings_a_shell_on_the_console_and_nothing_else() {
    let machine = Machine::builder(images::shipped()).argument("rescue").boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    let console = machine.console();
    console.send_line("NO_COLOR=1 svctl status; echo shown-$((1 + 1))").unwrap();
    let shown = console.wait_for("shown-2", PATIENCE).unwrap();
    let state = |name: &str| {
        let line = shown.lines().find(|line| line.trim_start().starts_with(name));
        line.unwrap_or_else(|| panic!("no {name} in {shown}")).split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_eq!((state("getty").as_str(), state("modules").as_str()), ("up", "done"));
    for name in ["sshd", "network", "mesos-agent", "mesos-master", "node-exporter"] {
        assert_eq!(state(name), "down");
    }
    console.send_line("svctl poweroff").unwrap();
    console.wait_for("reboot: Power down", PATIENCE).unwrap();
}
