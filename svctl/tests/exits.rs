//! Every exit code, from the program itself.

mod common;

use common::{Fixture, ran};
use service::status::{State, Want};
use std::io::{Read, Write};
use std::process::Stdio;

#[test]
fn wrong_usage_is_100_and_suggests() {
    let fixture = Fixture::new();
    for (arguments, message) in [
        (&[][..], "no verb (svctl --help lists them)"),
        (&["statsu"], "unknown verb \"statsu\" (did you mean \"status\"?)"),
        (&["status", "--jsno"], "unknown option --jsno (did you mean \"--json\"?)"),
        (&["start"], "which service? give one name or more"),
        (&["status", "--follow"], "option --follow has no meaning for status"),
        (
            &["restart", "a", "--timeout", "5"],
            "\"5\" is not a duration such as \"200ms\", \"10s\" or \"1h30m\"",
        ),
        (&["kill", "-s", "NOPE", "a"], "unknown signal \"NOPE\""),
        (&["logs", "-n", "x"], "-n needs a number, not \"x\""),
        (&["probe", "tcp"], "probe needs \"tcp ADDRESS\" or \"http URL\""),
        (&["poweroff", "now"], "unexpected argument \"now\""),
    ] {
        let ran = fixture.run(arguments);
        assert_eq!((ran.code, ran.err), (100, format!("svctl: {message}\n")), "{arguments:?}");
    }
}

#[test]
fn help_is_0_for_every_verb_and_names_every_code() {
    let fixture = Fixture::new();
    let ran = fixture.run(&["--help"]);
    assert_eq!(ran.code, 0);
    for code in ["0 ", "1 ", "3 ", "99 ", "100 ", "102 ", "111 "] {
        assert!(ran.out.lines().any(|line| line.trim_start().starts_with(code)), "{code}");
    }
    let verbs = ran.out.split("Verbs:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    // The provisioner explains itself.
    for verb in
        verbs.lines().filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "image")
    {
        let ran = fixture.run(&[verb, "--help"]);
        assert_eq!((ran.code, ran.out.contains(&format!("usage: svctl {verb}"))), (0, true), "{verb}");
    }
    assert!(fixture.run(&["help", "image"]).out.contains("svctl-image(8)"));
    assert_eq!(fixture.run(&["--version"]).out, concat!("svctl ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn an_unknown_service_is_3_and_a_near_one_is_suggested() {
    let fixture = Fixture::new();
    fixture.define("mesos-agent", "command = [\"x\"]");
    fixture.compile();
    let expected = "svctl: no such service: \"mesos-agnet\" (did you mean \"mesos-agent\"?)\n";
    for verb in ["status", "start", "stop", "restart", "reload", "kill", "logs"] {
        let ran = fixture.run(&[verb, "mesos-agnet"]);
        assert_eq!((ran.code, ran.err.as_str()), (3, expected), "{verb}");
    }
    for name in ["../../etc", "", "a b", "a\nb"] {
        assert_eq!(fixture.run(&["restart", name]).code, 3, "{name:?}");
        assert_eq!(fixture.run(&["logs", name]).code, 3, "{name:?}");
    }
}

#[test]
fn nobody_listening_is_102() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    for arguments in [
        &["start", "a"][..],
        &["stop", "a"],
        &["restart", "a"],
        &["reload", "a"],
        &["poweroff"],
        &["wait", "--boot"],
    ] {
        let ran = fixture.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (102, ""), "{arguments:?}");
        assert!(ran.err.contains("nobody listens"), "{ran:?}");
    }
    std::fs::remove_dir_all(fixture.root.join("run")).unwrap();
    for verb in ["status", "containers", "exposure", "metrics"] {
        let ran = fixture.run(&[verb]);
        assert_eq!((ran.code, ran.out.as_str()), (102, ""), "{verb}");
    }
}

#[test]
fn a_supervisor_that_goes_away_is_102_and_one_that_refuses_is_1() {
    let fixture = Fixture::new();
    let player = fixture.supervisor("a", |mut player| {
        player.expect("events").say("ok").say("event a up up timely 10 1").expect("restart");
    });
    assert_eq!(fixture.run(&["restart", "a"]).code, 102);
    player.join().unwrap();
    let player = fixture.supervisor("b", |mut player| {
        player.expect("reload").say("error not running").until_gone();
    });
    let ran = fixture.run(&["reload", "b"]);
    player.join().unwrap();
    assert_eq!((ran.code, ran.err.as_str()), (1, "svctl: b: not running\n"));
}

#[test]
fn time_is_over_with_99() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.compile();
    let init = fixture.init(|mut player| {
        player
            .expect("events")
            .expect("start a")
            .say("ok")
            .say("event a blocked up timely 0 0")
            .say("ok")
            .until_gone();
    });
    let ran = fixture.run(&["start", "a", "-t", "50ms"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.err.contains("a: timed out after ")), (99, true), "{ran:?}");
    std::fs::remove_file(fixture.root.join("run/init/control")).unwrap();
    let init = fixture.init(|mut player| {
        player.expect("events").say("ok").say("event a blocked up timely 0 0 waits for b").until_gone();
    });
    let ran = fixture.run(&["wait", "--boot", "-t", "50ms"]);
    init.join().unwrap();
    assert_eq!((ran.code, ran.err.ends_with("\na: blocked: waits for b\n")), (99, true), "{ran:?}");
}

#[test]
fn what_the_system_refuses_is_111() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    std::fs::remove_dir_all(fixture.root.join("run")).unwrap();
    std::fs::write(fixture.root.join("run"), "in the way").unwrap();
    let ran = fixture.run(&["compile", "--no-programs"]);
    assert_eq!((ran.code, ran.err.contains("unable to write ")), (111, true), "{ran:?}");
    let ran = fixture.run(&["check", "/nonexistent"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (111, "svctl: unable to list /nonexistent: No such file or directory\n")
    );
}

#[test]
fn compile_succeeds_however_broken_a_definition_is_and_check_does_not() {
    let fixture = Fixture::new();
    fixture.define("good", "command = [\"x\"]");
    fixture.define("bad", "comand = [\"x\"]");
    let ran = fixture.run(&["compile", "--no-programs"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    assert!(ran.err.contains("bad/service.toml:1:1: unknown key \"comand\""), "{ran:?}");
    let run = fixture.root.join("run");
    assert!(run.join("service/good/definition").is_file() && !run.join("service/bad/definition").exists());
    let plan = service::plan::decode(&std::fs::read_to_string(run.join("init/plan")).unwrap()).unwrap();
    let broken: Vec<bool> = plan.iter().map(|entry| entry.problem.is_some()).collect();
    assert_eq!(broken, [true, false]);

    let ran = fixture.run(&["check", "--no-programs"]);
    assert_eq!((ran.code, ran.out.ends_with("2 services, 1 error, 0 warnings\n")), (1, true), "{ran:?}");
    std::fs::remove_dir_all(fixture.root.join("services/bad")).unwrap();
    let ran = fixture.run(&["check", "--no-programs"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "1 service, 0 errors, 0 warnings\n"));
}

#[test]
fn status_is_0_if_all_is_well_and_1_if_not() {
    let fixture = Fixture::new();
    fixture.status("up", |_| {});
    fixture.status("done", |status| (status.state, status.pid) = (State::Done, None));
    fixture.status("skipped", |status| (status.state, status.pid) = (State::Skipped, None));
    fixture.status("stopped", |s| (s.state, s.want, s.pid) = (State::Down, Want::Down, None));
    let ran = fixture.run(&["status"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 5), "{ran:?}");
    for state in [State::Starting, State::Failed, State::Backoff, State::Down, State::Blocked, State::Invalid]
    {
        fixture.status("odd", |status| (status.state, status.pid) = (state, None));
        assert_eq!((fixture.run(&["status"]).code, fixture.run(&["status", "up"]).code), (1, 0), "{state:?}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let fixture = Fixture::new();
    let lines: String = (0..200_000).map(|number| format!("line {number}\n")).collect();
    fixture.log("a", "current", &lines);
    let mut child =
        fixture.command(&["logs", "a"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 6];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ran = ran(&child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn a_probe_that_is_to_ask_once_is_1_if_the_answer_is_no() {
    let fixture = Fixture::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(fixture.run(&["probe", "tcp", &address]).code, 0);
    drop(listener);
    let ran = fixture.run(&["probe", "tcp", &address, "--once"]);
    assert_eq!((ran.code, ran.err.as_str()), (1, "svctl: unable to connect: Connection refused\n"));
}

#[test]
fn a_probe_asks_until_somebody_answers() {
    let fixture = Fixture::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let arguments = ["probe", "http", url.as_str(), "--json", "slave/registered=1"];
    let probe = fixture.command(&arguments).stderr(Stdio::piped()).spawn().unwrap();
    for body in ["", "{\"slave/registered\": 0}", "{\"slave/registered\": 1.0}"] {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let length = stream.read(&mut request).unwrap();
        assert!(request[..length].starts_with(b"GET / HTTP/1.1\r\n"));
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
    let ran = ran(&probe.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}
