//! The verbs of the protocol.

use crate::delivery::{await_reader, expect_reader};
use crate::error::{Error, Result};
use crate::framing::{receive, send};
use crate::limits::limits;
use crate::messages;
use crate::names::Role;
use crate::plan::{self, Surroundings, plan};
use crate::report::{self, Part};
use crate::sandbox;
use crate::svctl::{EXISTS, FAILED, Svctl, TIMED_OUT};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

/// Every verb with what it does, as `--help` shows them.
pub const VERBS: [(&str, &str); 8] = [
    ("launch", "read Launch; start a container"),
    ("wait", "read Wait; write Termination when it has ended, and forget it"),
    ("update", "read Update; change what it may use"),
    ("usage", "read Usage; write ResourceStatistics"),
    ("destroy", "read Destroy; end a container, and forget it"),
    ("containers", "write Containers: those that have not been forgotten"),
    ("recover", "make sure that the containers can be told"),
    ("observe SERVICE", "wait for a container's task, and end as it does (what the executor is told to run)"),
];

/// What a verb works with.
#[derive(Debug)]
pub struct Machine {
    /// Who supervises.
    pub svctl: Svctl,
    /// The environment.
    pub surroundings: Surroundings,
}

/// What went wrong, and with which container, as far as that is known.
#[derive(Debug)]
pub struct Failed {
    /// The container's id.
    pub container: Option<String>,
    /// What.
    pub error: Error,
}

impl Machine {
    fn work(&self) -> &str {
        plan::work(&self.surroundings.variables)
    }

    /// The services of a container: the executor before the task; none if it is not known.
    fn parts_of(&self, container: &str) -> Result<Vec<Part>> {
        let parts = self.svctl.parts(self.work())?;
        Ok(parts.into_iter().filter(|part| part.container == container).collect())
    }

    /// The same of one that has to be there.
    fn known(&self, container: &str, what: &str) -> Result<Vec<Part>> {
        let parts = self.parts_of(container)?;
        if parts.is_empty() {
            Err(Error::new(format!("{what}: there is no such container")))
        } else {
            Ok(parts)
        }
    }

    /// Carries out the verb of this name; false if there is none.
    ///
    /// # Errors
    ///
    /// Why it was not done.
    pub fn run(
        &self,
        verb: &str,
        input: &mut (impl Read + AsFd),
        output: &File,
    ) -> std::result::Result<bool, Failed> {
        let plain = |error| Failed { container: None, error };
        match verb {
            "launch" => {
                let message = receive(input).and_then(|bytes| messages::launch(&bytes)).map_err(plain)?;
                self.with(message.container.clone(), |_| self.launch(&message))
            }
            "update" => {
                let (container, resources) =
                    receive(input).and_then(|bytes| messages::update(&bytes)).map_err(plain)?;
                self.with(container, |container| self.update(container, &resources))
            }
            "wait" => self.with(self.named(input)?, |container| self.wait(container, output)),
            "usage" => self.with(self.named(input)?, |container| self.usage(container, output)),
            "destroy" => self.with(self.named(input)?, |container| self.destroy(container)),
            "containers" => self.containers(output).map(|()| true).map_err(plain),
            "recover" => self.svctl.parts(self.work()).map(|_| true).map_err(plain),
            _ => Ok(false),
        }
    }

    fn named(&self, input: &mut (impl Read + AsFd)) -> std::result::Result<String, Failed> {
        let container = receive(input).and_then(|bytes| messages::of_container(&bytes));
        container.map_err(|error| Failed { container: None, error })
    }

    fn with(
        &self,
        container: String,
        act: impl FnOnce(&str) -> Result<()>,
    ) -> std::result::Result<bool, Failed> {
        act(&container).map(|()| true).map_err(|error| Failed { container: Some(container), error })
    }

    fn launch(&self, message: &messages::Launch) -> Result<()> {
        let plan = plan(message, &self.surroundings)?;
        if !self.parts_of(&message.container)?.is_empty() {
            return Err(exists());
        }
        sandbox::prepare(&plan, &self.surroundings.variables)?;
        let mut begun: Vec<&str> = Vec::new();
        for service in &plan.services {
            let called = self.svctl.call(&service.arguments())?;
            if called.code == Some(0) {
                begun.push(&service.name);
                continue;
            }
            // Whoever was first has it; what is not ours is left alone.
            let error = if called.code == Some(EXISTS) { exists() } else { called.error("launch") };
            if matches!(called.code, Some(FAILED | TIMED_OUT)) {
                begun.push(&service.name);
            }
            if !begun.is_empty() {
                self.svctl.destroy(&begun)?;
            }
            return Err(error);
        }
        Ok(())
    }

    /// What of a container has limits: its task, where that is apart.
    fn limited(parts: &[Part]) -> &str {
        parts.iter().max_by_key(|part| part.role).map_or("", |part| part.name.as_str())
    }

    fn update(&self, container: &str, resources: &messages::Resources) -> Result<()> {
        let parts = self.known(container, "update it")?;
        let limits = limits(resources, plan::quota(&self.surroundings.variables));
        if limits.is_empty() {
            return Ok(());
        }
        let words: Vec<&str> =
            ["update", Self::limited(&parts)].into_iter().chain(limits.iter().map(String::as_str)).collect();
        let called = self.svctl.call(&words)?;
        if called.code == Some(1) {
            // As at its launch: a machine without the controller goes without the limit, and says so.
            warn(container, &called.said);
            return Ok(());
        }
        called.ok("update it").map(drop)
    }

    fn usage(&self, container: &str, output: &File) -> Result<()> {
        expect_reader(output)?;
        let parts = self.known(container, "tell its usage")?;
        let called = self.svctl.call(&["usage", "--json", Self::limited(&parts)])?;
        if called.output.is_empty() {
            return Err(called.error("tell its usage"));
        }
        send(&mut { output }, &report::statistics(&called.output)?.encode())
    }

    fn wait(&self, container: &str, output: &File) -> Result<()> {
        expect_reader(output)?;
        let parts = self.known(container, "wait for it")?;
        let termination = match parts.iter().find(|part| part.role == Role::Executor) {
            Some(executor) => {
                let called = self.svctl.call(&["wait", "--ended", "--json", &executor.name])?;
                report::termination(&called.ok("wait for it")?)?
            }
            None => report::never_begun(),
        };
        // With the executor the container ends, whatever its task does.
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        let tasks: Vec<&str> =
            parts.iter().filter(|part| part.role == Role::Task).map(|part| part.name.as_str()).collect();
        if names.len() > 1 {
            self.svctl.destroy(&tasks)?;
        }
        send(&mut { output }, &termination.encode())?;
        await_reader(output)?;
        self.svctl.destroy(&names)
    }

    fn destroy(&self, container: &str) -> Result<()> {
        let parts = self.parts_of(container)?;
        if parts.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        self.svctl.destroy(&names)
    }

    fn containers(&self, output: &File) -> Result<()> {
        expect_reader(output)?;
        let mut ids: Vec<String> =
            self.svctl.parts(self.work())?.into_iter().map(|part| part.container).collect();
        ids.dedup();
        send(&mut { output }, &messages::containers(ids.iter().map(String::as_str)))
    }

    /// Waits for a service, and tells how this program has to end.
    ///
    /// # Errors
    ///
    /// If the service is not known.
    pub fn observe(&self, service: &str) -> Result<u8> {
        let called = self.svctl.call(&["wait", "--ended", "--json", service])?;
        report::exit_code(&called.ok("wait for the task")?)
    }
}

fn exists() -> Error {
    Error::new("launch: there is a container of this id")
}

/// Without `eprintln!`, which panics if nobody listens.
fn warn(container: &str, said: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "external-containerizer {container}: warning: {said}");
}
