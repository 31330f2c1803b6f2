//! Who asked for what, in the service's own log.

use crate::supervisor::Supervisor;
use service::wire::Command;

impl Supervisor {
    /// Puts a command on record that a client has given. What init says is on record at init.
    pub(crate) fn note_request(&self, client: u64, command: Command) {
        let Some(peer) = self.clients.peer(client) else { return };
        let name = sys::process::name(peer.pid).map(|name| format!(" ({name})")).unwrap_or_default();
        self.say(&format!("{command}: asked for by process {}{name} of user {}", peer.pid, peer.user));
    }
}
