//! The control socket: who asks for what, and who is told of changes.

use crate::instances;
use crate::reload::Purpose;
use crate::runtime::Init;
use service::graph::Index;
use service::wire::{Command, InitCommand, Planned};

impl Init {
    pub(crate) fn read_client(&mut self, token: u64) {
        // Asked before reading: who has sent a command and gone is let go by that.
        let by = self.asker(token).map_or_else(|| "somebody".to_owned(), |asker| asker.to_string());
        for line in self.clients.read(token) {
            let Some(command) = InitCommand::parse(&line) else {
                self.clients.answer(token, &format!("error unknown command \"{line}\"\n"));
                continue;
            };
            let index = command.name().and_then(|name| self.graph.find(name));
            let instance = instances::asked_for(&command).filter(|_| index.is_none() && self.planned);
            let answer = match (self.refusal(token, command), instance) {
                (Some(why), _) => {
                    self.note_refusal(token, &why);
                    Err(why)
                }
                (None, Some(_)) if self.graph.going_down() => Err("the machine is going down".to_owned()),
                (None, Some(name)) => self.note_instance(name).map(|()| String::new()),
                (None, None) => self.obey(token, command, index, &by),
            };
            match (answer, instance) {
                // Answered when it is done.
                (Ok(_), Some(name)) => {
                    let purpose = Purpose::Instance(name.to_owned(), line.clone());
                    self.ask_reload(token, purpose, &by);
                }
                (Ok(_), None) if command == InitCommand::Reload => {
                    self.ask_reload(token, Purpose::Apply, &by);
                }
                (Ok(_), None) if matches!(command, InitCommand::Refresh(_)) => {
                    let name = command.name().unwrap_or_default().to_owned();
                    self.ask_reload(token, Purpose::Refresh(name), &by);
                }
                (Ok(_), None) if command == InitCommand::Reexec => {
                    if let Err(why) = self.ask_reexec(token) {
                        self.clients.answer(token, &format!("error {why}\n"));
                    }
                }
                (Ok(_), None) if command == InitCommand::Plan(Planned::Reload) => {
                    self.ask_reload(token, Purpose::Plan, &by);
                }
                // What it hears of all services, or that we fail, comes after the answer.
                (Ok(text), None) if matches!(command, InitCommand::Events | InitCommand::Fault(_)) => {
                    self.clients.answer(token, &format!("{text}ok\n"));
                    self.change(token, command, index);
                }
                // What was promised is kept, whatever becomes of us: so it is on record by then. The changes come
                // later, so that the client hears of them after the answer.
                (Ok(text), None) => {
                    self.change(token, command, index);
                    self.write_ledger();
                    self.clients.answer(token, &format!("{text}ok\n"));
                }
                (Err(why), _) => self.clients.answer(token, &format!("error {why}\n")),
            }
        }
    }

    /// Carries out a command that had to wait until the service that it is about was known.
    pub(crate) fn carry_on(&mut self, token: u64, answered: bool, line: &str, by: &str) {
        let Some(command) = InitCommand::parse(line) else { return };
        let index = command.name().and_then(|name| self.graph.find(name));
        let taken = self.obey(token, command, index, by);
        if answered {
            let answer =
                taken.as_ref().map_or_else(|why| format!("error {why}\n"), |text| format!("{text}ok\n"));
            self.clients.answer(token, &answer);
        }
        if taken.is_ok() {
            self.change(token, command, index);
        }
    }

    /// Takes a command, and returns the lines that come before the `ok`; or why it cannot be taken.
    fn obey(
        &mut self,
        token: u64,
        command: InitCommand<'_>,
        index: Option<Index>,
        by: &str,
    ) -> Result<String, String> {
        // One that is refreshed may be new.
        let new = matches!(command, InitCommand::Refresh(_));
        if let (Some(name), None, false) = (command.name(), index, new) {
            return Err(format!("no such service {name}"));
        }
        match command {
            InitCommand::Power(power) => {
                self.may_go_down(power)?;
                self.go_down(power, by);
            }
            InitCommand::Start(_)
            | InitCommand::Once(_)
            | InitCommand::Restart(_)
            | InitCommand::Stop(_)
            | InitCommand::Switch(_) => {
                if let Some(request) = Init::request(command, index) {
                    self.graph.may(request).map_err(|refusal| refusal.to_string())?;
                }
                self.note_request(command, index, by);
            }
            InitCommand::Plan(_) => {
                let Some(request) = Init::request(command, index) else { return Ok(String::new()) };
                let steps = self.graph.plan(request).map_err(|refusal| refusal.to_string())?;
                return Ok(steps.iter().map(|step| format!("{step}\n")).collect());
            }
            InitCommand::Reload | InitCommand::Refresh(_) | InitCommand::Reexec
                if self.graph.going_down() =>
            {
                return Err("the machine is going down".to_owned());
            }
            InitCommand::ReloadService(_)
            | InitCommand::Kill(..)
            | InitCommand::Pause(_)
            | InitCommand::Continue(_) => {
                if !index.is_some_and(|index| self.runs(index)) {
                    return Err("not running".to_owned());
                }
                self.note_request(command, index, by);
            }
            InitCommand::Refresh(name) if !service::definition::valid_name(name) => {
                return Err(format!("\"{}\" cannot be the name of a service", name.escape_debug()));
            }
            InitCommand::Refresh(_) if !self.planned => {
                return Err("the definitions have not been compiled yet".to_owned());
            }
            InitCommand::Reload | InitCommand::Refresh(_) | InitCommand::Events => {}
            InitCommand::Fault(_) => self.may_fail(token)?,
            InitCommand::ReexecService(_) if !index.is_some_and(|index| self.supervised(index)) => {
                return Err("it has no supervisor now".to_owned());
            }
            InitCommand::Reexec | InitCommand::ReexecService(_) => self.note_request(command, index, by),
        }
        Ok(String::new())
    }

    /// Whether this client may have init fail.
    fn may_fail(&mut self, token: u64) -> Result<(), String> {
        if !self.options.debug {
            return Err("init was not started with mainstay.debug".to_owned());
        }
        // The access rules can let others do much, but not this.
        let user = self.clients.peer(token).map(|peer| peer.user);
        let root = user.is_some_and(|user| user == 0 || user == nix::unistd::geteuid().as_raw());
        if root { Ok(()) } else { Err("only root may do that".to_owned()) }
    }

    /// Carries out what was taken.
    fn change(&mut self, token: u64, command: InitCommand<'_>, index: Option<Index>) {
        if command == InitCommand::Events {
            self.clients.subscribe(token);
            let known = 0..self.services.len();
            let known = known.filter(|index| !self.graph.gone(*index) && !self.is_presumed(*index));
            let reports = known.map(|index| self.report_line(index) + "\n");
            let reports = reports.collect::<String>();
            return self.clients.answer(token, &reports);
        }
        if let InitCommand::Fault(fault) = command {
            sys::crash::fail(fault);
        }
        let Some(index) = index.filter(|_| !self.graph.going_down()) else { return };
        match command {
            InitCommand::Start(_)
            | InitCommand::Once(_)
            | InitCommand::Stop(_)
            | InitCommand::Restart(_)
            | InitCommand::Switch(_) => {
                let ran = self.graph.runs_as_wanted(index);
                // It was taken before it was answered.
                let _ = Init::request(command, Some(index)).map(|request| self.graph.request(request));
                // It may have ended, and the status file says so, before we have heard of it.
                if ran && matches!(command, InitCommand::Start(_) | InitCommand::Once(_)) {
                    self.tell(index, self.begin(index));
                }
            }
            InitCommand::ReloadService(_) => self.tell(index, Command::Reload),
            InitCommand::Kill(_, signal) => self.tell(index, Command::Kill(signal)),
            InitCommand::Pause(_) => self.tell(index, Command::Pause),
            InitCommand::Continue(_) => self.tell(index, Command::Continue),
            InitCommand::ReexecService(_) => self.tell(index, Command::Reexec),
            InitCommand::Reload
            | InitCommand::Refresh(_)
            | InitCommand::Reexec
            | InitCommand::Plan(_)
            | InitCommand::Power(_)
            | InitCommand::Events
            | InitCommand::Fault(_) => {}
        }
    }

    fn supervised(&self, index: Index) -> bool {
        self.services.get(index).is_some_and(crate::services::Service::has_supervisor)
    }

    /// Whether it has a process, and a supervisor that can do something with it.
    fn runs(&self, index: Index) -> bool {
        self.supervised(index) && self.services.get(index).is_some_and(|service| service.main.is_some())
    }
}
