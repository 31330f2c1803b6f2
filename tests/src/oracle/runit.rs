//! runsv (runsv(8), sv(8)).

use super::compare::{self, Whose};
use super::{Ask, Directory, Player, Side, View, run, taken, theirs};
use crate::fixture::Fixture;
use crate::wait::{eventually, eventually_some};
use service::{Pid, Signal};
use std::fs::File;
use std::io::Write;
use std::process::Child;

/// The same happens under runsv and with us, to the very end.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn same(directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    compare::same(Whose::Runit, directory, play);
}

/// Not the same happens, and that is meant, for the reason given.
///
/// # Panics
/// If it is the same.
#[track_caller]
pub fn different(why: &str, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    compare::different(Whose::Runit, why, directory, play);
}

/// A directory that is runit's and nobody else's: it has `conf`, which Debian's and Void's scripts read.
#[must_use]
pub fn directory(run: &str) -> Directory {
    super::directory(run).file("conf", "")
}

/// A runsv over the service `a`.
pub struct Runit {
    child: Option<Child>,
    fixture: Fixture,
}

impl Runit {
    pub(super) fn new(fixture: Fixture) -> Runit {
        Runit { child: None, fixture }
    }

    /// One character of runsv's control interface (runsv(8), CONTROL).
    fn control(&self, letter: &str) {
        let path = self.fixture.path("services/a/supervise/control");
        File::options().write(true).open(&path).unwrap().write_all(letter.as_bytes()).unwrap();
        // While a control script runs it takes nothing.
        if !self.fixture.path("services/a/control").exists() {
            taken(&path);
        }
    }
}

impl Side for Runit {
    fn fixture(&self) -> &Fixture {
        &self.fixture
    }

    fn start(&mut self) {
        if let Some(child) = &mut self.child {
            child.wait().unwrap();
        }
        let log = File::options().create(true).append(true).open(self.fixture.path("log")).unwrap();
        let mut command = theirs("runsv");
        command.arg("a").current_dir(self.fixture.path("services"));
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.child =
            Some(sys::child::die_with_parent(sys::child::default_signals(&mut command)).spawn().unwrap());
        let ok = self.fixture.path("services/a/supervise/ok");
        eventually("runsv listens", || {
            use std::os::unix::fs::OpenOptionsExt;
            // Without a reader it cannot be opened (fifo(7)).
            File::options().write(true).custom_flags(0o4000).open(&ok).is_ok()
        });
    }

    fn ask(&self, ask: Ask) {
        match ask {
            Ask::Up => self.control("u"),
            Ask::Down => self.control("d"),
            Ask::Once => self.control("o"),
            Ask::Restart => self.control("tcu"),
            Ask::Pause => self.control("p"),
            Ask::Continue => self.control("c"),
            Ask::Reload => self.control("h"),
            Ask::Exit => self.control("x"),
            Ask::Send(signal) => self.control(match signal {
                Signal::TERM => "t",
                Signal::HUP => "h",
                Signal::INT => "i",
                Signal::USR1 => "1",
                Signal::USR2 => "2",
                Signal::KILL => "k",
                other => panic!("runsv has no letter for {other}"),
            }),
        }
    }

    fn view(&self) -> Option<View> {
        // `run`, `run, paused`, `run, want down`, `down, want up`, `finish` … (runsv(8), STATUS)
        let text = self.fixture.read("services/a/supervise/stat");
        let text = text.strip_suffix('\n')?;
        let (up, over) = (text.starts_with("run"), text.starts_with("down"));
        let wanted = if over { text.contains("want up") } else { !text.contains("want down") };
        // It notes that for one that is down, too.
        let paused = up && text.contains("paused");
        Some(View { up, wanted, ready: up, paused, over })
    }

    fn supervisor(&self) -> Pid {
        Pid::new(self.child.as_ref().unwrap().id().cast_signed()).unwrap()
    }

    fn tool(&self, words: &[&str]) -> i32 {
        let (name, rest) = words.split_first().unwrap();
        let mut command = theirs(name);
        // Unless it is told otherwise it waits as long as we do, and not the usual 7 seconds.
        command.args(rest).env("SVDIR", self.fixture.path("services")).env("SVWAIT", "25");
        run(command, &self.fixture.path("services")).status.code().unwrap_or(-1)
    }

    fn refusal(&self) -> Option<String> {
        let tried = self.view().is_some_and(|view| !view.up);
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
        self.control("x");
        let child = self.child.as_mut().unwrap();
        eventually_some("runsv ends", || child.try_wait().unwrap());
    }
}

impl Drop for Runit {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("--- what runsv says\n{}", self.fixture.read("log"));
        }
    }
}
