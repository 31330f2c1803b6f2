//! The verb `why`: what a service waits for, edge by edge, up to what is to blame. It reads files and asks
//! nobody, so that it answers when everything else hangs.

mod exit;
mod record;

use crate::args::Places;
use crate::compile::units::show;
use crate::exit::{Exit, Failure};
use crate::logs;
use crate::output;
use crate::plan::Plan;
use crate::status::{Files, Row};
use service::Tick;
use service::definition::Kind;
use service::plan::Entry;
use service::status::{State, Status, Want};
use std::collections::BTreeSet;

/// How many log lines a cause is shown with.
const LOG_LINES: usize = 5;

/// Explains services.
///
/// # Errors
/// If a name is unknown, or standard output cannot be written.
pub fn run(places: &Places, names: &[String]) -> Result<Exit, Failure> {
    let plan = Plan::read(&places.run);
    let mut story = Story {
        places,
        plan: &plan,
        files: Files::new(),
        now: sys::clock::now(),
        told: BTreeSet::new(),
        text: String::new(),
        good: true,
    };
    for name in names {
        if !plan.knows(&places.run, name) {
            output::print(&story.text)?;
            return Err(plan.no_such(name));
        }
        story.tell(name, "", 0);
    }
    output::print(&story.text)?;
    Ok(if story.good { Exit::Ok } else { Exit::Failed })
}

/// What is told, and what it is told from.
struct Story<'a> {
    places: &'a Places,
    plan: &'a Plan,
    files: Files,
    now: Tick,
    /// What has been explained already.
    told: BTreeSet<String>,
    text: String,
    good: bool,
}

impl Story<'_> {
    /// Tells of one service, and of what it waits for; `edge` is how the one before came to it.
    fn tell(&mut self, name: &str, edge: &str, depth: usize) {
        let row = self.row(name);
        let status = &row.status;
        self.good &= row.good();
        let since = Some(status.since).filter(|since| since.0 != 0).map(|since| self.now.since(since));
        let age = since.map(|time| format!(" for {}", show(time))).unwrap_or_default();
        let pid = status.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        self.line(depth, &format!("{edge}{name}: {}{age}{pid}", status.state.word()));
        if !self.told.insert(name.to_owned()) {
            return self.line(depth + 1, "(see above)");
        }
        if row.unsupervised {
            self.line(depth + 1, "no supervisor looks after it");
        }
        let entry = self.plan.get(name);
        self.tell_state(&row, entry, depth + 1);
        let edges = entry.map(|entry| self.open_edges(entry, status)).unwrap_or_default();
        for (edge, other) in edges {
            self.tell(&other, edge, depth + 1);
        }
    }

    /// A bundle has no file of its own when no init has written one.
    fn row(&mut self, name: &str) -> Row {
        self.files.row(&self.places.run, self.plan, name)
    }

    fn tell_state(&mut self, row: &Row, entry: Option<&Entry>, depth: usize) {
        let status = &row.status;
        // That it waits for another is told by telling of that one.
        let follows = matches!(status.state, State::Blocked) || status.reason.starts_with("requires ");
        if !status.reason.is_empty() && !follows {
            for line in status.reason.lines() {
                self.line(depth, line);
            }
        }
        self.tell_conditions(status, depth);
        match status.state {
            State::Down if status.want == Want::Down => self.tell_who_wants_it_down(status, entry, depth),
            State::Down => self.line(depth, "wanted, and not started yet"),
            State::Starting if status.kind == Kind::Oneshot => {
                self.line(depth, "it runs, and has not ended yet");
            }
            State::Starting => {
                let running = status.started.map(|started| show(self.now.since(started)));
                let running = running.map(|time| format!(", {time} after its start")).unwrap_or_default();
                self.line(depth, &format!("it has not become ready{running}"));
            }
            State::Listening => {
                self.line(depth, "it is started as soon as somebody connects to one of its sockets");
            }
            State::Backoff => self.tell_next_start(status, depth),
            State::Stopping => self.line(depth, "told to stop, and has not ended yet"),
            State::Finishing => self.line(depth, "its finish script has not ended yet"),
            State::Up | State::Blocked | State::Done | State::Failed | State::Skipped | State::Invalid => {}
        }
        let to_blame = matches!(status.state, State::Failed | State::Backoff | State::Starting);
        if to_blame && !follows {
            self.tell_last_exit(status, depth);
            for line in logs::tail(&self.places.logs, &status.name, LOG_LINES) {
                self.line(depth, &format!("| {line}"));
            }
        }
    }

    /// What is not a state, and may be the trouble all the same.
    fn tell_conditions(&mut self, status: &Status, depth: usize) {
        if status.paused {
            let name = &status.name;
            self.line(depth, &format!("paused: \"svctl continue {name}\" lets it go on"));
        }
        if status.preparing {
            self.line(depth, "what it runs in is being prepared");
        }
        if status.reloading {
            self.line(depth, "it reloads its configuration");
        }
        if status.unhealthy > 0 {
            self.line(depth, &format!("health checks failed in a row: {}", status.unhealthy));
        }
        if !status.text.is_empty() {
            self.line(depth, &format!("it says: {}", status.text.replace('\n', " ")));
        }
    }

    fn tell_who_wants_it_down(&mut self, status: &Status, entry: Option<&Entry>, depth: usize) {
        let conflicting = entry.map(|entry| entry.conflicts.clone()).unwrap_or_default();
        for other in conflicting {
            if matches!(self.row(&other).status.state, State::Up | State::Starting | State::Done) {
                self.line(depth, &format!("it conflicts with {other}, which runs"));
            }
        }
        match record::last_request(&self.places.logs, &status.name) {
            Some(request) => self.line(depth, &request),
            None if status.kind == Kind::Bundle => self.line(depth, "nobody has asked for it"),
            None if entry.is_some_and(|entry| !entry.autostart) => {
                self.line(depth, "nobody has asked for it (autostart = false)");
            }
            None => self.line(depth, "nobody has asked for it, and nothing that runs needs it"),
        }
        self.tell_last_exit(status, depth);
    }

    fn tell_next_start(&mut self, status: &Status, depth: usize) {
        let next = status.next_start.map_or_else(
            || "it died, and will be started again".to_owned(),
            |next| format!("it died, and is started again in {}", show(next.since(self.now))),
        );
        self.line(depth, &format!("{next}; restarts so far: {}", status.restarts));
    }

    fn tell_last_exit(&mut self, status: &Status, depth: usize) {
        if let Some(last) = status.last_exit {
            let ago = status.last_exit_at.map(|at| format!(", {} ago", show(self.now.since(at))));
            self.line(depth, &format!("its last run {}{}", exit::explain(last), ago.unwrap_or_default()));
        }
    }

    /// What keeps it from running, with the kind of edge that leads there.
    fn open_edges(&mut self, entry: &Entry, status: &Status) -> Vec<(&'static str, String)> {
        let waits = status.state == State::Blocked;
        let broken = status.state == State::Failed;
        if !(waits || broken || entry.kind == Kind::Bundle) {
            return Vec::new();
        }
        let mut edges = Vec::new();
        for (edge, names) in [("contains ", &entry.contents), ("requires ", &entry.requires)] {
            for name in names {
                let row = self.row(name);
                if !row.status.state.good() && (edge == "requires " || !row.good()) {
                    edges.push((edge, name.clone()));
                }
            }
        }
        if waits {
            for name in &entry.after {
                let status = self.row(name).status;
                let listed = edges.iter().any(|(_, other)| other == name);
                let pending = status.want != Want::Down
                    && matches!(
                        status.state,
                        State::Blocked | State::Starting | State::Down | State::Stopping | State::Finishing
                    );
                if pending && !listed {
                    edges.push(("after ", name.clone()));
                }
            }
        }
        edges
    }

    fn line(&mut self, depth: usize, text: &str) {
        let text = text.trim_end();
        self.text.push_str(&"  ".repeat(depth));
        self.text.push_str(text);
        self.text.push('\n');
    }
}
