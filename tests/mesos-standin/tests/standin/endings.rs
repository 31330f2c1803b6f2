//! How the programs end: what a supervisor's restart policy is made for.

use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::Signal;

use crate::harness::{Program, Site, command};

#[test]
fn a_mistake_on_the_command_line_is_status_1_and_a_question_is_status_0() {
    let cases: &[(&str, &[&str], i32, &str)] = &[
        ("mesos-agent", &["--help"], 0, "--work_dir=VALUE"),
        ("mesos-agent", &["--version"], 0, "a stand-in for tests, not Apache Mesos"),
        ("mesos-master", &["--help"], 0, "a stand-in for tests"),
        ("mesos-master", &["--version"], 0, "mesos 1.11.0-standin"),
        ("mesos-standin", &["agent", "--version"], 0, "mesos 1.11.0-standin"),
        ("mesos-standin", &["--help"], 0, "(master|agent)"),
        ("mesos-standin", &[], 1, "(master|agent)"),
        ("mesos-agent", &["--mastr=x"], 1, "unknown flag 'mastr'"),
        ("mesos-agent", &["--port=1", "--port=2"], 1, "already loaded"),
        ("mesos-agent", &["--master=127.0.0.1:5050"], 1, "--work_dir"),
        ("mesos-agent", &["--work_dir=/nonexistent"], 1, "--master"),
        ("mesos-agent", &["--work_dir=/nonexistent", "--master=zk://h:2181/m"], 1, "no ZooKeeper"),
        ("mesos-agent", &["--work_dir=/nonexistent", "--master=host"], 1, "master detector"),
        ("mesos-master", &[], 1, "--work_dir needed"),
        ("mesos-master", &["--registry=in_memory", "--zk=zk://h/m"], 1, "no ZooKeeper"),
        (
            "mesos-master",
            &["--registry=in_memory", "--ip=127.0.0.1", "--ip_discovery_command=x"],
            1,
            "Only one",
        ),
        ("mesos-master", &["--registry=in_memory", "--ip_discovery_command=exit 3"], 1, "exit status: 3"),
        ("mesos-executor", &[], 1, "MESOS_AGENT_ENDPOINT"),
    ];
    for (name, flags, status, text) in cases {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let output = command(name, &flags).stdout(std::process::Stdio::piped()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert_eq!(output.status.code(), Some(*status), "{name} {flags:?}: {said}");
        assert!(said.contains(text), "{name} {flags:?}: {said}");
    }
}

#[test]
fn the_environment_gives_flags_and_a_typo_in_it_is_not_noticed() {
    let site = Site::new();
    let output = command("mesos-master", &["--registry=in_memory".to_owned()])
        .env("MESOS_PRT", "x")
        .env("MESOS_IP", "not an address")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("'not an address'"));
    drop(site);
}

#[test]
fn a_port_in_use_is_a_failed_check() {
    let site = Site::new();
    let _master = site.master();
    let mut second = Program::start("mesos-master", &site.master_flags());
    second.expect("Failed to bind on 127.");
    assert_eq!(second.wait().signal(), Some(Signal::SIGABRT as i32));
}

#[test]
fn sigterm_is_logged_with_its_sender_and_kills() {
    let site = Site::new();
    let mut master = site.master();
    let mut agent = site.settled_agent(&[]);
    let sender = format!("Received signal SIGTERM from process {} of user", std::process::id());
    for program in [&mut agent, &mut master] {
        program.signal(Signal::SIGTERM);
        program.expect(&sender);
        assert_eq!(program.wait().signal(), Some(Signal::SIGTERM as i32));
    }
}

#[test]
fn a_master_does_not_know_sigusr1() {
    let site = Site::new();
    let mut master = site.master();
    master.signal(Signal::SIGUSR1);
    assert_eq!(master.wait().signal(), Some(Signal::SIGUSR1 as i32));
}
