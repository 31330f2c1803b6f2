//! Whatever is missing, full or refused where init begins: it says so, goes on, and mends when the cause does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use tests::programs::program;
use tests::{Ending, Fixture, Pid, Signal, State, TaskLimit, eventually, process};

/// Runs `script` as root of mount and PID namespaces of its own; init is `$INIT`.
fn in_mounts(fixture: &Fixture, script: &str) -> Output {
    let mut command = Command::new("unshare");
    if process::own_user() != 0 {
        command.args(["--user", "--map-root-user"]);
    }
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--",
        "/bin/sh",
        "-ec",
        script,
    ]);
    command.env("INIT", program("init")).env("T", fixture.place()).stdin(Stdio::null());
    command.output().unwrap()
}

#[test]
fn closed_standard_descriptors_and_a_missing_null_device_stop_nothing() {
    let fixture = Fixture::new();
    let script = "mount --make-rprivate /\nmount -t tmpfs none /dev\nexec \"$INIT\" --run \"$T/run\" -- \
        /bin/sh -c 'for fd in 0 1 2; do readlink /proc/$$/fd/$fd; done > $T/seen; exit 33' <&- >&- 2>&-";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(33), "{output:?}");
    assert_eq!(fixture.read("seen").lines().count(), 3, "all three are open");
}

#[test]
fn a_run_directory_that_is_full_is_told_of_and_the_end_still_comes() {
    let fixture = Fixture::new().tracing("a", "");
    let script = "mount --make-rprivate /\nmount -t tmpfs -o size=4k none \"$T/run\"\n\
        head -c 4096 /dev/zero > \"$T/run/full\" || :\n\
        \"$INIT\" --services \"$T/services\" --run \"$T/run\" --logs \"$T/logs\" 2> \"$T/console\" &\n\
        i=$!; while ! grep -q 'unable to compile' \"$T/console\"; do sleep 0.01; done\n\
        kill -TERM $i; wait $i";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(fixture.read("console").contains("No space left on device"), "{}", fixture.read("console"));
}

#[test]
fn a_status_that_could_not_be_written_is_when_there_is_room_again() {
    let fixture = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]");
    let script = "mount --make-rprivate /\nmount -t tmpfs -o size=200k none \"$T/run\"\n\
        \"$INIT\" --services \"$T/services\" --run \"$T/run\" --logs \"$T/logs\" 2> \"$T/console\" &\n\
        i=$!; trap 'kill -TERM $i' EXIT\n\
        until_there() { n=0; until grep -q \"$1\" \"$2\"; do n=$((n + 1)); [ $n -lt 2000 ]; sleep 0.01; done; }\n\
        until_there 'startup complete' \"$T/console\"\n\
        head -c 1000000 /dev/zero > \"$T/run/full\" || :\n\
        kill -KILL $(sed -n 's/^pid //p' \"$T/run/service/a/status\")\n\
        until_there 'unable to write .*No space left' \"$T/logs/a/current\"\n\
        rm \"$T/run/full\"\n\
        until_there '^restarts 1' \"$T/run/service/a/status\"\n\
        trap - EXIT; kill -TERM $i; wait $i";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(0), "{output:?} {}", fixture.read("logs/a/current"));
}

#[test]
fn a_full_run_directory_is_passed_over_for_one_that_is_not() {
    let fixture = Fixture::new();
    let script = "mount --make-rprivate /\nmount -t tmpfs -o size=4k none /run\nhead -c 4096 /dev/zero > /run/full || :\n\
        mount -t tmpfs none /dev/shm\nunset XDG_RUNTIME_DIR\n\
        \"$INIT\" -- /bin/sh -c 'ls /dev/shm > $T/seen; exit 34'";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(34), "{output:?}");
    assert_eq!(fixture.read("seen"), "mainstay-0\n");
}

#[test]
fn a_missing_supervisor_is_told_of_once_and_mended_by_putting_it_back() {
    let fixture = Fixture::new().tracing("a", "");
    let boot = fixture.machine().only_programs(&["init", "svctl", "svlog"]);
    let mut machine = boot.start();
    machine
        .wait_for_console("a: unable to start its supervisor: unable to execute: No such file or directory");
    let file = machine.fixture.path("programs/supervise");
    std::fs::write(&file, "no program").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    machine.wait_for_console("a: unable to start its supervisor: unable to execute: Permission denied");
    std::fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink(program("supervise"), &file).unwrap();
    machine.until("a", State::Up);
    let console = machine.console();
    assert_eq!(console.matches("unable to start its supervisor").count(), 2, "{console}");
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn a_power_off_while_services_still_start_wins_at_once() {
    let slow = "[ready]\nfd = 3";
    let fixture = Fixture::new()
        .service("slow", slow)
        .run("echo slow >> @T/trace\nexec sleep 1000")
        .tracing("after", "requires = [\"slow\"]");
    let mut machine = fixture.machine().start();
    eventually("slow starts", || machine.fixture.trace() == ["slow"]);
    process::send(machine.init(), Signal::TERM);
    assert_eq!(machine.wait_for_end(), Ending::Off);
    assert_eq!(machine.fixture.trace(), ["slow"]);
    assert!(!machine.console().contains("startup complete"));
}

#[test]
fn modes_are_exact_whatever_the_umask_was() {
    let fixture = Fixture::new().tracing("a", "");
    let script = "mount --make-rprivate /\numask 0\n\
        \"$INIT\" --services \"$T/services\" --run \"$T/run\" --logs \"$T/logs\" 2> \"$T/console\" &\n\
        i=$!; while ! grep -q 'startup complete' \"$T/console\"; do sleep 0.01; done\n\
        cd \"$T/run\"; stat -c '%a %n' init init/* service service/a service/a/* > \"$T/modes\"\n\
        kill -TERM $i; wait $i";
    let output = in_mounts(&fixture, script);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let modes = fixture.read("modes");
    for line in modes.lines() {
        let (mode, name) = line.split_once(' ').unwrap();
        let mode = u32::from_str_radix(mode, 8).unwrap();
        assert_eq!(mode & 0o022, 0, "others can write {name}:\n{modes}");
    }
    for exact in [
        "755 init",
        "600 init/control",
        "600 init/lock",
        "644 init/plan",
        "600 service/a/control",
        "644 service/a/status",
    ] {
        assert!(modes.lines().any(|line| line == exact), "{exact}:\n{modes}");
    }
}

#[test]
fn twenty_thousand_zombies_at_once_are_reaped() {
    // Each is left to init by a parent that ends without waiting for it.
    let script = "i=0; while [ $i -lt 200 ]; do\n\
        sh -c 'i=0; while [ $i -lt 100 ]; do : & i=$((i+1)); done'\ni=$((i+1)); done; touch @T/done; exec sleep 1000";
    let mut machine = Fixture::new().script("a", script).boot();
    process::send(machine.init(), Signal::parse("STOP").unwrap());
    eventually("all have ended", || machine.fixture.path("done").exists());
    process::send(machine.init(), Signal::CONT);
    eventually("no zombie is left", || {
        machine.processes().into_iter().all(|pid| process::stat(pid).is_none_or(|stat| stat.state != 'Z'))
    });
    assert_eq!(machine.state("a"), State::Up);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn asked_seven_times_it_waits_for_nobody() {
    let stubborn = "[stop]\ntimeout = \"1h\"";
    let fixture = Fixture::new()
        .service("a", stubborn)
        .run("trap '' TERM\necho on >> @T/trace\nwhile :; do sleep 0.01; done");
    let mut machine = fixture.boot();
    eventually("it runs", || machine.fixture.trace().len() == 1);
    for _ in 0..8 {
        machine.tell("poweroff");
    }
    assert_eq!(machine.wait_for_end(), Ending::Off);
    let console = machine.console();
    assert!(
        console.contains("already doing poweroff") && console.contains("killing what is left"),
        "{console}"
    );
    assert!(!console.contains("starting it again"), "nothing is started again on the way down: {console}");
}

#[test]
fn what_keeps_the_machine_from_going_down_is_named_with_its_time_and_limit() {
    let stubborn = "[stop]\ntimeout = \"7s\"";
    let fixture = Fixture::new()
        .service("a", stubborn)
        .run("trap '' TERM\necho on >> @T/trace\nwhile :; do sleep 0.01; done");
    let mut machine = fixture.tracing("b", "").boot();
    eventually("it runs", || machine.fixture.trace().contains(&"on".to_owned()));
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    let console = machine.console();
    let line = console.lines().find(|line| line.contains("waiting for")).unwrap_or_default();
    assert!(line.contains("waiting for a (stopping for ") && line.contains(" s of 7 s)"), "{console}");
    assert!(line.ends_with(" s of 180 s"), "{line}");
}

#[test]
fn no_kernel_is_started_where_none_was_loaded() {
    let machine = Fixture::new().tracing("a", "").boot();
    let answer = machine.ask("kexec");
    assert!(answer.starts_with("error "), "{answer}");
    let outcome = machine.svctl(&["kexec"]);
    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert_eq!(machine.state("a"), State::Up);
}

/// Whatever `limit` refuses for a while is tried again, but no more often than `tries` times a second; returns what
/// init's wake-ups and the refusals were.
fn refused_for_a_while(limit: &TaskLimit, init: Pid, tries: u64) -> (u64, u64) {
    let (begun, before, sleeps) = (Instant::now(), limit.refused(), process::sleeps(init));
    // More than any number of tries after which one could give up.
    eventually("it is tried again and again", || limit.refused() >= before + 7 * tries);
    let refused = limit.refused() - before;
    let most = (begun.elapsed().as_secs() + 2) * tries;
    assert!(refused <= most, "{refused} tries, and there was time for {most}");
    (process::sleeps(init) - sleeps, refused)
}

#[test]
fn a_boot_without_processes_to_be_had_goes_on_when_there_are() {
    let Some(limit) = TaskLimit::new() else { return };
    // The one that waits for it outside, and init.
    limit.set(2);
    let mut machine = Fixture::new().tracing("a", "").machine().limited(&limit).start();
    machine.wait_for_console("unable to compile the definitions: unable to make a process: ");
    // The logger and the compiler.
    let (wakeups, refused) = refused_for_a_while(&limit, machine.init(), 2);
    assert!(wakeups <= refused, "{wakeups} wake-ups for {refused} tries");
    let console = machine.console();
    for once in ["unable to start the logger", "unable to compile the definitions"] {
        assert_eq!(console.matches(once).count(), 1, "{once}: {console}");
    }
    limit.lift();
    machine.until("a", State::Up);
    machine.wait_for_boot();
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn deaths_while_no_process_is_to_be_had_are_mended_when_there_are() {
    let Some(limit) = TaskLimit::new() else { return };
    let fixture = Fixture::new()
        .service("a", "[restart]\ndelay = \"1s\"\nmax-delay = \"2s\"")
        .run("exec sleep 1000")
        .script("b", "exec sleep 1000");
    let mut machine = fixture.boot();
    for pid in machine.processes() {
        limit.add(pid);
    }
    limit.set(1);
    let (of_a, of_b) = (machine.status("a").pid.unwrap(), machine.status("b").pid.unwrap());
    let keeps_b = machine.status("b").supervisor.unwrap();
    machine.send(of_a, Signal::KILL);
    machine.send(keeps_b, Signal::KILL);
    machine.wait_for_console("b: unable to start its supervisor: unable to make a process: ");
    let refused = machine.wait_for("a", "is refused a process", |status| {
        status.state == State::Backoff && status.reason.contains("unable to make a process: ")
    });
    assert!(refused.pid.is_none());
    // For a every second or two, and for b every second.
    let (wakeups, refused) = refused_for_a_while(&limit, machine.init(), 2);
    assert!(wakeups <= 2 * refused, "{wakeups} wake-ups for {refused} tries");
    let console = machine.console();
    assert_eq!(console.matches("b: unable to start its supervisor").count(), 1, "{console}");
    limit.lift();
    machine.wait_for("a", "runs again", |status| status.state == State::Up && status.pid != Some(of_a));
    let after = machine.wait_for("b", "has a supervisor again", |status| status.supervisor != Some(keeps_b));
    assert_eq!(after.pid, Some(of_b), "b itself went on");
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}
