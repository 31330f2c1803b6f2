//! The settings of the machine.

use super::super::{Options, compile};
use super::trees::Tree;
use service::settings::{Rule, Settings};
use std::fs;
use std::time::Duration;

/// A root with a file `etc/init.toml`; what is told of it, and what it says.
fn read(name: &str, text: &str) -> (Vec<String>, Settings) {
    let root = Tree::new(&format!("settings-{name}"), &[]);
    root.file("etc/passwd", "root:x:0:0::/:/bin/sh\nalice:x:1000:100:A:/home/alice:/bin/sh\nbroken\n");
    root.file("etc/group", "wheel:x:10:alice\nmesos:x:70:\n");
    root.file("etc/init.toml", text);
    fs::create_dir_all(root.0.join("etc/services.d")).unwrap();
    let services = root.0.join("etc/services.d");
    let compiled = compile(&Options { services, root: Some(root.0.clone()), ..Options::default() }).unwrap();
    let prefix = format!("{}/", root.0.display());
    let told = compiled.diagnostics().into_iter().map(|found| found.to_string().replace(&prefix, ""));
    (told.collect(), compiled.settings.clone())
}

#[test]
fn settings_say_what_their_file_says() {
    let text = "[machine]\nwatchdog = \"30s\"\n[shutdown]\nservices = \"1m\"\nkill = \"0s\"\n\
                [[allow]]\nusers = [\"alice\", 7]\nverbs = [\"start\", \"stop\"]\nservices = [\"mesos-*\"]\n\
                [[allow]]\ngroups = [\"wheel\"]\nverbs = [\"*\"]\nservices = [\"*\"]\n";
    let (told, settings) = read("full", text);
    assert_eq!(told, [""; 0]);
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let first = Rule {
        users: vec![1000, 7],
        groups: Vec::new(),
        verbs: words(&["start", "stop"]),
        services: words(&["mesos-*"]),
    };
    let second = Rule { users: Vec::new(), groups: vec![10], verbs: words(&["*"]), services: words(&["*"]) };
    assert_eq!(settings.rules, [first, second]);
    assert_eq!(settings.watchdog, Some(Duration::from_secs(30)));
    let limits = (settings.limits.services, settings.limits.kill, settings.limits.terminate);
    let terminate = Settings::default().limits.terminate;
    assert_eq!(limits, (Duration::from_secs(60), Duration::ZERO, terminate));
}

#[test]
fn what_is_wrong_is_told_and_the_rest_holds() {
    let text = "[machine]\nwatchdog = \"10ms\"\n[shutdwn]\nx = 1\n[shutdown]\nkil = \"1s\"\nkill = \"9s\"\n\
                [[allow]]\nusers = [\"alcie\"]\nverbs = [\"start\"]\nservices = [\"*\"]\n\
                [[allow]]\nusers = [\"alice\"]\nverbs = [\"strat\"]\nservices = [\"*\"]\n\
                [[allow]]\nverbs = [\"start\"]\nservices = [\"*\"]\n\
                [[allow]]\nusers = [0]\nverbs = [\"start\"]\n\
                [[allow]]\nusers = [0]\nverbs = [\"start\"]\nservices = [\"a\"]\n";
    let (told, settings) = read("partial", text);
    let expected = [
        "etc/init.toml:2:12: expected a duration of at least 1000ms",
        "etc/init.toml:3:2: unknown section \"shutdwn\" (did you mean \"shutdown\"?)",
        "etc/init.toml:6:1: unknown key \"kil\" in [shutdown] (did you mean \"kill\"?)",
        "etc/init.toml:9:10: unknown user \"alcie\" (did you mean \"alice\"?)",
        "etc/init.toml:14:10: unknown verb \"strat\" (did you mean \"start\"?)",
        "etc/init.toml:16:1: a rule for nobody: users or groups",
        "etc/init.toml:19:1: a rule for no service: services (\"*\" is all, and the machine)",
    ];
    assert_eq!(told, expected);
    assert_eq!((settings.rules.len(), settings.limits.kill), (1, Duration::from_secs(9)));
    assert_eq!((settings.rules[0].users.as_slice(), settings.watchdog), (&[0][..], None));
}

#[test]
fn a_file_that_is_broken_off_allows_nobody_anything() {
    let text = "[[allow]]\nusers = [0]\nverbs = [\"*\"]\nservices = [\"*\"]\n[shutdown]\nkill = \"9s\n";
    let (told, settings) = read("broken", text);
    assert!(told.len() == 1 && told[0].starts_with("etc/init.toml:6:"), "{told:?}");
    assert_eq!(settings, Settings::default());
}

#[test]
fn without_a_file_everything_is_as_it_is_by_itself() {
    let tree = Tree::new("settings-none", &[("a", "command = [\"x\"]")]);
    let options =
        Options { services: tree.0.clone(), settings: Some(tree.0.join("none")), ..Options::default() };
    let compiled = compile(&options).unwrap();
    assert_eq!((compiled.settings, compiled.stray.len()), (Settings::default(), 0));
}
