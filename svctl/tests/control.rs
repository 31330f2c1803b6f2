//! Start, stop, restart and their kin against players of init and of supervisors on real sockets.

mod common;

use common::Fixture;
use std::io::Write;

#[test]
fn a_restart_returns_when_the_service_is_ready_in_a_new_process() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("ok").say("event agent up up timely 10 3");
        player.expect("restart").say("ok").say("event agent stopping up timely 10 3");
        player.say("event agent starting up timely 11 4").say("event agent up up timely 11 4").until_gone();
    });
    let ran = fixture.run(&["restart", "agent"]);
    player.join().unwrap();
    assert!(ran.out.starts_with("agent: up, pid 11, ready after "), "{ran:?}");
    assert_eq!((ran.code, ran.out.lines().count(), ran.err.as_str()), (0, 1, ""));
}

#[test]
fn a_restart_is_not_deceived_by_reports_that_come_before_the_answer() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("event agent up up timely 10 3").say("ok");
        // It dies by itself at that moment, and is up again before it takes the command.
        player
            .expect("restart")
            .say("event agent backoff up timely 0 3")
            .say("event agent up up timely 11 4");
        player.say("ok").until_gone();
    });
    let ran = fixture.run(&["restart", "agent"]);
    player.join().unwrap();
    assert_eq!((ran.code, ran.out.starts_with("agent: up, pid 11")), (0, true), "{ran:?}");
}

#[test]
fn a_restart_that_fails_says_why_and_shows_the_last_log_lines() {
    let fixture = Fixture::new();
    fixture.log("agent", "current", "one\ntwo\n");
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("ok").say("event agent up up timely 10 3");
        player.expect("restart").say("ok").say("event agent stopping up timely 10 3");
        player.say("event agent failed up timely 0 4 gave up after too many deaths").until_gone();
    });
    let ran = fixture.run(&["restart", "agent"]);
    player.join().unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (1, ""));
    assert_eq!(ran.err, "svctl: agent: failed: gave up after too many deaths\n    one\n    two\n");
}

#[test]
fn a_service_that_dies_before_it_is_ready_ends_the_waiting() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("ok").say("event agent up up timely 10 3");
        player.expect("restart").say("ok").say("event agent starting up timely 11 4");
        player.say("event agent backoff up timely 0 4 ended with exit 1").until_gone();
    });
    let ran = fixture.run(&["restart", "agent"]);
    player.join().unwrap();
    assert_eq!(ran.code, 1);
    assert_eq!(
        ran.err,
        "svctl: agent: died before it was ready, and will be started again: ended with exit 1\n"
    );
}

#[test]
fn a_restart_that_takes_too_long_says_where_it_stands() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("ok").say("event agent up up timely 10 3");
        player
            .expect("restart")
            .say("ok")
            .say("event agent starting up overdue 11 4 takes long")
            .until_gone();
    });
    let ran = fixture.run(&["restart", "--timeout", "50ms", "agent"]);
    player.join().unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (99, ""));
    assert!(ran.err.starts_with("svctl: agent: timed out after "), "{ran:?}");
    assert!(ran.err.ends_with(": still starting, pid 11, overdue: takes long\n"), "{ran:?}");
}

#[test]
fn without_waiting_a_restart_returns_as_soon_as_it_is_taken() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("agent", |mut player| {
        player.expect("restart").say("ok").until_gone();
    });
    let ran = fixture.run(&["restart", "--no-wait", "agent"]);
    player.join().unwrap();
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "", ""));
}

#[test]
fn a_restart_of_what_is_down_is_done_by_init() {
    let fixture = Fixture::new();
    let supervisor = fixture.supervisor("agent", |mut player| {
        player.expect("events").say("ok").say("event agent down down timely 0 3");
        player.expect("restart").say("error not wanted up").until_gone();
    });
    let init = fixture.init(|mut player| {
        player.expect("events").expect("restart agent");
        player
            .say("ok")
            .say("event other up up timely 5 1")
            .say("event agent down down timely 0 3")
            .say("ok");
        player.say("event agent blocked up timely 0 3").say("event agent up up timely 12 4").until_gone();
    });
    let ran = fixture.run(&["restart", "agent"]);
    supervisor.join().unwrap();
    init.join().unwrap();
    assert_eq!((ran.code, ran.out.starts_with("agent: up, pid 12, ready after ")), (0, true), "{ran:?}");
}

#[test]
fn several_restarts_go_on_at_once_and_are_told_in_order() {
    let fixture = Fixture::new();
    let (go, wait) = std::sync::mpsc::channel();
    let slow = fixture.supervisor("a", move |mut player| {
        player.expect("events").say("ok").say("event a up up timely 10 1").expect("restart");
        // Only once the other has been restarted.
        wait.recv().unwrap();
        player.say("ok").say("event a up up timely 11 2").until_gone();
    });
    let quick = fixture.supervisor("b", move |mut player| {
        player.expect("events").say("ok").say("event b up up timely 20 1").expect("restart");
        player.say("ok").say("event b up up timely 21 2").until_gone();
        go.send(()).unwrap();
    });
    let ran = fixture.run(&["restart", "a", "b"]);
    slow.join().unwrap();
    quick.join().unwrap();
    let names: Vec<&str> = ran.out.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!((ran.code, names), (0, vec!["a", "b"]), "{ran:?}");
}

#[test]
fn a_stop_returns_when_the_service_is_down() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    let init = fixture.init(|mut player| {
        player.expect("events").expect("stop a").say("ok").say("event a up up timely 10 1").say("ok");
        player.say("event a stopping down timely 10 1").say("event a down down timely 0 1").until_gone();
    });
    let ran = fixture.run(&["stop", "a"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.out.starts_with("a: down after ")), (0, true), "{ran:?}");
}

#[test]
fn a_start_of_what_runs_already_says_so() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    let init = fixture.init(|mut player| {
        player
            .expect("events")
            .expect("start a")
            .say("ok")
            .say("event a up up timely 10 1")
            .say("ok")
            .until_gone();
    });
    let ran = fixture.run(&["start", "a"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (0, "a: up, pid 10, already\n"), "{ran:?}");
}

#[test]
fn a_start_of_what_stays_skipped_ends_with_the_reason() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    let skipped = "event a skipped up timely 0 0 no program \"x\"";
    let init = fixture.init(move |mut player| {
        player.expect("events").expect("start a").say("ok").say(skipped).say("ok");
        player.expect("events").say("ok").say(skipped).until_gone();
    });
    let ran = fixture.run(&["start", "a"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.out.as_str()), (0, "a: skipped: no program \"x\"\n"), "{ran:?}");
}

#[test]
fn a_bundle_is_started_by_its_name_and_followed_by_its_members() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.define("b", "command = [\"x\"]");
    fixture.define("all", "type = \"bundle\"\ncontents = [\"b\", \"a\"]");
    fixture.compile();
    let init = fixture.init(|mut player| {
        player.expect("events").expect("start all").say("ok");
        player.say("event a down down timely 0 0").say("event b down down timely 0 0").say("ok");
        player
            .say("event a up up timely 10 1")
            .say("event b failed up timely 0 1 ended with exit 1")
            .until_gone();
    });
    let ran = fixture.run(&["start", "all"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (1, "svctl: b: failed: ended with exit 1\n"));
    assert!(ran.out.starts_with("a: up, pid 10, ready after "), "{ran:?}");
}

#[test]
fn a_signal_is_the_last_word_or_an_option() {
    for (arguments, command) in [
        (&["kill", "a"][..], "kill TERM"),
        (&["kill", "a", "SIGUSR1"], "kill USR1"),
        (&["kill", "-s", "9", "a"], "kill KILL"),
        (&["reload", "a"], "reload"),
    ] {
        let fixture = Fixture::new();
        let player = fixture.supervisor("a", move |mut player| {
            player.expect(command).say("ok").until_gone();
        });
        assert_eq!(fixture.run(arguments).code, 0);
        player.join().unwrap();
    }
}

#[test]
fn power_verbs_and_their_links_ask_init() {
    for (verb, linked) in [("poweroff", false), ("reboot", true), ("halt", true)] {
        let fixture = Fixture::new();
        let init = fixture.init(move |mut player| {
            player.expect(verb).say("ok").until_gone();
        });
        if linked {
            let link = fixture.root.join(verb);
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_svctl"), &link).unwrap();
            let mut command = std::process::Command::new(link);
            let ran = command.arg("-f").arg("--run").arg(fixture.root.join("run")).output().unwrap();
            assert_eq!(ran.status.code(), Some(0));
        } else {
            assert_eq!(fixture.run(&[verb]).code, 0);
        }
        init.join().unwrap();
    }
}

#[test]
fn waiting_for_the_boot_ends_when_every_service_has_settled() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.define("b", "command = [\"x\"]");
    fixture.define("off", "command = [\"x\"]\nautostart = false");
    fixture.compile();
    let init = fixture.init(|mut player| {
        player
            .expect("events")
            .say("ok")
            .say("event off down down timely 0 0")
            .say("event a down up timely 0 0");
        player.say("event b starting up timely 7 1").say("event a up up timely 6 1");
        player.say("event b failed up timely 0 1 ended with exit 1").until_gone();
    });
    let ran = fixture.run(&["wait", "--boot"]);
    init.join().unwrap();
    assert_eq!(ran.code, 1);
    assert_eq!(ran.out, "2 of 3 services are as they should be\n");
    assert_eq!(ran.err, "b: failed: ended with exit 1\n");
}

#[test]
fn a_socket_path_of_any_length_is_reached() {
    let fixture = Fixture::new();
    let name = "n".repeat(200);
    // Nobody can bind there either, but through the directory.
    let directory = fixture.root.join("run/service").join(&name);
    std::fs::create_dir_all(&directory).unwrap();
    let held = std::fs::File::open(&directory).unwrap();
    let short = format!("/proc/self/fd/{}/control", std::os::fd::AsRawFd::as_raw_fd(&held));
    let listener = std::os::unix::net::UnixListener::bind(short).unwrap();
    let player = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"error too many clients\n").unwrap();
    });
    // One that is turned away before it has said anything is told why all the same.
    let ran = fixture.run(&["reload", &name]);
    assert_eq!((ran.code, ran.err.ends_with(": too many clients\n")), (1, true), "{ran:?}");
    player.join().unwrap();
}
