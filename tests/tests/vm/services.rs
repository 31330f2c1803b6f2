//! The services of the image, as an operator meets them.

use crate::guest::{PATIENCE, boot, eventually, processes, status};
use crate::images;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn the_image_boots_with_every_service_up_and_is_operated_over_ssh() {
    let machine = boot(&images::shipped());

    let table = machine.ssh("svctl status").unwrap();
    assert_eq!(table.status, 0, "{}{}", table.stdout, table.stderr);
    for name in
        ["getty", "hostkeys", "mesos-agent", "mesos-master", "modules", "network", "node-exporter", "sshd"]
    {
        let service =
            status(&machine).remove(name).unwrap_or_else(|| panic!("no {name} in {}", table.stdout));
        assert!(["up", "done"].contains(&service.state.as_str()), "{name}: {service:?}");
    }
    assert_eq!(machine.ssh("exit 7").unwrap().status, 7, "the exit status of a command comes through");

    the_metrics_of_services_are_there_for_whoever_asks(&machine);
    the_exporter_answers_on_the_host(machine.port(qemu::EXPORTER).unwrap());
    restarting_the_agent_touches_nothing_else(&machine);
    killed_services_return_and_the_session_survives(&machine);

    machine.power_off().unwrap();
    let console = machine.transcript();
    assert!(console.trim_end().ends_with("reboot: Power down"), "{console}");
}

fn the_exporter_answers_on_the_host(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    assert!(answer.contains("node_uname_info"), "{answer}");
}

fn the_metrics_of_services_are_there_for_whoever_asks(machine: &qemu::Machine) {
    assert_eq!(status(machine)["metrics"].state, "listening", "nothing runs before somebody asks");
    let page = machine.run("wget -qO- http://127.0.0.1:9101/metrics").unwrap();
    let page = tests::exposition::Page::parse(&page).unwrap_or_else(|why| panic!("{why}\n{page}"));
    for name in ["mesos-agent", "sshd", "node-exporter"] {
        let labels = [format!("service={name}"), "state=up".to_owned()];
        let up = page.get("mainstay_service_state", &labels.each_ref().map(String::as_str));
        assert_eq!(up, Some(1.0), "{name}");
    }
}

fn restarting_the_agent_touches_nothing_else(machine: &qemu::Machine) {
    let before = processes(machine);
    let agent = status(machine)["mesos-agent"].pid.unwrap();
    let executors = |processes: &std::collections::BTreeMap<u64, String>| -> Vec<u64> {
        let found = processes.iter().filter(|(_, command)| command.contains("mesos-executor"));
        found.map(|(pid, _)| *pid).collect()
    };
    assert_eq!(executors(&before).len(), 2, "{before:#?}");

    let text = machine.run("svctl restart mesos-agent && svctl status mesos-agent").unwrap();
    assert!(text.starts_with("mesos-agent: up, pid "), "{text}");

    let after = processes(machine);
    let now = status(machine)["mesos-agent"].clone();
    assert_eq!(now.state, "up");
    assert_ne!(now.pid, Some(agent), "a new agent");
    assert_eq!(executors(&after), executors(&before), "the executors are the same");
    // What differs is the agent, and the ssh sessions that asked.
    let session = |command: &String| command.contains("dropbear");
    for (pid, command) in &before {
        assert!(
            *pid == agent || session(command) || after.get(pid) == Some(command),
            "{pid} {command} is gone"
        );
    }
    for (pid, command) in &after {
        let new = !before.contains_key(pid);
        assert!(!new || Some(*pid) == now.pid || session(command), "{pid} {command} is new");
    }
    let metrics = machine.run("wget -qO- http://127.0.0.1:5051/metrics/snapshot").unwrap();
    let metrics: serde_json::Value = serde_json::from_str(&metrics).unwrap();
    assert_eq!(metrics["slave/registered"], 1.0, "{metrics}");
}

fn killed_services_return_and_the_session_survives(machine: &qemu::Machine) {
    for name in ["mesos-agent", "sshd", "node-exporter"] {
        let pid = status(machine)[name].pid.unwrap();
        // The session that kills says something afterwards: it is still there.
        let killed = machine.ssh(&format!("kill -9 {pid} && echo survived")).unwrap();
        assert_eq!((killed.status, killed.stdout.as_str()), (0, "survived\n"), "{name}: {}", killed.stderr);
        eventually(&format!("the return of {name}"), || {
            machine.wait_for_ssh(PATIENCE).map_err(|error| error.to_string())?;
            let now = status(machine)[name].clone();
            if now.state == "up" && now.pid != Some(pid) { Ok(()) } else { Err(format!("{now:?}")) }
        });
    }
}
