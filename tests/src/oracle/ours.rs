//! Our own supervisor, over the directory as `svctl compile` reads it.

use super::{Ask, Side, View};
use crate::fixture::Fixture;
use crate::supervised::Supervised;
use service::Pid;
use service::status::{State, Status, Want};

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

    /// Whether the compiler has made a definition of it.
    fn is_defined(fixture: &Fixture) -> bool {
        fixture.path(&format!("run/service/{}/definition", fixture.current())).exists()
    }

    fn supervised(&self) -> &Supervised {
        self.supervised.as_ref().unwrap()
    }
}

impl Side for Ours {
    fn fixture(&self) -> &Fixture {
        // It has none as long as there is nothing to supervise.
        self.fixture.as_ref().unwrap_or_else(|| &self.supervised().fixture)
    }

    fn start(&mut self) {
        // Whether it is started with its supervisor: init goes by the plan, where `down` is `autostart false`.
        let arguments = |fixture: &Fixture| -> &[&str] {
            let directory = if fixture.current() == "a" { "services/a" } else { "services/a/log" };
            if fixture.path(directory).join("down").exists() { &[] } else { &["--up"] }
        };
        if let Some(fixture) = self.fixture.take_if(|fixture| Ours::is_defined(fixture)) {
            let arguments = arguments(&fixture);
            self.supervised = Some(Supervised::start_compiled(fixture, arguments));
        } else if let Some(supervised) = &mut self.supervised {
            supervised.wait_for_end();
            let arguments = arguments(&supervised.fixture);
            supervised.start_again(arguments);
        }
        // It listens before it says anything.
        if let Some(supervised) = &self.supervised {
            let _ = supervised.observe();
        }
    }

    fn ask(&self, ask: Ask) {
        let command = command(ask);
        let answer = self.supervised().ask(&command);
        // To signal what does not run, or to pause what stops, is an error here, and nothing at all there.
        let not_now = answer.starts_with("error not ") || answer == "error stopping";
        assert!(answer == "ok" || not_now, "{command}: {answer}");
    }

    fn view(&self) -> Option<View> {
        self.supervised.as_ref()?.try_status().map(|status| view(&status))
    }

    fn supervisor(&self) -> Pid {
        self.supervised().supervisor()
    }

    fn tool(&self, words: &[&str]) -> i32 {
        panic!("svctl {words:?} needs an init")
    }

    fn refusal(&self) -> Option<String> {
        self.fixture.as_ref().map(|fixture| fixture.read("compiler"))
    }

    fn start_changed(&mut self) {
        self.fixture().compile();
        self.start();
    }

    fn ended(&mut self) -> bool {
        self.supervised.as_mut().is_none_or(|supervised| supervised.try_ended().is_some())
    }

    fn exit(&mut self) {
        if self.ended() {
            return;
        }
        if let Some(supervised) = &mut self.supervised {
            // In one: it may be exiting already, and gone after the first.
            supervised.connect().send("stop\nexit\n");
            supervised.ended();
        }
    }
}

/// What it is to our supervisor.
pub(super) fn command(ask: Ask) -> String {
    match ask {
        Ask::Up => "start".to_owned(),
        Ask::Down => "stop".to_owned(),
        Ask::Once => "once".to_owned(),
        Ask::Restart => "restart".to_owned(),
        Ask::Pause => "pause".to_owned(),
        Ask::Continue => "continue".to_owned(),
        Ask::Reload => "reload".to_owned(),
        Ask::Exit => "exit".to_owned(),
        Ask::Send(signal) => format!("kill {signal}"),
    }
}

/// What a status says.
pub(super) fn view(status: &Status) -> View {
    let up = matches!(status.state, State::Starting | State::Up | State::Stopping);
    let over = matches!(status.state, State::Down | State::Backoff | State::Failed | State::Done);
    View {
        up,
        over,
        // Given up is given up, whatever was wanted.
        wanted: status.want != Want::Down && !matches!(status.state, State::Failed | State::Done),
        ready: up && status.ready_since.is_some(),
        paused: status.paused,
    }
}
