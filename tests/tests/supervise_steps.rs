//! Every step between clone and exec that can fail does so: the service is not started, and the step is named with the
//! kernel's reason; and where it may fail the service runs, with a warning. Steps are written into the compiled definition
//! as they are, those that fail for want of a privilege are taken by a root who lacks it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use service::setup::{Setup, Step};
use std::io::Write;
use std::process::Command;
use tests::{Fixture, State, Supervised, process};

/// What the supervisor lacks, the step, and what is told after "unable to".
const FAILING: &[(&str, &str, &str)] = &[
    ("-sys_nice", "nice -5", "set the niceness to -5: Permission denied"),
    (
        "-sys_nice,-sys_admin",
        "io-priority real-time 0",
        "set the priority of its I/O: Operation not permitted",
    ),
    ("-sys_nice", "scheduler fifo 50", "be scheduled by the policy fifo: Operation not permitted"),
    ("", "affinity 8000", "choose its processors: Invalid argument"),
    ("-sys_resource", "oom-score -1000", "set the OOM score to -1000: Permission denied"),
    ("", "limit nofile 1 9000000000000000000", "set the limit nofile: Operation not permitted"),
    (
        "",
        "join network /nonexistent",
        "enter the network namespace of /nonexistent: No such file or directory",
    ),
    ("-sys_admin", "leave cgroup", "make its own cgroup namespace: Operation not permitted"),
    ("-sys_admin", "hostname none", "set the host name none: Operation not permitted"),
    ("-net_admin", "loopback", "bring up the loopback interface: Operation not permitted"),
    ("-sys_admin", "propagation yes", "keep its mounts to itself: Operation not permitted"),
    ("", "directory /proc/none 493", "make the directory /proc/none: No such file or directory"),
    ("", "file /proc/none 420", "make the file /proc/none: No such file or directory"),
    ("", "link /proc/none x", "make the link /proc/none: "),
    ("", "bind /nonexistent /mnt no % no", "show /nonexistent at /mnt: No such file or directory"),
    ("", "mount tmpfs tmpfs /nonexistent % %", "mount tmpfs at /nonexistent: No such file or directory"),
    ("", "remount /nonexistent r no no", "restrict the mount at /nonexistent: No such file or directory"),
    ("", "hide /nonexistent no", "hide /nonexistent: No such file or directory"),
    ("", "root /nonexistent", "make /nonexistent its root: No such file or directory"),
    ("", "terminal", "take its terminal: "),
    ("", "working-directory /nonexistent", "enter the directory /nonexistent: No such file or directory"),
    ("", "landlock 4 0 4 /nonexistent", "restrict itself by landlock: No such file or directory"),
    ("-setpcap", "bounding 0", "give up capabilities: Operation not permitted"),
    ("-setgid", "credentials 65534 65534 yes", "become user 65534: Operation not permitted"),
    ("-net_raw", "ambient 8192", "keep capabilities: Operation not permitted"),
    ("", "seccomp 0", "filter its system calls: Invalid argument"),
];

/// What cannot fail, whoever asks.
const NEVER_FAILING: [&str; 2] = ["umask 18", "no-new-privileges"];

/// The kinds of steps by number: a new one is left out of the table only if it is left out here, which does not compile.
fn kind(setup: &Setup) -> usize {
    match setup {
        Setup::Nice(_) => 0,
        Setup::IoPriority { .. } => 1,
        Setup::Scheduler { .. } => 2,
        Setup::Affinity(_) => 3,
        Setup::OomScore(_) => 4,
        Setup::Limit { .. } => 5,
        Setup::Umask(_) => 6,
        Setup::Join { .. } => 7,
        Setup::Leave(_) => 8,
        Setup::Hostname(_) => 9,
        Setup::Loopback => 10,
        Setup::Propagation { .. } => 11,
        Setup::Directory { .. } => 12,
        Setup::File { .. } => 13,
        Setup::Link { .. } => 14,
        Setup::Bind { .. } => 15,
        Setup::Mount { .. } => 16,
        Setup::Remount { .. } => 17,
        Setup::Hide { .. } => 18,
        Setup::Root(_) => 19,
        Setup::Terminal => 20,
        Setup::WorkingDirectory(_) => 21,
        Setup::Landlock(_) => 22,
        Setup::Bounding(_) => 23,
        Setup::Credentials(_) => 24,
        Setup::Ambient(_) => 25,
        Setup::NoNewPrivileges => 26,
        Setup::Seccomp(_) => 27,
    }
}

const KINDS: usize = 28;

/// A service with this step, whose supervisor lacks these capabilities.
fn started(lacking: &str, step: &str) -> Supervised {
    let toml = "command = [\"sleep\", \"1000\"]\n[restart]\ngive-up = { deaths = 1 }";
    let fixture = Fixture::new().service("a", toml);
    fixture.compile();
    let definition = fixture.path("run/service/a/definition");
    let mut file = std::fs::File::options().append(true).open(definition).unwrap();
    // One before it, so that it is known by its place.
    writeln!(file, "setup limit core 0 0\nsetup {step}").unwrap();
    let set = format!("--bounding-set={lacking}");
    let through = ["setpriv", &set];
    Supervised::start_through(fixture, if lacking.is_empty() { &[] } else { &through }, &["--up"])
}

#[test]
fn every_kind_of_step_is_in_the_table() {
    let all = FAILING.iter().map(|(_, step, _)| *step).chain(NEVER_FAILING);
    let mut found: Vec<usize> = all.map(|step| kind(&step.parse::<Step>().unwrap().setup)).collect();
    found.sort_unstable();
    assert_eq!(found, (0..KINDS).collect::<Vec<_>>());
}

#[test]
fn a_step_that_fails_is_named_and_nothing_runs() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for (lacking, step, expected) in FAILING {
        let service = started(lacking, step);
        let status = service.until(State::Failed);
        let expected = format!("unable to {expected}");
        assert!(service.log().contains(&expected), "{step}: {expected:?} in {}", service.log());
        assert_eq!(status.pid, None, "{step}");
        assert_eq!(process::descendants(service.supervisor()), [], "{step}");
    }
}

#[test]
fn a_step_that_may_fail_is_warned_of_and_the_service_runs() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    for (lacking, step, expected) in FAILING {
        let service = started(lacking, &format!("try-{step}"));
        service.up();
        let log = service.log();
        let line = log.lines().find(|line| line.contains(&format!("warning: unable to {expected}")));
        assert!(line.is_some_and(|line| line.ends_with("(going on without)")), "{step}: {log}");
    }
}

#[test]
fn what_cannot_fail_does_not() {
    for step in NEVER_FAILING {
        let service = started("", step);
        service.up();
        assert!(!service.log().contains("unable"), "{step}: {}", service.log());
    }
}

/// What the kernel says of a process: niceness and policy, processors, OOM score, a limit, and the class of its I/O.
fn attributes(pid: tests::Pid) -> [String; 5] {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
    let (stat, status, limits) = (read("stat"), read("status"), read("limits"));
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let line = |text: &str, key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    let class = Command::new("ionice").args(["-p", &pid.to_string()]).output().unwrap();
    [
        format!("{} {} {}", fields.get(16).unwrap(), fields.get(38).unwrap(), fields.get(37).unwrap()),
        line(&status, "Cpus_allowed_list"),
        read("oom_score_adj").trim().to_owned(),
        line(&limits, "Max open files").split_whitespace().skip(3).take(2).collect::<Vec<_>>().join(" "),
        String::from_utf8(class.stdout).unwrap().trim().to_owned(),
    ]
}

#[test]
fn attributes_outlive_a_supervisor_that_is_replaced_or_killed_and_hold_for_the_next_run() {
    let real_time = nix::unistd::geteuid().is_root();
    let scheduler = if real_time { "{ policy = \"round-robin\", priority = 7 }" } else { "\"batch\"" };
    let toml = format!(
        "command = [\"sleep\", \"1000\"]\n[restart]\ndelay = \"1ms\"\n[process]\nnice = 11\nscheduler = {scheduler}\naffinity = [0]\noom-score = 444\n\
         io = {{ class = \"best-effort\", level = 6 }}\n[limits]\nnofile = \"100:200\""
    );
    let mut service = Fixture::new().service("a", &toml).start();
    let pid = service.up();
    let policy = if real_time { "11 2 7" } else { "11 3 0" };
    let expected =
        [policy, "Cpus_allowed_list:\t0", "444", "100 200", "best-effort: prio 6"].map(str::to_owned);
    assert_eq!(attributes(pid), expected);
    service.tell("reexec");
    assert_eq!((service.up(), attributes(pid)), (pid, expected.clone()));
    let again = |service: &Supervised, old: tests::Pid| {
        process::send(old, tests::Signal::KILL);
        let other = |status: &tests::Status| status.state == State::Up && status.pid != Some(old);
        service.wait_for("it runs again", other).pid.unwrap()
    };
    let pid = again(&service, pid);
    assert_eq!(attributes(pid), expected, "the next run under the supervisor that was replaced");
    service.kill_supervisor();
    service.start_again(&["--resume"]);
    service.wait_for("it is adopted", |status| status.supervisor == Some(service.supervisor()));
    assert_eq!((service.up(), attributes(pid)), (pid, expected.clone()));
    assert_eq!(attributes(again(&service, pid)), expected, "and under another");
    // None of it is the supervisor's own.
    let own = attributes(service.supervisor());
    assert!(own.iter().zip(&expected).filter(|(own, of)| own == of).count() <= 1, "{own:?}");
}
