//! Reading the tree of definitions again. A child compiles it into a place of its own, of which nothing that runs
//! reads anything; when that is whole, what differs is put into its place and applied, all in one go.
//!
//! If init ends in between, the next reload finds the same differences again: the plan is replaced last.

use crate::message::reason;
use crate::pipelines::Connection;
use crate::runtime::Init;
use crate::services::Service;
use service::WaitStatus;
use service::graph::{Changes, PlannedStep};
use service::plan::{self, Entry};
use service::wire::{Command, InitCommand};
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Who waits for which compilation.
#[derive(Default)]
pub(crate) struct Reloading {
    /// For the one that is under way.
    waiting: Vec<Client>,
    /// For the one after it: theirs may be a change that this one has not seen.
    queued: Vec<Client>,
}

impl Reloading {
    /// Whether anybody waits for what is to be done without being asked for again: not to be told what it would do, nor
    /// for one service, whose asker asks again.
    pub(crate) fn is_wanted(&self) -> bool {
        self.is_wanted_again() || self.waiting.iter().any(Client::wants_more)
    }

    /// The same of those who have asked after the compiler had begun.
    pub(crate) fn is_wanted_again(&self) -> bool {
        self.queued.iter().any(Client::wants_more)
    }
}

/// A client that has asked for a reload.
struct Client {
    token: u64,
    identity: u64,
    purpose: Purpose,
    by: String,
    /// What it would do, if that was to be told of an instance that is not there.
    foreseen: Option<Result<Vec<PlannedStep>, String>>,
}

impl Client {
    /// Whether it is done whoever goes on.
    fn wants_more(&self) -> bool {
        !matches!(self.purpose, Purpose::Plan | Purpose::Refresh(_))
    }
}

/// What a client wants the tree to be read for.
pub(crate) enum Purpose {
    /// To have it applied.
    Apply,
    /// To be told what that would do.
    Plan,
    /// To have it applied to the service called so, and to no other.
    Refresh(String),
    /// To have an instance of a template, called so, for this command.
    Instance(String, String),
}

impl Purpose {
    /// Whether it is about the instance called `name`.
    fn names(&self, name: &str) -> bool {
        matches!(self, Purpose::Instance(other, _) if other == name)
    }
}

/// The lines for a client.
fn as_answer(outcome: &Result<Vec<PlannedStep>, String>) -> String {
    match outcome {
        Ok(steps) => steps.iter().map(|step| format!("{step}\n")).chain(["ok\n".to_owned()]).collect(),
        Err(problem) => format!("error {problem}\n"),
    }
}

/// Reads a compiled plan.
pub(crate) fn read_plan(file: &Path) -> Result<Vec<Entry>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| reason(&error))?;
    plan::decode(&text).ok_or_else(|| "it was written by another version".to_owned())
}

impl Init {
    /// Takes the wish of a client for a reload, or for what needs the tree to be read; it is answered when that is done.
    pub(crate) fn ask_reload(&mut self, token: u64, purpose: Purpose, by: &str) {
        let Some(identity) = self.clients.identity(token) else { return };
        let client = Client { token, identity, purpose, by: by.to_owned(), foreseen: None };
        let begun = self.compiler.is_some();
        if begun { &mut self.reloading.queued } else { &mut self.reloading.waiting }.push(client);
        // Before there is a compiler, and whatever comes next in this round.
        self.write_ledger();
        if !begun {
            self.compile_again();
        }
    }

    /// Goes on with a reload that the init before this one was asked for. Who asked is gone; what was asked for is
    /// done; `again` if a compiler that runs may not have seen it.
    pub(crate) fn resume_reload(&mut self, again: bool) {
        let by = "a client of the init before".to_owned();
        let purpose = Purpose::Apply;
        let client = Client { token: u64::MAX, identity: u64::MAX, purpose, by, foreseen: None };
        let begun = self.compiler.is_some();
        if begun && again { &mut self.reloading.queued } else { &mut self.reloading.waiting }.push(client);
        if !begun {
            self.compile_again();
        }
    }

    /// Whether the compiler runs, or ran, for clients.
    pub(crate) fn reloads(&self) -> bool {
        !self.reloading.waiting.is_empty()
    }

    fn staged(&self, name: &str) -> PathBuf {
        self.options.run.join("init/next").join(name)
    }

    fn compile_again(&mut self) {
        if !self.options.tree {
            return self.end_reload(&Err("there is no tree of services".to_owned()));
        }
        let _ = std::fs::remove_file(self.staged("plan"));
        if let Err(problem) = self.spawn_compiler(&["--stage"]) {
            self.end_reload(&Err(format!("unable to compile the definitions: {problem}")));
        }
    }

    /// The compiler has ended: the new plan is there, or nothing changes.
    pub(crate) fn compiled_again(&mut self, status: WaitStatus) {
        let file = self.staged("plan");
        let outcome = match read_plan(&file) {
            _ if self.graph.going_down() => Err("the machine is going down".to_owned()),
            Ok(entries) => Ok(self.take_plan(entries)),
            Err(problem) => Err(format!(
                "unable to read {}: {problem} (the compiler ended with {status}; nothing has changed)",
                file.display()
            )),
        };
        self.end_reload(&outcome);
        self.next_reload();
    }

    /// Begins the reload that was asked for while the definitions were compiled.
    pub(crate) fn next_reload(&mut self) {
        if !self.reloading.queued.is_empty() {
            self.reloading.waiting = std::mem::take(&mut self.reloading.queued);
            self.compile_again();
        }
    }

    /// Answers everybody who has waited for this one.
    fn end_reload(&mut self, outcome: &Result<Vec<PlannedStep>, String>) {
        if let Err(problem) = outcome {
            self.messages.error(&format!("reload: {problem}"));
        }
        let answer = as_answer(outcome);
        let mut clients = std::mem::take(&mut self.reloading.waiting).into_iter();
        while let Some(client) = clients.next() {
            let there = self.clients.identity(client.token) == Some(client.identity);
            let others = clients.as_slice().iter().chain(&self.reloading.queued);
            let unasked = |name: &str| !others.clone().any(|other| other.purpose.names(name));
            match client.purpose {
                Purpose::Instance(name, line) if outcome.is_ok() => {
                    if self.graph.find(&name).is_none() && unasked(&name) {
                        self.forget_instance(&name);
                    }
                    if let Some(foreseen) = &client.foreseen {
                        if there {
                            self.clients.answer(client.token, &as_answer(foreseen));
                        }
                        continue;
                    }
                    // Whoever has gone by now has asked all the same.
                    self.carry_on(client.token, there, &line, &client.by);
                }
                Purpose::Instance(name, _) => {
                    if unasked(&name) {
                        self.forget_instance(&name);
                    }
                    if there {
                        self.clients.answer(client.token, &answer);
                    }
                }
                // The steps are those of the whole tree.
                Purpose::Refresh(_) if there && outcome.is_ok() => self.clients.answer(client.token, "ok\n"),
                Purpose::Apply | Purpose::Plan | Purpose::Refresh(_) if there => {
                    self.clients.answer(client.token, &answer);
                }
                Purpose::Apply | Purpose::Plan | Purpose::Refresh(_) => {}
            }
        }
    }

    /// Finds out what the new plan does, and does it if anybody has asked for more than that.
    fn take_plan(&mut self, mut entries: Vec<Entry>) -> Vec<PlannedStep> {
        self.keep_main(&mut entries);
        let steps = self.graph.plan_update(entries.clone());
        let askers = self.reloading.waiting.iter().filter(|client| matches!(client.purpose, Purpose::Apply));
        let askers: Vec<&str> = askers.map(|client| client.by.as_str()).collect();
        if !askers.is_empty() {
            let count = steps.len();
            self.messages.notice(&format!("reload: asked for by {} ({count} steps)", askers.join(", ")));
            let renewed = self.unstage();
            if !self.planned {
                // The boot has come to nothing so far.
                self.begin_with(entries);
                return steps;
            }
            let written = self.write_plan(&entries);
            self.note_failure(written, &self.options.run.join("init/plan"));
            let pipes = self.connections();
            let changes = self.graph.update(entries);
            self.read_settings();
            self.apply(&changes, &renewed, &pipes);
        } else {
            self.foresee_instances(&entries);
            let wanted = self.reloading.waiting.iter().filter(|client| client.foreseen.is_none());
            let instances = wanted.filter_map(|client| match &client.purpose {
                Purpose::Instance(name, _) => Some(name.clone()),
                Purpose::Apply | Purpose::Plan | Purpose::Refresh(_) => None,
            });
            let instances: Vec<String> = instances.collect();
            let refreshed = self.reloading.waiting.iter().filter_map(|client| match &client.purpose {
                Purpose::Refresh(name) => Some(name.clone()),
                Purpose::Apply | Purpose::Plan | Purpose::Instance(..) => None,
            });
            let refreshed: BTreeSet<String> = refreshed.collect();
            self.take_instances(entries.clone(), &instances);
            self.refresh(entries, &refreshed);
        }
        steps
    }

    /// Finds out what to tell those who asked only what would become of an instance.
    fn foresee_instances(&mut self, entries: &[Entry]) {
        let mut waiting = std::mem::take(&mut self.reloading.waiting);
        for client in &mut waiting {
            let Purpose::Instance(name, line) = &client.purpose else { continue };
            let command = InitCommand::parse(line);
            if let Some(command) = command.filter(|command| matches!(command, InitCommand::Plan(_))) {
                client.foreseen = Some(self.foresee(entries.to_vec(), name, command));
            }
        }
        self.reloading.waiting = waiting;
    }

    /// Puts every definition that differs into its place, then the rest, the plan last. Returns whose they are.
    fn unstage(&mut self) -> BTreeSet<String> {
        let mut renewed = BTreeSet::new();
        let directory = self.staged("definitions");
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            let Ok(name) = entry.file_name().into_string() else { continue };
            let _ = self.unstage_definition(&name);
            renewed.insert(name);
        }
        for name in ["settings", "sources", "plan"] {
            let place = self.options.run.join("init").join(name);
            let moved = std::fs::rename(self.staged(name), &place);
            if !moved.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
                self.note_failure(moved, &place);
            }
        }
        renewed
    }

    /// Puts one definition into its place, if it differs from what is there: then it is true.
    pub(crate) fn unstage_definition(&mut self, name: &str) -> bool {
        let place = self.options.run.join("service").join(name);
        let moved = std::fs::create_dir_all(&place)
            .and_then(|()| std::fs::rename(self.staged("definitions").join(name), place.join("definition")));
        let renewed = moved.is_ok();
        if !moved.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.note_failure(moved, &place.join("definition"));
        }
        renewed
    }

    pub(crate) fn note_failure(&mut self, result: io::Result<()>, place: &Path) {
        if let Err(error) = result {
            let (place, reason) = (place.display(), reason(&error));
            self.messages.error(&format!("unable to replace {place}: {reason} (going on without)"));
        }
    }

    /// Has what is new, and what is different, looked after by it. What has to be started, stopped and restarted the
    /// graph knows.
    pub(crate) fn apply(&mut self, changes: &Changes, renewed: &BTreeSet<String>, pipes: &[Connection]) {
        if let Some(last) = changes.added.iter().max() {
            let count = self.services.len().max(last + 1);
            self.services.resize_with(count, Service::default);
        }
        for index in changes.added.iter().chain(&changes.changed).copied() {
            if self.services.get(index).is_some_and(|service| service.log.is_none()) {
                let service = self.new_service(index);
                if let Some(place) = self.services.get_mut(index) {
                    place.log = service.log;
                }
            }
            self.provide_input(index);
        }
        for index in changes.changed.iter().chain(&changes.removed).copied() {
            self.end_unread_input(index);
        }
        // Before the logger, or a supervisor, has any of the new pipes.
        self.renew_ledger();
        self.reconnect(pipes);
        for index in changes.added.iter().chain(&changes.changed).copied() {
            self.owe_log(index);
            let supervised = self.services.get(index).is_some_and(Service::has_supervisor);
            if supervised && renewed.contains(self.graph.name(index)) {
                self.tell(index, Command::Reexec);
            }
        }
        for index in changes.broken.iter().copied() {
            let problem = self.graph.nodes().get(index).and_then(|node| node.entry.problem.clone());
            let (name, problem) = (self.graph.name(index).to_owned(), problem.unwrap_or_default());
            let problem = problem.replace('\n', "; ");
            self.messages.warning(&format!("{name}: {problem} (going on with the definition before it)"));
        }
    }
}
