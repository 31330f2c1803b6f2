//! Directories written for s6, s6-rc and runit.

use super::trees::Tree;
use service::definition::{EnvironmentLayer, Kind, ReadyMethod, Scope, Style};
use service::setup::Namespace;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

fn seconds(seconds: u64) -> Option<Duration> {
    Some(Duration::from_secs(seconds))
}

/// Files of one line each.
fn fill(tree: &Tree, files: &[(&str, &str)]) {
    for (path, text) in files {
        tree.file(path, &format!("{text}\n"));
    }
}

#[test]
fn every_file_of_an_s6_directory_means_what_it_means_to_s6_supervise() {
    let tree = Tree::new("s6", &[]);
    tree.executable("a/run", "#!/bin/sh\n");
    tree.executable("a/finish", "#!/bin/sh\n");
    fill(
        &tree,
        &[
            ("a/notification-fd", "4"),
            ("a/lock-fd", "7"),
            ("a/timeout-kill", "2500"),
            ("a/timeout-finish", "0"),
            ("a/flag-timeout-killpg", ""),
            ("a/flag-newpidns", ""),
            ("a/max-death-tally", "10"),
            ("a/down-signal", "SIGINT"),
            ("a/reload-signal", "10"),
            ("a/down", ""),
            ("a/data/check", "x"),
            ("a/env/X", "1"),
            ("a/event/x", ""),
            ("a/supervise/lock", ""),
            ("a/template/run", ""),
        ],
    );
    assert_eq!(tree.told(None), [""; 0]);
    let a = tree.definition("a");
    assert_eq!(
        (a.style, a.kind, a.command.as_slice()),
        (Style::S6, Kind::Longrun, &["./run".to_owned(), "a".to_owned()][..])
    );
    assert_eq!((a.working_directory.as_str(), a.finish, a.autostart), (a.directory.as_str(), true, false));
    assert_eq!((a.ready.method, a.lock_descriptor), (ReadyMethod::Descriptor(4), Some(7)));
    assert_eq!((a.stop.timeout, a.finish_timeout), (Some(Duration::from_millis(2500)), None));
    assert_eq!(
        (a.stop.scope, a.stop.kill_scope, a.process.apart(Namespace::Pid)),
        (Scope::Main, Scope::Group, true)
    );
    assert_eq!(
        (a.stop.signal.to_string(), a.stop.reload_signal.to_string()),
        ("INT".to_owned(), "USR1".to_owned())
    );
}

#[test]
fn what_is_not_said_is_as_it_is_for_s6_but_for_a_stop_that_always_ends() {
    let tree = Tree::new("s6-defaults", &[]);
    tree.executable("a/run", "#!/bin/sh\n");
    tree.executable("never/run", "#!/bin/sh\n");
    fill(&tree, &[("never/timeout-kill", "0"), ("never/flag-timeout-killpg", "")]);
    let a = tree.definition("a");
    assert_eq!((a.ready.method, a.finish, a.finish_timeout), (ReadyMethod::Immediate, false, seconds(5)));
    assert_eq!((a.stop.timeout, a.autostart, a.restart.give_up_deaths), (seconds(60), true, 0));
    let second = Duration::from_secs(1);
    assert_eq!((a.restart.delay, a.restart.max_delay, a.restart.reset_after), (second, second, second));
    let never = tree.definition("never");
    assert_eq!((never.stop.timeout, never.stop.kill_scope), (None, Scope::Main), "0 is never, as it says");
}

#[test]
fn what_s6_warns_of_and_passes_over_is_a_warning_and_passed_over() {
    let tree = Tree::new("s6-invalid", &[]);
    tree.executable("a/run", "#!/bin/sh\n");
    fill(
        &tree,
        &[
            ("a/notification-fd", "three"),
            ("a/lock-fd", "0"),
            ("a/timeout-kill", "10 "),
            ("a/timeout-finish", "-1"),
            ("a/down-signal", "SIGTREM"),
            ("a/reload-signal", ""),
            ("a/max-death-tally", "5000"),
        ],
    );
    fs::write(tree.0.join("a/finish"), "").unwrap();
    let expected = [
        "a/down-signal: warning: unknown signal \"SIGTREM\": it is ignored (did you mean \"TERM\"?)",
        "a/finish: warning: not executable: it is not run",
        "a/lock-fd: warning: 0 is not the number of such a descriptor: it is ignored",
        "a/max-death-tally: warning: more than 4096 deaths are never counted",
        "a/notification-fd: warning: expected a number, found \"three\": it is ignored",
        "a/reload-signal: warning: unknown signal \"\": it is ignored",
        "a/timeout-finish: warning: expected a number, found \"-1\": it is ignored",
        "a/timeout-kill: warning: expected a number, found \"10 \": it is ignored",
    ];
    assert_eq!(tree.told(None), expected);
    let a = tree.definition("a");
    assert_eq!(
        (a.ready.method, a.lock_descriptor, a.stop.timeout),
        (ReadyMethod::Immediate, None, seconds(60))
    );
    assert_eq!(
        (a.finish, a.finish_timeout, a.stop.signal.to_string()),
        (false, seconds(5), "TERM".to_owned())
    );
}

#[test]
fn what_s6_does_not_start_is_an_error() {
    let tree = Tree::new("s6-errors", &[]);
    for name in ["same", "large", "dangling"] {
        tree.executable(&format!("{name}/run"), "#!/bin/sh\n");
    }
    fill(&tree, &[("same/notification-fd", "3"), ("same/lock-fd", "3"), ("large/notification-fd", "64")]);
    symlink("/nonexistent", tree.0.join("dangling/timeout-kill")).unwrap();
    let expected = [
        "dangling/timeout-kill: unable to read: No such file or directory",
        "large/notification-fd: descriptors above 63 are not supported",
        "same/lock-fd: 3 is the notification-fd already",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.invalid(), ["dangling", "large", "same"]);
}

#[test]
fn every_file_of_a_runit_directory_means_what_it_means_to_runsv() {
    let tree = Tree::new("runit", &[]);
    for file in ["run", "finish", "check", "control/t", "control/d", "control/1"] {
        tree.executable(&format!("a/{file}"), "#!/bin/sh\n");
    }
    fill(
        &tree,
        &[
            ("a/control/h", ""),
            ("a/control/README", ""),
            ("a/conf", ""),
            ("a/.meta/bin", "x"),
            ("a/timeout-kill", "5"),
        ],
    );
    fs::remove_file(tree.0.join("a/timeout-kill")).unwrap();
    assert_eq!(tree.told(None), ["a/control/h: warning: not executable: it is not run"]);
    let a = tree.definition("a");
    assert_eq!((a.style, a.command.as_slice()), (Style::Runit, &["./run".to_owned()][..]));
    let ReadyMethod::Command { command, .. } = a.ready.method else { panic!("no check") };
    assert_eq!((command.as_slice(), a.ready.timeout), (&["./check".to_owned()][..], seconds(7)));
    assert_eq!(a.controls, ["1", "d", "t"]);
    assert_eq!((a.finish, a.finish_timeout, a.stop.timeout), (true, seconds(60), seconds(60)));
}

#[test]
fn a_log_directory_is_a_service_that_reads_the_other_ones_output() {
    let tree = Tree::new("log", &[]);
    for file in ["a/run", "a/log/run", "a/log/finish", "b/run", "b/log/run", "c/run"] {
        tree.executable(file, "#!/bin/sh\n");
    }
    fill(
        &tree,
        &[("a/log/notification-fd", "3"), ("a/log/log/run", "x"), ("b/check", ""), ("b/log/down", "")],
    );
    fs::create_dir_all(tree.0.join("c/log")).unwrap();
    let told = tree.told(None);
    let expected = [
        "b/check: warning: not executable: it is not run",
        "c/log: warning: there is no log/run: what the service writes is kept as any other's",
    ];
    assert_eq!(told, expected);
    let a = tree.definition("a");
    assert_eq!((a.output_to.as_deref(), a.wants.as_slice()), (Some("a-log"), &["a-log".to_owned()][..]));
    let log = tree.definition("a-log");
    assert_eq!(log.command, ["./run", "a/log"]);
    assert_eq!(log.directory, format!("{}/log", a.directory));
    assert_eq!((log.reads_pipe, log.finish, log.output_to), (true, true, None));
    assert_eq!((log.stop.halt_by_end_of_input, log.ready.method), (true, ReadyMethod::Descriptor(3)));
    let (b, log) = (tree.definition("b"), tree.definition("b-log"));
    assert_eq!((b.style, log.style, log.command.len()), (Style::Runit, Style::Runit, 1));
    assert_eq!((b.wants.len(), b.output_to.as_deref(), log.autostart), (0, Some("b-log"), false));
    assert_eq!(tree.definition("c").output_to, None);
}

#[test]
fn whose_directory_it_is_is_told_by_its_files_then_by_its_script() {
    let tree = Tree::new("style", &[]);
    let scripts = [
        ("execline", "#!/bin/execlineb -P\nfoo\n", Style::S6),
        ("debian", "#!/usr/bin/env /lib/runit/invoke-run\nfoo\n", Style::Runit),
        ("chpst", "#!/bin/sh\nexec chpst -u nobody foo\n", Style::Runit),
        ("path", "#!/bin/sh\nexec /usr/bin/svlogd .\n", Style::Runit),
        ("comment", "#!/bin/sh\n# not chpst\nexec s6-setuidgid nobody chpst\n", Style::Runit),
        ("plain", "#!/bin/sh\n# chpst\nexec foo\n", Style::S6),
        ("binary", "\u{7f}ELF chpst", Style::S6),
    ];
    for (name, text, _) in scripts {
        tree.executable(&format!("{name}/run"), text);
    }
    for name in ["files", "void", "said", "both"] {
        tree.executable(&format!("{name}/run"), "#!/bin/sh\nexec chpst foo\n");
    }
    fill(&tree, &[("files/notification-fd", "3"), ("both/check", ""), ("both/down-signal", "INT")]);
    symlink("/run/runit/supervise.void", tree.0.join("void/supervise")).unwrap();
    tree.file("said/service.d/style.toml", "style = \"s6\"\n");
    for (name, _, style) in scripts {
        assert_eq!(tree.definition(name).style, style, "{name}");
    }
    assert_eq!(tree.definition("files").style, Style::S6);
    assert_eq!(tree.definition("void").style, Style::Runit);
    assert_eq!(tree.definition("said").style, Style::S6);
    assert_eq!(tree.definition("both").style, Style::S6);
    let told = tree.told(None);
    assert!(
        told.len() == 1 && told[0].starts_with("both: warning: there are files of s6 and of runit"),
        "{told:?}"
    );
}

#[test]
fn a_service_toml_that_says_a_style_is_laid_over_the_directory() {
    let text =
        "style = \"s6\"\ndescription = \"d\"\n[stop]\ntimeout = \"never\"\n[ready]\ntimeout = \"1m\"\n";
    let tree = Tree::new("over", &[("a", text), ("b", "command = [\"x\"]")]);
    tree.executable("a/run", "#!/bin/sh\n");
    fill(
        &tree,
        &[("a/notification-fd", "5"), ("a/timeout-kill", "7"), ("b/notification-fd", "5"), ("b/log/run", "")],
    );
    let a = tree.definition("a");
    assert_eq!(
        (a.ready.method, a.ready.timeout, a.stop.timeout),
        (ReadyMethod::Descriptor(5), seconds(60), None)
    );
    assert_eq!((a.style, a.description.as_str(), a.command.len()), (Style::S6, "d", 2));
    assert_eq!(tree.definition("b").ready.method, ReadyMethod::Immediate);
    let expected = "b: warning: beside a service.toml these mean nothing, unless it says style = \"s6\" or \"runit\": \
                    notification-fd, log";
    assert_eq!(tree.told(None), [expected]);
}

#[test]
fn source_definitions_of_s6_rc_become_services() {
    let tree = Tree::new("rc", &[]);
    tree.executable("prod/run", "#!/bin/sh\n");
    tree.file("mid/run", "#!/usr/bin/env  -S sh -e\n");
    tree.executable("last/run", "#!/bin/sh\n");
    fill(
        &tree,
        &[
            ("one/type", "oneshot"),
            ("one/up", "#!/bin/execlineb -P\nif { test -e /x }\necho \"a b\""),
            ("one/down", "echo down"),
            ("one/timeout-up", "3000"),
            ("one/dependencies.d/empty", ""),
            ("one/flag-essential", ""),
            ("empty/type", "oneshot"),
            ("empty/up", ""),
            ("prod/type", "longrun"),
            ("prod/producer-for", "mid"),
            ("prod/dependencies", "# needs\n  one\n"),
            ("prod/down", ""),
            ("prod/timeout-down", "4000"),
            ("mid/type", "longrun"),
            ("mid/consumer-for", "prod"),
            ("mid/producer-for", "last"),
            ("last/type", "longrun"),
            ("last/consumer-for", "mid"),
            ("last/pipeline-name", "all"),
            ("default/type", "bundle"),
            ("default/contents.d/all", ""),
        ],
    );
    assert_eq!(tree.told(None), [""; 0]);
    let one = tree.definition("one");
    assert_eq!(one.command, ["if", " test", " -e", " /x", "", "echo", "a b"]);
    assert_eq!(
        (one.kind, one.down_command.as_slice()),
        (Kind::Oneshot, &["echo".to_owned(), "down".to_owned()][..])
    );
    assert_eq!(
        (one.start_timeout, one.stop.timeout, one.requires.as_slice()),
        (seconds(3), seconds(60), &["empty".to_owned()][..])
    );
    let name = EnvironmentLayer::Set { key: "RC_NAME".to_owned(), value: "one".to_owned() };
    assert_eq!(one.environment, [name]);
    assert_eq!(tree.definition("empty").command, ["true"]);
    let prod = tree.definition("prod");
    assert_eq!(
        (prod.output_to.as_deref(), prod.requires.as_slice()),
        (Some("mid"), &["one".to_owned(), "mid".to_owned()][..])
    );
    assert_eq!((prod.autostart, prod.stop.timeout, prod.command.len()), (true, seconds(4), 2));
    let mid = tree.definition("mid");
    assert_eq!(mid.command, ["/usr/bin/env", "-S sh -e", "./run", "mid"], "s6-rc makes run executable");
    assert!(mid.reads_pipe && mid.output_to.as_deref() == Some("last"));
    let all = tree.definition("all");
    assert_eq!(
        (all.kind, all.contents.as_slice()),
        (Kind::Bundle, &["last", "mid", "prod"].map(str::to_owned)[..])
    );
    assert_eq!(tree.definition("default").contents, ["all"]);
}

#[test]
fn a_mistake_in_a_source_definition_is_told_with_its_place() {
    let tree = Tree::new("rc-errors", &[]);
    fill(
        &tree,
        &[
            ("a/type", "longrum"),
            ("b/type", "oneshot"),
            ("b/up", "ok\nif { test"),
            ("c/type", "oneshot"),
            ("d/type", "bundle"),
            ("e/type", "longrun"),
            ("e/run", "no script"),
            ("f/type", "oneshot"),
            ("f/up", "x"),
            ("f/dependencies.d/bb", ""),
            ("g/type", "oneshot"),
            ("g/up", "x"),
            ("g/dependencies.d/a b", ""),
        ],
    );
    let expected = [
        "a/type: expected \"longrun\", \"oneshot\" or \"bundle\" (did you mean \"longrun\"?)",
        "b/up:3:1: a block is not closed: \"}\" is missing",
        "c/up: a oneshot needs an up",
        "d/contents.d: a bundle needs contents",
        "e/run: neither executable nor a script that names its interpreter",
        "f/dependencies.d/bb: unknown service \"bb\" in requires (did you mean \"b\"?)",
        "g/dependencies.d/a b: \"a b\" cannot be the name of a service",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.invalid(), ["a", "b", "c", "d", "e", "f", "g"]);
}

#[test]
fn pipes_must_lead_to_a_longrun_and_not_in_a_circle() {
    let tree = Tree::new(
        "pipes",
        &[
            ("a", "command = [\"x\"]\n[log]\nto = \"b\""),
            ("b", "command = [\"x\"]\n[log]\nto = \"a\""),
            ("c", "command = [\"x\"]\n[log]\nto = \"nobody\""),
            ("d", "command = [\"x\"]\n[log]\nto = \"one\""),
            ("e", "command = [\"x\"]\n[log]\nto = \"reader\""),
            ("f", "command = [\"x\"]\n[log]\nto = \"g\""),
            ("g", "comand = [\"x\"]"),
            ("one", "type = \"oneshot\"\ncommand = [\"x\"]"),
            ("reader", "command = [\"x\"]\nautostart = false"),
        ],
    );
    let expected = [
        "a/service.toml:3:6: a circle of pipes: a to b to a",
        "b/service.toml:3:6: a circle of pipes: b to a to b",
        "c/service.toml:3:6: unknown service \"nobody\" in [log] to",
        "d/service.toml:3:6: \"one\" is no longrun, and reads nothing",
        "f/service.toml:3:6: warning: \"g\" cannot be started, and what this writes is kept as any other's",
        "g/service.toml:1:1: unknown key \"comand\" (did you mean \"command\"?)",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.definition("e").wants, ["reader"]);
    assert!(tree.definition("reader").reads_pipe && !tree.definition("one").reads_pipe);
}

#[test]
fn a_logger_does_not_take_the_name_of_another_service() {
    let tree = Tree::new("clash", &[("a-log", "command = [\"x\"]")]);
    tree.executable("a/run", "#!/bin/sh\n");
    tree.executable("a/log/run", "#!/bin/sh\n");
    let expected = ["a/log: it brings a service along that would be called \"a-log\", as another is"];
    assert_eq!(tree.told(None)[..1], expected);
    assert_eq!(tree.invalid(), ["a"]);
    assert_eq!(tree.definition("a-log").command, ["x"]);
}
