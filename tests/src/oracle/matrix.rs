//! Every command in a state, one scenario for each.

use super::compare::{Whose, same};
use super::{Ask, Directory, Player, View};
use service::Signal;

/// What a command leads to: the events, and whether it is up, and paused, in the end.
pub type Cell = (Ask, &'static [&'static str], (bool, bool));

/// It is up in the end.
pub const UP: (bool, bool) = (true, false);
/// It is down.
pub const DOWN: (bool, bool) = (false, false);
/// It is up, and stopped in its tracks.
pub const PAUSED: (bool, bool) = (true, true);

/// A state, and how to bring a service that has said `run` into it.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// What it is called in a failure.
    pub name: &'static str,
    /// What is done before the command is given.
    pub enter: fn(&mut Player<'_>),
    /// What is done once it is given.
    pub leave: fn(&mut Player<'_>),
}

impl Situation {
    /// A state that lasts.
    #[must_use]
    pub fn new(name: &'static str, enter: fn(&mut Player<'_>)) -> Situation {
        Situation { name, enter, leave: |_| () }
    }

    /// It was stopped; its `run` is polite.
    #[must_use]
    pub fn down() -> Situation {
        Situation::new("down", stop)
    }

    /// It was stopped in its tracks.
    #[must_use]
    pub fn paused() -> Situation {
        Situation::new("paused", |player| {
            player.ask(Ask::Pause);
            player.until("paused", |view| view.paused);
        })
    }

    /// A state in which `finish` runs, after `enter` has brought about an end: it is held there until the command is
    /// given. The scripts are those of [`held`].
    #[must_use]
    pub fn held(name: &'static str, enter: fn(&mut Player<'_>)) -> Situation {
        fn leave(player: &mut Player<'_>) {
            std::fs::remove_file(player.fixture().path("hold")).unwrap();
        }
        Situation { name, enter, leave }
    }

    fn play(&self, player: &mut Player<'_>, (ask, events, (up, paused)): &Cell) {
        player.see("run");
        (self.enter)(player);
        player.ask(*ask);
        (self.leave)(player);
        for event in *events {
            player.see(event);
        }
        let what = format!("up: {up}, paused: {paused} after {ask:?} when {}", self.name);
        player.until(&what, |view: View| (view.up, view.paused) == (*up, *paused));
    }

    /// Plays one scenario for each command, all at the same time, as they mostly wait.
    ///
    /// # Panics
    /// If one of them does not lead to the same on both sides.
    pub fn each(&self, whose: Whose, directory: &Directory, cells: &[Cell]) {
        let test = std::thread::current().name().unwrap_or("?").to_owned();
        std::thread::scope(|scope| {
            for cell in cells {
                let name = format!("{test}: {:?} when {}", cell.0, self.name);
                let play = move || same(whose, directory, |player| self.play(player, cell));
                std::thread::Builder::new().name(name).spawn_scoped(scope, play).unwrap();
            }
        });
    }
}

/// A directory for a matrix, made of one whose `run` says what happens: `finish` does so too, and lasts as long as there
/// is a file `hold`.
#[must_use]
pub fn held(directory: Directory) -> Directory {
    directory.script("finish", "note finish $1\nwhile [ -e @T/hold ]; do sleep 0.01; done")
}

/// Stops what runs and is polite.
pub fn stop(player: &mut Player<'_>) {
    player.ask(Ask::Down);
    player.see("term");
    player.see("finish 0");
    player.until_down();
}

/// Kills what runs, and holds its `finish`, which says this.
pub fn end_and_hold(player: &mut Player<'_>, finish: &str) {
    player.write("hold", "");
    player.ask(Ask::Send(Signal::KILL));
    player.see(finish);
    player.until("finishing", |view| !view.up);
}
