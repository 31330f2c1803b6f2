//! What `[sandbox]` becomes, and what is told of it.

use super::super::{Severity, read_toml};
use super::told;
use crate::calls::{Call, answer, answer_of, table::number};
use service::Definition;
use service::setup::{Landlock, Namespace, Setup, Stage, Step};

fn read(text: &str) -> Definition {
    let toml = format!("command = [\"x\"]\n[sandbox]\n{text}");
    let service = read_toml("a", "/etc/services.d/a", "F", &toml, "/usr/sbin/svctl");
    let errors: Vec<_> = service.diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:?}");
    service.definition
}

/// The steps as the supervisor reads them, but for filters, which are long.
fn steps(text: &str) -> Vec<String> {
    let setup = read(text).process.setup;
    let shown = setup.iter().filter(|step| !matches!(step.setup, Setup::Seccomp(_)));
    shown.map(ToString::to_string).collect()
}

fn namespaces(text: &str) -> Vec<Namespace> {
    read(text).process.namespaces.iter().map(|apart| apart.kind).collect()
}

/// What the filter answers.
fn ask(text: &str, call: &str, arguments: [u64; 6]) -> u32 {
    let setup = read(text).process.setup;
    let program = setup.iter().find_map(|step| {
        if let Setup::Seccomp(program) = &step.setup { Some(program.clone()) } else { None }
    });
    answer_of(&program.unwrap(), &Call::new(number(call).unwrap(), arguments)).unwrap()
}

const EPERM: u32 = answer::ERROR | 1;

#[test]
fn nothing_is_done_that_was_not_asked_for() {
    assert_eq!(read("").process, service::definition::Process::default());
    let words =
        "private-tmp = false\nprivate-devices = false\nprivate-pids = false\nread-only = []\nprotect = []";
    assert_eq!(read(words).process, service::definition::Process::default());
}

#[test]
fn the_system_is_read_only_but_for_what_is_writable() {
    let (strict, full) =
        (steps("system = \"strict\"\nwritable = [\"/var/lib/a/\", \"-/b\"]"), steps("system = \"full\""));
    assert_eq!(strict, ["propagation yes", "remount / r yes no /var/lib/a -/b -/dev -/proc -/sys"],);
    assert_eq!(full[..3], ["propagation yes", "remount /usr r yes yes", "remount /etc r yes yes"]);
    assert_eq!(
        steps("system = \"full\"\nwritable = [\"/etc/a\", \"/etcetera\"]")[2],
        "remount /etc r yes yes /etc/a"
    );
    assert_eq!(namespaces("system = \"full\""), [Namespace::Mount]);
    let tmp = steps("system = \"strict\"\nprivate-tmp = true");
    assert!(tmp.contains(&"mount tmpfs tmpfs /tmp sd mode=1777".to_owned()), "{tmp:?}");
    assert_eq!(tmp.last().unwrap(), "remount / r yes no -/dev -/proc -/sys /tmp -/var/tmp");
    let over = steps("system = \"strict\"\ntemporary = [\"/var/lib/\"]");
    assert_eq!(over.last().unwrap(), "mount tmpfs tmpfs /var/lib sd mode=0755");
    let own = steps("read-only = [\"/srv\", \"-/opt\"]\nwritable = [\"/srv/a\"]");
    assert_eq!(own[1..], ["remount /srv r yes no /srv/a", "remount /opt r yes yes"]);
}

#[test]
fn what_is_writable_is_so_by_every_name_that_a_merged_system_has_for_it() {
    let all = steps("system = \"full\"\nwritable = [\"/usr/lib/a\", \"-/lib/b\", \"/etc/c\"]");
    for place in ["/usr", "/bin", "/sbin", "/lib", "/lib64"] {
        assert!(all.contains(&format!("remount {place} r yes yes /usr/lib/a -/lib/b")), "{all:#?}");
    }
    assert!(all.contains(&"remount /etc r yes yes /etc/c".to_owned()), "{all:#?}");
}

#[test]
fn mounts_are_kept_from_the_machine_whatever_the_kernel_lacks() {
    let all = steps("private-tmp = true\nkernel-lacks = \"warning\"");
    assert_eq!(all[..2], ["propagation yes", "try-mount tmpfs tmpfs /tmp sd mode=1777"]);
}

#[test]
fn what_is_hidden_is_hidden_last() {
    let all = steps("hidden = [\"/srv/secret\", \"-/opt\"]\nhome = \"hidden\"\nsystem = \"strict\"");
    let expected =
        ["hide /home yes", "hide /root yes", "hide /run/user yes", "hide /srv/secret no", "hide /opt yes"];
    assert_eq!(all[2..], expected);
    assert_eq!(steps("home = \"read-only\"")[1], "remount /home r yes yes");
}

#[test]
fn devices_are_put_together_where_the_old_ones_are_still_seen() {
    let all = steps("private-devices = true");
    assert_eq!(all[1..3], ["directory /dev/shm 1023", "mount tmpfs tmpfs /dev/shm sx mode=0755,size=1m"]);
    let at =
        |text: &str| all.iter().position(|step| step == text).unwrap_or_else(|| panic!("{text}: {all:#?}"));
    assert!(at("bind /dev/null /dev/shm/null no % yes") < at("bind /dev/shm /dev yes % no"));
    assert!(at("bind /dev/shm /dev yes % no") < at("remount /dev r no no"));
    assert!(!all.iter().any(|step| step.contains("/dev/mem") || step.contains("/dev/sd")));
    assert_eq!(ask("private-devices = true", "iopl", [0; 6]), EPERM);
    let bounding = all.iter().find_map(|step| step.strip_prefix("bounding ")?.parse::<u64>().ok()).unwrap();
    assert_eq!(bounding, !(1 << 27 | 1 << 17));
}

#[test]
fn namespaces_are_asked_for_with_what_belongs_into_them() {
    assert_eq!(steps("network = \"private\""), ["loopback"]);
    assert_eq!(namespaces("network = \"private\""), [Namespace::Network]);
    assert_eq!(steps("network = \"/run/netns/blue\""), ["join network /run/netns/blue"]);
    assert_eq!(namespaces("network = \"/run/netns/blue\""), []);
    assert_eq!(steps("hostname = \"h\""), ["hostname h"]);
    assert_eq!(namespaces("hostname = \"h\""), [Namespace::Uts]);
    assert_eq!(namespaces("protect = \"hostname\""), [Namespace::Uts]);
    assert_eq!(namespaces("private-ipc = true"), [Namespace::Ipc]);
    assert_eq!(namespaces("private-pids = true"), [Namespace::Mount, Namespace::Pid]);
    assert_eq!(steps("private-pids = true"), ["propagation yes", "mount proc proc /proc sdx %"]);
    let groups = "private-control-groups = true";
    assert_eq!(namespaces(groups), [Namespace::Mount], "that of groups is made once it is in its group");
    assert_eq!(
        steps(groups),
        [
            "leave cgroup",
            "propagation yes",
            "mount tmpfs tmpfs /sys/fs/cgroup sdx mode=0555,size=4k",
            "mount cgroup2 cgroup2 /sys/fs/cgroup sdx %"
        ]
    );
    assert!(read(groups).process.group.wanted);
    let users = read("private-users = true\nuser-map = \"0 100000 65536\"").process;
    assert_eq!(users.user_map, ["u 0 100000 65536", "g 0 100000 65536"]);
    let users =
        read("private-users = true\nuser-map = [\"0 5 1\"]\ngroup-map = [\"0 6 1\", \"1 9 2\"]").process;
    assert_eq!(users.user_map, ["u 0 5 1", "g 0 6 1", "g 1 9 2"]);
}

#[test]
fn what_is_protected_is_protected_from_every_side() {
    let all = steps("protect = [\"modules\", \"logs\", \"clock\", \"control-groups\", \"tunables\"]");
    for step in [
        "hide /lib/modules yes",
        "hide /dev/kmsg yes",
        "remount /proc/sys r yes yes",
        "remount /sys/fs/cgroup r yes yes",
    ] {
        assert!(all.iter().any(|other| other == step), "{step}: {all:#?}");
    }
    for (word, call, bit) in
        [("modules", "finit_module", 16), ("logs", "syslog", 34), ("clock", "clock_settime", 25)]
    {
        let text = format!("protect = \"{word}\"");
        assert_eq!(ask(&text, call, [0; 6]), EPERM, "{call}");
        assert_eq!(ask(&text, "read", [0; 6]), answer::ALLOW);
        let kept = steps(&text).iter().find_map(|step| step.strip_prefix("bounding ")?.parse::<u64>().ok());
        assert_eq!(kept.unwrap() & 1 << bit, 0, "{word}");
    }
    assert_eq!(ask("protect = \"all\"", "sethostname", [0; 6]), EPERM);
}

#[test]
fn calls_are_allowed_by_sets_and_by_names_and_what_starts_a_program_always_is() {
    let few = "system-calls = [\"@io\", \"getpid\", \"-pipe2\"]";
    for (call, expected) in [
        ("read", answer::ALLOW),
        ("getpid", answer::ALLOW),
        ("execve", answer::ALLOW),
        ("exit_group", answer::ALLOW),
        ("pipe2", EPERM),
        ("socket", EPERM),
    ] {
        assert_eq!(ask(few, call, [0; 6]), expected, "{call}");
    }
    assert_eq!(ask(&format!("{few}\ndenied-calls = \"kill\""), "socket", [0; 6]), answer::KILL);
    assert_eq!(ask(&format!("{few}\ndenied-calls = \"log\""), "socket", [0; 6]), answer::LOG);
    let denied = "system-calls = [\"-@mount\", \"-ptrace\", \"-execve\"]";
    assert_eq!((ask(denied, "mount", [0; 6]), ask(denied, "ptrace", [0; 6])), (EPERM, EPERM));
    assert_eq!((ask(denied, "read", [0; 6]), ask(denied, "execve", [0; 6])), (answer::ALLOW, answer::ALLOW));
    // A filter goes with that nothing gains privileges, and is the last of all.
    let setup = read("system-calls = [\"@service\"]\nhostname = \"h\"").process.setup;
    assert_eq!(setup.last().unwrap().setup.stage(), Stage::Calls);
    assert!(setup.iter().any(|step| step.setup == Setup::NoNewPrivileges));
    let families = "address-families = [\"inet\", \"unix\"]";
    assert_eq!(ask(families, "socket", [2, 0, 0, 0, 0, 0]), answer::ALLOW);
    assert_eq!(ask(families, "socket", [10, 0, 0, 0, 0, 0]), answer::ERROR | 97);
    assert_eq!(ask("address-families = []", "socket", [1, 0, 0, 0, 0, 0]), answer::ERROR | 97);
    assert_eq!(
        ask("deny = [\"namespaces\", \"write-execute\"]", "unshare", [0x2_0000, 0, 0, 0, 0, 0]),
        EPERM
    );
}

#[test]
fn landlock_paths_and_ports_are_what_was_said() {
    let text = "landlock = { read = [\"/usr\", \"-/opt\"], write = [\"/w\"], execute = [\"/bin\"], connect = [53, 443] }";
    let setup = read(text).process.setup;
    let Setup::Landlock(Landlock { handled, paths, handled_ports, ports }) = &setup[0].setup else {
        panic!("{setup:?}")
    };
    assert_eq!((*handled, *handled_ports), ((1 << 15) - 1, 2));
    let names: Vec<&str> = paths.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(names, ["/usr", "-/opt", "/w", "/bin"]);
    assert_eq!(paths[0].0, 0b1100);
    assert_eq!(paths[3].0, 0b1101);
    assert_eq!(paths[2].0 & 1, 0, "what may be written may not be executed");
    assert_eq!(ports, &[(2, 53), (2, 443)]);
    let only_ports = read("landlock = { bind = [] }").process.setup;
    assert!(
        matches!(&only_ports[0].setup, Setup::Landlock(one) if one.handled == 0 && one.handled_ports == 1)
    );
}

#[test]
fn what_a_kernel_lacks_is_an_error_unless_it_is_a_warning() {
    let words = "private-tmp = true\nprivate-ipc = true\nsystem-calls = [\"@service\"]";
    assert!(read(words).process.setup.iter().all(|step| !step.lenient));
    let lenient = read(&format!("{words}\nkernel-lacks = \"warning\"")).process;
    let propagation = |step: &Step| matches!(step.setup, Setup::Propagation { .. });
    assert!(lenient.setup.iter().all(|step| step.lenient != propagation(step)));
    assert!(lenient.namespaces.iter().all(|apart| apart.lenient));
}

#[test]
fn each_mistake_in_a_sandbox_is_told_with_its_place_and_what_was_meant() {
    let table = [
        ("sytem = \"full\"", r#"2:1: unknown key "sytem" in [sandbox] (did you mean "system"?)"#),
        ("system = \"ful\"", r#"2:10: expected one of "full", "strict", found "ful" (did you mean "full"?)"#),
        ("hidden = [\"srv\"]", r#"2:11: expected an absolute path, or one after "-" if it may be absent"#),
        ("hidden = [\"/a/../b\"]", r#"2:11: expected a path without "..""#),
        (
            "writable = [\"/a\"]",
            "2:1: warning: writable has no effect: nothing is read-only (system, home, read-only)",
        ),
        ("home = \"hidden\"\nwritable = [\"/home/a\"]", r#"3:12: "/home/a" is hidden with "/home""#),
        (
            "network = \"pirvate\"",
            r#"2:11: expected "private", or the file of a network namespace such as "/run/netns/blue" (did you mean "private"?)"#,
        ),
        ("user-map = \"0 1 1\"", "2:1: a map needs users of its own: private-users = true"),
        (
            "private-users = true\nuser-map = \"0 1\"",
            r#"3:12: expected three numbers, inside, outside and how many: "0 100000 65536""#,
        ),
        ("private-users = true\ngroup-map = \"0 1 1\"", "3:1: group-map needs a user-map"),
        (
            "protect = [\"clocks\"]",
            r#"2:12: expected one of "all", "tunables", "modules", "logs", "control-groups", "clock", "hostname", found "clocks" (did you mean "clock"?)"#,
        ),
        (
            "deny = [\"namespace\"]",
            r#"2:9: expected one of "setuid-files", "namespaces", "write-execute", "real-time", "personality", found "namespace" (did you mean "namespaces"?)"#,
        ),
        (
            "system-calls = [\"@servce\"]",
            r#"2:17: unknown set of system calls "@servce" (did you mean "@service"?)"#,
        ),
        ("system-calls = [\"opennat\"]", r#"2:17: unknown system call "opennat" (did you mean "openat"?)"#),
        ("system-calls = [\"network\"]", r#"2:17: unknown system call "network" (did you mean "@network"?)"#),
        ("denied-calls = \"kill\"", "2:1: warning: denied-calls has no effect without system-calls"),
        (
            "landlock = { reed = [] }",
            r#"2:14: unknown key "reed" in [sandbox.landlock] (did you mean "read"?)"#,
        ),
        ("landlock = { bind = [70000] }", "2:22: expected a number from 0 to 65535"),
        ("temporary = [\"-/a\"]", "2:13: expected directories that are there, and are not the root"),
        ("temporary = [\"/\"]", "2:13: expected directories that are there, and are not the root"),
        (
            "private-control-group = true",
            r#"2:1: unknown key "private-control-group" in [sandbox] (did you mean "private-control-groups"?)"#,
        ),
        ("hostname = \"a b\"", "2:12: expected a host name"),
    ];
    for (text, expected) in table {
        assert_eq!(told(&format!("[sandbox]\n{text}")), [expected], "{text}");
    }
    assert_eq!(
        told("type = \"bundle\"\ncontents = []\n[sandbox]"),
        ["3:2: \"sandbox\" has no meaning for a bundle"]
    );
}

#[test]
fn every_key_is_documented() {
    let page = include_str!("../../../../docs/service.toml.5");
    let section = page.split("\n.SS ").find(|section| section.starts_with("[sandbox]")).unwrap();
    let heads = section.lines().filter(|line| line.starts_with(".BR ") && line.contains("\" = "));
    let documented = heads.flat_map(|line| line[4..].split("\" = ").next().unwrap().split(" \", \""));
    let mut documented: Vec<String> = documented.map(|key| key.trim().replace("\\-", "-")).collect();
    let mut known: Vec<&str> = super::super::sandbox::KEYS.to_vec();
    documented.sort();
    known.sort_unstable();
    assert_eq!(documented, known);
}
