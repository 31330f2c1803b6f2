//! Our init over the directory, for what is asked of the whole of it with `svctl`.

use super::{Ask, Side, View, ours};
use crate::fixture::Fixture;
use crate::machine::{Boot, Machine};
use crate::wait::eventually;
use service::Pid;

/// An init, as an ordinary process, with the service `a`.
pub(super) struct Whole {
    boot: Option<Boot>,
    machine: Option<Machine>,
}

impl Whole {
    pub(super) fn new(fixture: Fixture) -> Whole {
        Whole { boot: Some(fixture.machine().as_ordinary_process()), machine: None }
    }

    fn machine(&self) -> &Machine {
        self.machine.as_ref().unwrap()
    }
}

impl Side for Whole {
    fn fixture(&self) -> &Fixture {
        &self.machine().fixture
    }

    fn start(&mut self) {
        if let Some(boot) = self.boot.take() {
            self.machine = Some(boot.start());
        }
        // Of what is down from the beginning it says nothing.
        eventually("init says how the service is", || {
            self.machine().try_status("a").is_some() || self.machine().console().contains("startup complete")
        });
    }

    fn ask(&self, ask: Ask) {
        let command = ours::command(ask);
        let (verb, rest) = command.split_once(' ').unwrap_or((&command, ""));
        self.machine().tell(format!("{verb} a {rest}").trim_end());
    }

    fn tool(&self, words: &[&str]) -> i32 {
        let outcome = self.machine().svctl(words);
        if outcome.code != 0 {
            eprintln!("svctl {words:?}: {}: {}", outcome.code, outcome.error);
        }
        outcome.code
    }

    fn view(&self) -> Option<View> {
        let down = View { up: false, wanted: false, ready: false, paused: false, over: true };
        Some(self.machine().try_status("a").map_or(down, |status| ours::view(&status)))
    }

    fn supervisor(&self) -> Pid {
        self.machine().status("a").supervisor.unwrap()
    }

    fn refusal(&self) -> Option<String> {
        None
    }

    fn start_changed(&mut self) {
        self.machine().tell("reload");
    }

    fn ended(&mut self) -> bool {
        self.machine.as_mut().is_none_or(|machine| machine.ended().is_some())
    }

    fn exit(&mut self) {
        if let Some(machine) = &mut self.machine
            && machine.ended().is_none()
        {
            machine.go_down("poweroff");
        }
    }
}
