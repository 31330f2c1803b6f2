//! Service directories of runit, beside Debian's runit: every file of runsv(8), and every command of its control
//! interface. Where we differ on purpose the scenario says why.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "oracle_runit/sv.rs"]
mod sv;

use tests::oracle::runit::{different, directory, same};
use tests::oracle::{
    Ask, Cell, DOWN, Directory, PAUSED, POLITE, STUBBORN, Situation, UP, Whose, end_and_hold, ends, held,
};
use tests::{Signal, process};

// --- run ---

#[test]
fn run_gets_nothing_but_the_directory_and_clean_signals() {
    let run = "note run $# ${PWD##*/}\n\
               note $(sed -n 's/^Sig\\(Blk\\|Ign\\):\\t//p' /proc/$$/status | cut -c 10-16) $(umask)\n\
               (cd /proc/$$/fd && echo * > @T/fds)\nnote $(cat @T/fds) $(readlink /proc/$$/fd/0)\nexec sleep 1000";
    same(&directory(run), |player| {
        player.see("run 0 a");
        player.see("0000000 0000000 0022");
        player.see_next();
    });
}

#[test]
fn run_leads_a_session() {
    let why = "there a service stays in runsv's process group, and a signal to that group hits the supervisor too; \
               here, as under s6, each start leads a session of its own";
    let run =
        "note $(cut -d' ' -f6 /proc/$$/stat | sed \"s/^$$\\$/leader/; s/^[0-9].*/not/\")\nexec sleep 1000";
    different(why, &directory(run), |player| player.see(if player.ours { "leader" } else { "not" }));
}

#[test]
fn run_is_restarted_whatever_its_status() {
    for end in ["exit 0", "exit 3", "kill -KILL $$"] {
        same(&directory(&ends(2, end)), |player| {
            player.see("run");
            player.see("run");
            player.see("run");
            player.until_up();
        });
    }
}

#[test]
fn what_is_the_users_own_is_left_alone() {
    let run = "note $(cat conf env/Y data/x .meta/installed)\nexec sleep 1000";
    let files = directory(run).file("conf", "0\n").file("env/Y", "2\n").file("data/x", "3\n");
    same(&files.file(".meta/installed", "4\n").file("log/log/run", "no logger\n"), |player| {
        player.see("0 2 3 4");
        for (file, text) in [("conf", "0\n"), ("data/x", "3\n"), (".meta/installed", "4\n")] {
            assert_eq!(player.fixture().read(&format!("services/a/{file}")), text);
        }
    });
}

#[test]
fn a_down_file_keeps_it_down_until_it_is_asked_for() {
    same(&directory(POLITE).file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Up);
        player.see("run");
        player.until_up();
    });
}

// --- finish ---

#[test]
fn finish_gets_the_exit_code_and_the_low_byte_of_the_status() {
    for (end, arguments) in [
        ("exit 0", "2 0 0"),
        ("exit 3", "2 3 0"),
        ("exit 255", "2 255 0"),
        ("kill -KILL $$", "2 -1 9"),
        ("kill -TERM $$", "2 -1 15"),
    ] {
        let finish = "note finish $# $1 $2";
        same(&directory(&ends(1, end)).script("finish", finish), |player| {
            player.see("run");
            player.see(&format!("finish {arguments}"));
            player.see("run");
        });
    }
}

#[test]
fn the_end_of_finish_does_not_matter() {
    for end in ["exit 0", "exit 125", "kill -KILL $$"] {
        let finish = format!("note finish\n{end}");
        same(&directory(&ends(1, "exit 1")).script("finish", &finish), |player| {
            player.see("run");
            player.see("finish");
            player.see("run");
            player.until_up();
        });
    }
}

#[test]
fn a_run_that_cannot_be_started_is_tried_again_without_anybody_asking() {
    same(&directory("").file("run", "#!/nonexistent/interpreter\n"), |player| {
        player.until("wanted and not up", |view| !view.up);
        let new = "services/a/new";
        player.write(new, "#!/bin/sh\necho mended >> @T/trace\nexec sleep 1000\n");
        let (from, to) = (player.fixture().path(new), player.fixture().path("services/a/run"));
        tests::fixture::make_executable(&from);
        std::fs::rename(from, to).unwrap();
        player.see("mended");
    });
}

// --- control/ ---

/// Says which control script was run, and does what is asked all the same unless `instead`.
fn control(letter: &str, instead: bool) -> Directory {
    let run = "trap 'note term; exit 0' TERM\ntrap 'note hup' HUP\ntrap 'note usr1' USR1\nnote run\n\
               while :; do sleep 0.01; done";
    let end = if instead { "exit 0" } else { "exit 1" };
    directory(run).script(&format!("control/{letter}"), &format!("note control {letter} ${{PWD##*/}}\n{end}"))
}

#[test]
fn a_control_script_that_succeeds_is_in_the_place_of_the_signal() {
    for (letter, signal) in [("h", Signal::HUP), ("1", Signal::USR1), ("t", Signal::TERM)] {
        same(&control(letter, true), |player| {
            player.see("run");
            player.ask(Ask::Send(signal));
            player.see(&format!("control {letter} a"));
            player.until_up();
            if letter == "t" {
                // It does nothing, and so never stops.
                player.ask(Ask::Down);
                player.see("control t a");
                player.ask(Ask::Send(Signal::KILL));
                player.until_down();
            }
        });
    }
}

#[test]
fn a_control_script_that_fails_is_before_the_signal() {
    for (letter, signal, event) in [("h", Signal::HUP, "hup"), ("1", Signal::USR1, "usr1")] {
        same(&control(letter, false), |player| {
            player.see("run");
            player.ask(Ask::Send(signal));
            player.see(&format!("control {letter} a"));
            player.see(event);
        });
    }
}

#[test]
fn down_asks_control_t_and_control_d() {
    let run = "trap 'note term; exit 0' TERM\nnote run\necho $$ > @T/pid\nwhile :; do sleep 0.01; done";
    let files = directory(run).script("control/d", "note control d").script(
        "control/t",
        "note control t\nkill -TERM $(cat @T/pid)\nwhile ! grep -q term @T/trace; do sleep 0.01; done",
    );
    same(&files, |player| {
        player.see("run");
        let _ = player.pid("pid");
        player.ask(Ask::Down);
        for _ in 0..3 {
            player.see_next();
        }
        player.until_down();
    });
}

#[test]
fn what_is_asked_for_while_a_control_script_runs_waits_for_its_own() {
    let run = "trap 'note term; exit 0' TERM\ntrap 'note hup' HUP\nnote run\nwhile :; do sleep 0.01; done";
    let files = directory(run)
        .script("control/h", "note control h\nwhile [ -e @T/hold ]; do sleep 0.01; done\nexit 0")
        .script("control/1", "note control 1\nexit 0")
        .script("control/t", "note control t\nexit 1");
    same(&files, |player| {
        player.see("run");
        player.write("hold", "");
        player.ask(Ask::Send(Signal::HUP));
        player.see("control h");
        player.ask(Ask::Send(Signal::USR1));
        player.ask(Ask::Down);
        std::fs::remove_file(player.fixture().path("hold")).unwrap();
        player.see("control 1");
        player.see("control t");
        player.see("term");
        player.until_down();
    });
}

#[test]
fn a_control_script_is_not_run_when_the_service_is_down() {
    same(&control("h", true).file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Send(Signal::HUP));
        player.ask(Ask::Up);
        player.see("run");
    });
}

// --- commands ---

fn matrix(situation: Situation, cells: &[Cell]) {
    situation.each(Whose::Runit, &held(directory(POLITE)), cells);
}

#[test]
fn every_command_when_it_is_up() {
    matrix(
        Situation::new("up", |player| player.until_up()),
        &[
            (Ask::Up, &[], UP),
            (Ask::Down, &["term", "finish 0"], DOWN),
            (Ask::Once, &[], UP),
            (Ask::Restart, &["term", "finish 0", "run"], UP),
            (Ask::Pause, &[], PAUSED),
            (Ask::Continue, &[], UP),
            (Ask::Send(Signal::TERM), &["term", "finish 0", "run"], UP),
            (Ask::Send(Signal::KILL), &["finish -1", "run"], UP),
            (Ask::Send(Signal::HUP), &["finish -1", "run"], UP),
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
        Situation::held("finishing", |player| end_and_hold(player, "finish -1")),
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Pause, &["run"], UP),
            (Ask::Continue, &["run"], UP),
        ],
    );
}

#[test]
fn once_is_left_alone_when_it_has_ended() {
    same(&directory(POLITE).file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Once);
        player.see("run");
        player.ask(Ask::Send(Signal::TERM));
        player.see("term");
        player.until_down();
    });
}

#[test]
fn what_ignores_term_is_killed_some_time() {
    let why = "there a service that ignores TERM keeps runsv, and so the machine, waiting for ever (sv kills after \
               seven seconds if it is told to with force-stop); here KILL follows, after a minute by default";
    let files = directory(STUBBORN).file("service.d/limit.toml", "[stop]\ntimeout = \"3s\"\n");
    different(why, &files, |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        if player.ours {
            player.until_down();
        } else {
            player.until("up and unwanted", |view| view.up && !view.wanted);
            player.note("for ever");
            player.ask(Ask::Send(Signal::KILL));
            player.until_down();
        }
    });
}

#[test]
fn a_killed_supervisor_leaves_one_service_and_not_two() {
    let why = "there a second copy is started beside the first; here the first is taken over";
    different(why, &directory("note run\necho $$ > @T/pid\nexec sleep 1000"), |player| {
        player.see("run");
        let first = player.pid("pid");
        player.replace_supervisor();
        if player.ours {
            player.until_up();
            assert_eq!(player.pid("pid"), first);
        } else {
            player.see("run");
            assert!(process::lives(first), "two of them");
            process::send(first, Signal::KILL);
        }
    });
}

// --- check ---

#[test]
fn a_check_is_readiness() {
    let why = "there check is only run by who asks with sv; here it tells when the service is ready";
    different(why, &directory(POLITE).script("check", "[ -e @T/good ]").under_init(), |player| {
        player.see("run");
        player.until_up();
        if player.ours {
            player.until("up and not ready", |view| view.up && !view.ready);
        }
        player.tool(("sv -w 1 check a", 1), ("wait -t 1s a", 99));
        player.write("good", "");
        player.tool(("sv check a", 0), ("wait a", 0));
        player.until("ready", |view| view.ready);
    });
}
