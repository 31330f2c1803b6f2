//! What services have nothing to do with: the words for the kernel, and the date.

use crate::guest::{PATIENCE, eventually, status};
use crate::images;
use qemu::Machine;
use std::collections::BTreeMap;

const YEAR: i64 = 365 * 24 * 60 * 60;

#[test]
fn words_for_the_kernel_and_a_clock_that_is_set_do_not_reach_the_services() {
    let builder =
        Machine::builder(images::shipped()).argument("SECRET=for-the-kernel").argument("stray-word");
    let machine = builder.boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    process_1_leads_its_session_and_has_no_terminal(&machine);
    words_for_the_kernel_are_in_no_environment(&machine);
    for by in [YEAR, -2 * YEAR, YEAR] {
        a_clock_that_is_set_disturbs_nobody(&machine, by);
    }
    machine.power_off().unwrap();
}

fn process_1_leads_its_session_and_has_no_terminal(machine: &Machine) {
    let stat = machine.run("cat /proc/1/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // proc(5): state, ppid, pgrp, session, tty_nr.
    assert_eq!(fields[1..5], ["0", "1", "1", "0"], "{stat}");
}

/// The variables of every process but the first, which the kernel gave what it did not understand itself.
fn words_for_the_kernel_are_in_no_environment(machine: &Machine) {
    let line = machine.run("cat /proc/cmdline").unwrap();
    assert!(line.contains("SECRET=for-the-kernel stray-word"), "{line}");
    let own = machine.run("tr '\\0' '\\n' < /proc/1/environ").unwrap();
    assert!(own.contains("SECRET=for-the-kernel"), "the kernel has handed it over: {own}");
    let script = "for d in /proc/[0-9]*; do p=${d#/proc/}; [ $p = 1 ] || \
                  echo \"$p $(cat $d/cmdline $d/environ 2>/dev/null | tr '\\0' ' ')\"; done";
    let all = machine.run(script).unwrap();
    for word in ["SECRET", "for-the-kernel", "stray-word"] {
        assert!(!all.contains(word), "{word} in {all}");
    }
    let services = status(machine);
    // These declare none; their scripts are shells, which add two of their own.
    for name in ["getty", "network", "power-button", "sshd"] {
        let pid = services[name].pid.unwrap();
        let variables = machine.run(&format!("tr '\\0' '\\n' < /proc/{pid}/environ")).unwrap();
        let names = variables.lines().filter_map(|line| line.split('=').next());
        let names: Vec<&str> = names.filter(|name| !["PWD", "SHLVL"].contains(name)).collect();
        assert_eq!(names, ["PATH"], "{name}: {variables}");
    }
}

/// How old each service is, in seconds, by name.
fn ages(machine: &Machine) -> BTreeMap<String, f64> {
    let text = machine.ssh("svctl status --json").unwrap().stdout;
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let services = list.as_array().unwrap().iter();
    services
        .map(|service| (service["name"].as_str().unwrap().to_owned(), service["for"].as_f64().unwrap()))
        .collect()
}

fn uptime(machine: &Machine) -> f64 {
    machine.run("cut -d ' ' -f 1 /proc/uptime").unwrap().trim().parse().unwrap()
}

fn a_clock_that_is_set_disturbs_nobody(machine: &Machine, by: i64) {
    let set = format!("date -s @$(( $(date +%s) + {by} )) > /dev/null");
    let before = (status(machine), ages(machine));
    machine.run(&set).unwrap();
    let after = (status(machine), ages(machine));
    assert_eq!(after.0, before.0, "nothing has started anew");
    let oldest = uptime(machine);
    for (name, age) in &after.1 {
        assert!(before.1[name] <= *age && *age <= oldest, "{name}: {age} s after {} s", before.1[name]);
    }

    let text = machine.run("svctl restart power-button && svctl status power-button").unwrap();
    assert!(text.starts_with("power-button: up, pid "), "{text}");

    // It dies, and while it waits for its start the date changes, to and fro.
    let old = after.0["node-exporter"].pid.unwrap();
    let back = format!("date -s @$(( $(date +%s) - {by} )) > /dev/null");
    machine.run(&format!("kill -9 {old}; {back}; {set}")).unwrap();
    eventually("the return of node-exporter", || {
        let now = status(machine)["node-exporter"].clone();
        if now.state == "up" && now.pid != Some(old) { Ok(()) } else { Err(format!("{now:?}")) }
    });
}
