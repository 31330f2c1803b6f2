//! Debian's own s6 and runit, run on the same service directory as ours: what they do is what is to be done.
//!
//! Their programs are unpacked below `target/oracle/root` by `scripts/oracle-root`, and run from there by their own
//! dynamic linker; nothing is installed. A scenario is a service directory and what somebody does to it, written once.
//! It is played to both sides, at the same time, and the programs in the directory tell in a trace what happens to
//! them. [`s6::same`] and [`runit::same`] hold the two traces against each other; [`s6::different`] and
//! [`runit::different`] do so where we differ on purpose, and say why.

mod compare;
mod directory;
mod matrix;
mod ours;
mod player;
pub mod runit;
pub mod s6;
mod whole;
mod world;

use crate::fixture::Fixture;
use crate::wait::eventually;
use service::{Pid, Signal};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub use compare::Whose;
pub use directory::{Directory, POLITE, STAYS, STUBBORN, directory, ends};
pub use matrix::{Cell, DOWN, PAUSED, Situation, UP, end_and_hold, held, stop};
pub use ours::Ours;
pub use player::Player;
pub use runit::Runit;
pub use s6::S6;
pub use world::{Under, World, possible};

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
    /// Nothing of it runs: neither `run` nor `finish`.
    pub over: bool,
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
    /// Our `reload`. To theirs it is HUP; `s6-svc -l` is since 2.15.
    Reload,
    /// `s6-svc -x`. runsv has one that stops the service too.
    Exit,
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
    /// Runs an operator's tool, with the service's name among its words: one of theirs, whose name comes first, or
    /// `svctl`. Returns its exit code.
    fn tool(&self, words: &[&str]) -> i32;
    /// What it says of the service; none before it says anything.
    fn view(&self) -> Option<View>;
    /// The supervisor itself.
    fn supervisor(&self) -> Pid;
    /// What is said of a directory of which nothing is started; none of one that is taken as it is.
    fn refusal(&self) -> Option<String>;
    /// The directory has been changed: has the service started from it as it is now.
    fn start_changed(&mut self);
    /// Whether the supervisor has ended.
    fn ended(&mut self) -> bool;
    /// Has it stop the service and exit, and waits for that; or finds that it has.
    fn exit(&mut self);
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

/// The same, as words for a shell script.
#[must_use]
pub fn words(name: &str) -> String {
    let command = theirs(name);
    let all = std::iter::once(command.get_program()).chain(command.get_args());
    all.map(|word| word.display().to_string()).collect::<Vec<_>>().join(" ")
}

/// Waits until a supervisor of theirs has taken what was written to its control pipe: what is done next to the service
/// comes after it.
#[track_caller]
pub(crate) fn taken(control: &Path) {
    use std::os::unix::fs::OpenOptionsExt;
    // Not to wait for a writer (fifo(7)).
    let pipe = File::options().read(true).custom_flags(0o4000).open(control).unwrap();
    eventually("the command is taken", || sys::pipe::pending(&pipe).unwrap() == 0);
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
