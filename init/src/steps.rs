//! Carrying out what the graph says.

use crate::runtime::Init;
use crate::services::Service;
use service::graph::{Index, Request, Step};
use service::status::{State, Want};
use service::wire::{Command, InitCommand, Planned};

impl Init {
    /// Does one thing that the graph has to have done now.
    pub(crate) fn perform_step(&mut self, step: Step) {
        match step {
            Step::Launch(index) => self.launch(index),
            Step::Restart(index) => self.tell(index, Command::Restart),
            Step::Stop(index) if self.leaves_its_writers(index) => self.tell(index, Command::Halt),
            Step::Stop(index) => self.tell(index, Command::Stop),
            Step::Halt(index) => {
                self.end_input(index);
                self.tell(index, Command::Halt);
            }
            Step::Publish(index) => self.publish(index),
            Step::Forget(index) => self.let_go(index),
        }
    }

    /// What is told to a service that has no supervisor.
    pub(crate) fn tell_nobody(&mut self, index: Index, command: Command) {
        let Some(service) = self.services.get_mut(index) else { return };
        let done = self.graph.nodes().get(index).is_some_and(service::graph::Node::can_be_undone);
        match command {
            // The next supervisor is told.
            Command::Restart => service.restart = true,
            // What a oneshot has done is undone by a supervisor of its own.
            Command::Stop | Command::Halt if done && service.has_ended() => self.resume_supervisor(index),
            Command::Stop | Command::Halt => {
                // It cannot be running then: what it is told is what it is.
                service.restart_at = None;
                service.unheard.clear();
                self.graph.report(index, State::Down, Want::Down, false);
                self.publish(index);
            }
            Command::Start
            | Command::Once
            | Command::Reload
            | Command::Kill(_)
            | Command::Pause
            | Command::Continue
            | Command::Exit
            | Command::Reexec
            | Command::Status
            | Command::Events
            | Command::Died(..)
            | Command::Connect(_)
            | Command::Disconnect => {}
        }
    }

    /// A service that is in no plan any more is down.
    fn let_go(&mut self, index: Index) {
        if self.services.get(index).is_some_and(Service::has_supervisor) {
            self.tell(index, Command::Exit);
        } else {
            self.forget_if_left(index);
        }
    }

    /// Lets go of everything that belongs to a service which has left, once it has no supervisor any more.
    pub(crate) fn forget_if_left(&mut self, index: Index) {
        if self.has_left(index) && !self.forget_log(index) {
            self.forget_service(index);
        }
    }

    /// Whether a service is in no plan any more, and nothing of it runs.
    pub(crate) fn has_left(&self, index: Index) -> bool {
        let down = self.graph.nodes().get(index).is_some_and(|node| node.state == State::Down);
        let still = |service: &Service| {
            !service.is_untouched() && (service.has_supervisor() || service.needs_supervisor())
        };
        self.graph.leaving(index) && down && !self.services.get(index).is_none_or(still)
    }

    /// Nothing of it is left to be done.
    pub(crate) fn forget_service(&mut self, index: Index) {
        let Some(service) = self.services.get_mut(index) else { return };
        service.forget();
        let name = self.graph.name(index).to_owned();
        self.graph.forgotten(index);
        self.forget_directory(&name);
        self.messages.info(&format!("{name}: forgotten, since it has no definition any more"));
    }

    /// What a command asks of the services together, if it does.
    pub(crate) fn request(command: InitCommand<'_>, index: Option<Index>) -> Option<Request> {
        Some(match command {
            InitCommand::Start(_) | InitCommand::Plan(Planned::Start(_)) => Request::Start(index?),
            InitCommand::Once(_) => Request::Once(index?),
            InitCommand::Stop(_) | InitCommand::Plan(Planned::Stop(_)) => Request::Stop(index?),
            InitCommand::Restart(_) | InitCommand::Plan(Planned::Restart(_)) => Request::Restart(index?),
            InitCommand::Switch(_) | InitCommand::Plan(Planned::Switch(_)) => Request::Switch(index?),
            InitCommand::Plan(Planned::PowerOff) => Request::PowerOff,
            InitCommand::Plan(Planned::Reload)
            | InitCommand::ReloadService(_)
            | InitCommand::Kill(..)
            | InitCommand::Pause(_)
            | InitCommand::Continue(_)
            | InitCommand::Reload
            | InitCommand::Refresh(_)
            | InitCommand::Reexec
            | InitCommand::ReexecService(_)
            | InitCommand::Power(_)
            | InitCommand::Events
            | InitCommand::Fault(_) => return None,
        })
    }
}
