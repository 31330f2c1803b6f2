//! The table, the page of one service, and the form for programs.

mod common;

use common::Fixture;
use serde_json::Value;
use service::status::{State, Want};
use service::{Pid, Signal, Tick, WaitStatus};

/// The words of each line of the table.
fn rows(text: &str) -> Vec<Vec<&str>> {
    text.lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn the_table_has_a_line_a_service_sorted_by_name_and_aligned() {
    let fixture = Fixture::new();
    fixture.define("planned", "command = [\"x\"]\nautostart = false");
    fixture.define("broken", "comand = [\"x\"]");
    fixture.define("everything", "type = \"bundle\"\ncontents = [\"planned\"]");
    fixture.compile();
    fixture.status("sshd", |status| status.pid = Pid::new(77));
    fixture.status("agent", |status| {
        status.state = State::Starting;
        status.restarts = 12;
        status.last_exit = Some(WaitStatus::Signalled { signal: Signal::KILL, core: false });
    });
    fixture.status("flappy", |status| {
        (status.state, status.pid) = (State::Backoff, None);
        status.reason = "ended with exit 1".to_owned();
        status.last_exit = Some(WaitStatus::Exited(1));
        status.next_start = Some(Tick(u64::MAX));
    });
    let ran = fixture.run(&["status"]);
    let table = rows(&ran.out);
    let names: Vec<&str> = table.iter().map(|row| row[0]).collect();
    assert_eq!(names, ["SERVICE", "agent", "broken", "flappy", "planned", "sshd"], "no bundle");
    assert_eq!(table[0], ["SERVICE", "STATE", "READY", "PID", "FOR", "RESTARTS", "DETAIL"]);
    assert_eq!(table[1][1..4], ["starting", "no", "4194000"]);
    assert!(ran.out.lines().nth(1).unwrap().ends_with(" 12  last signal KILL"), "{}", ran.out);
    assert!(ran.out.lines().nth(2).unwrap().contains("unknown key \"comand\" (did you mean"), "{}", ran.out);
    assert!(ran.out.contains("ended with exit 1; last exit 1; next start in "), "{}", ran.out);
    assert_eq!(table[4][..5], ["planned", "down", "-", "-", "-"]);
    assert_eq!(table[5][1..4], ["up", "yes", "77"]);
    let column = |line: &str| line.find("STATE").or(line.find("up")).or(line.find("down"));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!((column(lines[0]), column(lines[5])), (column(lines[4]), column(lines[4])));
    assert!(!ran.out.contains('\x1b'), "no colours but on a terminal");
    assert!(ran.out.lines().all(|line| line == line.trim_end()));
}

#[test]
fn a_dead_supervisor_is_noticed() {
    let fixture = Fixture::new();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let dead = Pid::new(child.id().cast_signed());
    child.wait().unwrap();
    fixture.status("a", |status| status.supervisor = dead);
    fixture.status("b", |status| status.supervisor = None);
    // That of a oneshot goes when its work is done.
    fixture.status("c", |s| (s.state, s.supervisor, s.pid) = (State::Done, dead, None));
    let ran = fixture.run(&["status"]);
    assert_eq!((ran.code, ran.out.matches("unsupervised").count()), (1, 2), "{ran:?}");
}

/// Numbers of processes mean others in another PID namespace.
#[test]
fn a_supervisor_lives_if_it_has_the_lock_whatever_its_number_means_here() {
    let fixture = Fixture::new();
    let mut child = std::process::Command::new("true").spawn().unwrap();
    let nobody = Pid::new(child.id().cast_signed());
    child.wait().unwrap();
    fixture.status("elsewhere", |status| status.supervisor = nobody);
    fixture.status("gone", |status| status.supervisor = Pid::new(std::process::id().cast_signed()));
    let lock = |name: &str| sys::fs::lock(&fixture.root.join(format!("run/service/{name}/lock"))).unwrap();
    let _held = lock("elsewhere");
    drop(lock("gone"));
    let ran = fixture.run(&["status"]);
    let line = |name: &str| ran.out.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    assert!(!line("elsewhere").contains("unsupervised") && line("gone").contains("unsupervised"), "{ran:?}");
}

#[test]
fn one_service_is_shown_with_all_that_is_known() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"prog\", \"-x\"]\ndescription = \"A thing\"");
    fixture.compile();
    fixture.log("a", "current", "1\n2\n3\n4\n5\n6\n");
    fixture.status("a", |status| {
        status.has_readiness = true;
        status.started = Some(Tick(1));
        status.ready_since = Some(Tick(1_200_000_001));
        status.restarts = 2;
        status.last_exit = Some(WaitStatus::Exited(3));
        status.reason = "one\ntwo".to_owned();
    });
    let ran = fixture.run(&["status", "a"]);
    for part in [
        "\na: up and ready, pid 4194000, for ",
        "\n  description  A thing\n  command      prog -x\n",
        "\n  reason       one\n               two\n",
        "\n  want         up\n",
        "(after 1.2 s)\n",
        "\n  restarts     2\n  last exit    exit 3\n",
        "    2\n    3\n    4\n    5\n    6\n",
    ] {
        assert!(ran.out.contains(part), "{part:?} in {}", ran.out);
    }
    assert!(!ran.out.contains("    1\n"));
}

#[test]
fn programs_get_every_key_with_its_type() {
    let fixture = Fixture::new();
    fixture.define("z", "command = [\"x\"]");
    fixture.compile();
    fixture.status("a", |status| {
        status.last_exit = Some(WaitStatus::Signalled { signal: Signal::TERM, core: true });
        status.reason = "a \"quoted\"\nreason".to_owned();
    });
    let ran = fixture.run(&["status", "--json"]);
    let all: Value = serde_json::from_str(&ran.out).unwrap();
    let (a, z) = (&all[0], &all[1]);
    assert_eq!((&a["name"], &a["state"], &a["want"]), (&"a".into(), &"up".into(), &"up".into()));
    assert_eq!((&a["good"], &a["ready"], &a["pid"]), (&true.into(), &true.into(), &4_194_000.into()));
    assert_eq!(a["reason"], "a \"quoted\"\nreason");
    assert_eq!((&a["last_exit"]["signal"], &a["last_exit"]["core"]), (&"TERM".into(), &true.into()));
    assert!(a["for"].is_number() && z["for"].is_null() && z["pid"].is_null() && z["last_exit"].is_null());
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(a), keys(z));
    assert_eq!(fixture.run(&["status", "nobody", "--json"]).out, "[]\n");
}

#[test]
fn a_bundle_stands_for_its_members() {
    let fixture = Fixture::new();
    fixture.define("a", "command = [\"x\"]");
    fixture.define("b", "command = [\"x\"]");
    fixture.define("all", "type = \"bundle\"\ncontents = [\"b\", \"a\"]");
    fixture.compile();
    let ran = fixture.run(&["status", "all", "a"]);
    let names: Vec<&str> = rows(&ran.out).iter().take(3).map(|row| row[0]).collect();
    assert_eq!(names, ["SERVICE", "b", "a"]);
}

#[test]
fn a_file_that_cannot_be_read_is_shown_and_does_not_hide_the_others() {
    let fixture = Fixture::new();
    fixture.status("good", |_| {});
    for (name, text) in [("newer", "mainstay-status 2\nname newer\n"), ("torn", "")] {
        fixture.status(name, |_| {});
        std::fs::write(fixture.root.join("run/service").join(name).join("status"), text).unwrap();
    }
    let ran = fixture.run(&["status"]);
    assert_eq!((ran.code, ran.out.lines().count(), ran.out.matches("unable to read").count()), (1, 4, 2));
}

#[test]
fn a_thousand_services_cost_six_system_calls_each() {
    let fixture = Fixture::new();
    for number in 0..1000 {
        let name = format!("service-{number:04}");
        fixture.status(&name, |status| status.want = Want::Up);
        std::fs::write(fixture.root.join(format!("run/service/{name}/lock")), "").unwrap();
    }
    let command = fixture.command(&["status"]);
    let trace = fixture.root.join("trace");
    let mut strace = std::process::Command::new("strace");
    strace.arg("-o").arg(&trace).arg(command.get_program()).args(command.get_args());
    let Ok(output) = strace.output() else {
        eprintln!("skipped: no strace to count with");
        return;
    };
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 1001);
    let trace = std::fs::read_to_string(trace).unwrap();
    // openat, read and close; openat, fcntl and close of its lock; and what the program needs to come up at all. The
    // standard library's debug build asks the kernel before every close whether there is something to close.
    let calls = trace.lines().filter(|line| !line.contains(", F_GETFD")).count();
    assert!(calls < 6 * 1000 + 400, "{calls} system calls");
    assert_eq!(trace.lines().filter(|line| line.starts_with("write(1,")).count(), 1);
}

#[test]
fn what_a_service_says_and_whether_it_is_paused_or_unhealthy_is_shown_everywhere() {
    let fixture = Fixture::new();
    fixture.status("a", |status| {
        (status.paused, status.reloading, status.unhealthy) = (true, true, 2);
        status.text = "serving 3 clients".to_owned();
    });
    let table = fixture.run(&["status"]).out;
    assert!(table.contains("paused; reloading; unhealthy (2); serving 3 clients"), "{table}");
    let page = fixture.run(&["status", "a"]).out;
    assert!(
        page.contains(", paused, reloading") && page.contains("  says         serving 3 clients"),
        "{page}"
    );
    assert!(page.contains("health checks failed in a row: 2"), "{page}");
    let parsed: Value = serde_json::from_str(&fixture.run(&["status", "--json"]).out).unwrap();
    let object = &parsed[0];
    assert_eq!((&object["paused"], &object["reloading"]), (&Value::Bool(true), &Value::Bool(true)));
    assert_eq!((object["unhealthy"].as_u64(), object["text"].as_str()), (Some(2), Some("serving 3 clients")));
}
