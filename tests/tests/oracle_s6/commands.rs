//! Every command in every state.

use tests::Signal;
use tests::oracle::{
    Ask, Cell, DOWN, PAUSED, POLITE, Player, Situation, UP, Whose, directory, end_and_hold, held, stop,
};

fn matrix(situation: Situation, cells: &[Cell]) {
    situation.each(Whose::S6, &held(directory(POLITE)), cells);
}

#[test]
fn every_command_when_it_is_up() {
    let situation = Situation::new("up", |player| player.until_up());
    matrix(
        situation,
        &[
            (Ask::Up, &[], UP),
            (Ask::Down, &["term", "finish 0"], DOWN),
            (Ask::Once, &[], UP),
            (Ask::Restart, &["term", "finish 0", "run"], UP),
            (Ask::Pause, &[], PAUSED),
            (Ask::Continue, &[], UP),
            (Ask::Send(Signal::TERM), &["term", "finish 0", "run"], UP),
            (Ask::Send(Signal::KILL), &["finish 256", "run"], UP),
            (Ask::Send(Signal::HUP), &["finish 256", "run"], UP),
            (Ask::Send(Signal::USR1), &["finish 256", "run"], UP),
        ],
    );
}

#[test]
fn every_command_when_it_is_down() {
    matrix(
        Situation::down(),
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Once, &["run"], UP),
            (Ask::Restart, &[], DOWN),
            (Ask::Pause, &[], DOWN),
            (Ask::Continue, &[], DOWN),
            (Ask::Send(Signal::TERM), &[], DOWN),
            (Ask::Send(Signal::KILL), &[], DOWN),
        ],
    );
}

#[test]
fn every_command_while_finish_runs_after_a_death() {
    matrix(
        Situation::held("finishing", |player| end_and_hold(player, "finish 256")),
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Restart, &["run"], UP),
            (Ask::Pause, &["run"], UP),
            (Ask::Continue, &["run"], UP),
            (Ask::Send(Signal::TERM), &["run"], UP),
            (Ask::Send(Signal::KILL), &["run"], UP),
        ],
    );
}

#[test]
fn every_command_when_it_is_paused() {
    matrix(
        Situation::paused(),
        &[
            (Ask::Up, &[], PAUSED),
            (Ask::Down, &["term", "finish 0"], DOWN),
            (Ask::Once, &[], PAUSED),
            (Ask::Pause, &[], PAUSED),
            (Ask::Continue, &[], UP),
            (Ask::Send(Signal::KILL), &["finish 256", "run"], UP),
        ],
    );
}

#[test]
fn every_command_when_it_has_been_given_up() {
    fn enter(player: &mut Player<'_>) {
        stop(player);
        player.ask(Ask::Once);
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until_down();
    }
    let situation = Situation::new("run once and dead", enter);
    matrix(
        situation,
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Once, &["run"], UP),
            (Ask::Restart, &[], DOWN),
            (Ask::Send(Signal::KILL), &[], DOWN),
        ],
    );
}
