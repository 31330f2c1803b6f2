//! Going down: in order, bounded, whoever asks and however often.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Ending, Fixture, Signal, State, Want, eventually, process};

#[test]
fn the_parent_of_the_namespace_sees_how_the_machine_went_down() {
    for (command, ending) in [("poweroff", Ending::Off), ("halt", Ending::Off), ("reboot", Ending::Reboot)] {
        let mut machine = Fixture::new().tracing("a", "").boot();
        eventually("it runs", || machine.fixture.trace().len() == 1);
        let outcome = machine.svctl(&[command]);
        assert_eq!(outcome.code, 0, "{outcome:?}");
        assert_eq!(machine.wait_for_end(), ending, "{command}");
        assert_eq!(machine.fixture.trace(), ["a starts", "a stops"]);
        assert_eq!(machine.state("a"), State::Down);
    }
}

#[test]
fn signals_mean_what_they_mean_in_a_container() {
    for (signal, ending, word) in [
        ("TERM", Ending::Off, "poweroff"),
        ("INT", Ending::Off, "poweroff"),
        ("QUIT", Ending::Off, "poweroff"),
        ("PWR", Ending::Off, "poweroff"),
        ("USR2", Ending::Off, "poweroff"),
        ("USR1", Ending::Off, "halt"),
        ("RTMIN+3", Ending::Off, "halt"),
    ] {
        let mut machine = Fixture::new().tracing("a", "").boot();
        eventually("it runs", || machine.fixture.trace().len() == 1);
        process::send(machine.init(), Signal::parse(signal).unwrap());
        assert_eq!(machine.wait_for_end(), ending, "{signal}");
        assert!(machine.console().contains(&format!("{word}: asked for by signal {signal}")), "{signal}");
        assert_eq!(machine.fixture.trace(), ["a starts", "a stops"]);
    }
}

#[test]
fn a_signal_that_means_nothing_is_survived() {
    let mut machine = Fixture::new().tracing("a", "").boot();
    for signal in ["HUP", "ALRM", "PIPE", "WINCH", "CONT"] {
        // From outside; those that it has no handler for never reach the first process.
        let _ = sys::process::signal(machine.init(), Signal::parse(signal).unwrap());
        assert_eq!(machine.ask("start a"), "ok", "{signal}");
    }
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
}

#[test]
fn services_stop_in_the_reverse_of_the_order_they_need() {
    let mut machine = Fixture::new()
        .tracing("base", "")
        .tracing("middle", "requires = [\"base\"]")
        .tracing("top", "requires = [\"middle\"]")
        .tracing("later", "after = [\"base\"]")
        .boot();
    eventually("all run", || machine.fixture.trace().len() == 4);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    let trace = machine.fixture.trace();
    let place = |line: &str| trace.iter().position(|other| other == line).unwrap();
    assert!(place("top stops") < place("middle stops"), "{trace:?}");
    assert!(place("middle stops") < place("base stops"), "{trace:?}");
    assert!(place("later stops") < place("base stops"), "{trace:?}");
}

#[test]
fn what_drains_is_drained_before_anything_else_stops() {
    let drain = "trap 'echo agent drains >> @T/trace; sleep 0.05; echo agent drained >> @T/trace; exit 0' USR1\n\
                 trap 'echo agent is stopped >> @T/trace; exit 0' TERM\necho >&3\n\
                 while :; do sleep 0.01; done";
    let toml = "[ready]\nfd = 3\n[stop]\nhalt-signal = \"USR1\"";
    let mut machine = Fixture::new()
        .service("agent", toml)
        .run(drain)
        .tracing("network", "before = [\"agent\"]")
        .tracing("other", "")
        .tracing("follower", "after = [\"agent\"]")
        .boot();
    eventually("all run", || machine.fixture.trace().len() == 3);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    let trace = machine.fixture.trace()[3..].to_vec();
    assert_eq!(trace[..2], ["agent drains", "agent drained"], "{trace:?}");
    assert_eq!(trace.len(), 5, "{trace:?}");
}

#[test]
fn what_ignores_term_is_killed_at_its_deadline_and_the_end_comes() {
    let deaf = "trap '' TERM\necho >&3\nexec 3>&-\nexec sleep 1000";
    let toml = "[ready]\nfd = 3\n[stop]\ntimeout = \"50ms\"";
    let mut machine =
        Fixture::new().service("deaf", toml).run(deaf).tracing("base", "before = [\"deaf\"]").boot();
    eventually("it runs", || machine.fixture.trace().len() == 1);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(machine.fixture.trace(), ["base starts", "base stops"]);
    assert!(machine.log("deaf").iter().any(|line| line.contains("has not ended in time (killing it)")));
}

#[test]
fn a_stray_that_ignores_term_is_killed_at_the_end() {
    let stray = "setsid sh -c \"trap '' TERM; echo up >> @T/trace; exec sleep 1000\" &\nexec sleep 1000";
    let mut machine = Fixture::new().script("a", stray).boot();
    eventually("the stray runs", || machine.fixture.trace() == ["up"]);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert!(machine.console().contains("killing what is left"), "{}", machine.console());
}

#[test]
fn a_process_halted_by_a_signal_does_not_hold_up_the_end() {
    let mut machine = Fixture::new().service("a", "command = [\"sleep\", \"1000\"]").boot();
    machine.send(machine.status("a").pid.unwrap(), Signal::parse("STOP").unwrap());
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert!(!machine.log("a").iter().any(|line| line.contains("killing it")), "{:?}", machine.log("a"));
}

#[test]
fn going_down_wins_over_a_boot_that_is_under_way() {
    let mut machine = Fixture::new()
        .service("slow", "type = \"oneshot\"")
        .run("echo begun >> @T/trace\nexec sleep 1000")
        .tracing("after", "requires = [\"slow\"]")
        .machine()
        .start();
    eventually("the boot is under way", || machine.fixture.trace() == ["begun"]);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(machine.fixture.trace(), ["begun"], "nothing was started after that");
}

#[test]
fn going_down_wins_even_before_the_definitions_are_compiled() {
    let compiler = "#!/bin/sh\necho compiling >> @T/trace\nexec sleep 1000\n";
    let boot = Fixture::new()
        .tracing("a", "")
        .executable("compiler", compiler)
        .machine()
        .only_programs(&["supervise", "svlog"]);
    let place = boot.fixture().path("");
    std::os::unix::fs::symlink(place.join("services/a/compiler"), place.join("programs/svctl")).unwrap();
    let mut machine = boot.start();
    eventually("it compiles", || machine.fixture.trace() == ["compiling"]);
    assert_eq!(machine.go_down("reboot"), Ending::Reboot);
}

#[test]
fn a_second_request_does_not_change_the_first() {
    let script = "trap 'echo stopping >> @T/trace; while [ ! -e @T/go ]; do sleep 0.01; done; exit 0' TERM\n\
                  echo >&3\nwhile :; do sleep 0.01; done";
    let mut machine = Fixture::new().service("a", "[ready]\nfd = 3").run(script).boot();
    machine.tell("reboot");
    eventually("it stops", || machine.fixture.trace() == ["stopping"]);
    machine.tell("poweroff");
    process::send(machine.init(), Signal::USR1);
    machine.wait_for_console("halt: asked for by signal USR1 from");
    assert!(machine.console().contains("(already doing reboot)"));
    assert_eq!(machine.ask("start a"), "error the machine is going down");
    machine.fixture.write("go", "");
    assert_eq!(machine.wait_for_end(), Ending::Reboot);
}

#[test]
fn a_request_from_inside_a_service_is_taken_before_that_service_is_stopped() {
    let svctl = tests::programs::program("svctl").display().to_string();
    let script = format!(
        "echo asks >> @T/trace\n{svctl} --run @T/run poweroff && echo taken >> @T/trace\nexec sleep 1000"
    );
    let mut machine = Fixture::new().script("a", &script).machine().start();
    assert_eq!(machine.wait_for_end(), Ending::Off);
    assert_eq!(machine.fixture.trace()[0], "asks");
}

#[test]
fn a_service_that_waits_for_its_next_start_is_not_waited_for() {
    let toml = "[restart]\ndelay = \"1h\"\nmax-delay = \"1h\"";
    let mut machine = Fixture::new().service("a", toml).run("exit 1").machine().start();
    machine.until("a", State::Backoff);
    assert_eq!(machine.go_down("poweroff"), Ending::Off);
    assert_eq!(machine.status("a").want, Want::Down);
}

#[test]
fn a_killed_supervisor_does_not_hold_up_going_down() {
    let mut machine = Fixture::new().tracing("a", "").tracing("b", "requires = [\"a\"]").boot();
    eventually("all run", || machine.fixture.trace().len() == 2);
    let supervisor = machine.outside(machine.status("a").supervisor.unwrap());
    process::send(supervisor, Signal::parse("STOP").unwrap());
    machine.tell("poweroff");
    eventually("b has stopped", || machine.fixture.trace().iter().any(|line| line == "b stops"));
    process::send(supervisor, Signal::KILL);
    assert_eq!(machine.wait_for_end(), Ending::Off);
    assert_eq!(machine.fixture.trace().last().unwrap(), "a stops");
}
