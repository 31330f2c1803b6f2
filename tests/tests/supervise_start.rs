//! What a service is started with, and what becomes of one that cannot be started.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use tests::{Fixture, State, Supervised, eventually, process};

/// Nothing but the first restart happens by itself.
const PATIENT: &str = "[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"\n";

/// The reason why the start of `toml` failed, after a wait was begun for it.
fn failure(fixture: Fixture) -> (Supervised, String) {
    let service = fixture.start();
    let status = service.wait_for("it waits", |status| status.state == State::Backoff && next_is_far(status));
    assert_eq!(status.pid, None);
    assert_eq!(status.last_exit, None, "what never ran has not ended");
    assert!(service.log().contains(&format!("warning: {} (restarting", status.reason)), "{}", service.log());
    let reason = status.reason;
    (service, reason)
}

fn next_is_far(status: &tests::Status) -> bool {
    let hour = std::time::Duration::from_secs(3600);
    status.next_start.is_some_and(|next| next >= status.since.after(hour))
}

#[test]
fn a_missing_program_is_named_with_where_it_was_looked_for() {
    let (service, reason) =
        failure(Fixture::new().service("a", &format!("command = [\"no-such-program\"]\n{PATIENT}")));
    assert!(
        reason.starts_with("unable to find program \"no-such-program\" in PATH (/usr/local/sbin:"),
        "{reason}"
    );
    assert_eq!(service.status().restarts, 0);
    let toml = format!("command = [\"/no/such/program\"]\n{PATIENT}");
    let (_service, reason) = failure(Fixture::new().service("a", &toml));
    assert_eq!(reason, "unable to execute /no/such/program: No such file or directory");
}

#[test]
fn a_file_that_is_not_executable_a_bad_interpreter_and_a_bad_format_are_told_apart() {
    let at = |fixture: &Fixture| fixture.path("services/a/run").display().to_string();
    let fixture = Fixture::new().service("a", PATIENT).run("exit 0");
    let (run, mode) = (at(&fixture), std::fs::Permissions::from_mode(0o644));
    fixture.compile();
    std::fs::set_permissions(&run, mode).unwrap();
    let service = Supervised::start_compiled(fixture, &["--up"]);
    let status = service.until(State::Backoff);
    assert_eq!(status.reason, format!("unable to execute {run}: Permission denied"));
    for (text, reason) in
        [("#!/no/interpreter\n", "No such file or directory"), ("no program\n", "Exec format error")]
    {
        let fixture = Fixture::new().service("a", PATIENT).run("");
        fixture.write("services/a/run", text);
        let expected = format!("unable to execute {}: {reason}", at(&fixture));
        assert_eq!(failure(fixture).1, expected);
    }
}

#[test]
fn a_service_directory_that_is_gone_is_named() {
    let fixture = Fixture::new().service("a", PATIENT).run("exec sleep 1000");
    let place = fixture.path("services/a");
    fixture.compile();
    std::fs::rename(&place, fixture.path("gone")).unwrap();
    let service = Supervised::start_compiled(fixture, &["--up"]);
    let status = service.until(State::Backoff);
    assert_eq!(status.reason, format!("unable to enter {}: No such file or directory", place.display()));
    std::fs::rename(service.fixture.path("gone"), &place).unwrap();
    service.tell("start");
    service.up();
}

#[test]
fn an_environment_file_that_is_missing_or_wrong_is_named_with_its_line() {
    let toml = format!("command = [\"true\"]\n[environment]\nfiles = [\"@T/env\"]\n{PATIENT}");
    let fixture = Fixture::new().service("a", &toml);
    let path = fixture.path("env").display().to_string();
    let expected = format!("unable to read environment file {path}: No such file or directory");
    assert_eq!(failure(fixture).1, expected);
    let fixture = Fixture::new().service("a", &toml).file("env", "A=1\nnonsense\n");
    let expected = format!("{}:2: not of the form KEY=VALUE", fixture.path("env").display());
    assert_eq!(failure(fixture).1, expected);
}

#[test]
fn a_start_that_failed_is_tried_again_by_itself() {
    let toml = "command = [\"@T/late\"]\n[restart]\ndelay = \"5ms\"\nmax-delay = \"5ms\"";
    let service = Fixture::new().service("a", toml).start();
    service.until(State::Backoff);
    std::os::unix::fs::symlink("/bin/cat", service.fixture.path("late")).unwrap();
    service.wait_for("it runs", |status| status.last_exit.is_some());
}

/// The log of a service that has run to its end.
fn output(fixture: Fixture) -> String {
    let mut service = fixture.start();
    assert!(service.ended().success());
    assert_eq!(service.status().state, State::Done, "{}", service.log());
    service.log()
}

#[test]
fn the_environment_is_clean_and_later_layers_win() {
    let toml =
        "type = \"oneshot\"\n[environment]\nfiles = [\"-@T/absent\", \"@T/one\", \"-@T/two\"]\nD = \"toml\"";
    let fixture = Fixture::new().service("a", toml).run("exec env");
    let fixture =
        fixture.file("one", "# comment\nA=one\nB='one one'\nD=file\n").file("two", "B=two\nexport C=\n");
    let mut lines: Vec<String> = output(fixture).lines().map(str::to_owned).collect();
    lines.retain(|line| !["PWD=", "_=", "SHLVL="].iter().any(|own| line.starts_with(own)));
    lines.sort();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(lines, ["A=one", "B=two", "C=", "D=toml", path]);
}

#[test]
fn a_run_script_starts_in_its_directory_and_a_command_in_the_root() {
    let fixture = Fixture::new().service("a", "type = \"oneshot\"").run("pwd");
    let expected = format!("{}\n", fixture.path("services/a").display());
    assert_eq!(output(fixture), expected);
    let fixture = Fixture::new().service("a", "type = \"oneshot\"\ncommand = [\"pwd\"]");
    assert_eq!(output(fixture), "/\n");
}

#[test]
fn a_service_has_the_standard_descriptors_and_no_others() {
    let service = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").start();
    let log = service.fixture.path("log").display().to_string();
    let expected = [(0, "/dev/null".to_owned()), (1, log.clone()), (2, log)];
    let pid = service.up();
    eventually("it has those alone", || process::descriptors(pid) == expected);
}

#[test]
fn a_readiness_descriptor_comes_on_top_and_its_other_end_does_not() {
    let service = Fixture::new().service("a", "[ready]\nfd = 7").run("echo >&7\nexec sleep 1000").start();
    let pid = service.up();
    eventually("the shell is gone", || process::field(pid, "Name").as_deref() == Some("sleep"));
    // It opens its libraries for a moment.
    eventually("it has those alone", || {
        let numbers: Vec<i32> = process::descriptors(pid).into_iter().map(|(number, _)| number).collect();
        numbers == [0, 1, 2, 7]
    });
}

#[test]
fn a_service_leads_its_own_session_with_every_signal_at_its_default() {
    let toml = "command = [\"sleep\", \"1000\"]";
    let service = Fixture::new().service("a", toml).start();
    let pid = service.up();
    let stat = process::stat(pid).unwrap();
    assert_eq!((stat.session, stat.group), (pid.number(), pid.number()));
    for key in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(process::field(pid, key).as_deref(), Some("0000000000000000"), "{key}");
    }
    assert_eq!(process::field(pid, "Umask").as_deref(), Some("0022"));
}

#[test]
fn a_condition_that_does_not_hold_skips_the_service_with_the_reason() {
    let toml = "condition = { path = \"@T/wanted\" }\ncommand = [\"sleep\", \"1000\"]";
    let service = Fixture::new().service("a", toml).start();
    let status = service.until(State::Skipped);
    let expected = format!("condition not met: {} does not exist", service.fixture.path("wanted").display());
    assert_eq!((status.reason, status.pid), (expected, None));
    service.fixture.write("wanted", "");
    service.tell("start");
    let status = service.until(State::Up);
    assert_eq!(status.reason, "");
}

#[test]
fn a_definition_of_another_version_is_refused_with_both_named() {
    let fixture = Fixture::new().service("a", "command = [\"true\"]");
    fixture.compile();
    let path = fixture.path("run/service/a/definition");
    let text = std::fs::read_to_string(&path).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    std::fs::write(&path, format!("mainstay-definition 99\n{rest}")).unwrap();
    let mut service = Supervised::start_compiled(fixture, &["--up"]);
    assert_eq!(service.ended().code(), Some(111));
    let log = service.log();
    assert!(log.starts_with("supervise a: fatal: "), "{log}");
    assert!(log.contains("mainstay-definition 99") && log.contains(header), "{log}");
    assert!(service.try_status().is_none());
}

#[test]
fn bad_usage_is_told_with_exit_100() {
    for arguments in [&["--colour"][..], &[], &["a", "b"], &["../a"]] {
        let output = Command::new(tests::programs::program("supervise")).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(100), "{arguments:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("supervise: fatal: "), "{arguments:?}");
    }
}

#[test]
fn a_run_directory_that_cannot_be_written_costs_the_status_and_not_the_service() {
    let fixture = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]");
    fixture.compile();
    let place = fixture.path("run/service/a");
    // A directory in the place of the file that is to be renamed: root heeds no permissions.
    std::fs::create_dir_all(place.join("status/x")).unwrap();
    std::fs::create_dir_all(place.join("control/x")).unwrap();
    let service = Supervised::start_compiled(fixture, &["--up"]);
    service.wait_for_log("unable to write");
    assert!(service.log().contains("(going on without)"), "{}", service.log());
    eventually("the service runs", || {
        process::children(service.supervisor()).into_iter().any(process::lives)
    });
}
