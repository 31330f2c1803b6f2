//! Pipes between services, the lock on a service, and PID namespaces: what a service is given besides its log.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Ending, Fixture, Machine, Signal, State, eventually, process};

/// Writes as many lines as it is told, numbered through, whenever it is told; each run says so to the trace.
const WRITER: &str = "echo writer starts >> @T/trace\n\
    while read -r from to; do i=$from; while [ $i -le $to ]; do echo line $i; i=$((i + 1)); done; \
    echo written $to >> @T/trace; done <> @T/go";

/// Appends what it reads to a file; each run says so to the trace.
const READER: &str = "echo reader starts >> @T/trace\nexec cat >> @T/out";

fn fixture() -> Fixture {
    let fixture = Fixture::new().directory("a").executable("run", WRITER).executable("log/run", READER);
    let fifo = std::process::Command::new("mkfifo").arg(fixture.path("go")).status().unwrap();
    assert!(fifo.success());
    fixture
}

fn has_lines(machine: &Machine, count: usize) {
    eventually(&format!("{count} lines were read"), || machine.fixture.read("out").lines().count() >= count);
    let expected: Vec<String> = (1..=count).map(|number| format!("line {number}")).collect();
    let found = machine.fixture.read("out");
    let found: Vec<&str> = found.lines().collect();
    assert_eq!(found, expected, "{} lines", found.len());
}

fn starts(machine: &Machine, who: &str) -> usize {
    machine.fixture.trace().iter().filter(|line| **line == format!("{who} starts")).count()
}

#[test]
fn a_pipe_between_services_outlives_both_and_their_supervisors() {
    let machine = fixture().boot();
    machine.until("a", State::Up);
    let reader = machine.until("a-log", State::Up).pid.unwrap();
    machine.fixture.write("go", "1 1000\n");
    has_lines(&machine, 1000);

    // The writer is started again, and the reader sees no end.
    machine.send(machine.status("a").pid.unwrap(), Signal::KILL);
    eventually("the writer is started again", || starts(&machine, "writer") == 2);
    machine.fixture.write("go", "1001 2000\n");
    has_lines(&machine, 2000);
    assert_eq!(machine.status("a-log").pid, Some(reader));

    // The reader is killed, and what is written until it is there again is not lost.
    machine.tell("stop a-log");
    machine.until("a-log", State::Down);
    machine.fixture.write("go", "2001 3000\n");
    eventually("it is written", || machine.fixture.trace().contains(&"written 3000".to_owned()));
    assert_eq!(machine.state("a"), State::Up);
    machine.tell("start a-log");
    has_lines(&machine, 3000);

    // So are both supervisors, and the services with them.
    for name in ["a", "a-log"] {
        let status = machine.status(name);
        machine.send(status.supervisor.unwrap(), Signal::KILL);
        machine.send(status.pid.unwrap(), Signal::KILL);
    }
    eventually("both are started again", || {
        starts(&machine, "writer") == 3 && starts(&machine, "reader") == 3
    });
    machine.fixture.write("go", "3001 4000\n");
    has_lines(&machine, 4000);
    assert_eq!(machine.state("a-log"), State::Up);
}

#[test]
fn errors_are_logged_and_output_goes_to_the_reader_alone() {
    let run = "echo output; echo error >&2; exec sleep 1000";
    let machine = Fixture::new()
        .directory("a")
        .executable("run", run)
        .executable("log/run", "echo heard >&2; exec cat >> @T/out")
        .boot();
    eventually("the output was read", || machine.fixture.read("out") == "output\n");
    eventually("the errors were logged", || {
        machine.log("a") == ["error"] && machine.log("a-log") == ["heard"]
    });
}

#[test]
fn finish_scripts_have_the_pipe_too() {
    let machine = Fixture::new()
        .directory("a")
        .executable("run", "echo run; exit 3")
        .finish("echo finish $1; exit 125")
        .executable("log/run", READER)
        .boot();
    eventually("both have been read", || machine.fixture.read("out") == "run\nfinish 3\n");
}

#[test]
fn on_power_off_the_reader_reads_all_and_then_the_end() {
    let run = "trap 'i=1; while [ $i -le 500 ]; do echo line $i; i=$((i + 1)); done; exit 0' TERM\n\
               echo up >> @T/trace\nwhile :; do sleep 0.01; done";
    let reader = "trap '' TERM\ncat >> @T/out\necho the end >> @T/trace";
    let mut machine =
        Fixture::new().directory("a").executable("run", run).executable("log/run", reader).boot();
    eventually("it is up", || machine.fixture.trace() == ["up"]);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    has_lines(&machine, 500);
    assert_eq!(machine.fixture.trace(), ["up", "the end"]);
    assert!(!machine.console().contains("waited too long"), "{}", machine.console());
}

#[test]
fn a_lock_keeps_out_a_second_copy_as_long_as_a_process_of_the_first_has_it() {
    let run = "echo starts >> @T/trace\nsleep 1000 &\necho $! > @T/left\nexit 0";
    for number in [3, 7] {
        let fixture = Fixture::new().directory("a").executable("run", run);
        let supervised = fixture.file("services/a/lock-fd", &format!("{number}\n")).start();
        let status = supervised.wait_for("the second start has failed", |status| {
            status.state == State::Backoff && status.reason.contains("still holds it")
        });
        assert_eq!(status.pid, None);
        assert_eq!(supervised.fixture.trace(), ["starts"], "descriptor {number}");
        let left = tests::Pid::new(supervised.fixture.read("left").trim().parse().unwrap()).unwrap();
        assert!(
            process::descriptors(left)
                .iter()
                .any(|(fd, what)| *fd == number && what.ends_with("service-lock"))
        );
        process::send(left, Signal::KILL);
        supervised.wait_for_trace(2);
    }
}

#[test]
fn a_service_with_a_pid_namespace_is_its_first_process_and_ends_with_all_of_it() {
    let run = "trap 'echo stopped >> @T/trace; exit 0' TERM\necho own number $$ >> @T/trace\n\
               setsid sleep 1000 &\nwhile :; do sleep 0.01; done";
    let fixture = Fixture::new().directory("a").executable("run", run).file("services/a/flag-newpidns", "");
    let mut supervised = fixture.start();
    let main = supervised.up();
    assert_eq!(supervised.wait_for_trace(1), ["own number 1"]);
    assert!(process::children(supervised.supervisor()).contains(&main), "the number outside is told");
    let inside = |main| {
        let namespace = process::inner(main).unwrap().1;
        process::all()
            .into_iter()
            .filter(|pid| process::inner(*pid).is_some_and(|(_, other)| other == namespace))
            .collect::<Vec<_>>()
    };
    eventually("its child is there", || inside(main).len() >= 2);
    let all = inside(main);

    // Another supervisor knows it again by the number outside.
    supervised.kill_supervisor();
    supervised.start_again(&["--up"]);
    supervised.wait_for_log("adopted process");
    assert_eq!(supervised.up(), main);

    process::send(main, Signal::KILL);
    eventually("all of it has ended", || all.iter().all(|pid| !process::lives(*pid)));
    assert_eq!(supervised.wait_for_trace(2)[1], "own number 1");
    supervised.until(State::Up);
    supervised.tell("stop");
    assert_eq!(supervised.wait_for_trace(3)[2], "stopped");
}
