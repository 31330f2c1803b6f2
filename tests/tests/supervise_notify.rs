//! What a service says of itself by sd_notify(3), and what its supervisor makes of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, Signal, State, Supervised, WaitStatus, eventually};

/// The program that says things.
const SAY: &str = env!("CARGO_BIN_EXE_say");

/// A service whose script may say things; `toml` is the rest of its definition.
fn service(toml: &str, script: &str) -> Fixture {
    let toml = format!("[ready]\nnotify = true\n{toml}");
    Fixture::new().service("a", &toml).run(&script.replace("say ", &format!("{SAY} ")))
}

/// Waits for a file that a test makes.
const GO: &str = "while [ ! -e @T/go ]; do sleep 0.01; done";

/// Lets the service say something, and waits until it was heard.
const ON_DEMAND: &str = "trap 'say --barrier $(cat @T/words); echo said >> @T/trace' USR1\n\
                         say READY=1\nwhile :; do sleep 1000 & wait; done";

fn have_it_say(service: &Supervised, words: &str) {
    service.fixture.write("words", words);
    let said = service.fixture.trace().len();
    service.tell("kill USR1");
    service.wait_for_trace(said + 1);
}

#[test]
fn a_service_is_ready_when_it_says_so_and_not_before() {
    let service = service("", &format!("say STATUS=loading\n{GO}\nsay READY=1\nexec sleep 1000")).start();
    let status = service.wait_for("it says what it does", |status| status.text == "loading");
    assert_eq!((status.state, status.ready_since), (State::Starting, None));
    service.fixture.write("go", "");
    service.up();
    // With a newline, and beside others that are unknown.
    let other = self::service("", "say X_Y=1 STATUS=here READY=1 ''\nexec sleep 1000").start();
    other.up();
    assert_eq!(other.status().text, "here");
}

#[test]
fn descriptors_that_are_sent_along_are_closed_so_that_a_barrier_ends() {
    let service = service("", "say --barrier BARRIER=1\necho heard\nsay READY=1\nexec sleep 1000").start();
    service.wait_for_log("heard");
    service.up();
}

#[test]
fn a_stranger_is_not_listened_to_unless_everybody_is() {
    let stranger = "setsid -w say --barrier READY=1\necho heard\nexec sleep 1000";
    let fixture = service("", stranger).start();
    fixture.wait_for_log("heard");
    fixture.wait_for_log("does not count: the main process did not send it");
    assert_eq!(fixture.status().state, State::Starting);
    let toml = "[ready]\nnotify = \"all\"";
    let script = stranger.replace("say ", &format!("{SAY} "));
    Fixture::new().service("a", toml).run(&script).start().up();
}

#[test]
fn a_message_that_is_too_long_is_refused_and_another_main_process_is_not_taken() {
    let script = "say --barrier READY=1 STATUS=$(head -c 5000 /dev/zero | tr '\\0' x)\nsay MAINPID=1\n\
                  say STATUS=after\nexec sleep 1000";
    let service = service("", script).start();
    service.wait_for("the next one is heard", |status| status.text == "after");
    assert_eq!(service.status().state, State::Starting);
    service.wait_for_log("does not count: it is too long");
    service.wait_for_log("MAINPID is not heeded");
}

#[test]
fn a_reload_lasts_until_it_is_ready_again_or_is_called_too_long() {
    let service = service("[reload]\ntimeout = \"100ms\"", ON_DEMAND).start();
    service.up();
    have_it_say(&service, "RELOADING=1");
    let status = service.wait_for("it takes too long", |status| !status.reason.is_empty());
    assert_eq!((status.state, status.reloading), (State::Up, true));
    assert_eq!(status.reason, "takes longer to reload than it should");
    have_it_say(&service, "READY=1");
    let status = service.status();
    assert_eq!((status.state, status.reloading, status.reason.as_str()), (State::Up, false, ""));
}

#[test]
fn a_service_that_stops_by_itself_is_killed_at_its_deadline_and_started_again() {
    let script =
        "trap '' TERM\nsay READY=1\n[ -e @T/go ] || { touch @T/go; say STOPPING=1; }\nexec sleep 1000";
    let service = service("[stop]\ntimeout = \"100ms\"", script).start_down();
    let mut observer = service.observe();
    observer.ask("start");
    observer.wait_for(|event| event.starts == 2 && event.state == State::Up);
    let status = service.status();
    assert_eq!(status.last_exit, Some(WaitStatus::Signalled { signal: Signal::KILL, core: false }));
    let states: Vec<State> =
        observer.heard.iter().filter(|event| event.starts == 1).map(|event| event.state).collect();
    assert!(
        states.ends_with(&[State::Up, State::Stopping, State::Starting])
            || states.ends_with(&[State::Up, State::Stopping]),
        "{states:?}"
    );
}

#[test]
fn a_watchdog_that_is_not_heard_of_ends_in_abrt_and_another_run() {
    let script =
        "echo $$ $WATCHDOG_PID $WATCHDOG_USEC\n[ $$ = $WATCHDOG_PID ] || exit\nsay READY=1\nexec sleep 1000";
    let service = service("watchdog = \"0\"", "exit").start_down();
    drop(service);
    let toml = "watchdog = \"100ms\"\n[ready]\nnotify = true\n[restart]\nwhen = \"on-failure\"";
    let script = script.replace("say ", &format!("{SAY} "));
    let service = Fixture::new().service("a", toml).run(&script).start();
    let status =
        service.wait_for("it runs again", |status| status.restarts >= 1 && status.state == State::Up);
    match status.last_exit {
        Some(WaitStatus::Signalled { signal, .. }) => assert_eq!(signal, Signal::ABRT),
        other => panic!("{other:?}"),
    }
    service.wait_for_log(" 100000");
    service.wait_for_log("its watchdog was not heard of in time");
}

#[test]
fn a_watchdog_that_is_heard_of_leaves_it_alone_and_a_pulled_one_does_not() {
    let script = "say READY=1\nwhile [ ! -e @T/go ]; do say WATCHDOG=1; sleep 0.02; done\n\
                  rm @T/go\nsay WATCHDOG=trigger\nexec sleep 1000";
    let script = script.replace("say ", &format!("{SAY} "));
    let toml = "watchdog = \"2s\"\n[ready]\nnotify = true";
    let service = Fixture::new().service("a", toml).run(&script).start();
    let pid = service.up();
    service.fixture.write("go", "");
    let status =
        service.wait_for("it runs again", |status| status.restarts == 1 && status.state == State::Up);
    assert_ne!(status.pid, Some(pid));
    eventually("it was told", || service.log().contains("watchdog"));
}

#[test]
fn a_service_that_needs_more_time_has_it() {
    let toml = "[ready]\nnotify = true\ntimeout = \"200ms\"\nrestart-when-overdue = true";
    let script = format!("{SAY} EXTEND_TIMEOUT_USEC=20000000\n{GO}\n{SAY} READY=1\nexec sleep 1000");
    let service = Fixture::new().service("a", toml).run(&script).start();
    let started = service.until(State::Starting).started.unwrap();
    // Past the limit that it would have had.
    eventually("its time is over", || sys::clock::now().since(started).as_millis() > 300);
    service.fixture.write("go", "");
    service.up();
    assert_eq!(service.status().restarts, 0);
}
