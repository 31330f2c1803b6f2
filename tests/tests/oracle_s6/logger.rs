//! `log/`, a service directory of its own: `s6-supervise a/log` beside our `a-log`.

use tests::Signal;
use tests::oracle::s6::same;
use tests::oracle::{Ask, POLITE, STAYS, STUBBORN, directory};

#[test]
fn a_logger_is_given_its_name_and_its_directory() {
    let run = "note run $# $1 ${PWD##*/}\nexec sleep 1000";
    same(&directory(run).logger(), |player| {
        player.see("run 1 a/log log");
        player.until_up();
    });
}

#[test]
fn a_logger_has_a_finish_of_its_own() {
    same(&directory(STAYS).script("finish", "note finish $1 $2 $3 ${PWD##*/}").logger(), |player| {
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256 9 a/log log");
        player.see("run");
    });
}

#[test]
fn the_finish_of_a_logger_can_declare_a_permanent_failure() {
    same(&directory("note run\nexit 1").script("finish", "note finish $1\nexit 125").logger(), |player| {
        player.see("run");
        player.see("finish 1");
        player.until_down();
    });
}

#[test]
fn a_logger_tells_that_it_is_ready() {
    let run = "note run\nwhile [ ! -e @T/go ]; do sleep 0.01; done\necho >&3\nexec sleep 1000";
    same(&directory(run).file("notification-fd", "3\n").logger(), |player| {
        player.see("run");
        player.until("up and not ready", |view| view.up && !view.ready);
        player.write("go", "");
        player.until("ready", |view| view.up && view.ready);
    });
}

#[test]
fn a_logger_can_be_down() {
    same(&directory(STAYS).file("down", "").logger(), |player| {
        player.until_down();
        player.ask(Ask::Up);
        player.see("run");
        player.until_up();
    });
}

#[test]
fn a_logger_that_ignores_term_is_killed_after_its_timeout_kill() {
    let files = directory(STUBBORN).script("finish", "note finish $1 $2").file("timeout-kill", "3000\n");
    same(&files.logger(), |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 256 9");
        player.until_down();
    });
}

#[test]
fn a_logger_has_a_down_signal_and_a_timeout_finish_of_its_own() {
    let run = "trap 'note usr1; exit 0' USR1\nnote run\nwhile :; do sleep 0.01; done";
    let files = directory(run).file("down-signal", "USR1\n").file("timeout-finish", "3000\n");
    same(&files.script("finish", "note finish $1\nexec sleep 1000").logger(), |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("usr1");
        player.see("finish 0");
        player.until_down();
    });
}

#[test]
fn a_logger_is_stopped_as_any_service() {
    same(&directory(POLITE).logger(), |player| {
        player.see("run");
        player.ask(Ask::Down);
        player.see("term");
        player.until_down();
        player.ask(Ask::Up);
        player.see("run");
        player.until_up();
    });
}
