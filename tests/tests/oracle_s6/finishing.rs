//! What is asked for while `finish` runs, and while a stop goes on, and what an exit 125 makes of that.

use tests::Signal;
use tests::oracle::s6::{different, same};
use tests::oracle::{
    Ask, Cell, DOWN, Directory, PAUSED, POLITE, Player, STUBBORN, Situation, UP, Whose, directory, held,
};

/// Who asks for a run while the one before is being finished.
const ASKED: &str = "there what is asked for while finish runs is what is wanted in the end, and a run that was asked \
                     for once is none then; here whoever asks for a run gets one, a moment early or not";

fn release(player: &Player<'_>) {
    std::fs::remove_file(player.fixture().path("hold")).unwrap();
}

fn dies(player: &mut Player<'_>) {
    player.write("hold", "");
    player.ask(Ask::Send(Signal::KILL));
    player.see("finish 256");
    player.until("finishing", |view| !view.up);
}

fn stops(player: &mut Player<'_>) {
    player.write("hold", "");
    player.ask(Ask::Down);
    player.see("term");
    player.see("finish 0");
    player.until("finishing", |view| !view.up);
}

/// With a finish that says that it is for good.
fn permanent() -> Directory {
    let finish = "note finish $1\nwhile [ -e @T/hold ]; do sleep 0.01; done\n[ -e @T/mended ] || exit 125";
    directory(POLITE).script("finish", finish)
}

#[test]
fn every_command_while_finish_runs_after_a_stop() {
    Situation::held("finishing after a stop", stops).each(
        Whose::S6,
        &held(directory(POLITE)),
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Restart, &[], DOWN),
            (Ask::Pause, &[], DOWN),
            (Ask::Continue, &[], DOWN),
            (Ask::Send(Signal::TERM), &[], DOWN),
            (Ask::Send(Signal::KILL), &[], DOWN),
        ],
    );
}

#[test]
fn a_run_that_is_asked_for_once_while_finish_runs() {
    for enter in [dies, stops] {
        different(ASKED, &held(directory(POLITE)), |player| {
            player.see("run");
            enter(player);
            player.ask(Ask::Once);
            release(player);
            if player.ours {
                player.see("run");
                player.ask(Ask::Send(Signal::TERM));
                player.see("term");
                player.see("finish 0");
            }
            player.until_down();
        });
    }
}

#[test]
fn every_command_while_the_finish_runs_that_says_for_good() {
    let none: &[&str] = &[];
    let cells: &[Cell] = &[
        (Ask::Down, none, DOWN),
        (Ask::Pause, none, DOWN),
        (Ask::Continue, none, DOWN),
        (Ask::Send(Signal::TERM), none, DOWN),
        (Ask::Send(Signal::KILL), none, DOWN),
    ];
    Situation::held("finishing for good", dies).each(Whose::S6, &permanent(), cells);
    Situation::held("finishing for good after a stop", stops).each(Whose::S6, &permanent(), cells);
}

#[test]
fn a_run_that_is_asked_for_while_the_finish_runs_that_says_for_good() {
    let why = "there the exit 125 outweighs what was asked for while finish ran; here it speaks of the run that has \
               ended, and whoever asks for another one gets it";
    for ask in [Ask::Up, Ask::Once, Ask::Restart] {
        different(why, &permanent(), |player| {
            player.see("run");
            dies(player);
            player.ask(ask);
            release(player);
            if player.ours {
                player.see("run");
                player.ask(Ask::Down);
                player.see("term");
                player.see("finish 0");
            }
            player.until_down();
        });
    }
}

#[test]
fn once_when_it_is_up_has_it_run_to_its_end_and_no_more() {
    same(&held(directory(POLITE)), |player| {
        player.see("run");
        player.ask(Ask::Once);
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until_down();
    });
}

#[test]
fn a_permanent_failure_of_a_run_that_was_to_be_once_is_as_any_other_end() {
    same(&permanent().file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Once);
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until_down();
        player.write("mended", "");
        player.ask(Ask::Up);
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.see("run");
    });
}

// --- while a stop goes on ---

/// Takes its time to stop, and hears one TERM.
const SLOW: &str = "trap 'trap \"\" TERM; note term; while [ -e @T/hold ]; do sleep 0.01; done; exit 0' TERM\n\
                    note run\nwhile :; do sleep 0.01; done";

fn is_told_to_stop(player: &mut Player<'_>) {
    player.write("hold", "");
    player.ask(Ask::Down);
    player.see("term");
}

#[test]
fn every_command_while_a_stop_goes_on() {
    Situation::held("stopping", is_told_to_stop).each(
        Whose::S6,
        &directory(SLOW).script("finish", "note finish $1"),
        &[
            (Ask::Up, &["finish 0", "run"], UP),
            (Ask::Down, &["finish 0"], DOWN),
            (Ask::Restart, &["finish 0"], DOWN),
            (Ask::Continue, &["finish 0"], DOWN),
            (Ask::Send(Signal::TERM), &["finish 0"], DOWN),
        ],
    );
}

#[test]
fn kill_while_a_stop_goes_on_ends_it_at_once() {
    same(&directory(SLOW).script("finish", "note finish $1 $2"), |player| {
        player.see("run");
        is_told_to_stop(player);
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256 9");
        player.until_down();
    });
}

#[test]
fn once_while_a_stop_goes_on() {
    different(ASKED, &directory(SLOW), |player| {
        player.see("run");
        is_told_to_stop(player);
        player.ask(Ask::Once);
        release(player);
        if player.ours {
            player.see("run");
            player.ask(Ask::Down);
            player.see("term");
        }
        player.until_down();
    });
}

#[test]
fn pause_while_a_stop_goes_on() {
    let why = "there what stops can be paused, and stops no further; here a stop is not held up";
    different(why, &directory(SLOW), |player| {
        player.see("run");
        is_told_to_stop(player);
        player.ask(Ask::Pause);
        if player.ours {
            release(player);
        } else {
            player.until("up and paused", |view| (view.up, view.paused) == PAUSED);
            release(player);
            player.note("held up");
            player.ask(Ask::Continue);
        }
        player.until_down();
    });
}

#[test]
fn a_stop_that_is_asked_for_twice() {
    let why = "there each one sends the signal again, and puts off what timeout-kill says; here a stop goes on as it \
               has begun";
    let files = directory(STUBBORN).script("finish", "note finish $1 $2");
    different(why, &files.file("timeout-kill", "5000\n"), |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.ask(Ask::Down);
        if !player.ours {
            player.see("term");
        }
        player.see("finish 256 9");
        player.until_down();
    });
}
