//! `finish`: what it is given, and what its end means.

use tests::Signal;
use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, STAYS, directory, ends};

#[test]
fn finish_gets_the_exit_code_and_the_name() {
    let finish = "note finish $1 $3\nexit 125";
    same(&directory("exit 3").script("finish", finish), |player| {
        player.see("finish 3 a");
        player.until_down();
    });
}

#[test]
fn finish_gets_the_group_of_the_dead_run() {
    let why = "a fourth argument is there since s6 2.12";
    let run = "echo $$ > @T/pid\nexit 3";
    let finish = "note finish $# $([ \"$4\" = \"$(cat @T/pid)\" ] && echo group)\nexit 125";
    different(why, &directory(run).script("finish", finish), |player| {
        player.see(if player.ours { "finish 4 group" } else { "finish 3" });
        player.until_down();
    });
}

#[test]
fn finish_gets_256_and_the_signal_after_a_death_by_signal() {
    for (signal, number) in [("KILL", 9), ("TERM", 15), ("SEGV", 11)] {
        let finish = "note finish $1 $2\nexit 125";
        same(&directory(&format!("kill -{signal} $$")).script("finish", finish), |player| {
            player.see(&format!("finish 256 {number}"));
            player.until_down();
        });
    }
}

#[test]
fn finish_125_is_the_end_until_somebody_asks_again() {
    same(&directory("note run\nexit 1").script("finish", "note finish\nexit 125"), |player| {
        player.see("run");
        player.see("finish");
        player.until_down();
        player.ask(Ask::Up);
        player.see("run");
        player.see("finish");
        player.until_down();
    });
}

#[test]
fn any_other_end_of_finish_restarts() {
    for end in ["exit 0", "exit 1", "exit 126", "kill -KILL $$"] {
        same(&directory(&ends(2, "exit 1")).script("finish", &format!("note finish\n{end}")), |player| {
            player.see("run");
            player.see("finish");
            player.see("run");
            player.see("finish");
            player.see("run");
            player.until_up();
        });
    }
}

#[test]
fn a_finish_that_cannot_be_executed_is_passed_over() {
    let files = directory(&ends(2, "exit 1"));
    for files in [
        files.clone().file("finish", "#!/bin/sh\n"),
        files.clone().script("finish", "").file("finish", "no script"),
        files.file("finish/in", ""),
    ] {
        same(&files, |player| {
            for _ in 0..3 {
                player.see("run");
            }
            player.until_up();
        });
    }
}

#[test]
fn a_finish_that_takes_too_long_is_killed() {
    // Long enough for it to have said so.
    let files = directory(&ends(2, "exit 1")).script("finish", "note finish\nexec sleep 1000");
    same(&files.file("timeout-finish", "3000\n"), |player| {
        player.see("run");
        player.see("finish");
        player.see("run");
        player.see("finish");
        player.see("run");
        player.until_up();
        player.ask(Ask::Down);
        player.see("finish");
        player.until_down();
    });
}

#[test]
fn a_finish_with_no_limit_may_take_longer_than_the_usual_5_seconds() {
    let files = directory(STAYS).script("finish", "note finish\nsleep 6\nnote finished\nexit 125");
    same(&files.file("timeout-finish", "0\n"), |player| {
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish");
        player.see("finished");
        player.until_down();
    });
}

#[test]
fn finish_runs_as_run_does() {
    let finish = "note ${PWD##*/} $(cut -d' ' -f6 /proc/$$/stat | sed \"s/^$$\\$/leader/\")\n\
                  note $(sed -n 's/^Sig\\(Blk\\|Ign\\):\\t//p' /proc/$$/status | cut -c 10-16)\nexit 125";
    same(&directory("exit 0").script("finish", finish), |player| {
        player.see("a leader");
        player.see("0000000 0000000");
    });
}
