//! The same scenario on both sides, at the same time, and their traces beside each other.

use super::{Directory, Ours, Player, Runit, S6, Side, whole::Whole};

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many scenarios were played, and how many of them theirs had to play twice.
static PLAYED: AtomicUsize = AtomicUsize::new(0);
static TWICE: AtomicUsize = AtomicUsize::new(0);

/// Whose program is the oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// s6-supervise
    S6,
    /// runsv
    Runit,
}

/// What a scenario is called: as the test, or part of one, that plays it.
fn scenario(whose: Whose) -> String {
    format!("{whose:?}: {}", std::thread::current().name().unwrap_or("?"))
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
    let scenario = scenario(whose);
    PLAYED.fetch_add(1, Ordering::Relaxed);
    std::thread::scope(|scope| {
        // Theirs lose a command that comes at the wrong moment, now and then. What happens twice is how they are.
        let thread = std::thread::Builder::new().name(format!("{scenario}: theirs"));
        let theirs = thread.spawn_scoped(scope, || {
            catch_unwind(AssertUnwindSafe(|| one(false))).unwrap_or_else(|panic| {
                tell_of_another_time(&scenario, &*panic);
                one(false)
            })
        });
        let theirs = theirs.unwrap();
        let ours = one(true);
        (theirs.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), ours)
    })
}

/// Past what the test harness keeps back of tests that succeed: how often this happens is to be seen.
fn tell_of_another_time(scenario: &str, panic: &(dyn std::any::Any + Send)) {
    let why = panic.downcast_ref::<String>().map(String::as_str);
    let why = why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
    let (twice, played) = (TWICE.fetch_add(1, Ordering::Relaxed) + 1, PLAYED.load(Ordering::Relaxed));
    let why = why.lines().next().unwrap_or_default();
    let line =
        format!("{scenario}: theirs did not go as written ({why}): once more; {twice} of {played} so far");
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// The same happens on both sides, to the very end.
///
/// # Panics
/// If it does not.
#[track_caller]
pub(super) fn same(whose: Whose, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    let (theirs, ours) = both(whose, directory, &play);
    assert_eq!(ours, theirs, "{} (ours, theirs)", scenario(whose));
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
    assert_ne!(ours, theirs, "{}: no difference any more: {why}", scenario(whose));
}
