//! One supervisor over a fixture, as an ordinary process without init.

use crate::fixture::Fixture;
use crate::observer::Observer;
use crate::process;
use crate::programs::program;
use crate::wait::{eventually, eventually_some};
use service::status::{State, Status};
use service::{Pid, Signal};
use std::fs::File;
use std::process::{Child, Command, ExitStatus};

/// A supervisor that runs, and the service that it keeps.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    name: String,
    /// What it runs over. The last field: it goes after the supervisor.
    pub fixture: Fixture,
}

impl Supervised {
    /// Starts one for the service named last, whose definition is compiled.
    #[must_use]
    pub fn start_compiled(fixture: Fixture, arguments: &[&str]) -> Supervised {
        let name = fixture.current().to_owned();
        let child = spawn(&fixture, &name, &[], arguments);
        Supervised { child, name, fixture }
    }

    /// As [`Supervised::start_compiled`], by a program that executes the supervisor.
    #[must_use]
    pub fn start_through(fixture: Fixture, through: &[&str], arguments: &[&str]) -> Supervised {
        let name = fixture.current().to_owned();
        let child = spawn(&fixture, &name, through, arguments);
        Supervised { child, name, fixture }
    }

    /// The supervisor's own process.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn supervisor(&self) -> Pid {
        Pid::new(self.child.id().cast_signed()).unwrap()
    }

    /// What its status file says; none if there is none yet.
    ///
    /// # Panics
    /// If it is there and cannot be read.
    #[must_use]
    pub fn try_status(&self) -> Option<Status> {
        let path = self.fixture.path(&format!("run/service/{}/status", self.name));
        let text = std::fs::read_to_string(path).ok()?;
        Some(Status::decode(&text).unwrap_or_else(|| panic!("not a status: {text:?}")))
    }

    /// What its status file says.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Status {
        eventually_some("there is a status", || self.try_status())
    }

    /// Waits until the status is as wanted.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Status) -> bool) -> Status {
        eventually_some(what, || self.try_status().filter(&wanted))
    }

    /// Waits until it is in `state`.
    #[track_caller]
    pub fn until(&self, state: State) -> Status {
        self.wait_for(&format!("the service is {}", state.word()), |status| status.state == state)
    }

    /// Waits until it is up, and returns its main process.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn up(&self) -> Pid {
        self.until(State::Up).pid.unwrap()
    }

    /// Subscribes to its events.
    #[must_use]
    pub fn observe(&self) -> Observer {
        Observer::subscribe(&self.fixture.path(&format!("run/service/{}/control", self.name)))
    }

    /// Connects to its control socket.
    #[must_use]
    pub fn connect(&self) -> Observer {
        Observer::connect(&self.fixture.path(&format!("run/service/{}/control", self.name)))
    }

    /// Tells it something, and returns the answer.
    #[must_use]
    pub fn ask(&self, command: &str) -> String {
        self.connect().ask(command)
    }

    /// Tells it something that must be taken.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn tell(&self, command: &str) {
        assert_eq!(self.ask(command), "ok", "{command}");
    }

    /// What the service and its supervisor have written.
    #[must_use]
    pub fn log(&self) -> String {
        self.fixture.read("log")
    }

    /// Waits until the log has this text.
    #[track_caller]
    pub fn wait_for_log(&self, text: &str) {
        eventually(&format!("the log has {text:?}"), || self.log().contains(text));
    }

    /// Waits until the trace has this many lines, and returns them.
    #[track_caller]
    pub fn wait_for_trace(&self, count: usize) -> Vec<String> {
        eventually_some(&format!("the trace has {count} lines"), || {
            Some(self.fixture.trace()).filter(|trace| trace.len() >= count)
        })
    }

    /// Kills the supervisor at once; the service is left behind.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn kill_supervisor(&mut self) {
        process::send(self.supervisor(), Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Waits for the end of a supervisor that was killed.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn wait_for_end(&mut self) {
        self.child.wait().unwrap();
    }

    /// Starts another supervisor in the place of one that has ended.
    pub fn start_again(&mut self, arguments: &[&str]) {
        self.child = spawn(&self.fixture, &self.name, &[], arguments);
    }

    /// How the supervisor has ended; none while it runs.
    ///
    /// # Panics
    /// If it cannot be waited for.
    pub fn try_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for the supervisor's end.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        eventually_some("the supervisor ends", || self.try_ended())
    }
}

fn spawn(fixture: &Fixture, name: &str, through: &[&str], arguments: &[&str]) -> Child {
    let log = File::options().create(true).append(true).open(fixture.path("log")).unwrap();
    let supervise = program("supervise");
    let mut words = through.iter().map(std::ffi::OsStr::new).chain([supervise.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg("--run").arg(fixture.path("run")).args(arguments).arg(name);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    sys::child::die_with_parent(&mut command).spawn().unwrap()
}

impl Drop for Supervised {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the log of the service\n{}", self.log());
        }
    }
}
