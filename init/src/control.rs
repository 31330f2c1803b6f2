//! The control socket: who asks for what, and who is told of changes.

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
            let answer = match self.refusal(token, command) {
                Some(why) => {
                    self.note_refusal(token, &why);
                    Err(why)
                }
                None => self.obey(token, command, index, &by),
            };
            match answer {
                // Answered when it is done.
                Ok(_) if command == InitCommand::Reload => self.ask_reload(token, false, &by),
                Ok(_) if command == InitCommand::Plan(Planned::Reload) => self.ask_reload(token, true, &by),
                Ok(text) => {
                    self.clients.answer(token, &format!("{text}ok\n"));
                    // After the answer, so that the client hears of the changes after it.
                    self.change(token, command, index);
                }
                Err(why) => self.clients.answer(token, &format!("error {why}\n")),
            }
        }
    }

    /// Takes a command, and returns the lines that come before the `ok`; or why it cannot be taken.
    fn obey(
        &mut self,
        _token: u64,
        command: InitCommand<'_>,
        index: Option<Index>,
        by: &str,
    ) -> Result<String, String> {
        if let (Some(name), None) = (command.name(), index) {
            return Err(format!("no such service {name}"));
        }
        match command {
            InitCommand::Power(power) => self.go_down(power, by),
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
            InitCommand::Reload if self.graph.going_down() => {
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
            InitCommand::Reload | InitCommand::Events => {}
            InitCommand::Reexec | InitCommand::ReexecService(_) | InitCommand::Fault(_) => {
                return Err(format!("this version cannot {}", command.verb()));
            }
        }
        Ok(String::new())
    }

    /// Carries out what was taken.
    fn change(&mut self, token: u64, command: InitCommand<'_>, index: Option<Index>) {
        if command == InitCommand::Events {
            self.clients.subscribe(token);
            let known = (0..self.services.len()).filter(|index| !self.graph.gone(*index));
            let reports = known.map(|index| self.report_line(index) + "\n");
            let reports = reports.collect::<String>();
            return self.clients.answer(token, &reports);
        }
        let Some(index) = index.filter(|_| !self.graph.going_down()) else { return };
        match command {
            InitCommand::Start(_)
            | InitCommand::Once(_)
            | InitCommand::Stop(_)
            | InitCommand::Restart(_)
            | InitCommand::Switch(_) => {
                // It was taken before it was answered.
                let _ = Init::request(command, Some(index)).map(|request| self.graph.request(request));
            }
            InitCommand::ReloadService(_) => self.tell(index, Command::Reload),
            InitCommand::Kill(_, signal) => self.tell(index, Command::Kill(signal)),
            InitCommand::Pause(_) => self.tell(index, Command::Pause),
            InitCommand::Continue(_) => self.tell(index, Command::Continue),
            InitCommand::Reload
            | InitCommand::Reexec
            | InitCommand::ReexecService(_)
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
