//! `[user]`, `[limits]` and `[process]`: what they become, and what is said of mistakes.

use super::trees::Tree;
use crate::compile::{Options, Service, compile, read_toml};

/// The steps of a definition, in words.
fn steps(text: &str) -> Vec<String> {
    let service = read(text);
    assert!(service.diagnostics.is_empty(), "{:?}", service.diagnostics);
    service.definition.process.setup.iter().map(ToString::to_string).collect()
}

fn read(text: &str) -> Service {
    read_toml("a", "/etc/services.d/a", "service.toml", &format!("command = [\"x\"]\n{text}"), "svctl")
}

/// The first thing that is said of a definition.
fn told(text: &str) -> String {
    let service = read(text);
    service.diagnostics.first().map(ToString::to_string).unwrap_or_default().replace("service.toml:", "")
}

#[test]
fn words_become_steps_in_the_order_in_which_they_have_to_be_done() {
    let text = "[user]\nname = \"www\"\ngroup = 33\ngroups = [\"adm\"]\numask = \"027\"\ncapabilities = [\"chown\"]\n\
        ambient-capabilities = [\"CAP_CHOWN\"]\nno-new-privileges = true\n\
        [process]\nnice = -5\nio = \"idle\"\nscheduler = \"batch\"\naffinity = \"0,2-3\"\noom-score = 500\n\
        terminal = \"/dev/ttyS0\"\n\
        [limits]\nnofile = \"1024:4096\"\ncore = 0\nmemlock = \"64KiB:unlimited\"\ncpu-time = \"10s\"\nnproc = \"unlimited\"";
    let max = u64::MAX;
    let expected = [
        "nice -5",
        "io-priority idle 0",
        "scheduler batch 0",
        "affinity 0 2 3",
        "oom-score 500",
        "terminal",
        "limit nofile 1024 4096",
        "limit core 0 0",
        &format!("limit memlock 65536 {max}"),
        "limit cpu 10 10",
        &format!("limit nproc {max} {max}"),
        "umask 23",
        "bounding 1",
        "credentials www 33 yes adm",
        "ambient 1",
        "no-new-privileges",
    ];
    let found = steps(text);
    for step in expected {
        assert!(found.iter().any(|one| one == step), "{step} in {found:?}");
    }
    assert_eq!(found.len(), expected.len(), "{found:?}");
    assert_eq!(found[found.len() - 5..], expected[expected.len() - 5..]);
    assert_eq!(steps("user = \"nobody\""), ["credentials nobody % no"]);
    assert_eq!(steps("[process]\nnice = 3\nlenient = true"), ["try-nice 3"]);
    assert_eq!(steps("[process]\nio = { level = 7 }"), ["io-priority best-effort 7"]);
    assert_eq!(steps("[process]\nscheduler = { policy = \"fifo\", priority = 9 }"), ["scheduler fifo 9"]);
}

#[test]
fn limits_of_the_control_group_are_the_kernels_files() {
    let text = "[limits]\nmemory.max = \"64MiB\"\nmemory.swap.max = 0\nmemory.high = \"max\"\ncpu.max = \"50%\"\n\
        cpu.weight = 200\nio.weight = 50\npids.max = 9\nmemory.oom.group = true\n\
        io.max = { \"/dev/vda\" = { rbps = \"1MiB\", wiops = 7 } }\ndelegate = true\nstrict = true";
    let group = read(text).definition.process.group;
    let mut files: Vec<String> = group.files.iter().map(|(file, value)| format!("{file} {value}")).collect();
    files.sort();
    let expected = [
        "cpu.max 50000 100000",
        "cpu.weight 200",
        "io.max /dev/vda rbps=1048576 wiops=7",
        "io.weight default 50",
        "memory.high max",
        "memory.max 67108864",
        "memory.oom.group 1",
        "memory.swap.max 0",
        "pids.max 9",
    ];
    assert_eq!(files, expected);
    assert!(group.wanted && group.delegate && group.strict);
    assert!(!read("[limits]\nnofile = 9").definition.process.group.wanted);
}

#[test]
fn what_has_no_place_for_it_wants_no_limit_and_no_step() {
    let process = read("").definition.process;
    assert_eq!(process, service::definition::Process::default());
}

#[test]
fn mistakes_have_their_place_and_what_may_have_been_meant() {
    for (text, expected) in [
        ("[user]\nnam = \"x\"", "3:1: unknown key \"nam\" in [user] (did you mean \"name\"?)"),
        ("[user]\ngroup = \"x\"", "2:2: a group is that of a user: name = \"…\""),
        ("[user]\nname = -1", "3:8: expected a number from 0 to 4294967294"),
        ("[user]\numask = 27", "3:9: expected a mask in octal such as \"027\""),
        (
            "[user]\ncapabilities = [\"net-admn\"]",
            "3:17: unknown capability \"net-admn\" (did you mean \"net-admin\"?)",
        ),
        ("[process]\nnice = 20", "3:8: expected a number from -20 to 19"),
        (
            "[process]\nio = \"idel\"",
            "3:6: expected one of \"real-time\", \"best-effort\", \"idle\", found \"idel\" (did you mean \"idle\"?)",
        ),
        (
            "[process]\nscheduler = \"fifo\"",
            "3:13: the policy \"fifo\" needs a priority from 1 to 99: { policy = \"fifo\", priority = 1 }",
        ),
        ("[process]\naffinity = \"3-1\"", "3:12: \"3-1\" is not a list of numbers such as \"0-3,8\""),
        ("[process]\nstdin = \"x\"", "3:9: expected an absolute path"),
        (
            "[process]\nstdin = \"/x\"\nterminal = \"/y\"",
            "2:2: a terminal is both input and output: no stdin, no stdout, no stderr",
        ),
        ("[limits]\nnofiles = 1", "3:1: unknown key \"nofiles\" in [limits] (did you mean \"nofile\"?)"),
        ("[limits]\nnofile = \"9:8\"", "3:10: the soft limit is above the hard one: SOFT:HARD"),
        (
            "[limits]\nmemlock = \"1K\"",
            "3:11: \"1K\" is not a size such as 4096, \"64KiB\" or \"1MiB\" (did you mean \"1KiB\"?)",
        ),
        (
            "[limits]\nnofile = \"many\"",
            "3:10: \"many\" is not a limit such as 1024, \"1024:4096\" or \"unlimited\"",
        ),
        (
            "[limits]\nmemory.maxx = 1",
            "3:8: unknown limit \"memory.maxx\" in [limits] (did you mean \"memory.max\"?)",
        ),
        (
            "[limits]\ncpu.max = \"half\"",
            "3:11: \"half\" is not a share such as \"50%\", \"1.5 cores\" or \"max\"",
        ),
        ("[limits]\ncpu = 9", "3:7: expected keys such as memory.max or cpu.weight, found an integer"),
        ("[limits]\nio.max = { vda = {} }", "3:12: expected a device such as \"/dev/vda\" or \"8:0\""),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn users_and_groups_that_are_not_known_are_warned_of_where_they_are_named() {
    let tree = Tree::new("accounts", &[]);
    tree.file("root/etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n");
    tree.file("root/etc/group", "root:x:0:\nadm:x:4:\n");
    tree.file("root/bin/x", "");
    let program = tree.0.join("root/bin/x");
    std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let define = |name: &str, text: &str| {
        tree.file(&format!("services/{name}/service.toml"), &format!("command = [\"/bin/x\"]\n{text}"));
    };
    define("known", "[user]\nname = \"www-data\"\ngroup = \"adm\"\ngroups = [\"4\"]");
    define("number", "[user]\nname = 4711");
    define("other", "[user]\nname = \"www-date\"\ngroups = [\"amd\"]");
    define("short", "user = \"rot\"");
    let services = tree.0.join("services");
    let root = Some(tree.0.join("root"));
    let compiled = compile(&Options { services: services.clone(), root, ..Options::default() }).unwrap();
    let place = format!("{}/", services.display());
    let told = compiled.diagnostics().into_iter().map(|one| one.to_string().replace(&place, ""));
    let expected = [
        "number/service.toml:3:8: warning: user 4711 has no account: its group has to be said",
        "other/service.toml:3:8: warning: unknown user \"www-date\" (did you mean \"www-data\"?)",
        "other/service.toml:4:10: warning: unknown group \"amd\" (did you mean \"adm\"?)",
        "short/service.toml:2:8: warning: unknown user \"rot\" (did you mean \"root\"?)",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    assert!(compiled.services.iter().all(|service| !service.invalid), "an account may still be made");
}

#[test]
fn what_runs_from_an_image_is_said_in_one_way() {
    assert!(told("[image]\nshell = \"b\"").contains("3:1: command says what is run already"));
    assert!(told("[image]\narguments = [\"b\"]").contains("3:1: arguments are for the image's own program"));
    let text = "[image]\nshell = \"a\"\narguments = [\"b\"]";
    let service = read_toml("a", "/etc/services.d/a", "service.toml", text, "svctl");
    let said: Vec<String> = service.diagnostics.iter().map(ToString::to_string).collect();
    assert!(said.len() == 1 && said[0].contains("3:1: arguments"), "{said:?}");
    assert_eq!(told("[image]\nreference = \"b\""), "");
}
