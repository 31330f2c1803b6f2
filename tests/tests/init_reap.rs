//! Reaping, and what becomes of supervisors, services and the logger when they are killed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Ending, Fixture, Machine, Pid, Signal, State, WaitStatus, Want, eventually, process};

fn zombies(machine: &Machine) -> usize {
    let zombie = |pid: &Pid| process::stat(*pid).is_some_and(|stat| stat.state == 'Z');
    machine.processes().into_iter().filter(zombie).count()
}

#[test]
fn ten_thousand_orphans_leave_no_zombie() {
    // Each subshell leaves a child behind whose parent is gone at once.
    let script = "i=0\nwhile [ $i -lt 10000 ]; do ( : & )\ni=$((i + 1)); done\necho made >> @T/trace";
    let mut machine =
        Fixture::new().service("orphans", "type = \"oneshot\"").run(script).tracing("a", "").boot();
    assert_eq!(machine.state("orphans"), State::Done);
    eventually("no zombie is left", || zombies(&machine) == 0);
    assert_eq!(machine.state("a"), State::Up);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn init_reaps_while_the_compiler_runs() {
    // A compiler that leaves an orphan, and goes on only once that has been reaped.
    let compiler = "#!/bin/sh\n(sh -c 'echo $$ > @T/orphan' &)\n\
                    while [ ! -s @T/orphan ] || [ -e /proc/$(cat @T/orphan) ]; do sleep 0.01; done\n\
                    exec @T/svctl \"$@\"\n";
    let boot = Fixture::new()
        .tracing("a", "")
        .executable("compiler", compiler)
        .machine()
        .only_programs(&["supervise", "svlog"]);
    let place = boot.fixture().path("");
    std::os::unix::fs::symlink(tests::programs::program("svctl"), place.join("svctl")).unwrap();
    std::os::unix::fs::symlink(place.join("services/a/compiler"), place.join("programs/svctl")).unwrap();
    let machine = boot.start();
    machine.wait_for_boot();
    assert_eq!(machine.state("a"), State::Up);
}

#[test]
fn a_killed_service_is_restarted_and_no_other_process_changes() {
    let machine = Fixture::new().tracing("a", "").tracing("b", "requires = [\"a\"]").tracing("c", "").boot();
    let pid_of = |name: &str| machine.status(name).pid;
    let (first, others) = (pid_of("a").unwrap(), (pid_of("b"), pid_of("c")));
    machine.send(first, Signal::KILL);
    let status = machine.wait_for("a", "runs again", |status| status.pid.is_some_and(|pid| pid != first));
    assert_eq!((status.state, status.restarts), (State::Up, 1));
    assert_eq!((pid_of("b"), pid_of("c")), others);
}

#[test]
fn a_killed_supervisor_comes_back_and_keeps_the_same_process() {
    let machine = Fixture::new().tracing("a", "").boot();
    let before = machine.status("a");
    machine.send(before.supervisor.unwrap(), Signal::KILL);
    let after = machine.wait_for("a", "is adopted", |status| status.supervisor != before.supervisor);
    assert_eq!((after.state, after.pid, after.want), (State::Up, before.pid, Want::Up));
    machine.wait_for_console("a: its supervisor ended with signal KILL (starting it again)");
    assert_eq!(machine.svctl(&["restart", "a"]).code, 0);
    assert_ne!(machine.status("a").pid, before.pid);
}

#[test]
fn how_an_adopted_service_ended_is_known_exactly() {
    let script = "trap 'exit 42' USR1\necho >&3\nwhile :; do sleep 1000 & wait; done";
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    let machine = Fixture::new().service("a", toml).run(script).service("b", toml).run(script).boot();
    for name in ["a", "b"] {
        let before = machine.status(name);
        machine.send(before.supervisor.unwrap(), Signal::KILL);
        machine.wait_for(name, "is adopted", |status| status.supervisor != before.supervisor);
    }
    machine.send(machine.status("a").pid.unwrap(), Signal::USR1);
    machine.send(machine.status("b").pid.unwrap(), Signal::KILL);
    let exited = machine.until("a", State::Failed).last_exit;
    assert_eq!(exited, Some(WaitStatus::Exited(42)));
    let killed = machine.until("b", State::Failed).last_exit;
    assert_eq!(killed, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
}

#[test]
fn how_a_service_ended_while_it_had_no_supervisor_is_known_exactly() {
    let script = "trap 'exit 42' USR1\necho >&3\nwhile :; do sleep 1000 & wait; done";
    let toml = "[ready]\nfd = 3\n[restart]\nwhen = \"never\"";
    let machine = Fixture::new().service("a", toml).run(script).boot();
    let status = machine.status("a");
    machine.send(status.supervisor.unwrap(), Signal::KILL);
    // One that dies soon after its start is started again after a pause, in which nobody looks after the service.
    machine.wait_for_console("its supervisor ended");
    machine.send(status.pid.unwrap(), Signal::USR1);
    assert_eq!(machine.until("a", State::Failed).last_exit, Some(WaitStatus::Exited(42)));
}

#[test]
fn a_stop_that_was_asked_for_is_done_even_if_the_supervisor_is_killed_before_it_hears_of_it() {
    let machine = Fixture::new().tracing("a", "").boot();
    let supervisor = machine.outside(machine.status("a").supervisor.unwrap());
    process::send(supervisor, Signal::parse("STOP").unwrap());
    machine.tell("stop a");
    process::send(supervisor, Signal::KILL);
    machine.until("a", State::Down);
    assert_eq!(machine.fixture.trace().last().unwrap(), "a stops");
}

#[test]
fn supervisors_killed_at_random_under_churning_services_never_double_them() {
    let toml = "[restart]\ndelay = \"1ms\"\nmax-delay = \"1ms\"";
    let mut fixture = Fixture::new();
    for number in 0..20 {
        let script = format!(
            "exec 9> @T/lock{number}\nflock -n 9 || {{ echo doubled >> @T/trace; exit 99; }}\n\
             echo s{number} >> @T/trace\nexec sleep 0.0$(($$ % 10))"
        );
        fixture = fixture.service(&format!("s{number}"), toml).run(&script);
    }
    let mut machine = fixture.boot();
    for round in 0..5_u64 {
        for number in 0..20 {
            let name = format!("s{number}");
            // Whoever looks after it now; during the pause after a kill nobody does.
            eventually("its supervisor is killed", || {
                let Some(status) = machine.try_status(&name) else { return false };
                let outer = status.supervisor.and_then(|pid| machine.try_outside(pid));
                outer.is_some_and(|pid| sys::process::signal(pid, Signal::KILL).is_ok())
            });
            std::thread::sleep(std::time::Duration::from_micros(round * 131 % 700));
        }
    }
    for number in 0..20 {
        let name = format!("s{number}");
        let before = machine.fixture.trace().iter().filter(|line| **line == name).count();
        eventually("it runs on", || {
            machine.fixture.trace().iter().filter(|line| **line == name).count() > before
        });
    }
    let trace = machine.fixture.trace();
    assert_eq!(trace.iter().filter(|line| *line == "doubled").count(), 0, "of {}", trace.len());
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}
