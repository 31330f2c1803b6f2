//! `run`: what it is given, when it is started, and what happens when it cannot be.

use tests::Signal;
use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, STAYS, directory, ends};

#[test]
fn run_gets_the_name_the_directory_a_session_and_clean_signals() {
    let run = "note run $# $1 ${PWD##*/} $(cut -d' ' -f6 /proc/$$/stat | sed \"s/^$$\\$/leader/\")\n\
               note $(sed -n 's/^Sig\\(Blk\\|Ign\\):\\t//p' /proc/$$/status | cut -c 10-16)\n\
               (cd /proc/$$/fd && echo * > @T/fds)\nnote $(cat @T/fds) $(readlink /proc/$$/fd/0)\n\
               note umask $(umask)\nexec sleep 1000";
    same(&directory(run), |player| {
        player.see("run 1 a a leader");
        player.see("0000000 0000000");
        player.see_next();
        player.see("umask 0022");
    });
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
fn a_down_file_keeps_it_down_until_it_is_asked_for() {
    same(&directory(STAYS).file("down", ""), |player| {
        player.until_down();
        player.ask(Ask::Up);
        player.see("run");
        player.until_up();
    });
}

#[test]
fn what_is_the_users_own_is_left_alone() {
    let files =
        directory(&format!("note $(cat data/x env/Y instance/z/run instances/u template/t)\n{STAYS}"))
            .file("data/x", "1\n")
            .file("env/Y", "2\n")
            .file("instance/z/run", "3\n")
            .file("instances/u", "4\n")
            .file("template/t", "5\n")
            .file("event/of-mine", "7\n")
            .file("log/log/run", "no logger\n")
            .file("max-death-tally", "2\n")
            .file("nothing-of-ours", "6\n");
    same(&files, |player| {
        player.see("1 2 3 4 5");
        player.see("run");
        for (file, text) in
            [("data/x", "1\n"), ("env/Y", "2\n"), ("max-death-tally", "2\n"), ("event/of-mine", "7\n")]
        {
            assert_eq!(player.fixture().read(&format!("services/a/{file}")), text);
        }
        for _ in 0..3 {
            player.ask(Ask::Send(Signal::KILL));
            player.see("1 2 3 4 5");
            player.see("run");
        }
    });
}

#[test]
fn the_environment_is_what_the_definition_says() {
    let why = "there services have whatever environment the machine was booted with; here PATH, and what the \
               definition says";
    let run = "note names $(env | grep -v -E '^(PATH|PWD|OLDPWD|SHLVL|_)=' | cut -d= -f1)\nexec sleep 1000";
    different(why, &directory(run), |player| player.see(if player.ours { "names" } else { "names FOREIGN" }));
}
