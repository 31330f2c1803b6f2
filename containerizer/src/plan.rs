//! What a launch becomes: services to be run. Nothing here touches the machine.
//!
//! Who is started: what `executor_info` says, which every agent sends. For a task that is a command without an executor it
//! names the agent's `mesos-executor`, which learns of the task over the network and runs it. In an image there is no
//! `mesos-executor`; so the executor is run outside, and told to run `external-containerizer observe` in the task's
//! place, while the task is a service of its own in the image.

mod command;
mod environment;

use crate::error::{Error, Result};
use crate::limits::limits;
use crate::messages::{Command, ContainerInfo, Executor, Launch, Uri, Volume};
use crate::names::{self, Role};
use std::collections::BTreeMap;

/// Where the sandbox is in an image, as Mesos has it.
pub const SANDBOX: &str = "/mnt/mesos/sandbox";

/// Properties for every container, one a line.
const PROPERTIES: &str = "EXTERNAL_CONTAINERIZER_PROPERTIES";

/// What is known beside the message.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// This program's environment.
    pub variables: BTreeMap<String, String>,
    /// This program.
    pub program: String,
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The sandbox.
    pub sandbox: String,
    /// Whose what is in it is to be.
    pub user: Option<String>,
    /// What is fetched into it.
    pub uris: Vec<Uri>,
    /// The services to be run.
    pub services: Vec<Service>,
}

/// A service to be run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// What it is called.
    pub name: String,
    /// The image that it runs in, if in any.
    pub image: Option<String>,
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Whose its process is.
    pub user: Option<String>,
    /// Its working directory.
    pub directory: String,
    /// `KEY=VALUE`.
    pub limits: Vec<String>,
    /// Keys of a definition, and values in TOML.
    pub properties: Vec<(&'static str, String)>,
    /// What the operator wants of every container, as `KEY=VALUE`.
    pub more: Vec<String>,
    /// The program and its arguments; empty for what the image says.
    pub command: Vec<String>,
}

impl Service {
    /// The arguments of `svctl` that run it.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut words: Vec<String> = ["run", "--no-wait", "--name"].map(str::to_owned).to_vec();
        words.push(self.name.clone());
        let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
        self.image.iter().for_each(|image| option("--image", image.clone()));
        self.user.iter().for_each(|user| option("--user", user.clone()));
        option("--directory", self.directory.clone());
        for (key, value) in &self.labels {
            option("--label", format!("{key}={value}"));
        }
        for (name, value) in &self.environment {
            option("--env", format!("{name}={value}"));
        }
        for limit in &self.limits {
            option("--limit", limit.clone());
        }
        for (key, value) in &self.properties {
            option("--property", format!("{key}={value}"));
        }
        for property in &self.more {
            option("--property", property.clone());
        }
        words.push("--".to_owned());
        words.extend(self.command.iter().cloned());
        words
    }
}

/// What a launch becomes.
///
/// # Errors
///
/// If the message does not say all that is needed, or says what cannot be done.
pub fn plan(launch: &Launch, surroundings: &Surroundings) -> Result<Plan> {
    let sandbox = launch.directory.clone().ok_or_else(|| Error::new("launch: no directory is said"))?;
    if !sandbox.starts_with('/') {
        return Err(Error::new(format!("launch: the directory {sandbox:?} is not absolute")));
    }
    let executor = executor(launch, surroundings)?;
    let given = Given { launch, executor: &executor, surroundings, sandbox: &sandbox };
    let services = match (given.image(), launch.task.as_ref().and_then(|task| task.command.as_ref())) {
        (Some(image), Some(task)) => vec![given.in_image(Role::Task, &image, task)?, given.observer()?],
        (Some(image), None) => vec![given.in_image(Role::Executor, &image, &executor.command)?],
        (None, _) => vec![given.outside(command::outside(&executor.command)?)?],
    };
    let user = given.user();
    let uris = executor.command.uris.clone();
    Ok(Plan { sandbox, user, uris, services })
}

/// The executor that is said; for a task alone, which no agent sends, the one that an agent would have said.
fn executor(launch: &Launch, surroundings: &Surroundings) -> Result<Executor> {
    if let Some(executor) = &launch.executor {
        return Ok(executor.clone());
    }
    let task =
        launch.task.as_ref().ok_or_else(|| Error::new("launch: there is neither an executor nor a task"))?;
    let command = task.command.clone().ok_or_else(|| Error::new("launch: there is no executor"))?;
    let libexec = surroundings.variables.get("MESOS_LIBEXEC_DIRECTORY");
    let libexec = libexec.ok_or_else(|| Error::new("launch: MESOS_LIBEXEC_DIRECTORY is not set"))?;
    let value = Some(format!("{libexec}/mesos-executor"));
    Ok(Executor {
        id: task.id.clone(),
        resources: task.resources.clone(),
        command: Command { value, shell: false, arguments: Vec::new(), ..command },
        container: task.container.clone(),
        framework: None,
    })
}

/// All that services are made from.
struct Given<'a> {
    launch: &'a Launch,
    executor: &'a Executor,
    surroundings: &'a Surroundings,
    sandbox: &'a str,
}

impl Given<'_> {
    fn task_command(&self) -> Option<&Command> {
        self.launch.task.as_ref().and_then(|task| task.command.as_ref())
    }

    /// What the message says of a container, the task's own word first.
    fn containers(&self) -> impl Iterator<Item = &ContainerInfo> {
        let task = self.launch.task.as_ref().and_then(|task| task.container.as_ref());
        task.into_iter().chain(&self.executor.container)
    }

    /// The image: of the command (up to 0.26), of the container (since 0.20), or the agent's default.
    fn image(&self) -> Option<String> {
        let commands = self.task_command().into_iter().chain([&self.executor.command]);
        let said = commands.filter_map(|command| command.image.as_ref());
        let said = said.chain(self.containers().filter_map(|container| container.image.as_ref()));
        let default = self.surroundings.variables.get("MESOS_DEFAULT_CONTAINER_IMAGE");
        said.chain(default).find(|image| !image.is_empty()).cloned()
    }

    /// The agent says it, if it changes users at all; whoever else launches may say it in the command.
    fn user(&self) -> Option<String> {
        let command = self.executor.command.user.as_ref();
        self.launch.user.as_ref().or(command).filter(|user| !user.is_empty()).cloned()
    }

    fn work(&self) -> &str {
        work(&self.surroundings.variables)
    }

    fn service(&self, role: Role) -> Service {
        let container = &self.launch.container;
        let file = |name: &str| quoted(&format!("{}/{name}", self.sandbox));
        Service {
            name: names::service(self.work(), container, role),
            labels: vec![
                (names::CONTAINER, container.clone()),
                (names::ROLE, role.word().to_owned()),
                (names::WORK, self.work().to_owned()),
            ],
            properties: vec![("process.stdout", file("stdout")), ("process.stderr", file("stderr"))],
            user: self.user(),
            more: self.wanted(role == Role::Task || self.in_an_image()).collect(),
            ..Service::default()
        }
    }

    /// Whether the executor itself runs in the image.
    fn in_an_image(&self) -> bool {
        self.image().is_some() && self.task_command().is_none()
    }

    /// What the operator wants of every container; of the image only for what runs in one.
    fn wanted(&self, image: bool) -> impl Iterator<Item = String> {
        let lines = self.surroundings.variables.get(PROPERTIES).map_or("", String::as_str).lines();
        let lines = lines.map(str::trim).filter(move |line| image || !line.starts_with("image"));
        lines.filter(|line| !line.is_empty()).map(str::to_owned)
    }

    fn limits(&self) -> Vec<String> {
        limits(&self.executor.resources, quota(&self.surroundings.variables))
    }

    fn in_image(&self, role: Role, image: &str, command: &Command) -> Result<Service> {
        let mut service = self.service(role);
        let (words, arguments) = command::in_image(command)?;
        service.image = Some(image.to_owned());
        service.directory = SANDBOX.to_owned();
        service.environment = self.environment(SANDBOX, command)?;
        service.limits = self.limits();
        service.command = words;
        if let Some(arguments) = arguments {
            service.properties.push(("image.arguments", list(arguments.iter().map(|word| quoted(word)))));
        }
        service.properties.push(("image.writable", "true".to_owned()));
        let sandbox =
            Volume { container: SANDBOX.to_owned(), host: Some(self.sandbox.to_owned()), read_only: false };
        let mut volumes = vec![volume(&sandbox, self.sandbox)?];
        for wanted in self.containers().take(1).flat_map(|container| &container.volumes) {
            volumes.push(volume(wanted, self.sandbox)?);
        }
        service.properties.push(("image.volumes", list(volumes)));
        Ok(service)
    }

    /// The executor, outside of the image in which its task runs.
    fn observer(&self) -> Result<Service> {
        let task = names::service(self.work(), &self.launch.container, Role::Task);
        let words = command::observer(&self.executor.command, &self.surroundings.program, &task)?;
        let mut service = self.outside(words)?;
        // What is limited is the task.
        service.limits = Vec::new();
        Ok(service)
    }

    fn outside(&self, words: Vec<String>) -> Result<Service> {
        let observes = self.image().is_some();
        if !observes && self.containers().any(|container| !container.volumes.is_empty()) {
            return Err(Error::new("launch: volumes are for images, and there is none"));
        }
        let mut service = self.service(Role::Executor);
        service.directory = self.sandbox.to_owned();
        service.environment = self.environment(self.sandbox, &self.executor.command)?;
        service.limits = self.limits();
        service.command = words;
        Ok(service)
    }
}

/// The agent's work directory, by which agents are told apart.
#[must_use]
pub fn work(variables: &BTreeMap<String, String>) -> &str {
    variables.get("MESOS_WORK_DIRECTORY").map_or("", String::as_str)
}

/// Whether processors are limited by a quota: the agent's own flag, which its environment may have.
#[must_use]
pub fn quota(variables: &BTreeMap<String, String>) -> bool {
    variables.get("MESOS_CGROUPS_ENABLE_CFS").is_some_and(|value| value == "true" || value == "1")
}

/// A volume as a definition has it. What is not absolute on the machine is in the sandbox.
fn volume(volume: &Volume, sandbox: &str) -> Result<String> {
    let target = &volume.container;
    let host = volume.host.as_ref();
    let host =
        host.ok_or_else(|| Error::new(format!("launch: the volume {target} is of nothing on this machine")))?;
    if !target.starts_with('/') {
        return Err(Error::new(format!("launch: the volume's path {target:?} is not absolute")));
    }
    let source = if host.starts_with('/') { host.clone() } else { format!("{sandbox}/{host}") };
    let writable = !volume.read_only;
    Ok(format!("{{ source = {}, target = {}, writable = {writable} }}", quoted(&source), quoted(target)))
}

/// A string in TOML. What JSON escapes, TOML reads; the one character more that it wants escaped is DEL.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\x7f', "\\u007f")
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    format!("[{}]", items.into_iter().collect::<Vec<_>>().join(", "))
}
