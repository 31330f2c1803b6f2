//! What a service's process is given between clone and exec: what it really got, read from where the kernel says it,
//! and that without the setting it is not so.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::fs::{self, read_link, read_to_string};
use std::os::unix::fs::{PermissionsExt, symlink};
use tests::{Fixture, Pid, State, Supervised, Want, process};

const IDLE: &str = "command = [\"sleep\", \"1000\"]\n";

/// Whether what takes a privilege can be tested.
fn privileged() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A service that runs with this definition.
fn running(toml: &str) -> (Supervised, Pid) {
    let service = Fixture::new().service("a", &format!("{IDLE}{toml}")).start();
    let pid = service.up();
    (service, pid)
}

/// A field of /proc/PID/status.
fn field(pid: Pid, key: &str) -> String {
    let text = read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}:")));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A row of /proc/PID/limits: soft and hard.
fn limit(pid: Pid, name: &str) -> (String, String) {
    let text = read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let row = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut values = row.split_whitespace().map(str::to_owned);
    (values.next().unwrap(), values.next().unwrap())
}

/// A field of /proc/PID/stat, counted as proc(5) does.
fn stat(pid: Pid, number: usize) -> String {
    let text = read_to_string(format!("/proc/{pid}/stat")).unwrap();
    text.rsplit_once(") ").unwrap().1.split_whitespace().nth(number - 3).unwrap().to_owned()
}

fn oom_score(pid: Pid) -> String {
    read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap().trim().to_owned()
}

fn environment(pid: Pid) -> Vec<String> {
    let text = fs::read(format!("/proc/{pid}/environ")).unwrap();
    let mut all: Vec<String> =
        String::from_utf8(text).unwrap().split_terminator('\0').map(str::to_owned).collect();
    all.sort();
    all
}

/// That a service fails to start, and why.
#[track_caller]
fn refused(toml: &str, expected: &str) {
    let toml = format!("{IDLE}{toml}\n[restart]\ngive-up = {{ deaths = 1 }}");
    let service = Fixture::new().service("a", &toml).start();
    let status = service.until(State::Failed);
    assert!(status.reason.contains(expected) || service.log().contains(expected), "{}", service.log());
    assert!(service.log().contains(expected), "{}", service.log());
    assert_eq!((status.pid, status.want), (None, Want::Up));
}

#[test]
fn a_service_has_the_numbers_that_its_definition_says() {
    let (_plain, without) = running("");
    let (service, with) = running(
        "[process]\nnice = 19\nscheduler = \"batch\"\noom-score = 777\naffinity = [0]\nio = \"idle\"\n\
         [limits]\nnofile = \"100:200\"\ncore = 0\nstack = \"1MiB\"\nsigpending = 77\nmemlock = \"64KiB\"",
    );
    assert_eq!((stat(with, 19), stat(with, 41)), ("19".to_owned(), "3".to_owned()));
    assert_ne!((stat(without, 19), stat(without, 41)), ("19".to_owned(), "3".to_owned()));
    assert_eq!(oom_score(with), "777");
    assert_ne!(oom_score(without), "777");
    assert_ne!(oom_score(service.supervisor()), "777", "it is the service's alone");
    assert_eq!(field(with, "Cpus_allowed_list"), "0");
    for (name, soft, hard) in [
        ("Max open files", "100", "200"),
        ("Max core file size", "0", "0"),
        ("Max stack size", "1048576", "1048576"),
        ("Max pending signals", "77", "77"),
        ("Max locked memory", "65536", "65536"),
    ] {
        assert_eq!(limit(with, name), (soft.to_owned(), hard.to_owned()), "{name}");
        assert_ne!(limit(without, name), (soft.to_owned(), hard.to_owned()), "{name}");
    }
}

#[test]
fn a_service_of_a_user_is_that_users_with_its_groups_and_its_variables() {
    if !privileged() {
        return;
    }
    let (_plain, without) = running("");
    let (service, with) =
        running("[user]\nname = \"nobody\"\ngroups = [\"daemon\", \"77\"]\numask = \"077\"");
    let nobody = "65534 65534 65534 65534";
    assert_eq!((field(with, "Uid").as_str(), field(with, "Gid").as_str()), (nobody, nobody));
    assert_eq!(field(with, "Groups"), "1 77 65534");
    assert_eq!(field(with, "Umask"), "0077");
    assert_eq!(field(with, "CapEff"), "0000000000000000");
    assert_eq!(field(without, "Uid"), "0 0 0 0");
    assert_eq!(field(service.supervisor(), "Uid"), "0 0 0 0");
    let names: Vec<String> = environment(with);
    assert!(
        names.contains(&"USER=nobody".to_owned()) && names.contains(&"LOGNAME=nobody".to_owned()),
        "{names:?}"
    );
    assert!(
        names.iter().any(|one| one.starts_with("HOME=")) && names.iter().any(|one| one.starts_with("SHELL="))
    );
    assert!(environment(without).iter().all(|one| one.starts_with("PATH=")));
}

#[test]
fn a_user_is_also_that_of_what_serves_the_service_and_what_is_said_wins_over_its_variables() {
    if !privileged() {
        return;
    }
    let toml = "user = \"nobody\"\n[environment]\nHOME = \"/elsewhere\"\n\
                [ready]\ncommand = [\"sh\", \"-c\", \"id -u > @T/user/ready; echo $HOME > @T/user/home\"]";
    let fixture = Fixture::new().file("user/mark", "");
    let mode: fs::Permissions = PermissionsExt::from_mode(0o777);
    fs::set_permissions(fixture.path("user"), mode).unwrap();
    let toml = toml.replace("@T", &fixture.place().display().to_string());
    let service = fixture.service("a", &format!("{IDLE}{toml}")).start();
    service.up();
    service.wait_for("it is ready", |status| status.ready_since.is_some());
    assert_eq!(
        (service.fixture.read("user/ready"), service.fixture.read("user/home")),
        ("65534\n".into(), "/elsewhere\n".into())
    );
}

#[test]
fn capabilities_are_those_that_are_named_and_privileges_are_not_gained() {
    if !privileged() {
        return;
    }
    let (_plain, without) = running("");
    let (_kept, with) = running(
        "[user]\nname = \"nobody\"\ncapabilities = [\"net-bind-service\", \"chown\"]\n\
         ambient-capabilities = [\"net-bind-service\"]\nno-new-privileges = true",
    );
    let (bound, kept) = ("0000000000000401", "0000000000000400");
    for (key, expected) in
        [("CapBnd", bound), ("CapEff", kept), ("CapPrm", kept), ("CapAmb", kept), ("NoNewPrivs", "1")]
    {
        assert_eq!(field(with, key), expected, "{key}");
        assert_ne!(field(without, key), expected, "{key}");
    }
}

#[test]
fn the_standard_descriptors_are_the_files_that_are_named() {
    let fixture = Fixture::new().file("in", "what is read\n");
    let place = fixture.place().display().to_string();
    let toml = format!(
        "command = [\"sh\", \"-c\", \"cat; echo error >&2; exec sleep 1000\"]\n\
         [process]\nstdin = \"{place}/in\"\nstdout = \"{place}/out\""
    );
    let service = fixture.file("out", "before\n").service("a", &toml).start();
    let pid = service.up();
    tests::eventually("all is written", || service.fixture.read("out") == "before\nwhat is read\nerror\n");
    assert_eq!(read_link(format!("/proc/{pid}/fd/0")).unwrap(), service.fixture.path("in"));
    let (_plain, without) = running("");
    assert_eq!(read_link(format!("/proc/{without}/fd/0")).unwrap().to_str(), Some("/dev/null"));
}

#[test]
fn standard_error_goes_to_a_file_of_its_own_if_one_is_named() {
    let fixture = Fixture::new();
    let place = fixture.place().display().to_string();
    let toml = format!(
        "command = [\"sh\", \"-c\", \"echo output; echo error >&2; exec sleep 1000\"]\n\
         [process]\nstdout = \"{place}/out\"\nstderr = \"{place}/err\""
    );
    let service = fixture.file("err", "before\n").service("a", &toml).start();
    service.up();
    tests::eventually("all is written", || service.fixture.read("err") == "before\nerror\n");
    assert_eq!(service.fixture.read("out"), "output\n");
}

#[test]
fn a_link_that_others_could_have_made_leads_to_no_file() {
    for (mode, works) in [(0o755, true), (0o777, false)] {
        let fixture = Fixture::new().file("victim", "");
        let place = fixture.path("open");
        fs::create_dir(&place).unwrap();
        symlink("../victim", place.join("out")).unwrap();
        fs::set_permissions(&place, fs::Permissions::from_mode(mode)).unwrap();
        let toml = format!(
            "command = [\"sh\", \"-c\", \"echo written; exec sleep 1000\"]\n\
             [process]\nstdout = \"{}/out\"",
            place.display()
        );
        let service = fixture.service("a", &toml).start();
        if works {
            tests::eventually("it is written", || service.fixture.read("victim") == "written\n");
        } else {
            let reason = service.until(State::Backoff).reason;
            assert!(reason.contains("/out: it is a link, in a directory where others"), "{reason}");
            assert_eq!(service.fixture.read("victim"), "");
        }
    }
}

#[test]
fn a_terminal_becomes_the_services_own() {
    let master = nix::pty::posix_openpt(nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY).unwrap();
    nix::pty::grantpt(&master).unwrap();
    nix::pty::unlockpt(&master).unwrap();
    let name = nix::pty::ptsname_r(&master).unwrap();
    let (_service, with) = running(&format!("[process]\nterminal = \"{name}\""));
    for number in 0..3 {
        assert_eq!(read_link(format!("/proc/{with}/fd/{number}")).unwrap().to_str(), Some(name.as_str()));
    }
    assert_ne!(stat(with, 7), "0", "it controls a terminal");
    let (_plain, without) = running("");
    assert_eq!(stat(without, 7), "0");
}

#[test]
fn a_step_that_fails_is_named_with_its_reason() {
    refused(
        "[user]\nname = \"no-such-user\"",
        "unable to become user no-such-user: user no-such-user is not known",
    );
    refused(
        "[process]\nstdin = \"/nonexistent/file\"",
        "unable to open /nonexistent/file: No such file or directory",
    );
    refused("[process]\nterminal = \"/dev/null\"", "unable to take its terminal: ");
    refused("[process]\naffinity = [8000]", "unable to choose its processors: Invalid argument");
    if privileged() {
        let hidden = Fixture::new().file("hidden/file", "");
        let place = hidden.path("hidden");
        let mode: fs::Permissions = PermissionsExt::from_mode(0o700);
        fs::set_permissions(&place, mode).unwrap();
        let text = format!("working-directory = \"{0}\"\nuser = \"nobody\"", place.display());
        refused(&text, &format!("unable to enter {}: Permission denied", place.display()));
    }
}

#[test]
fn what_takes_a_privilege_that_is_not_there_is_named_and_may_be_done_without() {
    // Root without the one capability stands for everybody else.
    let through = ["setpriv", "--bounding-set=-sys_nice"];
    let through = if privileged() { &through[..] } else { &[] };
    let toml = |lenient| {
        format!("{IDLE}[process]\nnice = -5\nlenient = {lenient}\n[restart]\ngive-up = {{ deaths = 1 }}")
    };
    let fixture = |lenient| {
        let fixture = Fixture::new().service("a", &toml(lenient));
        fixture.compile();
        Supervised::start_through(fixture, through, &["--up"])
    };
    let service = fixture(false);
    service.until(State::Failed);
    service.wait_for_log("unable to set the niceness to -5: Permission denied");
    let service = fixture(true);
    service.up();
    service.wait_for_log("warning: unable to set the niceness to -5: Permission denied (going on without)");
}

#[test]
fn attributes_outlive_the_supervisor_and_hold_for_the_next_run() {
    let text = "[process]\noom-score = 555\n[limits]\nnofile = 99";
    let (mut service, pid) = running(text);
    service.kill_supervisor();
    service.start_again(&["--resume"]);
    service.wait_for("it is adopted", |status| status.supervisor == Some(service.supervisor()));
    assert_eq!(service.up(), pid);
    assert_eq!((oom_score(pid).as_str(), limit(pid, "Max open files").0.as_str()), ("555", "99"));
    process::send(pid, tests::Signal::KILL);
    let next = service.wait_for("it runs again", |status| {
        status.pid.is_some_and(|other| other != pid) && status.state == State::Up
    });
    let next = next.pid.unwrap();
    assert_eq!((oom_score(next).as_str(), limit(next, "Max open files").0.as_str()), ("555", "99"));
}
