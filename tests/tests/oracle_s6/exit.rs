//! `s6-svc -x` and our `exit`, in every state.

use tests::Signal;
use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, Directory, POLITE, Player, directory, ends, held};

/// There the supervisor ends with the process that it has, however that ends; here once the service is *wanted* down.
const WHY: &str = "there whatever ends a service that is to be left alone ends its supervisor, and it is not started \
                   again; here a supervisor goes when its service is down, and keeps it until somebody stops it: it is \
                   init that asks for this, when it takes the service down too";

fn files() -> Directory {
    held(directory(POLITE))
}

fn release(player: &Player<'_>) {
    std::fs::remove_file(player.fixture().path("hold")).unwrap();
}

#[test]
fn exit_when_it_is_down_is_at_once() {
    same(&files().file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Exit);
        player.until_gone();
    });
}

#[test]
fn exit_when_finish_has_declared_a_permanent_failure_is_at_once() {
    same(&directory("note run\nexit 1").script("finish", "note finish\nexit 125"), |player| {
        player.see("run");
        player.see("finish");
        player.until_down();
        player.ask(Ask::Exit);
        player.until_gone();
    });
}

#[test]
fn exit_when_it_is_up_leaves_it_alone_until_it_is_stopped() {
    same(&files(), |player| {
        player.see("run");
        player.ask(Ask::Exit);
        player.until_up();
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until_gone();
    });
}

#[test]
fn exit_while_it_stops_is_when_it_has_ended_and_been_finished() {
    let run = "trap 'note term; while [ -e @T/hold ]; do sleep 0.01; done; exit 0' TERM\nnote run\n\
               while :; do sleep 0.01; done";
    same(&directory(run).script("finish", "note finish $1"), |player| {
        player.see("run");
        player.write("hold", "");
        player.ask(Ask::Down);
        player.see("term");
        player.ask(Ask::Exit);
        release(player);
        player.see("finish 0");
        player.until_gone();
    });
}

#[test]
fn exit_while_it_is_finished_after_a_stop_is_when_that_is_over() {
    same(&files(), |player| {
        player.see("run");
        player.write("hold", "");
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until("finishing", |view| !view.up);
        player.ask(Ask::Exit);
        release(player);
        player.until_gone();
    });
}

#[test]
fn exit_when_it_is_paused_is_after_the_stop_that_continues_it() {
    same(&files(), |player| {
        player.see("run");
        player.ask(Ask::Pause);
        player.until("paused", |view| view.paused);
        player.ask(Ask::Exit);
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until_gone();
    });
}

#[test]
fn a_death_after_exit() {
    different(WHY, &files(), |player| {
        player.see("run");
        player.ask(Ask::Exit);
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        if player.ours { player.see("run") } else { player.until_gone() }
    });
}

#[test]
fn exit_while_it_is_finished_after_a_death() {
    different(WHY, &files(), |player| {
        player.see("run");
        player.write("hold", "");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until("finishing", |view| !view.up);
        player.ask(Ask::Exit);
        release(player);
        if player.ours { player.see("run") } else { player.until_gone() }
    });
}

#[test]
fn exit_between_two_starts() {
    different(WHY, &directory(&ends(2, "exit 1")), |player| {
        player.see("run");
        // Ours waits for the first time after the second run.
        if player.ours {
            player.see("run");
        }
        player.until("between two starts", |view| view.wanted && !view.up);
        player.ask(Ask::Exit);
        if player.ours { player.see("run") } else { player.until_gone() }
    });
}
