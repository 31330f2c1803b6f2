//! One side of a scenario, and what is done and seen there.

use super::{Ask, Side, View};
use crate::fixture::Fixture;
use crate::process;
use crate::wait::{DEADLINE, PAUSE, eventually, eventually_some};
use service::{Pid, Signal};
use std::time::Instant;

/// One side, and what has been seen there.
pub struct Player<'a> {
    side: &'a mut dyn Side,
    /// Whether it is ours.
    pub ours: bool,
    seen: usize,
    noted: Vec<String>,
}

impl<'a> Player<'a> {
    pub(super) fn new(side: &'a mut dyn Side, ours: bool) -> Player<'a> {
        Player { side, ours, seen: 0, noted: Vec::new() }
    }

    /// What was put on record.
    pub(super) fn into_notes(self) -> Vec<String> {
        self.noted
    }

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

    /// Runs what an operator would run on either side, and puts its exit code on record.
    ///
    /// # Panics
    /// If it is another than the one given.
    #[track_caller]
    pub fn tool(&mut self, theirs: (&str, i32), ours: (&str, i32)) {
        let (line, expected) = if self.ours { ours } else { theirs };
        let code = self.side.tool(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(code, expected, "{line}: in {:?}", self.trace());
        self.note(&format!("exit {code}"));
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
        let begun = Instant::now();
        loop {
            let view = self.side.view();
            if view.is_some_and(&wanted) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "waited too long until {what}: it says {view:?}");
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits until it is said to be up.
    #[track_caller]
    pub fn until_up(&mut self) {
        self.until("up", |view| view.up);
    }

    /// Waits until it is said to be down, and to stay so, and `finish` has ended: what is asked for while that runs is
    /// another matter.
    #[track_caller]
    pub fn until_down(&mut self) {
        self.until("down", |view| view.over && !view.wanted);
    }

    /// Waits until nothing is started, and it is said why: ours has no definition then, theirs tries again some time.
    #[track_caller]
    pub fn until_refused(&mut self, ours: &str, theirs: &str) {
        let text = if self.ours { ours } else { theirs };
        eventually(&format!("{} says {text:?}, and starts nothing", self.who()), || {
            self.side.refusal().is_some_and(|refusal| refusal.contains(text))
        });
    }

    /// Has the service started from the directory as it is now.
    pub fn start_changed(&mut self) {
        self.side.start_changed();
    }

    /// Waits for the supervisor's end.
    #[track_caller]
    pub fn until_gone(&mut self) {
        let what = format!("{}: the supervisor ends", self.who());
        eventually(&what, || self.side.ended());
    }

    /// Whether the supervisor has ended.
    pub fn is_gone(&mut self) -> bool {
        self.side.ended()
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
