//! What is executed.

use crate::error::{Error, Result};
use crate::messages::Command;

fn shell(command: &Command) -> Result<Vec<String>> {
    let value =
        command.value.clone().ok_or_else(|| Error::new("launch: there is no command for the shell"))?;
    Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), value])
}

/// A program with its arguments, of which the first is the name that it would be called by.
fn program(value: &str, arguments: &[String]) -> Vec<String> {
    [value.to_owned()].into_iter().chain(arguments.iter().skip(1).cloned()).collect()
}

/// On this machine's own root.
pub(super) fn outside(command: &Command) -> Result<Vec<String>> {
    if command.shell {
        return shell(command);
    }
    let value = command.value.as_deref().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| Error::new("launch: there is no program, and no image to have one"))?;
    Ok(program(value, &command.arguments))
}

/// In an image: what is executed, or what the image executes gets as arguments (Mesos's `docker/runtime` isolator).
pub(super) fn in_image(command: &Command) -> Result<(Vec<String>, Option<Vec<String>>)> {
    check_options(command)?;
    match &command.value {
        _ if command.shell => Ok((shell(command)?, None)),
        Some(value) if !value.is_empty() => Ok((program(value, &command.arguments), None)),
        Some(_) | None if command.arguments.is_empty() => Ok((Vec::new(), None)),
        Some(_) | None => Ok((Vec::new(), Some(command.arguments.clone()))),
    }
}

/// What they mean was never said, so what somebody wants of them cannot be done, and is not left undone in silence.
fn check_options(command: &Command) -> Result<()> {
    match command.options.first() {
        None => Ok(()),
        Some(option) => {
            Err(Error::new(format!("launch: the container's option {option:?} is not known here")))
        }
    }
}

/// The executor, told to execute `PROGRAM observe SERVICE` in the task's place.
///
/// `mesos-executor` up to 0.28 takes it behind `--override`; that of 1.0, whose arguments the agent says from its name on, as a
/// `CommandInfo` with `--task_command`.
pub(super) fn observer(executor: &Command, own: &str, service: &str) -> Result<Vec<String>> {
    let value = executor.value.as_deref().filter(|value| !value.is_empty());
    let value = value.ok_or_else(|| Error::new("launch: there is no executor"))?;
    if executor.shell {
        // The shell splits and expands the one, and not the others.
        let line = format!("exec {value} --override \"$0\" \"$@\"");
        return Ok(["/bin/sh", "-c", &line, own, "observe", service].map(str::to_owned).to_vec());
    }
    if executor.arguments.first().is_none_or(|name| name != "mesos-executor") {
        return Ok([value, "--override", own, "observe", service].map(str::to_owned).to_vec());
    }
    let command = serde_json::json!({"shell": false, "value": own, "arguments": [own, "observe", service]});
    let mut words = program(value, &executor.arguments);
    words.push(format!("--task_command={command}"));
    Ok(words)
}
