//! The control socket: who asks for what, and who is told of changes.

use crate::runtime::Init;
use service::graph::Index;
use service::status::State;
use service::wire::{Command, InitCommand};

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
            InitCommand::Start(_) | InitCommand::Once(_) | InitCommand::Restart(_)
                if self.graph.going_down() =>
            {
                return Err("the machine is going down".to_owned());
            }
            InitCommand::Start(_) | InitCommand::Once(_) | InitCommand::Restart(_) | InitCommand::Stop(_) => {
                self.note_request(command, index, by);
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
            InitCommand::Events => {}
            InitCommand::Switch(_)
            | InitCommand::Reload
            | InitCommand::Reexec
            | InitCommand::ReexecService(_)
            | InitCommand::Plan(_)
            | InitCommand::Fault(_) => {
                return Err(format!("this version cannot {}", command.verb()));
            }
        }
        Ok(String::new())
    }

    /// Carries out what was taken.
    fn change(&mut self, token: u64, command: InitCommand<'_>, index: Option<Index>) {
        if command == InitCommand::Events {
            self.clients.subscribe(token);
            let reports = (0..self.services.len()).map(|index| self.report_line(index) + "\n");
            let reports = reports.collect::<String>();
            return self.clients.answer(token, &reports);
        }
        let Some(index) = index.filter(|_| !self.graph.going_down()) else { return };
        match command {
            InitCommand::Start(_) => self.want(index, false),
            InitCommand::Once(_) => self.want(index, true),
            InitCommand::Stop(_) => self.graph.stop(index),
            InitCommand::Restart(_) => self.restart(index),
            InitCommand::ReloadService(_) => self.tell(index, Command::Reload),
            InitCommand::Kill(_, signal) => self.tell(index, Command::Kill(signal)),
            InitCommand::Pause(_) => self.tell(index, Command::Pause),
            InitCommand::Continue(_) => self.tell(index, Command::Continue),
            InitCommand::Switch(_)
            | InitCommand::Reload
            | InitCommand::Reexec
            | InitCommand::ReexecService(_)
            | InitCommand::Plan(_)
            | InitCommand::Power(_)
            | InitCommand::Events
            | InitCommand::Fault(_) => {}
        }
    }

    fn want(&mut self, index: Index, once: bool) {
        let waits = self.graph.nodes().get(index).is_some_and(|node| node.state == State::Backoff);
        let changes = self.services.get_mut(index).is_some_and(|service| {
            let changes = service.once != once;
            service.once = once;
            changes
        });
        self.graph.start(index);
        // It would come by itself, but somebody wants it now; or what runs already is wanted in another way.
        if (waits || changes) && self.supervised(index) && (waits || self.runs(index)) {
            self.tell(index, if once { Command::Once } else { Command::Start });
        }
    }

    fn restart(&mut self, index: Index) {
        let supervised = self.supervised(index);
        self.graph.start_again(index);
        if supervised {
            self.tell(index, Command::Restart);
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
