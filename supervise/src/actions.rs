//! Performing what the machine asks for: processes started, signals sent.

use crate::cgroup::Group;
use crate::launch::{self, Surroundings};
use crate::scripts;
use crate::sockets::OWNER;
use crate::store::READY;
use crate::supervisor::Supervisor;
use service::definition::{ReadyMethod, Scope};
use service::machine::{Action, Event};
use service::status::State;
use service::{Pid, Signal, WaitStatus};
use std::ffi::CStr;
use std::os::fd::AsFd;
use sys::record::{Record, Slot};

impl Supervisor {
    pub(crate) fn perform(&mut self, action: Action) {
        self.exiting &= !action.starts();
        match action {
            Action::Spawn => self.spawn(),
            Action::Listen => self.listen(),
            Action::Signal(pid, signal, scope) => self.signal(pid, signal, scope),
            Action::SpawnFinish(status) => self.spawn_finish(status),
            Action::SpawnDown => self.spawn_down(),
            Action::StartTask(task) => self.start_task(task),
            Action::EndTask(task) => self.end_task(task),
            Action::Sweep => self.sweep(),
            Action::Publish => self.dirty = true,
            // Not before it has been told of all that runs.
            Action::Exit => self.exiting = !self.leftovers.has_main(),
        }
    }

    fn signal(&mut self, pid: Pid, signal: Signal, scope: Scope) {
        if signal == Signal::KILL && self.machine.state() != State::Up {
            self.say(&format!("warning: process {pid} has not ended in time (killing it)"));
        }
        if self.definition.controls.is_empty() || !self.controlled(pid, signal, scope) {
            self.send(pid, signal, scope);
        }
    }

    pub(crate) fn send(&mut self, pid: Pid, signal: Signal, scope: Scope) {
        // Its number may mean another by now.
        if self.adopted_is_gone(pid) && (scope != Scope::Cgroup || self.group.is_none()) {
            return;
        }
        let sent = match scope {
            Scope::Main => sys::process::signal(pid, signal),
            // A finish script is not in it.
            Scope::Cgroup if self.machine.pid() == Some(pid) => self.signal_all(pid, signal),
            Scope::Group | Scope::Cgroup => sys::process::signal_group(pid, signal),
        };
        if let Err(error) = sent {
            let reason = launch::reason(&error);
            self.say(&format!(
                "warning: unable to send {signal} to process {pid}: {reason} (its end is awaited)"
            ));
        }
    }

    fn spawn(&mut self) {
        if let Some(pid) = self.claim_main() {
            return self.queue.push_front(Event::Spawned(pid));
        }
        if let Err(problem) = self.prepare_group() {
            self.problem = problem;
            return self.queue.push_front(Event::SpawnFailed);
        }
        self.heed_prepared();
        let (pipe, number) = match self.definition.ready.method {
            ReadyMethod::Descriptor(number) => (sys::pipe::pair(), number),
            ReadyMethod::Immediate | ReadyMethod::Notify(_) | ReadyMethod::Command { .. } => {
                (Err(std::io::ErrorKind::Unsupported.into()), 0)
            }
        };
        let (reader, writer) = pipe.ok().unzip();
        if let Some(reader) = &reader {
            self.keep(READY, reader);
        }
        let opened = self.open_sockets();
        let lock = opened.and_then(|()| self.lock_service());
        let started = lock.and_then(|lock| {
            let definition = self.prepared_definition()?;
            let lock = lock.as_ref().map(|(lock, number)| (lock.as_fd(), *number));
            let ready = writer.as_ref().map(|writer| (writer.as_fd(), number));
            let extra: Vec<_> = lock.into_iter().chain(ready).chain(self.socket_descriptors()).collect();
            let variables = [self.notify_variables(), self.socket_variables()].concat();
            let own_number = self.numbered_variables();
            let surroundings = Surroundings {
                extra: &extra,
                variables: &variables,
                own_number: &own_number,
                role: crate::setup::Role::Main,
                inherited: self.inherited.as_ref(),
                cgroup: self.group.as_ref().map(Group::entry),
                record: self.record_in(Slot::Main),
                ..self.surroundings()
            };
            self.launch(&definition, &scripts::main_command(&definition), &surroundings)
        });
        let event = match started {
            Ok(child) => {
                self.pid_start = sys::process::start_time(child.pid).map_or(0, |(start, _)| start);
                self.pid_inode = sys::process::inode(&child.descriptor);
                self.last_pid = Some(child.pid);
                self.watch_notification(reader);
                self.forget_text();
                self.problem.clear();
                Event::Spawned(child.pid)
            }
            Err(problem) => {
                self.problem = problem;
                Event::SpawnFailed
            }
        };
        // Before anything else that waits: the machine has asked, and gets its answer.
        self.queue.push_front(event);
    }

    /// The variables that are to have the number of the process.
    fn numbered_variables(&self) -> Vec<&'static CStr> {
        let watched = self.definition.watchdog.is_some();
        let given = !self.definition.sockets.is_empty();
        let all = [(watched, c"WATCHDOG_PID="), (given, OWNER)];
        all.into_iter().filter(|(holds, _)| *holds).map(|(_, name)| name).collect()
    }

    pub(crate) fn record_in(&self, slot: Slot) -> Option<Record<'_>> {
        self.record.as_ref().map(|file| Record { file: file.as_fd(), slot })
    }

    fn spawn_finish(&mut self, status: WaitStatus) {
        if let Some(pid) = self.claim_after() {
            return self.queue.push_front(Event::FinishSpawned(Some(pid)));
        }
        let mut definition = self.definition.clone();
        definition.working_directory.clone_from(&self.definition.directory);
        let command = scripts::finish_command(&definition, status, self.last_pid.map_or(0, Pid::number));
        let surroundings = Surroundings { record: self.record_in(Slot::After), ..self.surroundings() };
        let child = self.launch(&definition, &command, &surroundings);
        self.note_after(child.as_ref().ok());
        if let Err(problem) = &child {
            self.say(&format!("warning: finish script: {problem} (going on without)"));
        }
        self.queue.push_front(Event::FinishSpawned(child.ok().map(|child| child.pid)));
    }
}
