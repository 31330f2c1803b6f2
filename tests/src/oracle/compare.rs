//! The same scenario on both sides, at the same time, and their traces beside each other.

use super::{Directory, Ours, Player, Runit, S6, Side, whole::Whole};

use std::panic::{AssertUnwindSafe, catch_unwind};

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
            (true, _) if directory.is_under_init() => Box::new(Whole::new(fixture)),
            (true, _) => Box::new(Ours::new(fixture)),
            (false, Whose::S6) => Box::new(S6::new(fixture, directory.is_logger())),
            (false, Whose::Runit) => Box::new(Runit::new(fixture)),
        };
        side.start();
        let mut player = Player::new(&mut *side, ours);
        play(&mut player);
        let noted = player.into_notes();
        side.exit();
        [side.fixture().trace(), noted].concat()
    };
    std::thread::scope(|scope| {
        // Theirs lose a command that comes at the wrong moment, now and then. What happens twice is how they are.
        let theirs = scope.spawn(|| {
            catch_unwind(AssertUnwindSafe(|| one(false))).unwrap_or_else(|_| {
                eprintln!("theirs did not go as written: once more");
                one(false)
            })
        });
        let ours = one(true);
        (theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), ours)
    })
}

/// The same happens on both sides, to the very end.
///
/// # Panics
/// If it does not.
#[track_caller]
pub(super) fn same(whose: Whose, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    let (theirs, ours) = both(whose, directory, &play);
    assert_eq!(ours, theirs, "(ours, theirs)");
}

/// Not the same happens on both sides, and that is meant, for the reason given. What exactly happens on each, the
/// scenario says; that it differs at all is looked at here, so that we hear of it when they change.
///
/// # Panics
/// If it is the same.
#[track_caller]
pub(super) fn different(
    whose: Whose,
    why: &str,
    directory: &Directory,
    play: impl Fn(&mut Player<'_>) + Sync,
) {
    let (theirs, ours) = both(whose, directory, &play);
    assert_ne!(ours, theirs, "no difference any more: {why}");
}
