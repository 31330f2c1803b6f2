//! Pipelines: what one service writes to its standard output is another's standard input.
//!
//! There is one pipe for each service that reads from others, and init holds both of its ends as long as it knows the
//! service: neither side's programs, nor their supervisors, see an end when the other side is started again, and what
//! was not read yet stays in it.

use crate::message::reason;
use crate::runtime::Init;
use crate::services::Service;
use service::graph::Index;
use service::wire::{Command, PipeEnd};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Which pipes a service has: what it reads from, and what it writes to.
pub(crate) type Connection = (Option<RawFd>, Option<RawFd>);

/// The pipe to a service.
pub(crate) struct Input {
    pub(crate) reader: OwnedFd,
    /// None once everybody who wrote is down for good, so that the reader comes to the end.
    pub(crate) writer: Option<OwnedFd>,
}

impl Init {
    /// Makes the pipe of a service that reads from others, if it has none.
    pub(crate) fn provide_input(&mut self, index: Index) {
        let node = self.graph.nodes().get(index);
        let Some(node) = node.filter(|node| node.entry.reads_pipe && node.entry.problem.is_none()) else {
            return;
        };
        let name = node.entry.name.clone();
        let Some(service) = self.services.get_mut(index) else { return };
        let ended = match &service.input {
            Some(Input { writer: Some(_), .. }) => return,
            Some(Input { reader, writer: None }) => Some(reader),
            None => None,
        };
        // What is still in a pipe that was given up is not lost if there is another writer again.
        if let Some(writer) = ended.and_then(|reader| sys::pipe::writer_of(reader).ok())
            && let Some(input) = &mut service.input
        {
            input.writer = Some(writer);
            return;
        }
        match sys::pipe::pair() {
            Ok((reader, writer)) if service.input.is_some() => {
                let old = service.input.replace(Input { reader, writer: Some(writer) });
                service.closing.extend(old.map(|input| input.reader));
            }
            Ok((reader, writer)) => service.input = Some(Input { reader, writer: Some(writer) }),
            Err(error) => {
                let reason = reason(&error);
                self.messages.error(&format!(
                    "{name}: unable to make the pipe to it: {reason} (it reads nothing, and what others write for it \
                     goes to their logs)"
                ));
            }
        }
    }

    /// Adds what the supervisor of a service needs to know of its pipes. Descriptors from 4 on are free.
    pub(crate) fn connect<'a>(
        &'a self,
        index: Index,
        arguments: &mut Vec<&'a OsStr>,
        descriptors: &mut Vec<(BorrowedFd<'a>, i32)>,
    ) {
        if let Some(input) = self.services.get(index).and_then(|service| service.input.as_ref()) {
            arguments.extend([OsStr::new("--input"), OsStr::new("4")]);
            descriptors.push((input.reader.as_fd(), 4));
        }
        if let Some(writer) = self.output_of(index) {
            arguments.extend([OsStr::new("--output"), OsStr::new("5")]);
            descriptors.push((writer.as_fd(), 5));
        }
    }

    /// Where a service writes to, if that is another service.
    fn output_of(&self, index: Index) -> Option<&OwnedFd> {
        let reader = self.graph.nodes().get(index)?.entry.output_to.as_deref()?;
        let reader = self.services.get(self.graph.find(reader)?)?;
        reader.input.as_ref()?.writer.as_ref()
    }

    /// What a command for a supervisor is sent with, as things are now.
    pub(crate) fn with_pipe(&self, index: Index, command: Command) -> (Command, Option<BorrowedFd<'_>>) {
        if command == Command::Connect(PipeEnd::Input) {
            let input = self.services.get(index).and_then(|service| service.input.as_ref());
            return (command, input.map(|input| input.reader.as_fd()));
        }
        if !matches!(command, Command::Connect(PipeEnd::Output) | Command::Disconnect) {
            return (command, None);
        }
        match self.output_of(index) {
            Some(writer) => (Command::Connect(PipeEnd::Output), Some(writer.as_fd())),
            None => (Command::Disconnect, None),
        }
    }

    /// The pipes of every service, to be compared with those that it has after a change.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        (0..self.services.len()).map(|index| self.connection(index)).collect()
    }

    fn connection(&self, index: Index) -> Connection {
        let input = self.services.get(index).and_then(|service| service.input.as_ref());
        (input.map(|input| input.reader.as_raw_fd()), self.output_of(index).map(AsRawFd::as_raw_fd))
    }

    /// Tells the supervisors of those services that have other pipes now: theirs get them at their next start. None
    /// of the descriptors from before has been closed, so a number means one pipe.
    pub(crate) fn reconnect(&mut self, before: &[Connection]) {
        for index in 0..self.services.len() {
            let (input, output) = self.connection(index);
            let (old_input, old_output) = before.get(index).copied().unwrap_or_default();
            if !self.services.get(index).is_some_and(Service::has_supervisor) {
                continue;
            }
            if input != old_input {
                self.tell(index, Command::Connect(PipeEnd::Input));
            }
            if output != old_output {
                self.tell(index, Command::Connect(PipeEnd::Output));
            }
        }
    }

    /// The same for all, whatever they have been told.
    pub(crate) fn reconnect_all(&mut self) {
        for index in 0..self.services.len() {
            let (input, _) = self.connection(index);
            if !self.services.get(index).is_some_and(Service::has_supervisor) {
                continue;
            }
            if input.is_some() {
                self.tell(index, Command::Connect(PipeEnd::Input));
            }
            self.tell(index, Command::Connect(PipeEnd::Output));
            self.tell(index, Command::Reexec);
        }
    }

    /// Gives up the pipe of a service that nobody shall write to any more: it reads what is left, then the end.
    pub(crate) fn end_unread_input(&mut self, index: Index) {
        let Some(node) = self.graph.nodes().get(index) else { return };
        if !node.entry.reads_pipe || self.graph.leaving(index) {
            self.end_input(index);
        }
    }

    /// Whether a service that is in no plan any more may still have to read what others have written. It is halted
    /// rather than stopped: what ends at the end of its input has the time to come to that.
    pub(crate) fn leaves_its_writers(&self, index: Index) -> bool {
        let reads = self.services.get(index).is_some_and(|service| service.input.is_some());
        let drains = self.graph.nodes().get(index).is_some_and(|node| node.entry.drains);
        reads && !drains && self.graph.leaving(index)
    }

    /// Nobody will write to this service any more but those who have the pipe: it reads what is left, and then the
    /// end.
    pub(crate) fn end_input(&mut self, index: Index) {
        if let Some(service) = self.services.get_mut(index)
            && let Some(input) = &mut service.input
        {
            service.closing.extend(input.writer.take());
        }
    }
}
