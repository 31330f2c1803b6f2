//! Process 1 fails: whatever it was doing, it goes on as if nothing had been.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use tests::{Ending, Fixture, Machine, Pid, Signal, State, WaitStatus, Want, eventually, process};

fn signal(name: &str) -> Signal {
    Signal::parse(name).unwrap()
}

/// Has init fail, without waiting for anything.
fn fail(machine: &Machine) {
    process::send(machine.init(), signal("SEGV"));
}

/// How often init has recovered.
fn recoveries(machine: &Machine) -> usize {
    machine.console().matches("recovered from a fault").count()
}

/// Has init fail, and waits until it has recovered.
#[track_caller]
fn fail_and_recover(machine: &Machine, name: &str) {
    let before = recoveries(machine);
    process::send(machine.init(), signal(name));
    eventually("init has recovered", || recoveries(machine) > before);
}

/// The processes of these services.
fn pids(machine: &Machine, names: &[&str]) -> Vec<Option<Pid>> {
    names.iter().flat_map(|name| [machine.status(name).pid, machine.status(name).supervisor]).collect()
}

fn zombies(machine: &Machine) -> usize {
    let zombie = |pid: &Pid| process::stat(*pid).is_some_and(|stat| stat.state == 'Z');
    machine.processes().into_iter().filter(zombie).count()
}

/// Numbered lines as fast as they are taken, at most so many.
const COUNTING: &str = "n=0\nwhile [ $n -lt 20000 ]; do echo line $n\nn=$((n + 1)); done\nexec sleep 1000";

/// The names of so many services, as TOML.
fn list(count: usize) -> String {
    (0..count).map(|number| format!("\"s{number}\",")).collect()
}

fn is_survived(names: &[&str]) {
    let ready = "[ready]\nfd = 3";
    let mut machine =
        Fixture::new().tracing("a", ready).tracing("b", &format!("requires = [\"a\"]\n{ready}")).boot();
    let (before, logger) = (pids(&machine, &["a", "b"]), machine.logger());
    for name in names {
        fail_and_recover(&machine, name);
        machine.wait_for_console(&format!("recovered from a fault (signal {name}"));
        assert_eq!(machine.ask("start a"), "ok", "it answers again");
    }
    assert_eq!((pids(&machine, &["a", "b"]), machine.logger()), (before, logger));
    assert_eq!(machine.fixture.trace(), ["a starts", "b starts"]);
    assert_eq!(machine.svctl(&["restart", "a"]).code, 0);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

// Two machines, since so many faults in ten seconds are too many for one.
#[test]
fn memory_faults_and_aborts_are_survived_with_the_services_as_they_are() {
    is_survived(&["SEGV", "ABRT", "BUS"]);
}

#[test]
fn what_else_the_processor_and_the_kernel_raise_is_survived_too() {
    is_survived(&["ILL", "FPE", "SYS", "TRAP"]);
}

#[test]
fn real_faults_are_survived_and_said_where_they_were() {
    let boot = Fixture::new().tracing("a", "").machine().arguments(&["--debug"]);
    let machine = boot.start();
    machine.wait_for_boot();
    let before = pids(&machine, &["a"]);
    for (fault, signal) in [("segv", "SEGV"), ("abort", "ABRT"), ("panic", "ABRT"), ("overflow", "SEGV")] {
        let count = recoveries(&machine);
        machine.tell(&format!("fault {fault}"));
        eventually("init has recovered", || recoveries(&machine) > count);
        assert!(machine.console().contains(&format!("(signal {signal}, number {}", count + 1)), "{fault}");
    }
    assert!(machine.console().contains("panicked at sys/src/crash/fail.rs"), "a panic says where");
    assert_eq!(pids(&machine, &["a"]), before);
}

#[test]
fn nobody_can_have_init_fail_unless_it_was_started_for_that() {
    let machine = Fixture::new().tracing("a", "").boot();
    assert_eq!(machine.ask("fault segv"), "error init was not started with mainstay.debug");
    assert_eq!(recoveries(&machine), 0);
}

#[test]
fn services_that_start_meanwhile_are_started_once_and_in_their_order() {
    for moment in 0..8_u64 {
        let ready = "[ready]\nfd = 3\n";
        let mut fixture = Fixture::new().tracing("first", ready);
        for number in 0..10 {
            fixture = fixture.tracing(&format!("s{number}"), &format!("requires = [\"first\"]\n{ready}"));
        }
        let mut machine =
            fixture.tracing("last", &format!("after = [{}]\n{ready}", list(10))).machine().start();
        // At another moment each time: the compiler, the first supervisors, the last services.
        std::thread::sleep(std::time::Duration::from_millis(moment * 4));
        fail(&machine);
        machine.wait_for_boot();
        let trace = machine.fixture.trace();
        assert_eq!(trace.len(), 12, "each one once, {moment}: {trace:?}");
        assert_eq!((trace[0].as_str(), trace[11].as_str()), ("first starts", "last starts"));
        assert_eq!(machine.go_down("poweroff"), Ending::Off);
    }
}

#[test]
fn a_restart_goes_on() {
    let machine = Fixture::new().tracing("a", "[ready]\nfd = 3").boot();
    for _ in 0..4 {
        let before = machine.status("a").pid;
        machine.tell("restart a");
        fail_and_recover(&machine, "SEGV");
        machine.wait_for("a", "runs anew", |status| status.state == State::Up && status.pid != before);
        eventually("and tells", || machine.fixture.trace().last().is_some_and(|line| line == "a starts"));
    }
    let trace = machine.fixture.trace();
    assert!(trace.len() >= 9 && trace.chunks(2).all(|pair| pair[0] == "a starts"), "{trace:?}");
}

#[test]
fn what_was_asked_for_stays_asked_for() {
    let fixture = Fixture::new().tracing("a", "").tracing("b", "requires = [\"a\"]").tracing("c", "");
    let machine = fixture.boot();
    machine.tell("stop a");
    fail_and_recover(&machine, "SEGV");
    machine.until("a", State::Down);
    machine.until("b", State::Failed);
    fail_and_recover(&machine, "SEGV");
    assert_eq!((machine.state("a"), machine.state("b")), (State::Down, State::Failed));
    machine.tell("start a");
    fail_and_recover(&machine, "SEGV");
    machine.until("a", State::Up);
    machine.until("b", State::Up);
    assert_eq!(machine.status("c").restarts, 0);
}

#[test]
fn a_power_off_goes_on_and_ends() {
    for moment in 0..8_u64 {
        let mut machine = Fixture::new()
            .tracing("a", "[ready]\nfd = 3")
            .tracing("b", "requires = [\"a\"]\n[ready]\nfd = 3")
            .service("slow", "[ready]\nfd = 3")
            .run("trap 'sleep 0.02; echo slow stops >> @T/trace; exit' TERM\necho >&3\nsleep 1000 & wait")
            .boot();
        machine.tell("poweroff");
        std::thread::sleep(std::time::Duration::from_millis(moment * 5));
        // It may be over by now.
        let _ = sys::process::signal(machine.init(), signal("SEGV"));
        assert_eq!(machine.wait_for_end(), Ending::Off);
        let trace = machine.fixture.trace();
        let place = |line: &str| trace.iter().position(|other| other == line);
        assert!(place("b stops") < place("a stops") && place("slow stops").is_some(), "{trace:?}");
        assert_eq!(trace.len(), 5, "{trace:?}");
    }
}

#[test]
fn a_service_that_dies_at_that_moment_is_counted_once_and_exactly() {
    let script = "trap 'exit 42' USR1\necho >&3\nwhile :; do sleep 1000 & wait; done";
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    for _ in 0..3 {
        let machine = Fixture::new().service("a", toml).run(script).boot();
        let main = machine.outside(machine.status("a").pid.unwrap());
        fail(&machine);
        process::send(main, Signal::USR1);
        let status = machine.until("a", State::Failed);
        assert_eq!((status.last_exit, status.restarts), (Some(WaitStatus::Exited(42)), 0));
    }
}

#[test]
fn a_supervisor_that_dies_with_its_service_at_that_moment_is_started_and_told() {
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    let script = "trap 'exit 42' USR1\necho >&3\nwhile :; do sleep 1000 & wait; done";
    let machine = Fixture::new().service("a", toml).run(script).tracing("b", "").boot();
    let (status, other) = (machine.status("a"), machine.status("b"));
    let (main, supervisor) =
        (machine.outside(status.pid.unwrap()), machine.outside(status.supervisor.unwrap()));
    process::send(machine.outside(other.supervisor.unwrap()), Signal::KILL);
    process::send(supervisor, Signal::KILL);
    fail(&machine);
    process::send(main, Signal::USR1);
    assert_eq!(machine.until("a", State::Failed).last_exit, Some(WaitStatus::Exited(42)));
    let after = machine.wait_for("b", "is adopted", |status| status.supervisor != other.supervisor);
    assert_eq!((after.pid, after.state, after.want), (other.pid, State::Up, Want::Up));
}

#[test]
fn a_logger_that_dies_at_that_moment_loses_no_line() {
    let mut machine = Fixture::new().script("counter", COUNTING).tracing("a", "").boot();
    for _ in 0..4 {
        let logger = machine.logger();
        logger.into_iter().for_each(|pid| process::send(pid, Signal::KILL));
        fail_and_recover(&machine, "SEGV");
        eventually("there is a logger", || machine.logger().is_some() && machine.logger() != logger);
    }
    eventually("all lines are there", || {
        machine.log("counter").last().is_some_and(|line| line == "line 19999")
    });
    let mut lines = machine.log("counter");
    // The batch that a killed logger was writing may be there twice.
    let mut seen = std::collections::HashSet::new();
    // Or the beginning of a line, and then the whole of it; and its supervisor may have something to say.
    let whole = |line: &str| line.strip_prefix("line ").is_some_and(|number| number.parse::<u32>().is_ok());
    lines.retain(|line| whole(line) && seen.insert(line.clone()));
    let expected: Vec<String> = (0..20_000).map(|number| format!("line {number}")).collect();
    assert_eq!(lines, expected);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn too_many_faults_at_once_leave_the_services_alone_and_a_process_1_that_reaps_and_ends() {
    let orphans = "type = \"oneshot\"";
    let mut machine = Fixture::new().tracing("a", "").service("o", orphans).run(":").boot();
    let before = pids(&machine, &["a"]);
    for _ in 0..5 {
        fail_and_recover(&machine, "SEGV");
    }
    fail(&machine);
    machine.wait_for_console("init has failed 6 times within 10 s");
    // An orphan is reaped, a service restarted by its own supervisor.
    let main = machine.status("a").pid.unwrap();
    machine.send(main, Signal::KILL);
    machine.wait_for("a", "runs again", |status| status.pid.is_some_and(|pid| pid != main));
    eventually("no zombie is left", || zombies(&machine) == 0);
    // A person tries again.
    process::send(machine.init(), Signal::HUP);
    machine.wait_for_console("replaced by version");
    assert_eq!(machine.status("a").supervisor, before[1]);
    assert_eq!(machine.svctl(&["restart", "a"]).code, 0);
    // And in the end there is always a way out.
    fail(&machine);
    let console = |machine: &Machine| machine.console().matches("to power off: kill -USR2").count();
    eventually("it has given up again", || console(&machine) == 2);
    process::send(machine.init(), Signal::USR2);
    assert_eq!(machine.wait_for_end(), Ending::Off);
}

/// How often init has been replaced on purpose.
fn replacements(machine: &Machine) -> usize {
    machine.console().matches("replaced by version").count()
}

#[test]
fn everything_is_replaced_in_place_and_no_service_notices() {
    let counting = "n=0\nwhile [ $n -lt 20000 ]; do echo line $n\nn=$((n + 1)); done\nexec sleep 1000";
    let ready = "[ready]\nfd = 3";
    let machine = Fixture::new().tracing("a", ready).script("counter", counting).boot();
    let before = pids(&machine, &["a", "counter"]);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", machine.init())).unwrap().count();
    let mut open = 0;
    for round in 0..20 {
        let outcome = machine.svctl(&["reexec"]);
        assert_eq!((outcome.code, outcome.error.as_str()), (0, ""), "{}", outcome.output);
        assert!(outcome.output.contains("is replaced by"), "{}", outcome.output);
        eventually("init has been replaced", || replacements(&machine) == round + 1);
        machine.tell("start a");
        if round == 0 {
            eventually("the logger is another", || machine.logger().is_some());
            open = descriptors();
        }
    }
    assert_eq!(pids(&machine, &["a", "counter"]), before);
    assert_eq!(machine.fixture.trace(), ["a starts"]);
    // Its supervisor may have had something to say as well.
    let lines = || {
        let all = machine.log("counter").into_iter();
        all.filter(|line| line.starts_with("line ")).collect::<Vec<_>>()
    };
    eventually("all lines are there", || lines().last().is_some_and(|line| line == "line 19999"));
    let expected: Vec<String> = (0..20_000).map(|number| format!("line {number}")).collect();
    assert_eq!(lines(), expected);
    eventually("no descriptor is left over", || descriptors() <= open);
    eventually("no zombie is left", || zombies(&machine) == 0);
}

#[test]
fn a_program_that_cannot_go_on_is_refused_and_nothing_is_replaced() {
    let boot = Fixture::new().tracing("a", "[ready]\nfd = 3").machine();
    let machine = boot.only_programs(&["init", "supervise", "svctl", "svlog"]).start();
    machine.wait_for_boot();
    let (before, logger) = (pids(&machine, &["a"]), machine.logger());
    for name in ["supervise", "svlog", "init"] {
        let place = machine.fixture.path(&format!("programs/{name}"));
        let real = std::fs::read_link(&place).unwrap();
        std::fs::remove_file(&place).unwrap();
        std::fs::write(&place, "#!/bin/sh\nexit 1\n").unwrap();
        tests::fixture::make_executable(&place);
        let outcome = machine.svctl(&["reexec"]);
        assert_eq!(outcome.code, 1, "{}", outcome.output);
        assert!(
            outcome.error.contains(&format!("the program {name} on disk cannot go on")),
            "{}",
            outcome.error
        );
        std::fs::remove_file(&place).unwrap();
        std::os::unix::fs::symlink(real, &place).unwrap();
    }
    assert_eq!((pids(&machine, &["a"]), machine.logger(), replacements(&machine)), (before, logger, 0));
    assert_eq!(machine.svctl(&["reexec"]).code, 0);
}

#[test]
fn a_reload_is_finished_by_who_goes_on() {
    for moment in 0..6_u64 {
        let machine = Fixture::new().tracing("a", "[ready]\nfd = 3").tracing("gone", "").boot();
        let before = pids(&machine, &["a"]);
        let script = machine.fixture.read("services/a/run");
        machine.fixture.write("services/new/service.toml", "[ready]\nfd = 3");
        machine.fixture.write("services/new/run", &script.replace("a st", "new st"));
        let run = machine.fixture.path("services/new/run");
        tests::fixture::make_executable(&run);
        std::fs::remove_dir_all(machine.fixture.path("services/gone")).unwrap();
        // Who was not answered asks again.
        let outcome = std::thread::scope(|scope| {
            let client = scope.spawn(|| machine.svctl(&["reload"]));
            std::thread::sleep(std::time::Duration::from_millis(moment * 3));
            fail(&machine);
            eventually("init has recovered", || recoveries(&machine) == 1);
            client.join().unwrap()
        });
        assert_eq!(outcome.code, 0, "after {moment}: {outcome:?}");
        machine.until("new", State::Up);
        eventually("what is gone is forgotten", || machine.try_status("gone").is_none());
        assert_eq!(pids(&machine, &["a"]), before, "after {moment}");
        machine.tell("restart new");
        eventually("its log is kept", || machine.fixture.path("logs/new/current").exists());
    }
}

#[test]
fn a_thousand_replacements_under_load_are_noticed_by_nobody() {
    // So many by hand; each takes its time.
    let rounds = std::env::var("MAINSTAY_REPLACEMENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let ready = "[ready]\nfd = 3";
    let counting = "n=0\nwhile :; do echo line $n\nn=$((n + 1)); sleep 0.002; done";
    let machine =
        Fixture::new().tracing("kept", ready).tracing("moved", ready).script("counter", counting).boot();
    let before: Vec<_> = ["kept", "counter"].iter().map(|name| machine.status(name).pid).collect();
    let over = std::sync::atomic::AtomicBool::new(false);
    let restarts = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut count = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let outcome = machine.svctl(&["restart", "moved"]);
                assert_eq!(outcome.code, 0, "{outcome:?}");
                count += 1;
            }
            count
        });
        for _ in 0..rounds {
            let outcome = machine.svctl(&["reexec"]);
            assert_eq!(outcome.code, 0, "{outcome:?}");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        client.join().unwrap()
    });
    assert_eq!(replacements(&machine), rounds);
    assert_eq!(["kept", "counter"].iter().map(|name| machine.status(name).pid).collect::<Vec<_>>(), before);
    let trace = machine.fixture.trace();
    let count = |line: &str| trace.iter().filter(|other| *other == line).count();
    assert_eq!((count("kept starts"), count("moved starts")), (1, restarts + 1));
    assert_eq!(count("moved stops"), restarts);
    let numbers = |lines: Vec<String>| -> Vec<u32> {
        lines.iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect()
    };
    let seen = numbers(machine.log("counter"));
    assert!(
        seen.iter().copied().eq(0..u32::try_from(seen.len()).unwrap()),
        "no line is lost, doubled or moved"
    );
    eventually("no zombie is left", || zombies(&machine) == 0);
}
