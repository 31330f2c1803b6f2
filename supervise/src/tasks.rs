//! The commands that run beside a service: the readiness command, the health check, the reload command; and
//! the down command of a oneshot.

use crate::launch::Surroundings;
use crate::supervisor::Supervisor;
use service::definition::ReadyMethod;
use service::machine::{Event, Task};
use service::{Pid, Signal, WaitStatus};
use std::os::fd::AsFd;
use sys::record::Slot;

/// Those that run.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    probe: Option<Pid>,
    health: Option<Pid>,
    reload: Option<Pid>,
    prepare: Option<Pid>,
}

impl Tasks {
    pub(crate) fn slot(&mut self, task: Task) -> &mut Option<Pid> {
        match task {
            Task::Probe => &mut self.probe,
            Task::Health => &mut self.health,
            Task::Reload => &mut self.reload,
            Task::Prepare => &mut self.prepare,
        }
    }

    /// Which of them a process was that has ended.
    pub(crate) fn ended(&mut self, pid: Pid) -> Option<Task> {
        let task = [Task::Probe, Task::Health, Task::Reload, Task::Prepare]
            .into_iter()
            .find(|task| *self.slot(*task) == Some(pid))?;
        *self.slot(task) = None;
        Some(task)
    }

    /// Whether a reload is under way.
    pub(crate) fn reloads(&self) -> bool {
        self.reload.is_some()
    }

    /// Kills those that another supervisor begins anew.
    pub(crate) fn kill(&self) {
        for pid in self.probe.into_iter().chain(self.health).chain(self.prepare) {
            let _ = sys::process::signal_group(pid, Signal::KILL);
        }
    }
}

fn name(task: Task) -> &'static str {
    match task {
        Task::Probe => "readiness command",
        Task::Health => "health check",
        Task::Reload => "reload command",
        Task::Prepare => "preparation",
    }
}

impl Supervisor {
    pub(crate) fn start_task(&mut self, task: Task) {
        let command = match (task, &self.definition.ready.method) {
            (Task::Probe, ReadyMethod::Command { command, .. }) => command.as_slice(),
            (Task::Probe, _) => &[],
            (Task::Health, _) => self.definition.health.as_ref().map_or(&[][..], |health| &health.command),
            (Task::Reload, _) => &self.definition.reload_command,
            (Task::Prepare, _) => return self.prepare(),
        };
        let surroundings =
            Surroundings { input: self.null.as_fd(), output: None, ours_alone: true, ..self.surroundings() };
        match self.launch(&self.definition, command, &surroundings) {
            Ok(child) => *self.tasks.slot(task) = Some(child.pid),
            Err(problem) => {
                self.say(&format!("warning: {}: {problem} (it has failed)", name(task)));
                self.queue.push_back(Event::TaskEnded(task, false));
            }
        }
    }

    /// Ends a command with all that it has started.
    pub(crate) fn end_task(&mut self, task: Task) {
        if let Some(pid) = self.tasks.slot(task).take() {
            let _ = sys::process::signal_group(pid, Signal::KILL);
        }
    }

    pub(crate) fn task_ended(&mut self, task: Task, status: WaitStatus) {
        if task == Task::Prepare {
            return self.prepare_ended(status);
        }
        // That a service is not ready yet is no news.
        if task != Task::Probe && !status.success() {
            self.say(&format!("warning: {} ended with {status}", name(task)));
        }
        self.queue.push_back(Event::TaskEnded(task, status.success()));
    }

    /// Undoes a oneshot.
    pub(crate) fn spawn_down(&mut self) {
        if let Some(pid) = self.claim_after() {
            return self.queue.push_front(Event::DownSpawned(Some(pid)));
        }
        let surroundings = Surroundings {
            input: self.null.as_fd(),
            output: None,
            record: self.record_in(Slot::After),
            ..self.surroundings()
        };
        let child = self.launch(&self.definition, &self.definition.down_command, &surroundings);
        self.note_after(child.as_ref().ok());
        if let Err(problem) = &child {
            self.say(&format!("warning: down command: {problem} (it has failed)"));
        }
        self.queue.push_front(Event::DownSpawned(child.ok().map(|child| child.pid)));
    }
}
