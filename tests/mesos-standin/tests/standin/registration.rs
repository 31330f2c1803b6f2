//! Agent and master find each other, and say so.

use std::fs;

use nix::sys::signal::Signal;

use crate::harness::{Program, Site};

#[test]
fn an_agent_that_registers_says_so_in_its_metrics() {
    let site = Site::new();
    let mut agent = site.agent(&[]);
    agent.expect("Failed to register with master");
    assert_eq!(site.agent_metric("slave/registered"), "0");
    let master = site.master();
    agent.expect("Registered with master");
    assert_eq!(site.agent_metric("slave/registered"), "1");
    assert_eq!(site.agent_metric("slave/recovery_errors"), "0");
    assert_eq!(site.master_metric("master/slaves_active"), "1");
    assert_eq!(site.master_metric("master/elected"), "1");
    assert!(site.get(site.master_port, "/master/state").contains(&site.agent_id()));
    drop(master);
}

#[test]
fn both_answer_health_and_say_that_they_are_stand_ins() {
    let site = Site::new();
    let _master = site.master();
    let _agent = site.settled_agent(&[]);
    for (port, path) in [
        (site.master_port, "/health"),
        (site.master_port, "/master/health"),
        (site.agent_port, "/health"),
        (site.agent_port, "/slave(1)/health"),
        (site.agent_port, "/slave%281%29/health"),
    ] {
        let answer = site.get(port, path);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {answer}");
        assert!(answer.contains("a stand-in for tests") && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        assert!(site.get(port, "/version").contains("\"standin\":"));
    }
    assert!(site.get(site.agent_port, "/nothing").starts_with("HTTP/1.1 404 "));
    assert!(site.get(site.agent_port, "/state").contains("\"connected\":true"));
}

#[test]
fn an_agent_registers_again_under_the_same_id_when_the_master_returns() {
    let site = Site::new();
    let master = site.master();
    let mut agent = site.settled_agent(&[]);
    let id = site.agent_id();
    master.end(Signal::SIGKILL);
    agent.expect("Master disconnected!");
    assert_eq!(site.agent_metric("slave/registered"), "0");
    let mut master = site.master();
    agent.expect(&format!("given agent ID {id}"));
    master.expect(&format!("Re-registered agent {id}"));
    assert_eq!(site.agent_metric("slave/registered"), "1");
    assert_eq!(site.agent_metric("slave/executors_running"), "2");
}

#[test]
fn a_restarted_agent_has_its_id_from_the_checkpoint() {
    let site = Site::new();
    let mut master = site.master();
    let agent = site.settled_agent(&[]);
    let id = site.agent_id();
    agent.end(Signal::SIGTERM);
    master.expect("disconnected");
    assert_eq!(site.master_metric("master/slaves_active"), "0");
    let _agent = site.returned_agent(&[]);
    assert_eq!(site.agent_id(), id);
    assert_eq!(site.master_metric("master/slaves_active"), "1");
}

#[test]
fn a_master_known_by_another_name_than_it_advertises_is_not_the_expected_one() {
    let site = Site::new();
    let mut flags = site.master_flags();
    flags.push("--advertise_ip=192.0.2.1".to_owned());
    let mut master = Program::start("mesos-master", &flags);
    master.expect("Elected as the leading master");
    let mut agent = site.agent(&[]);
    agent.expect("because it is not the expected master");
    assert_eq!(site.agent_metric("slave/registered"), "0");
}

#[test]
fn an_incompatible_change_ends_the_agent_each_time_until_the_checkpoint_is_removed() {
    let site = Site::new();
    let _master = site.master();
    let resources = "--resources=cpus:2;mem:100";
    site.settled_agent(&[resources]).end(Signal::SIGTERM);
    let id = site.agent_id();
    let latest = site.work().join("meta/slaves/latest");
    let changes: [&[&str]; 2] = [&["--hostname=other", resources], &["--resources=cpus:1;mem:100"]];
    for change in changes {
        for _ in 0..2 {
            let mut agent = site.agent(change);
            agent.expect("Incompatible agent info detected");
            agent.expect(&format!("rm -f {}", latest.display()));
            assert_eq!(agent.wait().code(), Some(1));
        }
    }
    site.kill_executors();
    fs::remove_file(&latest).unwrap();
    let _agent = site.settled_agent(&["--hostname=other", resources]);
    assert_ne!(site.agent_id(), id);
}

#[test]
fn a_reboot_keeps_the_id_and_drops_the_pids_and_lets_everything_change() {
    let site = Site::new();
    let _master = site.master();
    let mut agent = site.settled_agent(&["--standin_boot_id=first"]);
    let id = site.agent_id();
    let old = site.executors();
    agent.signal(Signal::SIGKILL);
    agent.wait();
    // As a reboot does.
    site.kill_executors();
    let mut agent = site.agent(&["--standin_boot_id=second"]);
    agent.expect_all(&["Agent host rebooted", "'standin.1' registered", "'standin.2' registered"]);
    assert_eq!(site.agent_id(), id);
    assert!(site.executors().iter().all(|pid| !old.contains(pid)));
    agent.end(Signal::SIGKILL);
    site.kill_executors();
    let mut agent = site.agent(&["--standin_boot_id=third", "--hostname=other"]);
    agent.expect("starting as a new agent");
    agent.expect("Registered with master");
    assert_ne!(site.agent_id(), id);
}
