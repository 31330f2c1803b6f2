//! What is laid over a definition, and the instances of templates.

use super::super::{Compiled, Options, compile};
use super::trees::Tree;
use service::definition::{EnvironmentLayer, ReadyMethod, Scope};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

fn names(compiled: &Compiled) -> Vec<&str> {
    compiled.services.iter().map(|service| service.definition.name.as_str()).collect()
}

fn variables(layers: &[EnvironmentLayer]) -> Vec<String> {
    let show = |layer: &EnvironmentLayer| match layer {
        EnvironmentLayer::Set { key, value } => format!("{key}={value}"),
        EnvironmentLayer::File { path, .. } => path.clone(),
    };
    layers.iter().map(show).collect()
}

#[test]
fn drop_ins_merge_tables_and_replace_the_rest_in_the_order_of_their_names() {
    let text = "command = [\"x\", \"1\"]\nwants = [\"b\"]\n[environment]\nA = \"1\"\nB = \"1\"\nfiles = [\"/f\"]\n\
                [stop]\ntimeout = \"1s\"\nsignal = \"INT\"\n";
    let tree = Tree::new("drop-ins", &[("a", text), ("b", "command = [\"x\"]"), ("c", "command = [\"x\"]")]);
    tree.file(
        "a/service.d/10-first.toml",
        "command = [\"y\"]\nwants = [\"c\"]\n[environment]\nA = \"2\"\nC = \"2\"\n",
    );
    tree.file(
        "a/service.d/20-second.toml",
        "[environment]\nC = \"3\"\n[stop]\ntimeout = \"2s\"\n[restart]\ndelay = \"3s\"",
    );
    tree.file("a/service.d/.hidden.toml", "nonsense");
    tree.file("a/service.d/README", "nonsense");
    assert_eq!(tree.told(None), [""; 0]);
    let a = tree.definition("a");
    assert_eq!((a.command.as_slice(), a.wants.as_slice()), (&["y".to_owned()][..], &["c".to_owned()][..]));
    assert_eq!(variables(&a.environment), ["B=1", "/f", "A=2", "C=3"], "what is written last is last");
    assert_eq!((a.stop.timeout, a.stop.signal.to_string()), (Some(Duration::from_secs(2)), "INT".to_owned()));
    assert_eq!(a.restart.delay, Duration::from_secs(3));
}

#[test]
fn a_mistake_names_the_file_that_it_stands_in() {
    let tree = Tree::new("drop-in-mistakes", &[("a", "command = [\"x\"]\n[stop]\nsignal = \"FOO\"\n")]);
    tree.file("a/service.d/1.toml", "\n\n[stop]\n  timeout = 5\n");
    tree.file("a/service.d/2.toml", "colour = 1\nwants = [\"a\", \"b\"]\n[stop\n");
    tree.file("a/service.d/3.toml", "[ready]\nfd = 1\n");
    fs::create_dir_all(tree.0.join("a/service.d/4.toml")).unwrap();
    fs::write(tree.0.join("a/service.d/5.toml"), b"a = \"\xff\"").unwrap();
    let expected = [
        "a/service.d/1.toml:4:13: expected a duration with a unit, found an integer (did you mean \"5s\"?)",
        "a/service.d/2.toml:1:1: unknown key \"colour\"",
        "a/service.d/2.toml:2:10: warning: \"a\" names itself in wants, which is ignored",
        "a/service.d/2.toml:2:15: warning: unknown service \"b\" in wants, ignored",
        "a/service.d/2.toml:3:6: unclosed table, expected `]`",
        "a/service.d/3.toml:2:6: expected a number from 3 to 63",
        "a/service.d/4.toml: not a regular file",
        "a/service.d/5.toml:1:6: not UTF-8",
        "a/service.toml:3:10: unknown signal \"FOO\"",
    ];
    assert_eq!(tree.told(None), expected);
    assert_eq!(tree.invalid(), ["a"]);
}

#[test]
fn a_drop_in_changes_a_directory_of_s6() {
    let tree = Tree::new("drop-in-s6", &[]);
    tree.executable("a/run", "#!/bin/sh\n");
    tree.file("a/timeout-kill", "5\n");
    tree.file("a/service.d/a.toml", "[stop]\nscope = \"cgroup\"\n[ready]\nnotify = true\n");
    tree.executable("b/run", "#!/bin/sh\n");
    tree.file("b/service.d/a.toml", "command = [\"other\"]\n");
    let a = tree.definition("a");
    assert_eq!((a.stop.timeout, a.stop.scope), (Some(Duration::from_millis(5)), Scope::Cgroup));
    assert!(matches!(a.ready.method, ReadyMethod::Notify(_)) && a.command == ["./run", "a"]);
    let b = tree.definition("b");
    assert_eq!((b.command.as_slice(), b.working_directory), (&["other".to_owned()][..], b.directory));
}

#[test]
fn overrides_of_the_machine_come_last() {
    let tree = Tree::new("overrides", &[("a", "command = [\"x\"]\n"), ("t@", "command = [\"x\"]\n")]);
    tree.file("a/service.d/z.toml", "description = \"1\"");
    let over = Tree::new("overrides-run", &[]);
    over.file("a/service.d/a.toml", "description = \"2\"");
    over.file("t@/service.d/a.toml", "description = \"%i\"");
    over.file("t@2/service.d/a.toml", "description = \"two\"");
    let compiled = compile(&Options {
        services: tree.0.clone(),
        overrides: Some(over.0.clone()),
        instances: BTreeSet::from(["t@1".to_owned(), "t@2".to_owned()]),
        ..Options::default()
    })
    .unwrap();
    let told: Vec<&str> =
        compiled.services.iter().map(|service| service.definition.description.as_str()).collect();
    assert_eq!(told, ["2", "1", "two"]);
}

const GETTY: &str = "description = \"login on %i (%n, 100%%)\"\ncommand = [\"getty\", \"%i\"]\nwants = [\"x@%i\"]\n\
                     [environment]\nTERM = \"%i\"\n";

#[test]
fn a_template_is_no_service_and_its_instances_are_those_that_are_named() {
    let tree = Tree::new(
        "templates",
        &[
            ("getty@", GETTY),
            ("x@", "command = [\"x\"]"),
            ("plain", "command = [\"%i\"]\ndescription = \"%n %\"\nrequires = [\"getty@tty1\"]"),
            ("all", "type = \"bundle\"\ncontents = [\"getty@ttyS0\"]"),
        ],
    );
    assert_eq!(tree.told(None), [""; 0]);
    let compiled = tree.compile(None);
    assert_eq!(names(&compiled), ["all", "getty@tty1", "getty@ttyS0", "plain", "x@tty1", "x@ttyS0"]);
    let getty = tree.definition("getty@ttyS0");
    assert_eq!(getty.description, "login on ttyS0 (getty@ttyS0, 100%)");
    assert_eq!((getty.command[1].as_str(), getty.instance.as_deref()), ("ttyS0", Some("ttyS0")));
    assert_eq!(
        (getty.wants.as_slice(), variables(&getty.environment)),
        (&["x@ttyS0".to_owned()][..], vec!["TERM=ttyS0".to_owned()])
    );
    assert!(getty.directory.ends_with("/getty@") && !getty.autostart);
    let plain = tree.definition("plain");
    assert_eq!((plain.command[0].as_str(), plain.description.as_str(), plain.instance), ("%i", "%n %", None));
}

#[test]
fn a_directory_or_a_link_makes_an_instance_that_starts_with_the_machine() {
    let tree = Tree::new(
        "instance-directories",
        &[("getty@", "command = [\"getty\", \"%i\"]\n"), ("getty@own", "command = [\"own\"]")],
    );
    tree.file("getty@/service.d/a.toml", "[environment]\nA = \"%i\"\nB = \"template\"\n");
    tree.file("getty@tty1/service.d/a.toml", "[environment]\nB = \"instance %i\"\n");
    fs::create_dir_all(tree.0.join("getty@tty2")).unwrap();
    tree.file("getty@tty3/down", "");
    symlink("getty@", tree.0.join("getty@tty4")).unwrap();
    tree.executable("getty@run/run", "#!/bin/sh\n");
    assert_eq!(tree.told(None), [""; 0]);
    let found: Vec<(String, bool, bool)> = tree
        .compile(None)
        .services
        .into_iter()
        .map(|service| service.definition)
        .map(|definition| (definition.name, definition.autostart, definition.instance.is_some()))
        .collect();
    let found: Vec<(&str, bool, bool)> =
        found.iter().map(|(name, auto, made)| (name.as_str(), *auto, *made)).collect();
    let expected = [
        ("getty@own", true, false),
        ("getty@run", true, false),
        ("getty@tty1", true, true),
        ("getty@tty2", true, true),
        ("getty@tty3", false, true),
        ("getty@tty4", true, true),
    ];
    assert_eq!(found, expected);
    assert_eq!(variables(&tree.definition("getty@tty1").environment), ["A=tty1", "B=instance tty1"]);
    assert_eq!(tree.definition("getty@tty4").command, ["getty", "tty4"]);
}

#[test]
fn a_template_of_s6_runs_in_its_directory_with_the_instances_name() {
    let tree = Tree::new("template-s6", &[("a", "command = [\"x\"]\nwants = [\"s@1\"]")]);
    tree.executable("s@/run", "#!/bin/execlineb\n");
    tree.executable("s@/log/run", "#!/bin/execlineb\n");
    let made = tree.definition("s@1");
    assert_eq!(made.command, ["./run", "s@1"]);
    assert!(made.working_directory.ends_with("/s@"));
    assert_eq!(made.output_to.as_deref(), Some("s@1-log"));
    assert_eq!(tree.definition("s@1-log").command, ["./run", "s@1/log"]);
}

#[test]
fn mistakes_of_a_template_are_told_once_and_also_without_instances() {
    let text = "comand = [\"x\"]\ndescription = \"%x %\"\n";
    let used = [("t@", text), ("a", "command = [\"x\"]\nwants = [\"t@1\", \"t@2\", \"zz@1\"]")];
    let expected = [
        "t@/service.toml:1:1: unknown key \"comand\" (did you mean \"command\"?)",
        "t@/service.toml:2:15: unknown specifier \"%x\": there are %i, %n and %%",
    ];
    assert_eq!(Tree::new("template-unused", &used[..1]).told(None), expected);
    let told = Tree::new("template-used", &used).told(None);
    assert_eq!(told[1..], expected);
    assert_eq!(told[0], "a/service.toml:2:24: warning: unknown service \"zz@1\" in wants, ignored");
}

#[test]
fn a_template_that_names_ever_new_instances_of_itself_ends() {
    let text = "command = [\"x\"]\nafter = [\"t@%ia\", \"t@%ib\"]";
    let tree = Tree::new("endless", &[("t@", text), ("a", "command = [\"x\"]\nwants = [\"t@1\"]")]);
    let told = tree.told(None);
    assert!(told.iter().any(|line| line.contains("would have more than 1000 instances")), "{}", told.len());
    assert!(!tree.service("a").invalid);
}
