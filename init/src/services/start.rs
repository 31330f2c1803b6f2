//! Supervisors started, and told what they have to know.

use super::{RESPAWN_DELAY, Service, Supervisor};
use crate::message::reason;
use crate::runtime::{Init, SERVICES};
use crate::store::KEPT_FROM;
use service::definition::Kind;
use service::graph::Index;
use service::wire::Command;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::AsFd;
use sys::spawn::Session;

/// The first descriptor of a supervisor after the standard ones.
const FIRST: i32 = 3;

impl Init {
    /// Opens the log pipe of a service that has processes.
    pub(crate) fn new_service(&mut self, index: Index) -> Service {
        let mut service = Service::default();
        let Some(node) = self.graph.nodes().get(index) else { return service };
        let logged = !self.options.logs_to_output && !self.is_command(index);
        if node.entry.kind == Kind::Bundle || node.entry.problem.is_some() || !logged {
            return service;
        }
        match sys::pipe::pair() {
            Ok(pipe) => service.log = Some(pipe),
            Err(error) => {
                let name = node.entry.name.clone();
                let reason = reason(&error);
                self.messages.error(&format!(
                    "{name}: unable to make its log pipe: {reason} (it logs to the console)"
                ));
            }
        }
        service
    }

    /// Has a service started: by its supervisor, which is started first if there is none.
    pub(crate) fn launch(&mut self, index: Index) {
        let Some(service) = self.services.get_mut(index) else { return };
        // What runs, or will, may have nothing new to say.
        if !service.needs_supervisor() {
            service.state = None;
        }
        service.resume = false;
        if service.has_supervisor() {
            self.tell(index, self.begin(index));
        } else {
            self.start_supervisor(index);
        }
    }

    /// What a supervisor is told for its service to run.
    pub(crate) fn begin(&self, index: Index) -> Command {
        if self.graph.once(index) { Command::Once } else { Command::Start }
    }

    /// Starts a supervisor that goes on where the last one was.
    pub(crate) fn resume_supervisor(&mut self, index: Index) {
        if let Some(service) = self.services.get_mut(index) {
            service.resume = true;
        }
        self.start_supervisor(index);
    }

    /// Starts the supervisor, and tells it everything it has to know.
    pub(crate) fn start_supervisor(&mut self, index: Index) {
        let now = sys::clock::now();
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get_mut(index))
        else {
            return;
        };
        service.restart_at = None;
        if service.has_supervisor() || self.going.as_ref().is_some_and(crate::power::Going::past_services) {
            return;
        }
        let name = node.entry.name.clone();
        service.started = Some(now);
        match self.spawn_supervisor(index, &name) {
            Ok(()) => self.greet(index),
            Err(problem) => {
                let Some(service) = self.services.get_mut(index) else { return };
                service.closing.extend(service.supervisor.take().map(|supervisor| supervisor.channel));
                service.restart_at = Some(now.after(RESPAWN_DELAY));
                // Told once: it may last, and is tried every second.
                if service.unstarted.as_ref() != Some(&problem) {
                    self.messages
                        .error(&format!("{name}: unable to start its supervisor: {problem} (trying again)"));
                    service.unstarted = Some(problem);
                }
            }
        }
    }

    /// Tells a new supervisor what is wanted of it, and what it could not hear itself.
    pub(crate) fn greet(&mut self, index: Index) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.unstarted = None;
        let (unheard, restart) = (std::mem::take(&mut service.unheard), std::mem::take(&mut service.restart));
        let resume = service.resume;
        if self.graph.going_down() {
            self.tell(index, Command::Halt);
        } else if self.graph.stopping(index) {
            // The one before it may have died before it heard of that.
            self.tell(index, Command::Stop);
        } else if self.graph.wanted(index) {
            if !resume {
                self.tell(index, self.begin(index));
            }
            if restart {
                self.tell(index, Command::Restart);
            }
        }
        // After what is wanted: what a death means depends on it, and a start after it would be a new one.
        for command in unheard {
            self.tell(index, command);
        }
    }

    fn spawn_supervisor(&mut self, index: Index, name: &str) -> Result<(), String> {
        let (ours, theirs) = sys::socket::pair().map_err(|error| reason(&error))?;
        if let Some(service) = self.services.get_mut(index) {
            service.supervisor =
                Some(Supervisor { pid: None, channel: ours, waiting: VecDeque::new(), sent: 0, new: true });
        }
        // From here on there may be one, whatever becomes of us.
        self.write_service(index);
        let Some(service) = self.services.get(index) else { return Err("it is gone".to_owned()) };
        let run = self.options.run.as_os_str();
        let mut words = Vec::new();
        if service.resume {
            words.push("--resume".to_owned());
            // In case nothing can be read of what the one before knew.
            if self.graph.wanted(index) && !self.graph.stopping(index) {
                words.extend(["--wanted".to_owned(), self.begin(index).to_string()]);
            }
        }
        let [input, output, error] = sys::fd::standard();
        let mut descriptors = match &service.log {
            Some((_, writer)) => vec![(writer.as_fd(), 1), (writer.as_fd(), 2)],
            None => vec![(output, 1), (error, 2)],
        };
        // The numbers of the sockets are fixed: everything else comes after them.
        let given = self.given(index);
        let mut channel = FIRST;
        if let Some(given) = given {
            descriptors.push((input, 0));
            for socket in given.sockets() {
                descriptors.push((socket, channel));
                channel += 1;
            }
        }
        descriptors.push((theirs.as_fd(), channel));
        let number = channel.to_string();
        let mut arguments = vec![OsStr::new("--run"), run, OsStr::new("--channel"), OsStr::new(&number)];
        self.connect(index, &mut arguments, &mut descriptors);
        for ((tag, descriptor), number) in service.kept.iter().zip(KEPT_FROM + channel - FIRST..) {
            words.extend(["--kept".to_owned(), format!("{tag}={number}")]);
            descriptors.push((descriptor.as_fd(), number));
        }
        arguments.extend(words.iter().map(OsStr::new));
        arguments.push(OsStr::new(name));
        let pid = match given {
            None => self.spawn_program("supervise", &arguments, &descriptors)?,
            // Of our session, since the terminal is that session's.
            Some(given) => {
                let environment = given.environment();
                self.spawn_with("supervise", &arguments, &descriptors, environment, Session::Ours)?
            }
        };
        if let Some(supervisor) = self.services.get_mut(index).and_then(|service| service.supervisor.as_mut())
        {
            supervisor.pid = Some(pid);
            let _ = self.poller.add(&supervisor.channel, SERVICES + index as u64);
        }
        Ok(())
    }
}
