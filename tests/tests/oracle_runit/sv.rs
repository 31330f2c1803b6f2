//! What an operator does with `sv`, and with `svctl`: what happens, what is waited for, and the exit codes.
//!
//! `sv` goes by what runsv has written down, which may be a moment behind what a service traces: each waits until the
//! service is said to be up before it is used.

use std::time::SystemTime;
use tests::oracle::runit::{different, directory, same};
use tests::oracle::{Ask, Directory, POLITE, Player, STUBBORN};
use tests::{Signal, eventually};

/// The difference in exit codes.
const CODES: &str = "there an exit code is the number of services that failed, whatever the reason; here 99 says that \
                     the time was over, 3 that there is no such service, and 1 that it failed";

/// What ends an obstinate service.
const KILLS: &str = "there only a force- command kills, after so many seconds as it is told, and says with 1 that it had \
                     to; here every stop does, after what the definition says, and what has been achieved is 0";

fn polite() -> Directory {
    directory(POLITE).under_init()
}

/// Killed three seconds after a stop that it ignores, under ours. Its second run ignores nothing.
fn stubborn() -> Directory {
    let run = "trap 'note term; [ -e @T/second ] && exit 0; touch @T/first' TERM\n\
               [ -e @T/first ] && touch @T/second\nnote run\nwhile :; do sleep 0.01; done";
    let files = directory(run).script("finish", "note finish $1 $2").under_init();
    files.file("service.d/limit.toml", "[stop]\ntimeout = \"3s\"\n")
}

/// To sv, which counts in whole seconds, what was started within this one has been restarted already.
fn until_it_is_older(player: &Player<'_>) {
    let file = player.fixture().path("services/a/supervise/pid");
    let seconds = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    eventually("the next second has come", || {
        player.ours
            || file.metadata().is_ok_and(|m| seconds(m.modified().unwrap()) < seconds(SystemTime::now()))
    });
}

#[test]
fn start_and_stop_and_restart_wait_and_are_0_when_it_is_done() {
    same(&polite().file("down", ""), |player| {
        player.until_down();
        player.tool(("sv start a", 0), ("start a", 0));
        player.until_up();
        player.see("run");
        player.until_up();
        player.tool(("sv start a", 0), ("start a", 0));
        until_it_is_older(player);
        player.tool(("sv restart a", 0), ("restart a", 0));
        player.see("term");
        player.see("run");
        player.until_up();
        player.tool(("sv stop a", 0), ("stop a", 0));
        player.see("term");
        player.until_down();
        player.tool(("sv stop a", 0), ("stop a", 0));
    });
}

#[test]
fn what_only_signals_does_not_wait() {
    let run = "trap 'note hup' HUP\ntrap 'note usr1' USR1\ntrap 'note usr2' USR2\ntrap 'note int' INT\n\
               trap 'note alarm' ALRM\nnote run\nwhile :; do sleep 0.01; done";
    same(&directory(run).under_init(), |player| {
        player.see("run");
        player.until_up();
        for (sv, signal, event) in [
            ("hup", "HUP", "hup"),
            ("1", "USR1", "usr1"),
            ("2", "USR2", "usr2"),
            ("interrupt", "INT", "int"),
            ("alarm", "ALRM", "alarm"),
        ] {
            player.tool((&format!("sv {sv} a"), 0), (&format!("kill a {signal}"), 0));
            player.see(event);
        }
        player.tool(("sv pause a", 0), ("pause a", 0));
        player.until("paused", |view| view.paused);
        player.tool(("sv cont a", 0), ("continue a", 0));
        player.until("not paused", |view| view.up && !view.paused);
        player.tool(("sv kill a", 0), ("kill a KILL", 0));
        player.see("run");
    });
}

#[test]
fn reload_is_hup() {
    let run = "trap 'note hup' HUP\nnote run\nwhile :; do sleep 0.01; done";
    same(&directory(run).under_init(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv reload a", 0), ("reload a", 0));
        player.see("hup");
    });
}

#[test]
fn once_is_0_and_leaves_it_down_in_the_end() {
    same(&polite().file("down", ""), |player| {
        player.until_down();
        player.tool(("sv once a", 0), ("once --no-wait a", 0));
        player.see("run");
        player.until_up();
        player.tool(("sv term a", 0), ("kill a TERM", 0));
        player.see("term");
        player.until_down();
    });
}

#[test]
fn a_signal_to_what_is_down() {
    let why = "there it is 0 and nothing; here it is said that there is nobody to take it";
    different(why, &polite().file("down", ""), |player| {
        player.until_down();
        player.tool(("sv hup a", 0), ("kill a HUP", 102));
        player.tool(("sv pause a", 0), ("pause a", 102));
    });
}

#[test]
fn a_start_that_takes_too_long() {
    different(CODES, &polite().script("check", "[ -e @T/good ]").file("down", ""), |player| {
        player.until_down();
        player.tool(("sv -w 1 start a", 1), ("start -t 1s a", 99));
        player.see("run");
        player.until_up();
        player.write("good", "");
        player.tool(("sv start a", 0), ("start a", 0));
    });
}

#[test]
fn a_stop_that_takes_too_long_goes_on() {
    // Longer than anybody waits for it here.
    let files = directory(STUBBORN).file("service.d/limit.toml", "[stop]\ntimeout = \"10m\"\n").under_init();
    different(CODES, &files, |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv -w 1 stop a", 1), ("stop -t 1s a", 99));
        player.see("term");
        player.until("up and unwanted", |view| view.up && !view.wanted);
        player.ask(Ask::Send(Signal::KILL));
        player.until_down();
    });
}

#[test]
fn force_stop_and_stop_kill_what_does_not_end() {
    different(KILLS, &stubborn(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv -w 3 force-stop a", 1), ("stop a", 0));
        player.see("term");
        player.see("finish -1 9");
        player.until_down();
    });
}

#[test]
fn force_stop_of_what_ends_is_a_stop() {
    same(&polite(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv force-stop a", 0), ("stop a", 0));
        player.see("term");
        player.until_down();
    });
}

#[test]
fn force_restart_and_restart_kill_what_does_not_end() {
    for verb in ["force-restart", "force-reload"] {
        different(KILLS, &stubborn(), |player| {
            player.see("run");
            player.until_up();
            until_it_is_older(player);
            player.tool((&format!("sv -w 3 {verb} a"), 1), ("restart a", 0));
            player.see("term");
            player.see("finish -1 9");
            player.see("run");
            player.until_up();
        });
    }
}

#[test]
fn force_shutdown_ends_the_supervisor_too() {
    let why = "there a supervisor can be told to go, and runs no finish when its service was killed for that; here it goes \
               with the service's directory, or with the machine";
    different(why, &stubborn(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv -w 3 force-shutdown a", 1), ("stop a", 0));
        player.see("term");
        if player.ours {
            player.see("finish -1 9");
            player.until_down();
        } else {
            player.until_gone();
        }
    });
}

#[test]
fn try_restart_of_what_is_down() {
    let why = "there it is left down; svctl restart starts it: there is no verb that does not";
    different(why, &polite().file("down", ""), |player| {
        player.until_down();
        player.tool(("sv try-restart a", 0), ("restart a", 0));
        if player.ours {
            player.see("run");
            player.until_up();
        } else {
            player.until_down();
        }
    });
}

#[test]
fn status_is_0_for_what_is_up_and_for_what_is_meant_to_be_down() {
    same(&polite(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv status a", 0), ("status a", 0));
        player.tool(("sv stop a", 0), ("stop a", 0));
        player.see("term");
        player.until_down();
        player.tool(("sv status a", 0), ("status a", 0));
    });
}

#[test]
fn a_name_that_is_none() {
    different(CODES, &polite(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv status nobody", 1), ("status nobody", 3));
        player.tool(("sv start nobody", 1), ("start nobody", 3));
        player.tool(("sv stop a nobody", 1), ("stop a nobody", 3));
    });
}

#[test]
fn a_verb_that_is_none_is_100() {
    same(&polite(), |player| {
        player.see("run");
        player.until_up();
        player.tool(("sv frobnicate a", 100), ("frobnicate a", 100));
        player.tool(("sv", 100), ("start", 100));
    });
}
