//! What is said of definitions.

use super::*;
use crate::compile::read_toml;

fn definition(toml: &str) -> Definition {
    let toml = format!("command = [\"x\"]\n{toml}");
    let service = read_toml("a", "/etc/services.d/a", "F", &toml, "/usr/sbin/svctl");
    assert!(!service.invalid, "{:?}", service.diagnostics);
    service.definition
}

fn standing(toml: &str, what: &str) -> Standing {
    let found = standings(&definition(toml)).into_iter().find(|(check, _)| check.what == what);
    found.unwrap_or_else(|| panic!("no check of {what}")).1
}

#[test]
fn without_a_setting_everything_is_open() {
    let plain = definition("");
    assert!(standings(&plain).iter().all(|(_, standing)| *standing == Standing::Open));
    assert_eq!((tenths(&plain), word(100)), (100, "open"));
}

#[test]
fn every_setting_closes_what_it_is_said_to_close_and_no_more_than_the_rest() {
    for (toml, what) in [
        ("private-users = true\nuser-map = \"0 100000 65536\"", "be root on the machine"),
        ("private-users = true\nuser-map = \"0 100000 65536\"", "take anybody's files and identity"),
        ("private-users = true", "administer the system (CAP_SYS_ADMIN)"),
        ("system = \"full\"", "change the system's programs and settings"),
        ("system = \"strict\"", "change any file that is not its own"),
        ("landlock = { read = [\"/\"] }", "read what is not listed"),
        ("home = \"hidden\"", "read people's home directories"),
        ("private-tmp = true", "see and use the /tmp of everybody"),
        ("private-devices = true", "reach the machine's devices"),
        ("deny = [\"setuid-files\"]", "make files that give away rights (setuid)"),
        ("protect = [\"tunables\"]", "set its tunables"),
        ("protect = [\"modules\"]", "load modules"),
        ("protect = [\"logs\"]", "read its log"),
        ("protect = [\"clock\"]", "set the clock"),
        ("protect = [\"control-groups\"]", "change others' control groups"),
        ("private-control-groups = true", "change others' control groups"),
        ("protect = [\"hostname\"]", "name the machine"),
        ("private-pids = true", "see and signal other processes"),
        ("private-ipc = true", "use others' queues and shared memory"),
        ("network = \"private\"", "use the machine's network"),
        ("address-families = [\"unix\"]", "make sockets of any other family"),
        ("system-calls = [\"@service\"]", "make calls that are not listed"),
        ("system-calls = [\"-@debug\"]", "look into them (ptrace and its like)"),
        ("system-calls = [\"-@mount\"]", "mount, and change its root"),
        ("system-calls = [\"-@kernel\"]", "extend and watch the kernel (bpf and its like)"),
        ("deny = [\"namespaces\"]", "make namespaces of its own"),
        ("deny = [\"write-execute\"]", "write code and execute it"),
        ("deny = [\"real-time\"]", "run before everybody else (real time)"),
        ("deny = [\"personality\"]", "have the kernel behave as another one"),
    ] {
        let toml = format!("[sandbox]\n{toml}");
        assert_eq!(standing(&toml, what), Standing::Closed, "{toml}");
        let exposure = tenths(&definition(&toml));
        assert!((50..100).contains(&exposure), "{toml}: {exposure}");
        let lenient = format!("{toml}\nkernel-lacks = \"warning\"");
        assert_eq!(standing(&lenient, what), Standing::Unsure, "{lenient}");
    }
}

#[test]
fn users_who_are_who_they_are_outside_have_their_files() {
    for map in ["", "user-map = \"0 0 1\"", "user-map = [\"1 100000 9\", \"0 0 1\"]"] {
        let toml = format!("[sandbox]\nprivate-users = true\n{map}");
        for what in ["be root on the machine", "take anybody's files and identity"] {
            assert_eq!(standing(&toml, what), Standing::Open, "{what}: {toml}");
        }
        assert_eq!(standing(&toml, "load modules"), Standing::Closed, "{toml}");
    }
}

#[test]
fn what_is_only_noted_is_open() {
    let toml = "[sandbox]\nsystem-calls = [\"@service\"]\ndenied-calls = \"log\"";
    assert_eq!(standing(toml, "make calls that are not listed"), Standing::Open);
    // Only one family was left out.
    let families = "[sandbox]\naddress-families = [\"inet6\"]";
    assert_eq!(standing(families, "use the machine's network"), Standing::Open);
    assert_eq!(
        standing("[sandbox]\naddress-families = [\"unix\"]", "use the machine's network"),
        Standing::Closed
    );
}

#[test]
fn with_everything_closed_a_service_is_hardly_exposed() {
    let all = definition(
        "[sandbox]\nsystem = \"strict\"\nhome = \"hidden\"\nprivate-tmp = true\nprivate-devices = true\n\
         private-pids = true\nprivate-ipc = true\nprivate-users = true\nuser-map = \"0 100000 65536\"\nnetwork = \"private\"\nhostname = \"h\"\n\
         protect = \"all\"\ndeny = [\"setuid-files\", \"namespaces\", \"write-execute\", \"real-time\", \"personality\"]\n\
         address-families = [\"unix\"]\nsystem-calls = [\"@service\"]\nlandlock = { read = [\"/\"] }",
    );
    let open: Vec<&str> = standings(&all)
        .into_iter()
        .filter(|(_, standing)| *standing != Standing::Closed)
        .map(|(check, _)| check.what)
        .collect();
    assert_eq!(open, [""; 0]);
    assert_eq!(tenths(&all), 0);
    let text = list(&all);
    assert!(text.ends_with("a: exposure 0.0 of 10, well closed\n"), "{text}");
}
