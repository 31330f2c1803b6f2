//! What init keeps for supervisors over their deaths: descriptors, the ends of processes that they could not reap
//! themselves, and commands that they have not carried out.

use crate::runtime::Init;
use crate::services::Service;
use service::graph::Index;
use service::wire::{Command, SupervisorMessage};
use service::{Pid, WaitStatus};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;

/// As many descriptors as are kept for one service: its sockets, and what its supervisor itself has.
pub(crate) const KEPT_MAX: usize = service::definition::SOCKETS_MAX + 8;

/// The number of the first of them in a supervisor: after those of its pipes.
pub(crate) const KEPT_FROM: i32 = 6;

/// As many deaths as are remembered.
const DEATHS_MAX: usize = 128;

/// As many commands as wait for one supervisor.
pub(crate) const COMMANDS_MAX: usize = 64;

/// The last deaths of processes that init has reaped in the place of others, the newest at the end.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    ring: VecDeque<(Pid, WaitStatus)>,
}

impl Deaths {
    pub(crate) fn note(&mut self, pid: Pid, status: WaitStatus) {
        if self.ring.len() == DEATHS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back((pid, status));
    }

    /// All of them, the newest first.
    pub(crate) fn last(&self) -> impl Iterator<Item = &(Pid, WaitStatus)> {
        self.ring.iter().rev()
    }

    /// How the process ended that had this number last.
    fn find(&self, pid: Pid) -> Option<WaitStatus> {
        self.ring.iter().rev().find(|(other, _)| *other == pid).map(|(_, status)| *status)
    }
}

impl Service {
    /// Keeps a descriptor no longer.
    fn let_go(&mut self, tag: &str) {
        let dropped = self.kept.extract_if(.., |(other, _)| other == tag);
        self.closing.extend(dropped.map(|(_, descriptor)| descriptor));
    }

    /// Keeps a descriptor in the place of the one of the same tag. False if there are too many.
    fn keep(&mut self, tag: &str, descriptor: OwnedFd) -> bool {
        self.let_go(tag);
        let room = self.kept.len() < KEPT_MAX;
        if room {
            self.kept.push((tag.to_owned(), descriptor));
        }
        room
    }
}

impl Init {
    /// A supervisor asks for something.
    pub(crate) fn take_message(
        &mut self,
        index: Index,
        message: SupervisorMessage<'_>,
        passed: Option<OwnedFd>,
    ) {
        let Some(service) = self.services.get_mut(index) else { return };
        match message {
            SupervisorMessage::Keep(tag) => {
                let kept = passed.is_some_and(|descriptor| service.keep(tag, descriptor));
                if !kept {
                    let name = self.graph.nodes().get(index).map_or("?", |node| node.entry.name.as_str());
                    self.messages.warning(&format!("{name}: its supervisor has too much to be kept for it"));
                }
            }
            SupervisorMessage::Drop(tag) => service.let_go(tag),
            SupervisorMessage::Taken(count) => service.taken(count),
            SupervisorMessage::Awaits(pid) => match self.deaths.find(pid) {
                // One that lives got the number since.
                None if sys::process::exists(pid) => service.awaits = Some(pid),
                known => self.tell(index, Command::Died(pid, known.unwrap_or(WaitStatus::Unknown))),
            },
        }
    }

    /// A process has ended that is nobody's main process, as far as is known.
    pub(crate) fn stranger_ended(&mut self, pid: Pid, status: WaitStatus) {
        self.deaths.note(pid, status);
        if let Some(index) = self.services.iter().position(|service| service.awaits == Some(pid)) {
            if let Some(service) = self.services.get_mut(index) {
                service.awaits = None;
            }
            self.tell(index, Command::Died(pid, status));
        }
    }
}

/// Whether a command that one supervisor may have carried out before it died can be told to the next: what is
/// wanted, and how a process ended. What would be done twice is not, nor what the next one has from its start on.
pub(crate) fn may_be_repeated(command: &Command) -> bool {
    !matches!(
        command,
        Command::Kill(_)
            | Command::Reexec
            | Command::Status
            | Command::Events
            | Command::Connect(_)
            | Command::Disconnect
    )
}

/// Whether a command starts a service that is at rest.
pub(crate) fn begins(command: &Command) -> bool {
    matches!(command, Command::Start | Command::Once | Command::Restart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_death_of_a_number_counts_and_old_ones_are_forgotten() {
        let mut deaths = Deaths::default();
        let pid = |number| Pid::new(number).unwrap();
        deaths.note(pid(7), WaitStatus::Exited(1));
        deaths.note(pid(7), WaitStatus::Exited(2));
        assert_eq!(deaths.find(pid(7)), Some(WaitStatus::Exited(2)));
        for number in 0..i32::try_from(DEATHS_MAX).unwrap() {
            deaths.note(pid(100 + number), WaitStatus::Exited(0));
        }
        assert_eq!((deaths.find(pid(7)), deaths.ring.len()), (None, DEATHS_MAX));
    }

    #[test]
    fn a_tag_is_kept_once_and_there_is_a_limit() {
        let mut service = Service::default();
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        for number in 0..KEPT_MAX {
            assert!(service.keep(&number.to_string(), null()));
        }
        assert!(service.keep("0", null()) && !service.keep("more", null()));
        assert_eq!(service.kept.len(), KEPT_MAX);
    }
}
