//! `notification-fd`.

use tests::Signal;
use tests::oracle::s6::{different, same};
use tests::oracle::{Ask, STAYS, directory};

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
    let run = "(cd /proc/$$/fd && echo * > @T/fds)\nnote $(cat @T/fds) $(readlink /proc/$$/fd/7 | sed 's/:.*//')\nexec sleep 1000";
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

#[test]
fn a_notification_descriptor_0() {
    let why = "there it takes the place of standard input; here standard input stays what it is, and that it is no \
               readiness is said";
    let run = "note $(readlink /proc/$$/fd/0 | sed 's/:.*//')\necho >&0\nexec sleep 1000";
    different(why, &directory(run).file("notification-fd", "0\n"), |player| {
        player.see(if player.ours { "/dev/null" } else { "pipe" });
        player.until("ready", |view| view.up && view.ready);
        if player.ours {
            assert!(player.fixture().read("compiler").contains("0 is not the number of such a descriptor"));
        }
    });
}

#[test]
fn a_notification_descriptor_1_takes_the_place_of_standard_output() {
    let run = "note $(readlink /proc/$$/fd/1 | sed 's/:.*//')\n\
               while [ ! -e @T/go ]; do sleep 0.01; done\necho\nexec sleep 1000";
    same(&directory(run).file("notification-fd", "1\n"), |player| {
        player.see("pipe");
        player.until("up and not ready", |view| view.up && !view.ready);
        player.write("go", "");
        player.until("ready", |view| view.up && view.ready);
    });
}
