//! What the machine does, one claim each.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for, not what it does not")]

use super::*;
use crate::definition::{Kind, ReadyMethod, RestartWhen};
use crate::status::State;

const SECOND: Duration = Duration::from_secs(1);

fn pid(number: i32) -> Pid {
    Pid::new(number).unwrap()
}

/// A machine, its clock and the actions of its last event.
struct Run {
    machine: Machine,
    now: Tick,
    pids: i32,
}

impl Run {
    fn new(change: impl FnOnce(&mut Definition)) -> Run {
        let mut definition = Definition::new("service", "/service");
        change(&mut definition);
        let now = Tick(1_000_000_000_000);
        Run { machine: Machine::new(&definition, now), now, pids: 100 }
    }

    /// Lets an event happen, answers spawns with success, and returns the actions in order.
    fn event(&mut self, event: Event) -> Vec<Action> {
        let mut all: Vec<Action> = self.machine.handle(self.now, event).iter().collect();
        if all.contains(&Action::Spawn) {
            self.pids += 1;
            all.extend(self.machine.handle(self.now, Event::Spawned(pid(self.pids))).iter());
        }
        all
    }

    fn wait(&mut self, time: Duration) -> Vec<Action> {
        self.now = self.now.after(time);
        self.event(Event::Tick)
    }

    fn die(&mut self, status: WaitStatus) -> Vec<Action> {
        let main = self.machine.pid().expect("it runs");
        self.event(Event::Died(main, status))
    }

    fn signals(actions: &[Action]) -> Vec<Signal> {
        actions
            .iter()
            .filter_map(|action| match action {
                Action::Signal(_, signal, _) => Some(*signal),
                _ => None,
            })
            .collect()
    }
}

const FAILURE: WaitStatus = WaitStatus::Exited(1);

#[test]
fn the_first_death_is_followed_by_a_start_at_once_and_the_second_by_a_wait() {
    let mut run = Run::new(|_| {});
    run.event(Event::Start);
    assert!(run.die(FAILURE).contains(&Action::Spawn));
    assert!(!run.die(FAILURE).contains(&Action::Spawn));
    assert_eq!(run.machine.state(), State::Backoff);
    assert_eq!(run.machine.deadline(), Some(run.now.after(Duration::from_millis(200))));
    assert!(run.wait(Duration::from_millis(200)).contains(&Action::Spawn));
    assert_eq!((run.machine.state(), run.machine.starts()), (State::Up, 3));
}

#[test]
fn a_stop_is_term_and_cont_then_kill_after_its_deadline_and_again() {
    let mut run = Run::new(|_| {});
    run.event(Event::Start);
    assert_eq!(Run::signals(&run.event(Event::Stop)), [Signal::TERM, Signal::CONT]);
    assert!(run.wait(SECOND * 9).is_empty());
    assert_eq!(Run::signals(&run.wait(SECOND)), [Signal::KILL, Signal::CONT]);
    assert_eq!(Run::signals(&run.wait(SECOND * 5)), [Signal::KILL, Signal::CONT]);
    run.die(WaitStatus::from_raw(9));
    assert_eq!((run.machine.state(), run.machine.want()), (State::Down, Want::Down));
}

#[test]
fn repeating_a_stop_does_not_put_it_off() {
    let mut run = Run::new(|_| {});
    run.event(Event::Start);
    run.event(Event::Stop);
    let deadline = run.machine.deadline();
    run.now = run.now.after(SECOND);
    for event in [Event::Stop, Event::Restart, Event::Halt, Event::Stop] {
        assert!(Run::signals(&run.event(event)).is_empty());
        assert_eq!(run.machine.deadline(), deadline);
    }
}

#[test]
fn a_restart_starts_at_once_however_often_it_died_before() {
    let mut run = Run::new(|_| {});
    run.event(Event::Start);
    run.die(FAILURE);
    run.die(FAILURE);
    assert_eq!(run.machine.state(), State::Backoff);
    assert!(run.event(Event::Restart).contains(&Action::Spawn));
    run.event(Event::Restart);
    assert!(run.die(WaitStatus::from_raw(15)).contains(&Action::Spawn));
    assert!(run.die(FAILURE).contains(&Action::Spawn), "and the count begins anew");
}

#[test]
fn a_start_during_a_stop_brings_it_back() {
    let mut run = Run::new(|_| {});
    run.event(Event::Start);
    run.event(Event::Stop);
    run.event(Event::Start);
    assert!(run.die(WaitStatus::from_raw(15)).contains(&Action::Spawn));
    assert_eq!((run.machine.state(), run.machine.want()), (State::Up, Want::Up));
}

#[test]
fn a_halt_drains_then_stops_then_kills() {
    let mut run = Run::new(|definition| definition.stop.halt_signal = Some(Signal::USR1));
    run.event(Event::Start);
    assert_eq!(Run::signals(&run.event(Event::Halt)), [Signal::USR1, Signal::CONT]);
    assert_eq!(Run::signals(&run.wait(SECOND * 60)), [Signal::TERM, Signal::CONT]);
    assert_eq!(Run::signals(&run.wait(SECOND * 10)), [Signal::KILL, Signal::CONT]);
    assert_eq!(run.die(WaitStatus::from_raw(9)).last(), Some(&Action::Exit));
}

#[test]
fn an_ordinary_stop_never_sends_the_halt_signal() {
    let mut run = Run::new(|definition| definition.stop.halt_signal = Some(Signal::USR1));
    run.event(Event::Start);
    assert_eq!(Run::signals(&run.event(Event::Stop)), [Signal::TERM, Signal::CONT]);
}

#[test]
fn a_service_is_not_up_before_it_is_ready() {
    let mut run = Run::new(|definition| definition.ready.method = ReadyMethod::Descriptor(3));
    run.event(Event::Start);
    assert_eq!((run.machine.state(), run.machine.ready_since()), (State::Starting, None));
    run.now = run.now.after(SECOND);
    assert_eq!(run.event(Event::Ready), [Action::Publish]);
    assert_eq!((run.machine.state(), run.machine.ready_since()), (State::Up, Some(run.now)));
    run.die(FAILURE);
    assert_eq!((run.machine.state(), run.machine.ready_since()), (State::Starting, None));
}

#[test]
fn a_failing_probe_is_repeated_and_a_good_one_is_not() {
    let interval = Duration::from_millis(100);
    let mut run = Run::new(|definition| {
        definition.ready.method = ReadyMethod::Command { command: vec!["x".to_owned()], interval };
    });
    run.event(Event::Start);
    let probe = [Action::StartTask(Task::Probe)];
    assert_eq!(run.wait(Duration::ZERO), probe);
    run.event(Event::TaskEnded(Task::Probe, false));
    assert_eq!(run.wait(interval), probe);
    run.event(Event::TaskEnded(Task::Probe, true));
    assert_eq!((run.machine.state(), run.machine.deadline()), (State::Up, None));
}

#[test]
fn an_overdue_service_is_waited_for_or_restarted_as_declared() {
    for restarted in [false, true] {
        let mut run = Run::new(|definition| {
            definition.ready.method = ReadyMethod::Descriptor(3);
            definition.ready.timeout = Some(SECOND);
            definition.ready.restart_when_overdue = restarted;
        });
        run.event(Event::Start);
        let signals = Run::signals(&run.wait(SECOND));
        if restarted {
            assert_eq!((signals.len(), run.machine.reason()), (2, Reason::TimedOut));
            assert!(run.die(WaitStatus::from_raw(15)).contains(&Action::Spawn));
        } else {
            assert_eq!((signals.len(), run.machine.overdue()), (0, true));
            run.event(Event::Ready);
            assert_eq!((run.machine.state(), run.machine.reason()), (State::Up, Reason::None));
        }
    }
}

#[test]
fn a_finish_script_can_declare_a_permanent_failure() {
    let mut run = Run::new(|definition| definition.finish = true);
    run.event(Event::Start);
    assert!(run.die(FAILURE).contains(&Action::SpawnFinish(FAILURE)));
    run.event(Event::FinishSpawned(Some(pid(7))));
    assert_eq!(run.machine.state(), State::Finishing);
    assert_eq!(Run::signals(&run.wait(SECOND * 5)), [Signal::KILL], "a finish script is bounded");
    run.event(Event::Died(pid(7), WaitStatus::Exited(125)));
    assert_eq!((run.machine.state(), run.machine.reason()), (State::Failed, Reason::Permanent));
    assert!(run.event(Event::Start).contains(&Action::Spawn), "until somebody asks again");
}

#[test]
fn a_oneshot_is_done_after_success_and_failed_otherwise() {
    for (status, state) in [(WaitStatus::Exited(0), State::Done), (FAILURE, State::Failed)] {
        let mut run = Run::new(|definition| {
            definition.kind = Kind::Oneshot;
            definition.restart.when = RestartWhen::Never;
        });
        run.event(Event::Start);
        assert_eq!(run.machine.state(), State::Starting);
        assert_eq!(run.die(status).last(), Some(&Action::Exit));
        assert_eq!(run.machine.state(), state);
    }
}

#[test]
fn a_oneshot_that_takes_too_long_is_stopped_and_has_failed() {
    let mut run = Run::new(|definition| {
        definition.kind = Kind::Oneshot;
        definition.restart.when = RestartWhen::Never;
        definition.start_timeout = Some(SECOND);
    });
    run.event(Event::Start);
    assert_eq!(Run::signals(&run.wait(SECOND)), [Signal::TERM, Signal::CONT]);
    run.die(WaitStatus::from_raw(15));
    assert_eq!((run.machine.state(), run.machine.reason()), (State::Failed, Reason::TimedOut));
}

#[test]
fn a_service_that_cannot_be_spawned_backs_off_and_says_so() {
    let mut run = Run::new(|_| {});
    let mut waits = Vec::new();
    run.machine.handle(run.now, Event::Start);
    for _ in 0..4 {
        run.machine.handle(run.now, Event::SpawnFailed);
        assert_eq!((run.machine.state(), run.machine.reason()), (State::Backoff, Reason::SpawnFailed));
        let until = run.machine.deadline().unwrap();
        waits.push(until.since(run.now).as_millis());
        run.now = until;
        run.machine.handle(run.now, Event::Tick);
    }
    assert_eq!(waits, [0, 200, 400, 800]);
}

#[test]
fn restart_never_and_on_failure_mean_what_they_say() {
    for (when, status, state) in [
        (RestartWhen::Never, WaitStatus::Exited(0), State::Done),
        (RestartWhen::Never, FAILURE, State::Failed),
        (RestartWhen::OnFailure, WaitStatus::Exited(0), State::Done),
        (RestartWhen::OnFailure, FAILURE, State::Up),
        (RestartWhen::Always, WaitStatus::Exited(0), State::Up),
    ] {
        let mut run = Run::new(|definition| definition.restart.when = when);
        run.event(Event::Start);
        run.die(status);
        assert_eq!(run.machine.state(), state, "{when:?} after {status}");
    }
}

#[test]
fn what_is_done_is_started_again_by_a_start_unless_it_is_a_oneshot() {
    for (kind, state) in [(Kind::Longrun, State::Up), (Kind::Oneshot, State::Done)] {
        let mut run = Run::new(|definition| {
            definition.kind = kind;
            definition.restart.when = RestartWhen::Never;
        });
        run.event(Event::Start);
        run.die(WaitStatus::Exited(0));
        assert_eq!(run.machine.state(), State::Done);
        run.event(Event::Start);
        assert_eq!(run.machine.state(), state);
    }
}

#[test]
fn giving_up_says_so_and_ends_when_somebody_asks() {
    let mut run = Run::new(|definition| {
        definition.restart.give_up_deaths = 2;
        definition.restart.give_up_within = SECOND * 60;
    });
    run.event(Event::Start);
    run.die(FAILURE);
    run.die(FAILURE);
    assert_eq!((run.machine.state(), run.machine.reason()), (State::Failed, Reason::GaveUp));
    run.event(Event::Start);
    assert_eq!(run.machine.state(), State::Up);
}

#[test]
fn an_adopted_service_is_up_as_it_was_and_its_death_counts() {
    let mut run = Run::new(|_| {});
    run.machine.adopt(run.now, pid(55), Want::Up, run.now, Some(run.now), 3);
    assert_eq!((run.machine.state(), run.machine.pid()), (State::Up, Some(pid(55))));
    assert!(run.die(FAILURE).contains(&Action::Spawn));
    assert_eq!(run.machine.starts(), 4);
}

#[test]
fn kill_and_reload_reach_only_what_runs() {
    let mut run = Run::new(|_| {});
    assert!(run.event(Event::Kill(Signal::USR1)).is_empty());
    run.event(Event::Start);
    assert_eq!(Run::signals(&run.event(Event::Reload)), [Signal::HUP]);
    assert_eq!(Run::signals(&run.event(Event::Kill(Signal::USR1))), [Signal::USR1]);
}
