//! What others see of a service: its status file, and its report.

use crate::message::reason;
use crate::runtime::Init;
use service::definition::Kind;
use service::graph::Index;
use service::status::{State, Status, Want};
use service::wire::Report;

impl Init {
    /// Writes the status file in the place of a supervisor.
    pub(crate) fn write_status(
        &mut self,
        index: Index,
        name: &str,
        kind: Kind,
        state: State,
        wanted: bool,
        why: &str,
    ) {
        let Some(service) = self.services.get_mut(index) else { return };
        // That it waits for another now does not begin its wait anew.
        let since = service.since.filter(|_| service.state == Some(state)).unwrap_or_else(sys::clock::now);
        service.since = Some(since);
        service.state = Some(state);
        why.clone_into(&mut service.reason);
        let directory = self.options.run.join("service").join(name);
        // What its supervisors have told of it stays, such as how often it was started.
        let before = std::fs::read_to_string(directory.join("status")).ok().filter(|_| service.starts > 0);
        let before = before.and_then(|text| Status::decode(&text));
        let mut status = before.unwrap_or_else(|| Status::new(name, kind));
        (status.pid, status.finish, status.next_start) = (None, None, None);
        status.state = state;
        status.want = if wanted { Want::Up } else { Want::Down };
        service.want = Some(status.want);
        status.since = since;
        why.clone_into(&mut status.reason);
        let written = std::fs::create_dir_all(&directory)
            .and_then(|()| sys::fs::replace(&directory.join("status"), status.encode().as_bytes(), 0o644));
        if let Err(error) = written {
            let place = directory.display();
            let reason = reason(&error);
            self.messages.warning(&format!("unable to write {place}/status: {reason} (going on without)"));
        }
    }

    /// Whether the graph takes it for granted that a service starts, and its supervisor has yet to say so. Nobody is
    /// told of it until then: the status file knows nothing of it either.
    pub(crate) fn is_presumed(&self, index: Index) -> bool {
        let starting = self.graph.nodes().get(index).is_some_and(|node| node.state == State::Starting);
        starting && self.services.get(index).is_some_and(|service| service.state != Some(State::Starting))
    }

    /// A service's report as a line without its newline.
    pub(crate) fn report_line(&self, index: Index) -> String {
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get(index)) else {
            return String::new();
        };
        let wanted = if self.graph.wanted(index) { Want::Up } else { Want::Down };
        let reason = service.reason.replace(['\n', '\r'], " ");
        Report {
            name: &node.entry.name,
            state: node.state,
            want: service.want.filter(|_| service.has_supervisor()).unwrap_or(wanted),
            overdue: false,
            pid: service.main,
            starts: service.starts,
            reason: &reason,
        }
        .to_string()
    }
}
