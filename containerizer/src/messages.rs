//! The messages of the protocol, as far as they are used; `proto/containerizer.proto` has the same for other implementations.
//!
//! Numbers and types are those of `containerizer.proto` and `mesos.proto` of Mesos 0.19.0 to 1.0.0; what came or went in
//! between stands with its version. What is not listed is skipped.

mod answers;
mod command;

pub use answers::{Reason, Statistics, TaskState, Termination, containers};
pub use command::{Command, ContainerInfo, Uri, Volume};

use crate::error::{Error, Result};
use crate::wire::{Broken, Fields};
use std::collections::BTreeMap;

/// Resources by name. Those that are no numbers (ports) are not among them; those of several roles are added up.
pub type Resources = BTreeMap<String, f64>;

/// What `launch` reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launch {
    /// The container's id.
    pub container: String,
    /// Of a command that is a task by itself, which `mesos-executor` runs.
    pub task: Option<Task>,
    /// Who is to be started. Every agent tells.
    pub executor: Option<Executor>,
    /// The sandbox.
    pub directory: Option<String>,
    /// Whose the process is to be, if the agent changes users.
    pub user: Option<String>,
    /// The agent's id.
    pub agent: Option<String>,
    /// Where the agent listens.
    pub agent_pid: Option<String>,
    /// Whether it is to outlive the agent.
    pub checkpoint: bool,
}

/// `TaskInfo`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// `task_id`.
    pub id: String,
    /// What it may use.
    pub resources: Resources,
    /// What it does; unless it is an executor's.
    pub command: Option<Command>,
    /// Since 0.20.
    pub container: Option<ContainerInfo>,
}

/// `ExecutorInfo`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Executor {
    /// `executor_id`.
    pub id: String,
    /// `framework_id`.
    pub framework: Option<String>,
    /// What it may use, its first task included.
    pub resources: Resources,
    /// Its command.
    pub command: Command,
    /// Since 0.20.
    pub container: Option<ContainerInfo>,
}

/// Reads what `launch` reads.
///
/// # Errors
///
/// If it is no message, or one without a field that is required.
pub fn launch(bytes: &[u8]) -> Result<Launch> {
    let fields = message(bytes, "Launch")?;
    let agent = fields.message(6).map_err(broken)?;
    Ok(Launch {
        container: container(&fields)?,
        task: fields.message(2).map_err(broken)?.map(|fields| task(&fields)).transpose()?,
        executor: fields.message(3).map_err(broken)?.map(|fields| executor(&fields)).transpose()?,
        directory: text(&fields, 4)?,
        user: text(&fields, 5)?,
        agent: agent.map(|fields| demanded(&fields, 1, "slave_id.value")).transpose()?,
        agent_pid: text(&fields, 7)?,
        checkpoint: fields.bool(8).unwrap_or(false),
    })
}

/// Reads what `update` reads: a container's id, and what it may use from now on.
///
/// # Errors
///
/// As [`launch`].
pub fn update(bytes: &[u8]) -> Result<(String, Resources)> {
    let fields = message(bytes, "Update")?;
    Ok((container(&fields)?, resources(&fields, 2)?))
}

/// Reads what `wait`, `usage` and `destroy` read, three messages of one form: a container's id.
///
/// # Errors
///
/// As [`launch`].
pub fn of_container(bytes: &[u8]) -> Result<String> {
    container(&message(bytes, "container's id")?)
}

fn message<'a>(bytes: &'a [u8], name: &str) -> Result<Fields<'a>> {
    Fields::parse(bytes).map_err(|error| Error::new(format!("understand the {name} message: {error}")))
}

fn broken(error: Broken) -> Error {
    Error::during("understand the message", error)
}

fn text(fields: &Fields<'_>, number: u32) -> Result<Option<String>> {
    fields.string(number).map_err(broken)
}

fn demanded(fields: &Fields<'_>, number: u32, name: &str) -> Result<String> {
    text(fields, number)?.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Error {
    Error::new(format!("understand the message: {name} is missing"))
}

fn container(fields: &Fields<'_>) -> Result<String> {
    let id = fields.message(1).map_err(broken)?.ok_or_else(|| missing("container_id"))?;
    let id = demanded(&id, 1, "container_id.value")?;
    // It is told in lines, and kept in files of lines.
    if id.is_empty() || id.contains(char::is_control) {
        return Err(Error::new(format!("understand the message: {id:?} is no container's id")));
    }
    Ok(id)
}

fn task(fields: &Fields<'_>) -> Result<Task> {
    let id = fields.message(2).map_err(broken)?.ok_or_else(|| missing("task_info.task_id"))?;
    demanded(fields, 1, "task_info.name")?;
    Ok(Task {
        id: demanded(&id, 1, "task_info.task_id.value")?,
        resources: resources(fields, 4)?,
        command: fields.message(7).map_err(broken)?.map(|fields| command::command(&fields)).transpose()?,
        container: fields
            .message(9)
            .map_err(broken)?
            .map(|fields| command::container(&fields))
            .transpose()?,
    })
}

fn executor(fields: &Fields<'_>) -> Result<Executor> {
    let id = fields.message(1).map_err(broken)?.ok_or_else(|| missing("executor_info.executor_id"))?;
    let command = fields.message(7).map_err(broken)?.ok_or_else(|| missing("executor_info.command"))?;
    let framework = fields.message(8).map_err(broken)?;
    Ok(Executor {
        id: demanded(&id, 1, "executor_info.executor_id.value")?,
        framework: framework
            .map(|fields| demanded(&fields, 1, "executor_info.framework_id.value"))
            .transpose()?,
        resources: resources(fields, 5)?,
        command: command::command(&command)?,
        container: fields
            .message(11)
            .map_err(broken)?
            .map(|fields| command::container(&fields))
            .transpose()?,
    })
}

fn resources(fields: &Fields<'_>, number: u32) -> Result<Resources> {
    const SCALAR: u64 = 0;
    let mut resources = Resources::new();
    for resource in fields.messages(number).map_err(broken)? {
        let name = demanded(&resource, 1, "a resource's name")?;
        let kind = resource.number(2).ok_or_else(|| missing("a resource's type"))?;
        if kind != SCALAR {
            continue;
        }
        let value = resource.message(3).map_err(broken)?.and_then(|scalar| scalar.double(1));
        let value = value.ok_or_else(|| missing("a resource's value"))?;
        if !value.is_finite() || value < 0.0 {
            return Err(Error::new(format!("understand the message: there cannot be {value} of {name}")));
        }
        *resources.entry(name).or_default() += value;
    }
    Ok(resources)
}
