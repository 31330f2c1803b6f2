//! Pipelines: what one service writes to its standard output is another's standard input.
//!
//! There is one pipe for each service that reads from others, and init holds both of its ends as long as it knows the
//! service: neither side's programs, nor their supervisors, see an end when the other side is started again, and what
//! was not read yet stays in it.

use crate::message::reason;
use crate::runtime::Init;
use service::graph::Index;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
        let Some(service) = self.services.get_mut(index).filter(|service| service.input.is_none()) else {
            return;
        };
        match sys::pipe::pair() {
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

    /// The machine goes down, and whoever wrote to this service is down already: it reads what is left, and then
    /// the end.
    pub(crate) fn end_input(&mut self, index: Index) {
        if let Some(service) = self.services.get_mut(index)
            && let Some(input) = &mut service.input
        {
            service.closing.extend(input.writer.take());
        }
    }
}
