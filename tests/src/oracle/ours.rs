//! Our own supervisor, over the directory as `svctl compile` reads it.

use super::{Ask, Side, View};
use crate::fixture::Fixture;
use crate::supervised::Supervised;
use service::Pid;
use service::status::{State, Want};

/// A `supervise` over the service `a`.
pub struct Ours {
    supervised: Option<Supervised>,
    fixture: Option<Fixture>,
}

impl Ours {
    pub(super) fn new(fixture: Fixture) -> Ours {
        fixture.compile();
        Ours { supervised: None, fixture: Some(fixture) }
    }

    fn supervised(&self) -> &Supervised {
        self.supervised.as_ref().unwrap()
    }
}

impl Side for Ours {
    fn fixture(&self) -> &Fixture {
        &self.supervised().fixture
    }

    fn start(&mut self) {
        // Whether it is started with its supervisor: init goes by the plan, where `down` is `autostart false`.
        let arguments = |fixture: &Fixture| -> &[&str] {
            if fixture.path("services/a/down").exists() { &[] } else { &["--up"] }
        };
        if let Some(fixture) = self.fixture.take() {
            let arguments = arguments(&fixture);
            self.supervised = Some(Supervised::start_compiled(fixture, arguments));
        } else if let Some(supervised) = &mut self.supervised {
            supervised.wait_for_end();
            let arguments = arguments(&supervised.fixture);
            supervised.start_again(arguments);
        }
        // It listens before it says anything.
        let _ = self.supervised().observe();
    }

    fn ask(&self, ask: Ask) {
        let command = match ask {
            Ask::Up => "start".to_owned(),
            Ask::Down => "stop".to_owned(),
            Ask::Once => "once".to_owned(),
            Ask::Restart => "restart".to_owned(),
            Ask::Pause => "pause".to_owned(),
            Ask::Continue => "continue".to_owned(),
            Ask::Send(signal) => format!("kill {signal}"),
        };
        let answer = self.supervised().ask(&command);
        // To signal what does not run is an error here, and nothing at all there.
        assert!(answer == "ok" || answer.starts_with("error not "), "{command}: {answer}");
    }

    fn view(&self) -> Option<View> {
        let status = self.supervised().try_status()?;
        let up = matches!(status.state, State::Starting | State::Up | State::Stopping);
        Some(View {
            up,
            // Given up is given up, whatever was wanted.
            wanted: status.want != Want::Down && !matches!(status.state, State::Failed | State::Done),
            ready: up && status.ready_since.is_some(),
            paused: status.paused,
        })
    }

    fn supervisor(&self) -> Pid {
        self.supervised().supervisor()
    }

    fn exit(&mut self) {
        self.supervised().tell("stop");
        self.supervised().tell("exit");
        if let Some(supervised) = &mut self.supervised {
            supervised.ended();
        }
    }
}
