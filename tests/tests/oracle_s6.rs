//! Service directories of s6, beside Debian's s6: every file of the contract (servicedir), and every command in
//! every state. Where we differ on purpose the scenario says why.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::oracle::{Ask, Directory, Player, Whose, directory};
use tests::{Signal, process};

#[track_caller]
fn same(directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    tests::oracle::same(Whose::S6, directory, play);
}

#[track_caller]
fn different(why: &str, directory: &Directory, play: impl Fn(&mut Player<'_>) + Sync) {
    tests::oracle::different(Whose::S6, why, directory, play);
}

/// Runs until it is signalled.
const STAYS: &str = "note run\nexec sleep 1000";

/// The same, and says that it was stopped.
const POLITE: &str = "trap 'note term; exit 0' TERM\nnote run\nwhile :; do sleep 0.01; done";

/// What neither TERM nor anything else but KILL ends.
const STUBBORN: &str = "trap 'note term' TERM\nnote run\nwhile :; do sleep 0.01; done";

// --- run ---

#[test]
fn run_gets_the_name_the_directory_a_session_and_clean_signals() {
    let run = "note run $# $1 ${PWD##*/} $(cut -d' ' -f6 /proc/$$/stat | sed \"s/^$$\\$/leader/\")\n\
               note $(sed -n 's/^Sig\\(Blk\\|Ign\\):\\t//p' /proc/$$/status | cut -c 10-16)\n\
               note $(cd /proc/$$/fd && echo *) $(readlink /proc/$$/fd/0)\n\
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
        same(&directory(&format!("note run\n[ -e @T/enough ] && exec sleep 1000\n{end}")), |player| {
            player.see("run");
            player.see("run");
            player.write("enough", "");
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

// --- finish ---

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
        let finish = format!("note finish\n[ -e @T/enough ] && exit 125\n{end}");
        same(&directory("note run\nexit 1").script("finish", &finish), |player| {
            player.see("run");
            player.see("finish");
            player.see("run");
            player.write("enough", "");
            player.see("finish");
        });
    }
}

#[test]
fn a_finish_that_cannot_be_executed_is_passed_over() {
    same(&directory("note run\nexit 1").file("finish", "#!/bin/sh\n"), |player| {
        player.see("run");
        player.see("run");
    });
    same(&directory("note run\nexit 1").script("finish", "").file("finish", "no script"), |player| {
        player.see("run");
        player.see("run");
    });
}

#[test]
fn a_finish_that_takes_too_long_is_killed() {
    let files = directory("note run\nexit 1").script("finish", "note finish\nexec sleep 1000");
    same(&files.file("timeout-finish", "100\n"), |player| {
        player.see("run");
        player.see("finish");
        player.see("run");
        player.see("finish");
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

// --- readiness ---

#[test]
fn a_line_to_the_notification_descriptor_is_readiness() {
    for number in [3, 9] {
        let run =
            format!("note run\nwhile [ ! -e @T/go ]; do sleep 0.01; done\necho >&{number}\nexec sleep 1000");
        same(&directory(&run).file("notification-fd", &format!("{number}\n")), |player| {
            player.see("run");
            player.until("up and not ready", |view| view.up && !view.ready);
            player.write("go", "");
            player.until("ready", |view| view.up && view.ready);
        });
    }
}

#[test]
fn what_comes_before_the_newline_does_not_matter() {
    let run = "note run\nprintf 'almost' >&3\nsleep 0.05\nprintf ' there\\nand more' >&3\nexec sleep 1000";
    same(&directory(run).file("notification-fd", "3"), |player| {
        player.see("run");
        player.until("ready", |view| view.ready);
    });
}

#[test]
fn an_end_without_a_newline_is_no_readiness() {
    let run = "note run\nprintf 'never' >&3\nexec 3>&-\nnote closed\nexec sleep 1000";
    same(&directory(run).file("notification-fd", "3\n"), |player| {
        player.see("run");
        player.see("closed");
        player.until("up and not ready", |view| view.up && !view.ready);
        player.ask(Ask::Send(Signal::KILL));
        player.see("run");
        player.see("closed");
        player.until("up and not ready", |view| view.up && !view.ready);
    });
}

#[test]
fn the_notification_descriptor_is_a_pipe_and_the_only_one_more() {
    let run = "note $(cd /proc/$$/fd && echo *) $(readlink /proc/$$/fd/7 | sed 's/:.*//')\nexec sleep 1000";
    same(&directory(run).file("notification-fd", "7"), |player| {
        assert!(player.see_next().ends_with("7 pipe"));
    });
}

#[test]
fn a_notification_descriptor_that_is_none_is_passed_over() {
    for text in ["x\n", "\n", "3x\n", "-1\n"] {
        same(&directory(STAYS).file("notification-fd", text), |player| {
            player.see("run");
            player.until_up();
        });
    }
}

#[test]
fn readiness_of_a_service_without_a_notification_descriptor() {
    let why = "who says nothing of readiness is never ready there, and ready at once here, so that others can wait for \
               any service in the same way";
    different(why, &directory(STAYS), |player| {
        player.see("run");
        player.until_up();
        let ours = player.ours;
        player.until("ready, or not", |view| view.up && view.ready == ours);
        player.note(if ours { "ready" } else { "not ready" });
    });
}

// --- stopping ---

#[test]
fn down_is_term_and_then_cont() {
    let run = "trap 'note term; exit 0' TERM\nnote run\nwhile :; do sleep 0.01; done";
    same(&directory(run).script("finish", "note finish $1"), |player| {
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
    let files = directory(STUBBORN).script("finish", "note finish $1 $2").file("timeout-kill", "300\n");
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
    let files = directory(&run).script("finish", "note finish $1 $2").file("timeout-kill", "100\n");
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
    let files = directory(STUBBORN).script("finish", "note finish $1 $2").file("timeout-kill", "100\n");
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

// --- failing to start ---

#[test]
fn a_run_that_cannot_be_executed_is_tried_again() {
    let why = "there it is tried again after a minute, or when somebody asks; here with the wait of any other death, \
               and it comes up by itself once it is mended";
    for broken in ["#!/nonexistent/interpreter\n", "no script at all\n"] {
        different(why, &directory("").file("run", broken), |player| {
            player.until("wanted", |view| view.wanted && !view.up);
            let mended = "services/a/new";
            player.write(mended, "#!/bin/sh\necho mended >> @T/trace\nexec sleep 1000\n");
            let (from, to) = (player.fixture().path(mended), player.fixture().path("services/a/run"));
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(&from, executable).unwrap();
            std::fs::rename(from, to).unwrap();
            if player.ours {
                player.note("by itself");
            } else {
                player.ask(Ask::Up);
            }
            player.see("mended");
        });
    }
}

// --- crashes of the supervisor ---

#[test]
fn a_killed_supervisor_leaves_one_service_and_not_two() {
    let why = "there a second copy is started beside the first; here the first is taken over";
    let run = "echo $$ > @T/pid\nnote run\nexec sleep 1000";
    different(why, &directory(run), |player| {
        player.see("run");
        let first = player.pid("pid");
        player.replace_supervisor();
        if player.ours {
            player.until_up();
            assert_eq!(player.pid("pid"), first);
        } else {
            player.see("run");
            let second = player.pid("pid");
            assert!(second != first && process::lives(first) && process::lives(second), "two of them");
            process::send(first, Signal::KILL);
        }
    });
}

#[test]
fn a_service_with_a_lock_descriptor_starts() {
    let why = "there supervise/service-lock is opened and never made: the service waits for ever, a minute at a time \
               (so it is in Debian's 2.11.3.2)";
    different(why, &directory(STAYS).file("lock-fd", "3\n"), |player| {
        if player.ours {
            player.see("run");
            player.until_up();
        } else {
            player.until("wanted and not up", |view| view.wanted && !view.up);
            tests::eventually("it says why", || player.fixture().read("log").contains("waiting 60 seconds"));
        }
    });
}

#[test]
fn a_lock_keeps_out_a_second_copy_when_the_supervisor_is_killed() {
    let why = "there the lock is lost again at once, unless the number is the lowest that is free: the file is copied \
               to its number and the first copy is closed, which ends a lock of fcntl(2). Here the first copy is \
               taken over, and its lock with it";
    let run = "note run\necho $$ > @T/pid\nexec sleep 1000";
    let files = directory(run).file("lock-fd", "20\n").file("supervise/service-lock", "");
    different(why, &files, |player| {
        player.see("run");
        let first = player.pid("pid");
        player.replace_supervisor();
        player.until_up();
        if player.ours {
            assert_eq!(player.pid("pid"), first);
        } else {
            player.see("run");
            assert!(process::lives(first), "two of them");
            process::send(first, Signal::KILL);
        }
    });
}

#[test]
fn a_lock_keeps_out_a_second_copy_as_long_as_a_child_of_the_first_has_it() {
    let why = "there the lock belongs to the process of run alone and ends with it, so that what it left behind is \
               doubled; here it belongs to all who have the descriptor, and the next start fails until they are gone";
    let run = "note run\nsleep 1000 &\necho $! > @T/left\nexit 0";
    let files = directory(run).file("lock-fd", "3\n").file("supervise/service-lock", "");
    different(why, &files, |player| {
        player.see("run");
        let left = player.pid("left");
        if player.ours {
            player.until("waiting", |view| view.wanted && !view.up);
            player.note("kept out");
        } else {
            player.see("run");
            assert!(process::lives(left));
        }
        process::send(left, Signal::KILL);
        player.see("run");
    });
}

#[test]
fn a_pid_namespace_is_made_if_the_flag_says_so() {
    let why = "flag-newpidns is since s6 2.12";
    let run = "trap 'exit 0' TERM\n[ $$ = 1 ] && note first || note any\nwhile :; do sleep 0.01; done";
    different(why, &directory(run).file("flag-newpidns", ""), |player| {
        player.see(if player.ours { "first" } else { "any" });
    });
}

// --- the rest of the directory ---

#[test]
fn what_is_the_users_own_is_left_alone() {
    let files =
        directory(&format!("note $(cat data/x env/Y instance/z/run instances/u template/t)\n{STAYS}"))
            .file("data/x", "1\n")
            .file("env/Y", "2\n")
            .file("instance/z/run", "3\n")
            .file("instances/u", "4\n")
            .file("template/t", "5\n")
            .file("max-death-tally", "2\n")
            .file("nothing-of-ours", "6\n");
    same(&files, |player| {
        player.see("1 2 3 4 5");
        player.see("run");
        for (file, text) in [("data/x", "1\n"), ("env/Y", "2\n"), ("max-death-tally", "2\n")] {
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

// --- every command in every state ---

/// A state, and how to bring a service into it.
struct Situation {
    name: &'static str,
    enter: fn(&mut Player<'_>),
    /// What is done once the command is given.
    leave: fn(&mut Player<'_>),
}

/// What a command leads to: the events, and whether it is up, and paused, in the end.
type Cell = (Ask, &'static [&'static str], (bool, bool));

const UP: (bool, bool) = (true, false);
const DOWN: (bool, bool) = (false, false);
const PAUSED: (bool, bool) = (true, true);

fn matrix(situation: &Situation, cells: &[Cell]) {
    let run = "trap 'note term; exit 0' TERM\nnote run\nwhile :; do sleep 0.01; done";
    let finish = "note finish $1\nwhile [ -e @T/hold ]; do sleep 0.01; done";
    let files = directory(run).script("finish", finish);
    let one = |(ask, events, (up, paused)): &Cell| {
        same(&files, |player| {
            player.see("run");
            (situation.enter)(player);
            player.ask(*ask);
            (situation.leave)(player);
            for event in *events {
                player.see(event);
            }
            let what = format!("up: {up}, paused: {paused} after {ask:?} when {}", situation.name);
            player.until(&what, |view| (view.up, view.paused) == (*up, *paused));
        });
    };
    // They mostly wait.
    std::thread::scope(|scope| {
        for cell in cells {
            scope.spawn(move || one(cell));
        }
    });
}

#[test]
fn every_command_when_it_is_up() {
    let situation = Situation { name: "up", enter: |player| player.until_up(), leave: |_| () };
    matrix(
        &situation,
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
    fn enter(player: &mut Player<'_>) {
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until_down();
    }
    let situation = Situation { name: "down", enter, leave: |_| () };
    matrix(
        &situation,
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
    fn enter(player: &mut Player<'_>) {
        player.write("hold", "");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until("finishing", |view| !view.up);
    }
    fn leave(player: &mut Player<'_>) {
        std::fs::remove_file(player.fixture().path("hold")).unwrap();
    }
    let situation = Situation { name: "finishing", enter, leave };
    matrix(
        &situation,
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
    fn enter(player: &mut Player<'_>) {
        player.ask(Ask::Pause);
        player.until("paused", |view| view.paused);
    }
    let situation = Situation { name: "paused", enter, leave: |_| () };
    matrix(
        &situation,
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
        player.ask(Ask::Down);
        player.see("term");
        player.see("finish 0");
        player.until_down();
        player.ask(Ask::Once);
        player.see("run");
        player.ask(Ask::Send(Signal::KILL));
        player.see("finish 256");
        player.until_down();
    }
    let situation = Situation { name: "run once and dead", enter, leave: |_| () };
    matrix(
        &situation,
        &[
            (Ask::Up, &["run"], UP),
            (Ask::Down, &[], DOWN),
            (Ask::Once, &["run"], UP),
            (Ask::Restart, &[], DOWN),
            (Ask::Send(Signal::KILL), &[], DOWN),
        ],
    );
}
