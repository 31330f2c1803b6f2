//! Who asks for something, whether they may, and the record of it.

use crate::message::reason;
use crate::runtime::Init;
use service::definition::Kind;
use service::graph::Index;
use service::settings::Settings;
use service::wire::InitCommand;
use std::fmt;
use std::time::Duration;

/// So many refusals are told in each such time: a stranger must not be able to fill the console.
const REFUSALS_TOLD: u32 = 10;
const REFUSALS_TIME: Duration = Duration::from_secs(60);

/// A client that asks for something.
pub(crate) struct Asker {
    pid: i32,
    user: u32,
    name: Option<String>,
}

impl fmt::Display for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            _ if self.pid == 0 => write!(f, "a process of another PID namespace")?,
            Some(name) => write!(f, "process {} ({name})", self.pid)?,
            None => write!(f, "process {}", self.pid)?,
        }
        write!(f, " of user {}", self.user)
    }
}

/// How much has been said of refusals lately.
#[derive(Default)]
pub(crate) struct Refusals {
    since: Option<service::Tick>,
    told: u32,
    untold: u32,
}

impl Init {
    /// Who is at the other end; none for a client that has been let go meanwhile.
    pub(crate) fn asker(&self, token: u64) -> Option<Asker> {
        let peer = self.clients.peer(token)?;
        Some(Asker { pid: peer.pid, user: peer.user, name: sys::process::name(peer.pid) })
    }

    /// Why this client may not have that done; none if it may.
    pub(crate) fn refusal(&self, token: u64, command: InitCommand<'_>) -> Option<String> {
        if self.clients.owned(token) {
            return None;
        }
        let user = self.clients.peer(token)?.user;
        let groups = self.clients.groups(token);
        // Events tell what the status files tell everybody, but keep a place: for those who may do anything.
        let allowed = if command == InitCommand::Events {
            self.settings.knows(user, &groups)
        } else {
            self.settings.allow(user, &groups, command.verb(), command.name())
        };
        let what = [Some(command.verb()), command.name()].into_iter().flatten().collect::<Vec<_>>().join(" ");
        (!allowed).then(|| format!("not allowed: user {user} may not {}", what.escape_debug()))
    }

    /// Puts a refusal on record, unless there were many.
    pub(crate) fn note_refusal(&mut self, token: u64, why: &str) {
        let now = sys::clock::now();
        let refusals = &mut self.refusals;
        if refusals.since.is_none_or(|since| now.since(since) >= REFUSALS_TIME) {
            (refusals.since, refusals.told) = (Some(now), 0);
        }
        if refusals.told >= REFUSALS_TOLD {
            refusals.untold = refusals.untold.saturating_add(1);
            return;
        }
        refusals.told += 1;
        let left_out = std::mem::take(&mut refusals.untold);
        let more = if left_out > 0 { format!(" (and {left_out} before it)") } else { String::new() };
        let by = self.asker(token).map_or_else(|| "somebody".to_owned(), |asker| asker.to_string());
        self.messages.warning(&format!("{why}: asked for by {by}{more}"));
    }

    /// Puts on record who asked for what: in our messages, and in the log of the service that it concerns.
    pub(crate) fn note_request(&mut self, command: InitCommand<'_>, index: Option<Index>, by: &str) {
        self.messages.info(&format!("{command}: asked for by {by}"));
        let line = format!("init: {command}: asked for by {by}\n");
        let mut pending: Vec<Index> = index.into_iter().collect();
        let mut next = 0;
        // A bundle has no log: its members have.
        while let Some(index) = pending.get(next).copied() {
            next += 1;
            let Some(node) = self.graph.nodes().get(index) else { continue };
            if node.entry.kind == Kind::Bundle {
                let members = node.entry.contents.iter().filter_map(|name| self.graph.find(name));
                let new: Vec<Index> = members.filter(|member| !pending.contains(member)).collect();
                pending.extend(new);
            }
            let log = self.services.get(index).and_then(|service| service.log.as_ref());
            if let Some((_, writer)) = log {
                // A full pipe is not waited for: our own message remains.
                let _ = sys::pipe::append(writer, line.as_bytes());
            }
        }
    }

    /// Reads the settings that were compiled with the plan. What cannot be read allows nobody anything.
    pub(crate) fn read_settings(&mut self) {
        let file = self.options.run.join("init/settings");
        let settings = match std::fs::read_to_string(&file) {
            Ok(text) => Settings::decode(&text).ok_or_else(|| "it was written by another version".to_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
            Err(error) => Err(reason(&error)),
        };
        self.settings = settings.unwrap_or_else(|problem| {
            let file = file.display();
            self.messages.error(&format!("unable to read {file}: {problem} (going on without)"));
            Settings::default()
        });
        // Without rules nobody else has any business here.
        let all = !self.settings.rules.is_empty();
        let control = self.options.run.join("init/control");
        if let Err(error) = sys::socket::open_to_all(&control, all)
            && all
        {
            let (control, reason) = (control.display(), reason(&error));
            self.messages.error(&format!("unable to open {control} to others: {reason} (going on without)"));
        }
    }
}
