//! Telling how a service stands where its supervisor does not: status file, clients, console.

use crate::message::Level;
use crate::runtime::Init;
use service::definition::Kind;
use service::graph::{Index, Obstacle};
use service::status::State;

impl Init {
    /// Writes the status of a service that has no supervisor to do so, and tells whoever listens.
    pub(crate) fn publish(&mut self, index: Index) {
        let Some(node) = self.graph.nodes().get(index) else { return };
        let name_of =
            |other: Index| self.graph.nodes().get(other).map_or("?", |node| node.entry.name.as_str());
        let reason = match (&node.entry.problem, node.obstacle) {
            (Some(problem), _) => problem.clone(),
            (None, Obstacle::Waits(other)) => format!("waiting for {}", name_of(other)),
            (None, Obstacle::Requires(other)) if node.entry.kind == Kind::Bundle => {
                format!("{} is not up", name_of(other))
            }
            (None, Obstacle::Requires(other)) => format!("requires {}, which is not up", name_of(other)),
            (None, Obstacle::Conflicts(other)) => format!("conflicts with {}", name_of(other)),
            (None, Obstacle::None) => String::new(),
        };
        let wanted = self.graph.wanted(index);
        let (name, state, kind) = (node.entry.name.clone(), node.state, node.entry.kind);
        self.write_status(index, &name, kind, state, wanted, &reason);
        self.announce(index, state, &reason);
    }

    /// Tells the clients and, if it matters, the console.
    pub(crate) fn announce(&mut self, index: Index, state: State, reason: &str) {
        self.main_changed(index, state);
        if state.good() {
            // It may have loaded the driver.
            self.start_watchdog(false);
        }
        let Some(node) = self.graph.nodes().get(index) else { return };
        let name = node.entry.name.clone();
        let level = match state {
            State::Failed | State::Invalid => Level::Warning,
            State::Up | State::Listening | State::Done | State::Skipped | State::Backoff => Level::Info,
            State::Down if self.graph.going_down() => Level::Info,
            State::Down | State::Blocked | State::Starting | State::Stopping | State::Finishing => {
                Level::Debug
            }
        };
        let why = if reason.is_empty() { String::new() } else { format!(": {}", reason.replace('\n', "; ")) };
        let news =
            self.services.get_mut(index).is_none_or(|service| service.told.replace(state) != Some(state));
        if news {
            self.messages.say(level, &format!("{name}: {}{why}", state.word()));
        }
        let line = self.report_line(index);
        self.clients.broadcast(&format!("{line}\n"));
    }
}
