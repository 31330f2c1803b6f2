//! Directories of which nothing can be started, from the beginning or later.

use std::fs::{Permissions, rename, set_permissions};
use std::os::unix::fs::PermissionsExt;
use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, Directory, Player, STAYS, directory};
use tests::{Signal, eventually};

const MENDED: &str = "#!/bin/sh\necho mended >> @T/trace\nexec sleep 1000\n";

/// Puts a script that works in the place of `run`.
fn mend(player: &Player<'_>) {
    let new = "services/a/new";
    player.fixture().write(new, MENDED);
    let (from, to) = (player.fixture().path(new), player.fixture().path("services/a/run"));
    tests::fixture::make_executable(&from);
    if to.is_dir() {
        std::fs::remove_dir_all(&to).unwrap();
    }
    rename(from, to).unwrap();
}

#[test]
fn a_run_that_is_no_program_is_not_started_until_it_is_mended_and_asked_for() {
    let cases: [(Directory, &str); 3] = [
        (directory("").without("run").file("run", "#!/bin/sh\nexit 0\n"), "Permission denied"),
        (directory("").without("run"), "No such file or directory"),
        (directory("").without("run").file("run/in", ""), "Permission denied"),
    ];
    for (files, theirs) in cases {
        same(&files, |player| {
            player.until_refused("run", theirs);
            mend(player);
            player.start_changed();
            player.see("mended");
            player.until_up();
        });
    }
}

#[test]
fn a_run_with_a_bad_interpreter_is_tried_again() {
    let why = "there it is tried again after ten seconds (after a minute in later versions), or when somebody asks; \
               here with the wait of any other death, and it comes up by itself once it is mended";
    for broken in ["#!/nonexistent/interpreter\n", "no script at all\n"] {
        different(why, &directory("").file("run", broken), |player| {
            player.until("wanted", |view| view.wanted && !view.up);
            mend(player);
            if player.ours {
                player.note("by itself");
            } else {
                player.ask(Ask::Up);
            }
            player.see("mended");
        });
    }
}

type Spoil = fn(&Player<'_>);

/// What can become of `run` while it runs.
const SPOILT: [(&str, Spoil); 3] = [
    ("no longer executable", |player| {
        set_permissions(player.fixture().path("services/a/run"), Permissions::from_mode(0o644)).unwrap();
    }),
    ("gone", |player| std::fs::remove_file(player.fixture().path("services/a/run")).unwrap()),
    ("a directory", |player| {
        std::fs::remove_file(player.fixture().path("services/a/run")).unwrap();
        std::fs::create_dir(player.fixture().path("services/a/run")).unwrap();
    }),
];

#[test]
fn a_run_that_is_spoilt_while_it_runs_fails_at_the_next_start_and_finish_is_run_for_the_death_alone() {
    let why = "once it is mended, here it comes up by itself";
    for (what, spoil) in SPOILT {
        different(why, &directory(STAYS).script("finish", "note finish $1 $2"), |player| {
            player.see("run");
            spoil(player);
            player.ask(Ask::Send(Signal::KILL));
            player.see("finish 256 9");
            player.until(what, |view| view.wanted && !view.up);
            if !player.ours {
                eventually("it says why", || player.fixture().read("log").contains("unable to spawn ./run"));
            }
            mend(player);
            if player.ours {
                player.note("by itself");
            } else {
                player.ask(Ask::Up);
            }
            player.see("mended");
        });
    }
}

#[test]
fn a_notification_descriptor_that_is_the_lock_descriptor_too_is_refused() {
    let files = directory(STAYS).file("notification-fd", "4\n").file("lock-fd", "4\n");
    same(&files.file("supervise/service-lock", ""), |player| {
        player.until_refused("4 is the notification-fd already", "notification-fd and lock-fd are the same");
        // Which is so as long as the files say so.
        player.start_changed();
        player.until_refused("already", "same");
    });
}

#[test]
fn a_descriptor_above_the_limit_of_the_process_is_refused() {
    same(&directory(STAYS).file("notification-fd", "100000000\n"), |player| {
        player.until_refused("descriptors above 63 are not supported", "unable to spawn ./run");
    });
}

#[test]
fn a_descriptor_above_63_is_refused() {
    let why = "there it can be whatever the limit of the process allows; here 63 at most, and that is said";
    let run = "note run\necho >/dev/fd/100\nexec sleep 1000";
    different(why, &directory(run).file("notification-fd", "100\n"), |player| {
        if player.ours {
            player.until_refused("descriptors above 63 are not supported", "");
        } else {
            player.see("run");
            player.until("ready", |view| view.up && view.ready);
        }
    });
}
