//! Descriptors that outlive a supervisor: init holds them, and gives them to the one after it.

use crate::supervisor::Supervisor;
use service::definition::ReadyMethod;
use service::wire::SupervisorMessage;
use std::os::fd::{AsFd, OwnedFd};

/// The end of the readiness pipe that is read.
pub(crate) const READY: &str = "ready";
/// The socket that takes the service's messages.
pub(crate) const MESSAGES: &str = "messages";

impl Supervisor {
    /// Has init hold a descriptor as well. To be done before anybody has the other end, so that there is no moment
    /// at which our death would close it.
    pub(crate) fn keep(&self, tag: &str, descriptor: impl AsFd) {
        let Some(channel) = &self.channel else { return };
        let message = SupervisorMessage::Keep(tag).to_string();
        if let Err(error) = sys::socket::send(channel, message.as_bytes(), Some(descriptor.as_fd())) {
            let reason = crate::launch::reason(&error);
            self.say(&format!("warning: unable to have init keep \"{tag}\": {reason} (going on without)"));
        }
    }

    /// Has init close it.
    pub(crate) fn let_go(&self, tag: &str) {
        if let Some(channel) = &self.channel {
            let _ = sys::socket::send(channel, SupervisorMessage::Drop(tag).to_string().as_bytes(), None);
        }
    }

    /// What was kept of the supervisor before this one; once.
    pub(crate) fn kept(&mut self, tag: &str) -> Option<OwnedFd> {
        let place = self.kept.iter().position(|(other, _)| other == tag)?;
        Some(self.kept.swap_remove(place).1)
    }

    /// Goes on listening to a service that was left behind before it had said that it is ready, or after.
    pub(crate) fn read_kept(&mut self) {
        let Some(reader) = self.kept(READY) else { return };
        if matches!(self.definition.ready.method, ReadyMethod::Descriptor(_)) {
            self.watch_notification(Some(reader));
            self.read_notification();
        }
    }
}
