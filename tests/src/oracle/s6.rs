//! s6-supervise (s6-supervise(1), s6-svc(1), s6-svstat(1)).

use super::compare::{self, Whose};
use super::{Ask, Directory, Player, Side, View, run, taken, theirs};
use crate::fixture::Fixture;
use crate::wait::{eventually, eventually_some};
use service::{Pid, Signal};
use std::fs::File;
use std::process::Child;

/// The same happens under s6-supervise and with us, to the very end.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn same(directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    compare::same(Whose::S6, directory, play);
}

/// Not the same happens, and that is meant, for the reason given.
///
/// # Panics
/// If it is the same.
#[track_caller]
pub fn different(why: &str, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    compare::different(Whose::S6, why, directory, play);
}

/// An s6-supervise over the service `a`.
pub struct S6 {
    child: Option<Child>,
    fixture: Fixture,
    /// Below `services`: `a`, or `a/log`.
    directory: &'static str,
}

impl S6 {
    pub(super) fn new(fixture: Fixture, logger: bool) -> S6 {
        S6 { child: None, fixture, directory: if logger { "a/log" } else { "a" } }
    }

    fn svc(&self, options: &[&str]) {
        let mut command = theirs("s6-svc");
        command.args(options).arg(self.directory);
        let output = run(command, &self.fixture.path("services"));
        assert!(output.status.success(), "s6-svc {options:?}");
        taken(&self.fixture.path("services").join(self.directory).join("supervise/control"));
    }
}

impl Side for S6 {
    fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    fn start(&mut self) {
        if let Some(child) = &mut self.child {
            child.wait().unwrap();
        }
        let log = File::options().create(true).append(true).open(self.fixture.path("log")).unwrap();
        let mut command = theirs("s6-supervise");
        command.arg(self.directory).current_dir(self.fixture.path("services"));
        command.env("FOREIGN", "of the machine").stdout(log.try_clone().unwrap()).stderr(log);
        self.child =
            Some(sys::child::die_with_parent(sys::child::default_signals(&mut command)).spawn().unwrap());
        eventually("s6-supervise listens", || {
            let mut command = theirs("s6-svok");
            command.arg(self.directory).current_dir(self.fixture.path("services")).status().unwrap().success()
        });
    }

    fn ask(&self, ask: Ask) {
        match ask {
            Ask::Up => self.svc(&["-u"]),
            Ask::Down => self.svc(&["-d"]),
            Ask::Once => self.svc(&["-o"]),
            Ask::Restart => self.svc(&["-r"]),
            Ask::Pause => self.svc(&["-p"]),
            Ask::Continue => self.svc(&["-c"]),
            Ask::Reload => self.svc(&["-h"]),
            Ask::Exit => self.svc(&["-x"]),
            Ask::Send(signal) => self.svc(&[letter(signal)]),
        }
    }

    fn view(&self) -> Option<View> {
        let mut command = theirs("s6-svstat");
        command.args(["-o", "up,wantedup,ready,paused,pid", self.directory]);
        command.current_dir(self.fixture.path("services"));
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [up, wanted, ready, paused, pid] = words[..] else { return None };
        let is = |word: &str| word == "true";
        // The process is that of `run` or of `finish`; -1 is none.
        let over = pid == "-1";
        Some(View { up: is(up), wanted: is(wanted), ready: is(ready), paused: is(paused), over })
    }

    fn supervisor(&self) -> Pid {
        Pid::new(self.child.as_ref().unwrap().id().cast_signed()).unwrap()
    }

    fn tool(&self, words: &[&str]) -> i32 {
        let (name, rest) = words.split_first().unwrap();
        let mut command = theirs(name);
        command.args(rest);
        run(command, &self.fixture.path("services")).status.code().unwrap_or(-1)
    }

    fn refusal(&self) -> Option<String> {
        let tried = self.view().is_some_and(|view| view.wanted && !view.up);
        tried.then(|| self.fixture.read("log"))
    }

    fn start_changed(&mut self) {
        self.ask(Ask::Up);
    }

    fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    fn exit(&mut self) {
        if self.ended() {
            return;
        }
        self.svc(&["-xd"]);
        let child = self.child.as_mut().unwrap();
        eventually_some("s6-supervise ends", || child.try_wait().unwrap());
    }
}

/// s6-svc's option for a signal; `-s` is since 2.12.
fn letter(signal: Signal) -> &'static str {
    match signal {
        Signal::KILL => "-k",
        Signal::TERM => "-t",
        Signal::HUP => "-h",
        Signal::INT => "-i",
        Signal::USR1 => "-1",
        Signal::USR2 => "-2",
        other => panic!("no option for {other}"),
    }
}

impl Drop for S6 {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- what s6-supervise says\n{}", self.fixture.read("log"));
        }
    }
}
