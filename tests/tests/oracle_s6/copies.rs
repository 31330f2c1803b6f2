//! One copy of a service: killed supervisors, `lock-fd`, `flag-newpidns`.

use tests::oracle::s6::different;
use tests::oracle::{STAYS, directory};
use tests::{Signal, process};

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
