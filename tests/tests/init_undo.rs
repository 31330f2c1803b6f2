//! Oneshots with a down command, as init has them done and undone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use tests::{Fixture, State, eventually};

const MOUNT: &str = "type = \"oneshot\"\ncommand = [\"sh\", \"-c\", \"echo mount up >> @T/trace\"]\n\
                     down-command = [\"sh\", \"-c\", \"echo mount down >> @T/trace\"]";

fn fixture() -> Fixture {
    Fixture::new().service("mount", MOUNT).tracing("user", "requires = [\"mount\"]\n[ready]\nfd = 3")
}

#[test]
fn a_stop_undoes_what_is_done_after_what_requires_it_and_a_start_does_it_again() {
    let machine = fixture().boot();
    assert_eq!((machine.state("mount"), machine.state("user")), (State::Done, State::Up));
    machine.tell("stop mount");
    machine.until("mount", State::Down);
    assert_eq!(machine.fixture.trace(), ["mount up", "user starts", "user stops", "mount down"]);
    assert_eq!(machine.svctl(&["start", "user"]).code, 0);
    assert_eq!(machine.fixture.trace()[4..], ["mount up", "user starts"]);
}

#[test]
fn a_restart_undoes_it_first_and_what_requires_it_stays() {
    let machine = fixture().boot();
    let pid = machine.status("user").pid;
    machine.tell("restart mount");
    eventually("it was done again", || machine.fixture.trace().len() == 4);
    assert_eq!(machine.fixture.trace()[2..], ["mount down", "mount up"]);
    machine.until("mount", State::Done);
    assert_eq!(machine.status("user").pid, pid);
}

#[test]
fn going_down_undoes_it_last() {
    let mut machine = fixture().boot();
    machine.go_down("poweroff");
    assert_eq!(machine.fixture.trace()[2..], ["user stops", "mount down"]);
}
