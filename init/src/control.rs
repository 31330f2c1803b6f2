//! The control socket: who asks for what, and who is told of changes.

use crate::runtime::Init;
use service::status::State;
use service::wire::{Command, InitCommand};

impl Init {
    pub(crate) fn read_client(&mut self, token: u64) {
        // Asked before reading: who has sent a command and gone is let go by that.
        let by = self
            .clients
            .peer(token)
            .map_or_else(|| "somebody".to_owned(), |(pid, user)| format!("process {pid} of user {user}"));
        for line in self.clients.read(token) {
            let answer = self.obey(token, &line, &by);
            self.clients.answer(token, &answer);
            self.change_graph(&line);
        }
    }

    /// Does what a line asks for, and returns the answer.
    fn obey(&mut self, token: u64, line: &str, by: &str) -> String {
        match InitCommand::parse(line) {
            None => format!("error unknown command \"{line}\"\n"),
            Some(InitCommand::Power(power)) => {
                self.go_down(power, by);
                "ok\n".to_owned()
            }
            Some(InitCommand::Events) => {
                self.clients.subscribe(token);
                let reports = (0..self.services.len()).map(|index| self.report_line(index) + "\n");
                format!("ok\n{}", reports.collect::<String>())
            }
            Some(InitCommand::Start(name) | InitCommand::Stop(name) | InitCommand::Restart(name))
                if self.graph.find(name).is_none() =>
            {
                format!("error no such service {name}\n")
            }
            Some(InitCommand::Start(_) | InitCommand::Restart(_)) if self.graph.going_down() => {
                "error the machine is going down\n".to_owned()
            }
            Some(InitCommand::Start(_) | InitCommand::Stop(_) | InitCommand::Restart(_)) => {
                self.messages.info(&format!("{line}: asked for by {by}"));
                "ok\n".to_owned()
            }
            Some(other) => format!("error this version cannot {}\n", other.verb()),
        }
    }

    /// Changes the graph after the answer, so that the client hears of the changes after it.
    fn change_graph(&mut self, line: &str) {
        let Some(InitCommand::Start(name) | InitCommand::Stop(name) | InitCommand::Restart(name)) =
            InitCommand::parse(line)
        else {
            return;
        };
        let Some(index) = self.graph.find(name).filter(|_| !self.graph.going_down()) else { return };
        let supervised = self.services.get(index).is_some_and(crate::services::Service::has_supervisor);
        let waits = self.graph.nodes().get(index).is_some_and(|node| node.state == State::Backoff);
        if line.starts_with("stop") {
            self.graph.stop(index);
        } else if line.starts_with("restart") {
            self.graph.start_again(index);
            if supervised {
                self.tell(index, Command::Restart);
            }
        } else {
            self.graph.start(index);
            if waits && supervised {
                // It would come by itself, but somebody wants it now.
                self.tell(index, Command::Start);
            }
        }
    }
}
