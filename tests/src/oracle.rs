//! Debian's own s6 and runit, run on the same service directory as ours: what they do is what is to be done.
//!
//! Their programs are unpacked below `target/oracle/root` by `scripts/oracle-root`, and run from there by their own
//! dynamic linker; nothing is installed. A scenario is a service directory and what somebody does to it, written once.
//! It is played to both sides, at the same time, and the programs in the directory tell in a trace what happens to
//! them. [`same`] holds the two traces against each other; [`different`] does so where we differ on purpose, and
//! says why.

mod ours;
mod runit;
mod s6;
mod world;

use crate::fixture::Fixture;
use crate::process;
use crate::wait::eventually_some;
use service::{Pid, Signal};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use ours::Ours;
pub use runit::Runit;
pub use s6::S6;
pub use world::{Under, World, possible};

/// What every script begins with: `note WORDS…` tells the trace, as one line.
const PRELUDE: &str = "note() { echo \"$*\" >> @T/trace; }\n";

/// What a supervisor says of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// `run` runs.
    pub up: bool,
    /// It is wanted up.
    pub wanted: bool,
    /// It has said that it is ready.
    pub ready: bool,
    /// It was stopped in its tracks.
    pub paused: bool,
}

/// What can be asked of every one of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `s6-svc -u`, `sv up`
    Up,
    /// `s6-svc -d`, `sv down`
    Down,
    /// `s6-svc -o`, `sv once`
    Once,
    /// `s6-svc -r`; runit has none of its own: it is TERM.
    Restart,
    /// `s6-svc -p`, `sv pause`
    Pause,
    /// `s6-svc -c`, `sv cont`
    Continue,
    /// A signal to the main process.
    Send(Signal),
}

/// A supervisor over a service directory called `a`.
pub trait Side {
    /// Where it is.
    fn fixture(&self) -> &Fixture;
    /// Starts it.
    fn start(&mut self);
    /// Asks it for something. It is taken, not done.
    fn ask(&self, ask: Ask);
    /// What it says of the service; none before it says anything.
    fn view(&self) -> Option<View>;
    /// The supervisor itself.
    fn supervisor(&self) -> Pid;
    /// Has it stop the service and exit, and waits for that.
    fn exit(&mut self);
}

/// One side, and what has been seen there.
pub struct Player<'a> {
    side: &'a mut dyn Side,
    /// Whether it is ours.
    pub ours: bool,
    seen: usize,
    noted: Vec<String>,
}

impl Player<'_> {
    /// Waits for the next line of the trace, which may be any; that it is the same on both sides is looked at in the end.
    #[track_caller]
    pub fn see_next(&mut self) -> String {
        let found = eventually_some(&format!("{} traces more than {:?}", self.who(), self.trace()), || {
            self.side.fixture().trace().get(self.seen).cloned()
        });
        self.seen += 1;
        found
    }

    /// Asks for something.
    pub fn ask(&mut self, ask: Ask) {
        self.side.ask(ask);
    }

    /// Waits for the next line of the trace, which must be this one.
    ///
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn see(&mut self, line: &str) {
        let found = self.see_next();
        assert_eq!(found, line, "{}: in {:?}", self.who(), self.trace());
    }

    /// Waits until the supervisor says this.
    #[track_caller]
    pub fn until(&mut self, what: &str, wanted: impl Fn(View) -> bool) {
        let what = format!("{} says {what}", self.who());
        eventually_some(&what, || self.side.view().filter(|view| wanted(*view)));
    }

    /// Waits until it is said to be up.
    #[track_caller]
    pub fn until_up(&mut self) {
        self.until("up", |view| view.up);
    }

    /// Waits until it is said to be down, and to stay so.
    #[track_caller]
    pub fn until_down(&mut self) {
        self.until("down", |view| !view.up && !view.wanted);
    }

    /// Puts something on record that has to be the same on both sides.
    pub fn note(&mut self, what: &str) {
        self.noted.push(what.to_owned());
    }

    /// Writes a file below the fixture's directory; scripts wait for such.
    pub fn write(&mut self, path: &str, text: &str) {
        self.side.fixture().write(path, text);
    }

    /// The fixture.
    #[must_use]
    pub fn fixture(&self) -> &Fixture {
        self.side.fixture()
    }

    /// The main process, which has written its number to the file `pid`.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    #[must_use]
    pub fn pid(&self, file: &str) -> Pid {
        eventually_some(&format!("{} has a file {file}", self.who()), || {
            let text = self.side.fixture().read(file);
            Pid::new(text.strip_suffix('\n')?.parse().ok()?)
        })
    }

    /// Kills the supervisor, and starts another.
    pub fn replace_supervisor(&mut self) {
        let old = self.side.supervisor();
        process::send(old, Signal::KILL);
        self.side.start();
    }

    /// Who plays.
    #[must_use]
    pub fn who(&self) -> &'static str {
        if self.ours { "ours" } else { "theirs" }
    }

    fn trace(&self) -> Vec<String> {
        self.side.fixture().trace()
    }
}

/// A service directory in the making.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    files: Vec<(String, String, bool)>,
}

/// A directory whose `run` is this script.
#[must_use]
pub fn directory(run: &str) -> Directory {
    Directory::default().script("run", run)
}

impl Directory {
    /// Adds a script, which can say `note`.
    #[must_use]
    pub fn script(mut self, name: &str, text: &str) -> Directory {
        self.files.push((name.to_owned(), format!("#!/bin/sh\n{PRELUDE}{text}\n"), true));
        self
    }

    /// Adds any other file.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Directory {
        self.files.push((name.to_owned(), text.to_owned(), false));
        self
    }

    /// Puts it down as the service `a` of a new fixture.
    #[must_use]
    pub fn fixture(&self) -> Fixture {
        let mut fixture = Fixture::new().directory("a");
        for (name, text, script) in &self.files {
            fixture = if *script {
                fixture.executable(name, text)
            } else {
                fixture.file(&format!("services/a/{name}"), text)
            };
        }
        fixture
    }
}

/// Whose program is the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// s6-supervise
    S6,
    /// runsv
    Runit,
}

/// Plays a scenario on both sides, and returns what was traced: theirs, ours.
fn both(
    whose: Whose,
    directory: &Directory,
    play: &(dyn Fn(&mut Player<'_>) + Sync),
) -> (Vec<String>, Vec<String>) {
    let one = |ours: bool| {
        let fixture = directory.fixture();
        let mut side: Box<dyn Side> = match (ours, whose) {
            (true, _) => Box::new(Ours::new(fixture)),
            (false, Whose::S6) => Box::new(S6::new(fixture)),
            (false, Whose::Runit) => Box::new(Runit::new(fixture)),
        };
        side.start();
        let mut player = Player { side: &mut *side, ours, seen: 0, noted: Vec::new() };
        play(&mut player);
        let noted = std::mem::take(&mut player.noted);
        side.exit();
        [side.fixture().trace(), noted].concat()
    };
    std::thread::scope(|scope| {
        let theirs = scope.spawn(|| one(false));
        let ours = one(true);
        (theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), ours)
    })
}

/// The same happens on both sides, to the very end.
///
/// # Panics
/// If it does not.
#[track_caller]
pub fn same(whose: Whose, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    let (theirs, ours) = both(whose, directory, &play);
    assert_eq!(ours, theirs, "(ours, theirs)");
}

/// Not the same happens on both sides, and that is meant, for the reason given. What exactly happens on each, the
/// scenario says; that it differs at all is looked at here, so that we hear of it when they change.
///
/// # Panics
/// If it is the same.
#[track_caller]
pub fn different(whose: Whose, why: &str, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    let (theirs, ours) = both(whose, directory, &play);
    assert_ne!(ours, theirs, "no difference any more: {why}");
}

/// Where Debian's programs are unpacked.
///
/// # Panics
/// If they are not.
#[must_use]
pub fn root() -> PathBuf {
    let built = || concat!(env!("CARGO_MANIFEST_DIR"), "/../target/oracle/root").into();
    let root = std::env::var_os("MAINSTAY_ORACLE").map_or_else(built, PathBuf::from);
    assert!(
        root.join("usr/bin/s6-supervise").is_file(),
        "there is no {}: run scripts/oracle-root",
        root.display()
    );
    std::fs::canonicalize(root).unwrap()
}

/// One of their programs, with their own libraries, and nothing in its environment that says so.
#[must_use]
pub fn theirs(name: &str) -> Command {
    let root = root();
    let mut command = Command::new(root.join("lib64/ld-linux-x86-64.so.2"));
    command.arg("--library-path").arg(root.join("usr/lib/x86_64-linux-gnu"));
    command.arg("--argv0").arg(name).arg(root.join("usr/bin").join(name));
    command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.stdin(Stdio::null());
    command
}

/// Runs one of their commands to its end; what it says goes to the fixture's log.
#[track_caller]
pub(crate) fn run(mut command: Command, place: &Path) -> std::process::Output {
    let output = command.current_dir(place).output().unwrap();
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        eprintln!("{command:?}: {}: {text}", output.status);
    }
    output
}
