//! Process 1 fails while it goes on in the place of another, or begins a reload: at every system call of that.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use tests::{Ending, Event, Fixture, Machine, Observer, Pid, Signal, State, Tracer, eventually, process};

/// As many faults as init survives within ten seconds.
const ROUNDS: usize = 5;

fn fixture() -> Fixture {
    let counting = "n=0\nwhile :; do echo line $n\nn=$((n + 1)); sleep 0.002; done";
    let ready = "[ready]\nfd = 3";
    Fixture::new()
        .script("counter", counting)
        .tracing("a", ready)
        .tracing("b", &format!("requires = [\"a\"]\n{ready}"))
        .tracing("moved", ready)
        .tracing("down", "autostart = false")
        .service("once", "type = \"oneshot\"")
        .run(":")
}

/// The services that must stay as they are, and their supervisors.
fn kept(machine: &Machine) -> [Vec<Option<Pid>>; 2] {
    let statuses = ["counter", "a", "b"].map(|name| machine.status(name));
    [statuses.iter().map(|it| it.pid).collect(), statuses.iter().map(|it| it.supervisor).collect()]
}

/// Replaces init, and has the new one fail after so many system calls, and something happen before all of them;
/// false if it is through before that.
fn fail_in_recovery(machine: &Machine, calls: u32, meanwhile: impl Fn(&Machine)) -> bool {
    let tracer = Tracer::follow(machine.init());
    std::thread::scope(|scope| {
        let client = scope.spawn(|| machine.ask("reexec"));
        tracer.until_executed();
        meanwhile(machine);
        let failed = tracer.fail_after(calls);
        assert_eq!(client.join().unwrap(), "ok");
        failed
    })
}

/// Init and every supervisor hear each other.
fn all_hear(machine: &Machine) {
    for name in ["a", "b", "counter"] {
        // It may have no supervisor for a moment.
        eventually("it can be paused", || machine.ask(&format!("pause {name}")) == "ok");
        machine.wait_for(name, "is paused", |status| status.paused);
        machine.tell(&format!("continue {name}"));
        machine.wait_for(name, "goes on", |status| !status.paused);
    }
    let mut observer = machine.observe();
    let mut comes_about = |command: &str, is: &dyn Fn(&Event) -> bool| {
        machine.tell(command);
        observer.wait_for(is)
    };
    let before = machine.status("moved").pid;
    comes_about("restart moved", &|event| {
        event.name == "moved" && event.state == State::Up && event.pid != before
    });
    comes_about("restart once", &|event| event.name == "once" && event.state == State::Starting);
    comes_about("start once", &|event| event.name == "once" && event.state == State::Done);
    comes_about("start down", &|event| event.name == "down" && event.state == State::Up);
    comes_about("stop down", &|event| event.name == "down" && event.state == State::Down);
}

/// What the log has of the lines of `counter`.
fn numbers(machine: &Machine) -> Vec<usize> {
    machine.log("counter").iter().filter_map(|line| line.strip_prefix("line ")?.parse().ok()).collect()
}

/// Has it fail after every `stride`th system call of a recovery.
fn explore(stride: u32, rounds: usize, meanwhile: impl Fn(&Machine), supervisors_stay: bool) {
    let (mut moment, mut over) = (0, false);
    while !over {
        let mut machine = fixture().boot();
        let before = kept(&machine);
        for round in 1..=rounds {
            over = !fail_in_recovery(&machine, moment, &meanwhile);
            if over {
                break;
            }
            let told = format!("recovered from a fault (signal SEGV, number {round}): ");
            eventually(&format!("init has recovered after {moment}"), || machine.console().contains(&told));
            all_hear(&machine);
            let after = kept(&machine);
            assert_eq!(after[0], before[0], "after {moment}");
            assert!(!supervisors_stay || after == before, "after {moment}: {after:?}");
            moment += stride;
        }
        let written = numbers(&machine).len();
        eventually("more is written to the log", || numbers(&machine).len() > written);
        assert_eq!(machine.go_down("poweroff"), Ending::Off);
        let numbers = numbers(&machine);
        assert!(numbers.iter().copied().eq(0..numbers.len()), "after {moment}: {numbers:?}");
    }
}

#[test]
fn a_fault_at_any_moment_of_a_recovery_is_recovered_from() {
    explore(6, ROUNDS, |_| {}, true);
}

#[test]
fn and_so_it_is_when_others_have_died_meanwhile() {
    let meanwhile = |machine: &Machine| {
        let (b, moved) = (machine.status("b"), machine.status("moved"));
        machine.send(b.supervisor.unwrap(), Signal::KILL);
        machine.send(moved.supervisor.unwrap(), Signal::KILL);
        machine.send(moved.pid.unwrap(), Signal::KILL);
    };
    // One round each: a supervisor that dies again within a second is started after that.
    explore(20, 1, meanwhile, false);
}

/// The compilers that run.
fn compilers(machine: &Machine) -> Vec<Pid> {
    let compiles = |pid: &Pid| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.starts_with("svctl\0compile\0")
    };
    process::children(machine.init()).into_iter().filter(compiles).collect()
}

/// What was begun is known to whoever goes on, so that a client that does not ask again gets what it has asked for; and
/// nothing is begun twice.
#[test]
fn a_reload_that_has_begun_is_carried_out_once_wherever_init_fails_in_it() {
    let (mut begun, mut held) = (0, 0);
    for calls in 0.. {
        let machine = Fixture::new().tracing("a", "").boot();
        // The compiler takes some time over them.
        for number in 0..100 {
            let file = format!("services/s{number}/service.toml");
            machine.fixture.write(&file, "type = \"bundle\"\ncontents = [\"a\"]\nautostart = false");
        }
        machine.fixture.write("services/new/service.toml", "command = [\"sleep\", \"1000\"]");
        // The first thing that is done is to remove it.
        machine.fixture.write("run/init/next/plan", "of another reload");
        let first = || machine.fixture.read("run/init/next/plan") == "of another reload";
        let mut client = Observer::connect(&machine.control());
        assert_eq!(client.ask("start a"), "ok");
        let tracer = Tracer::follow(machine.init());
        tracer.until_waiting();
        client.send("reload\n");
        let mut before = Vec::new();
        let hold = || {
            before = compilers(&machine);
            before.iter().for_each(|pid| process::send(*pid, Signal::STOP));
        };
        if !tracer.fail_after_events(calls, hold) {
            break;
        }
        eventually("init has recovered", || machine.console().contains("recovered from a fault"));
        assert_eq!(machine.ask("start a"), "ok");
        if !before.is_empty() {
            assert_eq!(compilers(&machine), before, "after {calls}");
            before.iter().for_each(|pid| process::send(*pid, Signal::CONT));
            held += 1;
        }
        if !first() {
            begun += 1;
            machine.until("new", State::Up);
        }
    }
    assert!(begun > 0 && held > 0, "{begun} {held}");
}
