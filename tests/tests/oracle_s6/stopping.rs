//! Stops and restarts: `down-signal`, `timeout-kill`, `flag-timeout-killpg`.

use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, POLITE, Player, STUBBORN, directory};
use tests::{Signal, process};

#[test]
fn down_is_term_and_then_cont() {
    same(&directory(POLITE).script("finish", "note finish $1"), |player| {
        player.see("run");
        player.ask(Ask::Pause);
        player.until("paused", |view| view.paused);
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until_down();
    });
}

#[test]
fn another_signal_can_mean_down() {
    for word in ["USR1", "SIGUSR1", "usr1", "10"] {
        let run =
            "trap 'note usr1; exit 0' USR1\ntrap 'note term' TERM\nnote run\nwhile :; do sleep 0.01; done";
        same(&directory(run).file("down-signal", &format!("{word}\n")), |player| {
            player.see("run");
            player.ask(Ask::Down);
            player.see("usr1");
            player.until_down();
        });
    }
}

#[test]
fn a_down_signal_that_is_none_is_term() {
    same(&directory(POLITE).file("down-signal", "NONSENSE\n"), |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.until_down();
    });
}

#[test]
fn what_ignores_term_is_killed_after_timeout_kill() {
    let files = directory(STUBBORN).script("finish", "note finish $1 $2").file("timeout-kill", "3000\n");
    same(&files, |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 256 9");
        player.until_down();
    });
}

#[test]
fn the_whole_group_is_killed_if_the_flag_says_so() {
    let why = "flag-timeout-killpg is since s6 2.12";
    let run = format!("sleep 1000 &\necho $! > @T/child\n{STUBBORN}");
    let files = directory(&run).script("finish", "note finish $1 $2").file("timeout-kill", "3000\n");
    let play = |player: &mut Player<'_>, dies: bool| {
        player.see("run");
        let child = player.pid("child");
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 256 9");
        player.until_down();
        if dies {
            tests::eventually("the child has ended", || !process::lives(child));
        }
        player.note(if process::lives(child) { "the child lives" } else { "the child is dead" });
        let _ = sys::process::signal(child, Signal::KILL);
    };
    same(&files, |player| play(player, false));
    different(why, &files.file("flag-timeout-killpg", ""), |player| play(player, player.ours));
}

#[test]
fn a_restart_of_what_ignores_term() {
    let why = "there -r is the down-signal and no more: what ignores that goes on for ever, whatever timeout-kill \
               says; here a restart always ends";
    let files = directory(STUBBORN).script("finish", "note finish $1 $2").file("timeout-kill", "3000\n");
    different(why, &files, |player| {
        player.see("run");
        player.ask(Ask::Restart);
        player.see("term");
        if player.ours {
            player.see("finish 256 9");
            player.see("run");
        } else {
            // It has to be told twice: only -d has the timeout.
            player.ask(Ask::Restart);
            player.see("term");
        }
    });
}

#[test]
fn a_restart_of_what_is_paused() {
    let why = "there -r sends no CONT, and what is paused stays so, with TERM pending; here it is restarted";
    different(why, &directory(POLITE), |player| {
        player.see("run");
        player.ask(Ask::Pause);
        player.until("paused", |view| view.paused);
        player.ask(Ask::Restart);
        if player.ours {
            player.see("term");
            player.see("run");
        } else {
            player.until("paused", |view| view.up && view.paused);
            player.ask(Ask::Continue);
            player.see("term");
            player.note("it took a continue");
        }
    });
}

#[test]
fn a_reload_is_hup_or_what_the_file_says() {
    let why = "reload-signal is since s6 2.15, and -l with it";
    let run = "trap 'note hup' HUP\ntrap 'note usr1' USR1\nnote run\nwhile :; do sleep 0.01; done";
    for text in ["NONSENSE\n", "\n"] {
        same(&directory(run).file("reload-signal", text), |player| {
            player.see("run");
            player.ask(Ask::Reload);
            player.see("hup");
        });
    }
    different(why, &directory(run).file("reload-signal", "USR1\n"), |player| {
        player.see("run");
        player.ask(Ask::Reload);
        player.see(if player.ours { "usr1" } else { "hup" });
    });
}
