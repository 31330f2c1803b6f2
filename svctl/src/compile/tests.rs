//! What people are told about their definitions: a golden table, and any input at all.

mod attributes;
mod files;
mod foreign;
mod layers;
mod sandbox;
mod settings;
mod sockets;
mod trees;

use super::{Severity, read_toml};
use proptest::prelude::*;
use service::definition::{EnvironmentLayer, Kind, ReadyMethod, RestartWhen};
use std::time::Duration;

/// What is wrong with a text, without the file's name.
fn told(text: &str) -> Vec<String> {
    let mut diagnostics = read_toml("a", "/etc/services.d/a", "F", text, "/usr/sbin/svctl").diagnostics;
    diagnostics.sort_by_key(|diagnostic| diagnostic.place);
    diagnostics.iter().map(|diagnostic| diagnostic.to_string().replacen("F:", "", 1)).collect()
}

#[test]
fn each_mistake_is_told_with_its_place_and_what_was_meant() {
    let table: &[(&str, &str)] = &[
        ("comand = [\"x\"]", r#"1:1: unknown key "comand" (did you mean "command"?)"#),
        ("colour = 1", r#"1:1: unknown key "colour""#),
        ("[restrat]", r#"1:2: unknown section "restrat" (did you mean "restart"?)"#),
        (
            "[stop]\nhalt_signal = \"USR1\"",
            r#"2:1: unknown key "halt_signal" in [stop] (did you mean "halt-signal"?)"#,
        ),
        (
            "type = \"longrum\"",
            r#"1:8: expected one of "longrun", "oneshot", "bundle", found "longrum" (did you mean "longrun"?)"#,
        ),
        ("type = 1", r#"1:8: expected a string, found an integer: write "1""#),
        ("description = true", r#"1:15: expected a string, found a boolean: write "true""#),
        (
            "command = \"sleep 1\"",
            r#"1:11: expected an array of strings, found a string: write ["sleep", "1"]"#,
        ),
        ("command = []", "1:11: a command needs a program"),
        ("command = [\"./x\"]", r#"1:12: "./x" is neither a name nor an absolute path"#),
        ("command = [\"x\",\n 1]", r#"2:2: expected a string, found an integer: write "1""#),
        ("requires = \"b\"", "1:12: expected an array of strings, found a string"),
        ("wants = [\"a b\"]", r#"1:10: "a b" cannot be the name of a service"#),
        ("after = [\"b\", \"b\"]", r#"1:15: warning: "b" is listed twice"#),
        ("contents = [\"b\"]", r#"1:1: "contents" is for bundles: type = "bundle""#),
        ("autostart = 0", "1:13: expected true or false, found an integer"),
        ("condition = \"x\"", "1:13: expected a table such as { executable = \"…\" }, found a string"),
        ("condition = { exec = \"x\" }", r#"1:15: unknown key "exec" in [condition]"#),
        ("condition = { path = \"x\" }", "1:22: expected an absolute path"),
        (
            "[environment]\nfile = [\"/x\"]",
            r#"2:1: variable "file" must be a string (did you mean "files"?)"#,
        ),
        (
            "[environment]\nfiles = [\"x\"]",
            r#"2:10: expected an absolute path, or one after "-" if it may be absent"#,
        ),
        ("[environment]\n\"A B\" = \"x\"", r#"2:1: "A B" cannot be the name of a variable"#),
        ("[environment]\nA = 8080", r#"2:5: expected a string, found an integer: write "8080""#),
        ("[ready]\ntimeout = \"1m\"", "1:2: [ready] says not by what: http, tcp, fd, notify or command"),
        ("[ready]\nfd = 1", "2:6: expected a number from 3 to 63"),
        ("[ready]\nfd = 3\ntcp = \"127.0.0.1:1\"", r#"3:1: readiness is declared already, by "fd""#),
        ("[ready]\ntcp = \"22\"", r#"2:7: "22" is not an address such as "127.0.0.1:22" or "[::1]:22""#),
        ("[ready]\nhttp = \"https://a/\"", "2:8: https is not supported: only http"),
        ("[ready]\nhttp = { status = 200 }", "2:8: http needs a url"),
        (
            "[ready]\nhttp = { url = \"http://a/\", json = { a = [] } }",
            "2:42: expected a string, a number, true or false",
        ),
        ("[ready]\nnotify = false", r#"2:10: expected true, "main" or "all""#),
        (
            "[ready]\nnotify = \"al\"",
            r#"2:10: expected one of "main", "all", found "al" (did you mean "all"?)"#,
        ),
        (
            "[ready]\nfd = 3\nrestart-when-overdue = true",
            "3:1: a service without a timeout is never overdue: [ready] timeout",
        ),
        ("[ready]\ncommand = [\"x\"]\ninterval = \"1ms\"", "3:1: expected a duration of at least 10ms"),
        ("[ready]\nfd = 3\ninterval = \"1s\"", "3:1: interval is for a readiness command"),
        (
            "[restart]\ndelay = 5",
            r#"2:9: expected a duration with a unit, found an integer (did you mean "5s"?)"#,
        ),
        ("[restart]\ndelay = \"5 s\"", r#"2:9: "5 s" is not a duration such as "200ms", "10s" or "1h30m""#),
        ("[restart]\ndelay = \"2m\"\nmax-delay = \"1m\"", "3:13: max-delay is shorter than delay"),
        (
            "[restart]\nwhen = \"onfailure\"",
            r#"2:8: expected one of "always", "on-failure", "never", found "onfailure" (did you mean "on-failure"?)"#,
        ),
        ("[restart]\ngive-up = { deaths = 99, within = \"1m\" }", "2:22: expected a number from 0 to 32"),
        (
            "[restart]\ngive-up = { deaths = 3 }",
            "2:11: give-up needs the time within which the deaths count: within = \"1m\"",
        ),
        ("[start]\ntimeout = \"1m\"", "1:2: [start] is for oneshots; for a longrun there is [ready] timeout"),
        (
            "type = \"oneshot\"\n[ready]\nfd = 3",
            "2:2: [ready] is for longruns: a oneshot is ready when it has succeeded",
        ),
        ("type = \"bundle\"", "1:1: a bundle needs contents"),
        ("type = \"bundle\"\ncontents = []\n[log]", r#"3:2: "log" has no meaning for a bundle"#),
        ("[stop]\nsignal = \"SIGTREM\"", r#"2:10: unknown signal "SIGTREM" (did you mean "TERM"?)"#),
        ("[stop]\nsignal = 99", r#"2:10: unknown signal "99""#),
        ("[stop]\nkill-scope = \"all\"", r#"2:14: expected one of "main", "group", "cgroup", found "all""#),
        ("[stop]\ntimeout = \"500d\"", "2:11: longer than a year"),
        (
            "[stop]\nscope = \"grup\"",
            r#"2:9: expected one of "main", "group", "cgroup", found "grup" (did you mean "group"?)"#,
        ),
        ("[stop]\nhalt-timeout = \"1m\"", "2:1: warning: halt-timeout has no effect without halt-signal"),
        (
            "[log]\nrotate = { size = \"1mib\" }",
            r#"2:19: "1mib" is not a size such as 4096, "64KiB" or "1MiB" (did you mean "1MiB"?)"#,
        ),
        (
            "style = \"runti\"",
            r#"1:9: expected one of "mainstay", "s6", "runit", found "runti" (did you mean "runit"?)"#,
        ),
        ("conflict = [\"b\"]", r#"1:1: unknown key "conflict" (did you mean "conflicts"?)"#),
        (
            "requires = [\"getty@\"]",
            r#"1:13: "getty@" is a template: name an instance of it, such as "getty@1""#,
        ),
        (
            "down-command = [\"x\"]",
            r#"1:1: "down-command" is for oneshots; for a longrun there is an executable finish"#,
        ),
        ("working-directory = \"x\"\ncommand = [\"x\"]", "1:21: expected an absolute path"),
        (
            "working-directory = \"/x\"",
            "1:1: run starts in its own directory: working-directory is for a command",
        ),
        (
            "[restart]\nwhen = \"never\"\ngive-up = { deaths = 1 }",
            r#"3:1: give-up has no effect when nothing is restarted (when = "never")"#,
        ),
        (
            "[reload]\nsignal = \"HUP\"\ncommand = [\"x\"]",
            r#"3:1: how to reload is declared already, by "signal""#,
        ),
        ("[reload]\ntimeout = \"0s\"", "2:11: expected a duration of at least 1ms"),
        ("watchdog = \"30s\"", "1:1: watchdog needs the service's messages: [ready] notify = true"),
        ("[watchdog]\ntimeout = \"30s\"", r#"1:1: expected a duration such as "10s", found a table"#),
        ("watchdog = \"1ms\"", "1:12: expected a duration of at least 100ms"),
        ("[health]\ninterval = \"1m\"", "1:2: [health] says not by what: command, tcp or http"),
        (
            "[health]\ntcp = \"127.0.0.1:1\"\ncommand = [\"x\"]",
            r#"3:1: the check is declared already, by "tcp""#,
        ),
        ("[health]\ncommand = [\"x\"]\nthreshold = 0", "3:13: expected a number from 1 to 1000"),
        (
            "[health]\ncommand = [\"x\"]\naction = \"reprot\"",
            r#"3:10: expected one of "restart", "report", found "reprot" (did you mean "report"?)"#,
        ),
        (
            "type = \"oneshot\"\n[health]\ncommand = [\"x\"]",
            "2:2: [health] is for longruns: a oneshot that is done does not run",
        ),
        (
            "[restart]\nwhen = \"never\"\n[health]\ncommand = [\"x\"]",
            r#"3:2: an unhealthy service is not restarted when = "never": action = "report""#,
        ),
        ("[log]\nto = \"a b\"", r#"2:6: "a b" cannot be the name of a service"#),
        ("finish_timeout = \"1s\"", r#"1:1: unknown key "finish_timeout" (did you mean "finish-timeout"?)"#),
        ("[log]\nrotate = { size = 1 }", "2:19: a log must be allowed at least 4096 bytes"),
        ("[log]\nrotate = { keep = -1 }", "2:19: expected a number from 0 to 100000"),
        ("[schedule]\nx = 1", "1:2: section [schedule] is not supported by this version"),
        ("schedule = { daily = true }", "1:1: section [schedule] is not supported by this version"),
        ("description = \"a", "1:17: invalid basic string, expected `\"`"),
        ("command = [\"x\"]\ncommand = [\"y\"]", "2:1: duplicate key"),
    ];
    for (text, expected) in table {
        assert_eq!(told(text), [*expected], "in {text}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_told_at_once_as_far_as_it_can_be_read() {
    let text = "typ = \"x\"\nrequires = 1\n[stop]\ntimeout = 1\nsignal = \n[log]\nrotat = 1\n";
    let places: Vec<String> =
        told(text).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
    assert_eq!(places, ["1:1", "2:12", "4:11", "5:10"], "what follows the broken line is not relied upon");
}

#[test]
fn a_definition_says_what_its_file_says() {
    let text = r#"
description = "Apache Mesos agent"
command = ["mesos-agent", "--x"]
condition = { executable = "mesos-agent" }
[environment]
A = "1"
files = ["-/etc/default/a", "/etc/b"]
[ready]
http = { url = "http://127.0.0.1:5051/m", status = 200, json = { "slave/registered" = 1, "v" = "1" } }
timeout = "5m"
[restart]
when = "on-failure"
give-up = { deaths = 5, within = "1m" }
[reload]
signal = "USR2"
[log]
rotate = { size = "64KiB", keep = 3 }
"#;
    let service = read_toml("a", "/d", "F", text, "/p");
    assert_eq!((service.diagnostics, service.invalid), (Vec::new(), false));
    let definition = service.definition;
    assert_eq!(definition.command, ["mesos-agent", "--x"]);
    let layers: Vec<bool> =
        definition.environment.iter().map(|layer| matches!(layer, EnvironmentLayer::Set { .. })).collect();
    assert_eq!(layers, [true, false, false], "in the order in which they are written");
    let ReadyMethod::Command { command, .. } = definition.ready.method else { panic!("no command") };
    let expected = [
        "/p",
        "probe",
        "http",
        "http://127.0.0.1:5051/m",
        "--status",
        "200",
        "--json",
        "slave/registered=1",
        "--json",
        "v=\"1\"",
    ];
    assert_eq!(command, expected);
    assert_eq!(definition.ready.timeout, Some(Duration::from_secs(300)));
    assert_eq!((definition.restart.when, definition.restart.give_up_deaths), (RestartWhen::OnFailure, 5));
    assert_eq!((definition.log.size, definition.log.keep), (65_536, 3));
    assert_eq!(definition.stop.reload_signal.to_string(), "USR2");
}

#[test]
fn a_oneshot_is_not_restarted_and_may_take_five_minutes() {
    let definition = read_toml("a", "/d", "F", "type = \"oneshot\"\ncommand = [\"x\"]", "/p").definition;
    assert_eq!((definition.kind, definition.restart.when), (Kind::Oneshot, RestartWhen::Never));
    assert_eq!(definition.start_timeout, Some(Duration::from_secs(300)));
    let text = "type = \"oneshot\"\ncommand = [\"x\"]\n[start]\ntimeout = \"0s\"\n";
    assert_eq!(read_toml("a", "/d", "F", text, "/p").definition.start_timeout, None, "0s is for ever");
}

/// Texts that look like definitions more often than not.
fn definition_like() -> impl Strategy<Value = String> {
    let key = prop_oneof![
        Just("type"),
        Just("command"),
        Just("requires"),
        Just("before"),
        Just("contents"),
        Just("condition"),
        Just("[environment]\nfiles"),
        Just("[ready]\nhttp"),
        Just("[ready]\nfd"),
        Just("[restart]\ngive-up"),
        Just("[restart]\ndelay"),
        Just("[stop]\nsignal"),
        Just("[log]\nrotate"),
        Just("\u{e9}\"")
    ];
    let value = prop_oneof![
        Just("\"oneshot\"".to_owned()),
        Just("[\"a\", \"\u{1f600}\"]".to_owned()),
        Just("{ url = \"http://[::1\", json = { \"a=b\" = 1e99 }, size = 0xffffffffffffffff }".to_owned()),
        Just("-9223372036854775808".to_owned()),
        Just("1979-05-27".to_owned()),
        Just("nan".to_owned()),
        any::<String>(),
        any::<String>().prop_map(|text| format!("{text:?}")),
    ];
    proptest::collection::vec((key, value), 0..8)
        .prop_map(|lines| lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect())
}

proptest! {
    #[test]
    fn no_text_makes_the_compiler_panic(text in prop_oneof![any::<String>(), definition_like()]) {
        let service = read_toml("a", "/d", "F", &text, "/p");
        prop_assert!(service.invalid == service.diagnostics.iter().any(|d| d.severity == Severity::Error));
        let lines = text.split('\n').count();
        prop_assert!(service.diagnostics.iter().all(|d| !d.to_string().contains(char::is_control)));
        prop_assert!(service.diagnostics.iter().all(|d| d.place.is_some_and(|place| place.line <= lines)));
    }
}
