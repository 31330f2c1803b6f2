//! What `svctl` tells, as JSON, and what it means to an agent.

use crate::error::{Error, Result};
use crate::messages::{Reason, Statistics, TaskState, Termination};
use crate::names::{CONTAINER, ROLE, Role, WORK};
use serde_json::Value;

/// A service that is a container, or part of one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Part {
    /// The container's id.
    pub container: String,
    /// Which of its services.
    pub role: Role,
    /// What it is called.
    pub name: String,
}

fn document(text: &str) -> Result<Vec<Value>> {
    match serde_json::from_str(text) {
        Ok(Value::Array(array)) => Ok(array),
        Ok(_) => Err(Error::new("understand svctl: it does not tell a list")),
        Err(error) => Err(Error::during("understand svctl", error)),
    }
}

fn only(text: &str) -> Result<Value> {
    document(text)?.pop().ok_or_else(|| Error::new("understand svctl: it tells of nothing"))
}

fn string<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

/// The containers of the agent with this work directory, from `svctl containers --json`.
///
/// # Errors
///
/// If it cannot be understood.
pub fn parts(text: &str, work: &str) -> Result<Vec<Part>> {
    let part = |value: Value| {
        let labels = value.get("labels")?;
        if string(labels, WORK)? != work {
            return None;
        }
        let role = Role::parse(string(labels, ROLE)?)?;
        let container = string(labels, CONTAINER)?.to_owned();
        Some(Part { container, role, name: string(&value, "name")?.to_owned() })
    };
    let mut parts: Vec<Part> = document(text)?.into_iter().filter_map(part).collect();
    parts.sort();
    Ok(parts)
}

/// How a service ended, from `svctl wait --ended --json`.
///
/// # Errors
///
/// If it cannot be understood.
pub fn termination(text: &str) -> Result<Termination> {
    let value = only(text)?;
    let is = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
    let number =
        |key: &str| value.get(key).and_then(Value::as_i64).and_then(|value| i32::try_from(value).ok());
    // As wait(2) has it: the exit code in the second byte, or the signal in the first with the core's bit.
    let status = match (number("code"), number("signal_number")) {
        (Some(code), _) => Some((code & 0xff) << 8),
        (None, Some(signal)) => Some((signal & 0x7f) | if is("core") { 0x80 } else { 0 }),
        (None, None) => None,
    };
    let reason = string(&value, "reason").unwrap_or_default();
    let (killed, state, why, said) = if is("out_of_memory") {
        (true, TaskState::Failed, Reason::Memory, "its memory was over the limit")
    } else if is("destroyed") {
        (false, TaskState::Killed, Reason::Terminated, "it was destroyed")
    } else if status.is_none() {
        (false, TaskState::Failed, Reason::Launch, "it was not started")
    } else {
        (false, TaskState::Failed, Reason::Terminated, "")
    };
    let message = match (said.is_empty(), reason.is_empty()) {
        (false, false) => format!("{said}: {reason}"),
        (false, true) => said.to_owned(),
        (true, _) => reason.to_owned(),
    };
    Ok(Termination { killed, message, status, state, reason: why })
}

/// What is said of a container that has a task, but no executor: its launch was never brought to an end.
#[must_use]
pub fn never_begun() -> Termination {
    Termination {
        killed: false,
        message: "its launch did not come to an end".to_owned(),
        status: None,
        state: TaskState::Failed,
        reason: Reason::Launch,
    }
}

/// The exit code for whoever asked for a task, as a shell has it, from `svctl wait --ended --json`.
///
/// # Errors
///
/// If it cannot be understood.
pub fn exit_code(text: &str) -> Result<u8> {
    let value = only(text)?;
    let number =
        |key: &str| value.get(key).and_then(Value::as_u64).and_then(|value| u8::try_from(value).ok());
    let signal = number("signal_number").and_then(|signal| signal.checked_add(128));
    Ok(number("code").or(signal).unwrap_or(1))
}

/// What a service uses, from `svctl usage --json`.
///
/// # Errors
///
/// If it cannot be understood, or the service does not run.
pub fn statistics(text: &str) -> Result<Statistics> {
    let value = only(text)?;
    let found = |path: &str| value.pointer(path);
    let float = |path: &str| found(path).and_then(Value::as_f64);
    let whole = |path: &str| found(path).and_then(Value::as_u64);
    if whole("/pid").is_none() {
        return Err(Error::new("tell its usage: it does not run"));
    }
    // A weight of 100 is a processor's worth: see limits.rs.
    let shares = || float("/cpu/weight").map(|weight| weight / 100.0);
    Ok(Statistics {
        timestamp: float("/timestamp").ok_or_else(|| Error::new("understand svctl: there is no time"))?,
        cpus_user: float("/cpu/user"),
        cpus_system: float("/cpu/system"),
        cpus_limit: float("/cpu/limit").or_else(shares),
        mem_limit: whole("/memory/max"),
        periods: whole("/cpu/periods"),
        throttled: whole("/cpu/throttled_periods"),
        throttled_time: float("/cpu/throttled"),
        mem_file: whole("/memory/file"),
        mem_anon: whole("/memory/anon"),
        mem_mapped: whole("/memory/mapped"),
        processes: whole("/processes"),
        mem_total: whole("/memory/current"),
        mem_swap: whole("/memory/swap"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(text: &str) -> Termination {
        termination(&format!("[{{\"name\": \"a\", {text}}}]")).unwrap()
    }

    #[test]
    fn an_end_is_told_as_the_kernel_tells_it() {
        let three = ended(
            r#""code": 3, "signal": null, "signal_number": null, "core": false, "reason": "exited with 3""#,
        );
        assert_eq!(
            (three.status, three.killed, three.message.as_str()),
            (Some(3 << 8), false, "exited with 3")
        );
        let killed = ended(r#""code": null, "signal_number": 9, "core": false, "reason": "killed by KILL""#);
        assert_eq!(
            (killed.status, killed.state, killed.reason),
            (Some(9), TaskState::Failed, Reason::Terminated)
        );
        assert_eq!(
            ended(r#""code": null, "signal_number": 6, "core": true, "reason": """#).status,
            Some(0x86)
        );
    }

    #[test]
    fn only_what_was_over_its_limit_was_killed() {
        let over = ended(r#""signal_number": 9, "out_of_memory": true, "reason": "killed by KILL""#);
        assert!(over.killed);
        assert_eq!((over.status, over.reason), (Some(9), Reason::Memory));
        let destroyed = ended(r#""destroyed": true, "signal_number": 15, "reason": """#);
        assert_eq!((destroyed.killed, destroyed.state), (false, TaskState::Killed));
        assert_eq!(destroyed.message, "it was destroyed");
    }

    #[test]
    fn what_never_ran_has_no_status_and_says_why() {
        let failed =
            ended(r#""code": null, "signal_number": null, "reason": "unable to prepare its start: x""#);
        assert_eq!((failed.status, failed.reason), (None, Reason::Launch));
        assert_eq!(failed.message, "it was not started: unable to prepare its start: x");
    }

    #[test]
    fn a_task_is_told_on_as_a_shell_tells_it() {
        let code = |text: &str| exit_code(&format!("[{{{text}}}]")).unwrap();
        assert_eq!(code(r#""code": 7"#), 7);
        assert_eq!(code(r#""code": null, "signal_number": 15"#), 143);
        assert_eq!(code(r#""code": null, "signal_number": null"#), 1);
    }

    #[test]
    fn only_the_agents_own_containers_are_told() {
        let entry = |name: &str, id: &str, role: &str, work: &str| {
            format!(
                r#"{{"name": "{name}", "labels": {{"mesos.container": "{id}", "mesos.role": "{role}", "mesos.work": "{work}"}}}}"#
            )
        };
        let text = format!(
            r#"[{{"name": "other", "labels": {{}}}}, {{"name": "none"}}, {}, {}, {}, {}]"#,
            entry("b", "two", "executor", "/w"),
            entry("c", "one", "task", "/w"),
            entry("d", "one", "executor", "/w"),
            entry("e", "three", "executor", "/elsewhere"),
        );
        let found = parts(&text, "/w").unwrap();
        let names: Vec<(&str, &str)> =
            found.iter().map(|part| (part.container.as_str(), part.name.as_str())).collect();
        assert_eq!(names, [("one", "d"), ("one", "c"), ("two", "b")]);
    }

    #[test]
    fn usage_is_what_is_known_of_it() {
        let text = r#"[{"name": "a", "pid": 7, "timestamp": 1.5, "processes": 2,
            "cpu": {"user": 0.5, "system": 0.25, "limit": null, "weight": 150, "periods": 3, "throttled_periods": 1, "throttled": 0.1},
            "memory": {"current": 100, "max": 1000, "anon": 60, "file": 40, "mapped": 20, "swap": null}}]"#;
        let told = statistics(text).unwrap();
        assert_eq!((told.timestamp, told.cpus_user, told.cpus_limit), (1.5, Some(0.5), Some(1.5)));
        assert_eq!((told.mem_limit, told.mem_anon, told.mem_swap), (Some(1000), Some(60), None));
        assert_eq!((told.periods, told.throttled, told.throttled_time), (Some(3), Some(1), Some(0.1)));
        let down = r#"[{"name": "a", "pid": null, "timestamp": 1.5}]"#;
        assert!(statistics(down).unwrap_err().to_string().contains("does not run"));
        for broken in ["", "{}", "[]", "[1]", "nothing"] {
            assert!(statistics(broken).is_err(), "{broken}");
            assert!(termination(broken).is_err() || broken == "[1]", "{broken}");
        }
    }
}
