//! A machine under test, and what a person would ask it.

use qemu::Machine;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long anything may take that is waited for. Emulated, and with other machines beside it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Boots an image and waits until its services have settled.
pub(crate) fn boot(image: &Path) -> Machine {
    let machine = Machine::builder(image).boot().unwrap();
    machine.wait_until_up(PATIENCE).unwrap();
    machine
}

/// What `svctl status --json` says of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) state: String,
    pub(crate) pid: Option<u64>,
    pub(crate) reason: String,
}

/// What `svctl status --json` says of all services.
pub(crate) fn status(machine: &Machine) -> BTreeMap<String, Service> {
    // Its exit status tells whether all are up, which is not the question here.
    let text = machine.ssh("svctl status --json").unwrap().stdout;
    let list: serde_json::Value =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let services = list.as_array().or_else(|| list["services"].as_array()).expect("a list");
    let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    services
        .iter()
        .map(|service| {
            let seen = Service {
                state: word(&service["state"]),
                pid: service["pid"].as_u64(),
                reason: word(&service["reason"]),
            };
            (word(&service["name"]), seen)
        })
        .collect()
}

/// Asks again until the answer is as it should be.
pub(crate) fn eventually<T>(what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(seen) => assert!(began.elapsed() < PATIENCE, "{what} did not come; last seen: {seen}"),
        }
    }
}

/// The pids of everything in the machine but kernel threads and what the question itself needs, by pid.
pub(crate) fn processes(machine: &Machine) -> BTreeMap<u64, String> {
    let script = r#"for d in /proc/[0-9]*; do p=${d#/proc/}; c=$(tr '\0' ' ' < $d/cmdline 2>/dev/null); [ -n "$c" ] && echo "$p $c"; done; true"#;
    let text = machine.run(script).unwrap();
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(_, command)| {
            !command.starts_with("sh -c") && !command.starts_with("-sh") && !command.contains("/proc/[0-9]")
        })
        .filter(|(_, command)| !command.starts_with("tr "))
        .map(|(pid, command)| (pid.parse().unwrap(), command.trim().to_owned()))
        .collect()
}

/// Writes a definition, which `svctl reload` starts: the machine's own tree is in memory.
pub(crate) fn define(machine: &Machine, name: &str, toml: &str) {
    let script = format!(
        "mkdir -p /etc/services.d/{name} && cat > /etc/services.d/{name}/service.toml << 'END'\n{toml}\nEND"
    );
    machine.run(&script).unwrap();
}

/// Waits until a service is as it should be.
pub(crate) fn wait_for(
    machine: &Machine,
    name: &str,
    what: &str,
    wanted: impl Fn(&Service) -> bool,
) -> Service {
    eventually(&format!("{name} {what}"), || {
        let seen = status(machine).get(name).cloned();
        seen.clone().filter(&wanted).ok_or_else(|| format!("{seen:?}"))
    })
}

/// What a file of the machine says, or several.
pub(crate) fn read(machine: &Machine, file: &str) -> String {
    machine.run(&format!("cat {file}")).unwrap().trim().to_owned()
}
