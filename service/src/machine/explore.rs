//! The machine in every world that matters: each event in each reachable state, with a model of the
//! processes beside it that checks what the machine may never do.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for, not what it does not")]

use super::*;
use crate::definition::Definition;
use std::collections::{HashSet, VecDeque};

const MAIN: i32 = 100;
const FINISH: i32 = 200;
/// The time to which every state is moved before it is compared and gone on from.
const BASE: Tick = Tick(1_000_000_000_000);

/// What really runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
struct World {
    main: bool,
    finish: bool,
    probe: bool,
    /// A spawn was asked for and not answered.
    spawning: bool,
    finish_spawning: bool,
    exited: bool,
    /// The finish script of the last death was run, or there was no death yet.
    finish_done: bool,
    killed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    machine: Machine,
    world: World,
}

/// Moves every time so that `now` becomes [`BASE`], and forgets what only counts up.
fn normalise(mut machine: Machine, now: Tick) -> Machine {
    let map = |tick: Tick| {
        let moved = (i128::from(tick.0) - i128::from(now.0)).clamp(-90_000_000_000, i128::from(u64::MAX) / 4);
        Tick(u64::try_from(i128::from(BASE.0) + moved).unwrap())
    };
    // Of the past only its side of the deadlines matters; without this the world would be endless.
    let past = |tick: Tick| {
        let age = now.since(tick).as_secs();
        let known = [60, 20, 15, 0].into_iter().find(|limit| age >= *limit).unwrap_or(0);
        Tick(BASE.0 - known * 1_000_000_000)
    };
    machine.since = BASE;
    machine.starts = machine.starts.min(1);
    machine.started = past(machine.started);
    machine.ready_since = machine.ready_since.map(|_| BASE);
    machine.backoff.map_ticks(past);
    machine.last_exit = machine.last_exit.map(|(status, _)| (status, BASE));
    machine.phase = match machine.phase {
        Phase::Waiting { until } => Phase::Waiting { until: map(until) },
        Phase::Stopping { pid, step, deadline } => Phase::Stopping { pid, step, deadline: map(deadline) },
        Phase::Finishing { died, pid, deadline } => Phase::Finishing { died, pid, deadline: map(deadline) },
        Phase::Running { pid, readiness: Readiness::Pending { overdue, probe: Probe::Again(at) } } => {
            let probe = Probe::Again(map(at));
            Phase::Running { pid, readiness: Readiness::Pending { overdue, probe } }
        }
        other => other,
    };
    machine
}

/// The events that can happen now.
fn possible(node: &Node) -> Vec<Event> {
    let (main, finish) = (Pid::new(MAIN).unwrap(), Pid::new(FINISH).unwrap());
    if node.world.spawning {
        return vec![Event::Spawned(main), Event::SpawnFailed];
    }
    if node.world.finish_spawning {
        return vec![Event::FinishSpawned(Some(finish)), Event::FinishSpawned(None)];
    }
    let mut events = vec![
        Event::Start,
        Event::Once,
        Event::Stop,
        Event::Restart,
        Event::Reload,
        Event::Kill(Signal::USR1),
        Event::Halt,
        Event::Exit,
        Event::Ready,
        Event::Tick,
    ];
    let ends = [WaitStatus::Exited(0), WaitStatus::Exited(125), WaitStatus::from_raw(9)];
    if node.world.main {
        events.extend(ends.map(|status| Event::Died(main, status)));
    }
    if node.world.finish {
        events.extend(ends.map(|status| Event::Died(finish, status)));
    }
    if node.world.probe {
        events.extend([Event::ProbeEnded(true), Event::ProbeEnded(false)]);
    }
    events
}

/// Lets `event` happen at `now`, checks every invariant, and returns what has become of it.
fn step(node: &Node, event: Event, now: Tick) -> Node {
    let Node { mut machine, mut world } = *node;
    match event {
        Event::Spawned(_) => (world.spawning, world.main, world.killed) = (false, true, false),
        Event::SpawnFailed => world.spawning = false,
        Event::FinishSpawned(pid) => {
            world.finish_spawning = false;
            world.finish = pid.is_some();
        }
        Event::Died(pid, _) if pid.number() == MAIN => world.main = false,
        Event::Died(..) => world.finish = false,
        Event::ProbeEnded(_) => world.probe = false,
        _ => {}
    }
    let died = matches!(event, Event::Died(pid, _) if pid.number() == MAIN);
    let before = machine.visible();
    let actions = machine.handle(now, event);
    let mut published = false;
    for action in actions.iter() {
        assert!(!world.exited, "nothing after Exit: {action:?}");
        match action {
            Action::Spawn => {
                assert!(!world.main && !world.finish && !world.spawning, "one process at a time");
                assert_ne!(machine.want, Want::Down, "spawned only if wanted");
                world.spawning = true;
            }
            Action::SpawnFinish(_) => {
                assert!(died, "finish runs after a death, and once");
                assert!(!world.main && !world.finish, "one process at a time");
                world.finish_spawning = true;
            }
            Action::Signal(pid, signal, _) => {
                let alive = if pid.number() == MAIN { world.main } else { world.finish };
                assert!(alive, "only what lives is signalled");
                world.killed |= signal == Signal::KILL;
            }
            Action::StartProbe => {
                assert!(world.main && !world.probe, "one probe, of something that runs: {event:?} {node:?}");
                world.probe = true;
            }
            Action::StopProbe => {
                assert!(world.probe, "only a running probe is ended");
                world.probe = false;
            }
            Action::Publish => published = true,
            Action::Exit => {
                assert!(!world.main && !world.finish && !world.spawning, "nothing is left behind");
                world.exited = true;
            }
        }
    }
    assert_eq!(published, before != machine.visible(), "every visible change is published, and nothing else");
    if died {
        assert_eq!(world.finish_spawning, machine.policy.finish, "every death is finished");
    }
    check(&machine, &world);
    Node { machine, world }
}

/// What holds in every state between two events.
fn check(machine: &Machine, world: &World) {
    assert_eq!(machine.pid().is_some(), world.main, "the machine knows whether the service runs");
    assert!(world.main || !world.probe, "no probe outlives the service");
    match machine.phase {
        Phase::Stopping { .. } => assert!(machine.deadline().is_some(), "every stop has a deadline"),
        Phase::Finishing { .. } => {
            assert!(machine.deadline().is_some() || world.finish_spawning, "every finish has a deadline");
        }
        Phase::Waiting { .. } => assert!(machine.deadline().is_some(), "every wait has a deadline"),
        Phase::Down => {
            assert!(machine.want == Want::Down || world.spawning, "wanted, yet nothing will happen");
        }
        Phase::Running { .. } => {
            assert!(machine.want != Want::Down, "runs unwanted, and nobody stops it");
        }
        Phase::Spawning => assert!(world.spawning, "waits for a spawn that was never asked for"),
        Phase::Done | Phase::Failed => {}
    }
}

/// A supervisor that is killed here, and the one after it: the same machine, but for what nobody answers now.
fn survives(node: &Node, definition: &Definition) {
    let mut expected = node.machine;
    match &mut expected.phase {
        Phase::Spawning => expected.phase = Phase::Waiting { until: BASE },
        Phase::Finishing { pid: None, deadline, .. } => *deadline = BASE,
        Phase::Running { readiness: Readiness::Pending { probe: probe @ Probe::Running, .. }, .. } => {
            *probe = Probe::Again(BASE);
        }
        _ => {}
    }
    let mut next = Machine::new(definition, BASE);
    assert!(next.restore(BASE, &node.machine.save()), "{}", node.machine.save());
    assert_eq!(next, expected, "saved as {}", node.machine.save());
}

/// A stop that the service ignores goes on to KILL; one that it obeys ends.
fn stops(node: &Node) {
    let mut node = step(node, Event::Stop, BASE);
    for _ in 0..4 {
        if !node.world.main {
            break;
        }
        let now = node.machine.deadline().expect("a deadline");
        node = step(&node, Event::Tick, now);
    }
    assert!(!node.world.main || node.world.killed, "an unheeded stop ends in KILL");
}

fn explore(definition: &Definition) -> (usize, usize) {
    let start = Node { machine: Machine::new(definition, BASE), world: World::default() };
    let key = |Node { machine: m, world }: &Node| {
        let flags = (m.start_again, m.exiting, m.ready_since.is_some(), m.starts);
        (m.phase, m.want, m.reason, m.backoff, flags, m.started, m.last_exit, *world)
    };
    let mut seen = HashSet::from([key(&start)]);
    let mut queue = VecDeque::from([start]);
    let mut transitions = 0;
    while let Some(node) = queue.pop_front() {
        if node.world.exited {
            continue;
        }
        survives(&node, definition);
        if !node.world.spawning && !node.world.finish_spawning {
            stops(&node);
        }
        for event in possible(&node) {
            let mut nows = vec![BASE];
            if event == Event::Tick {
                nows.extend(node.machine.deadline());
            } else if matches!(event, Event::Died(..)) {
                nows.push(BASE.after(Duration::from_secs(70)));
            }
            for now in nows {
                let mut next = step(&node, event, now);
                next.machine = normalise(next.machine, now);
                transitions += 1;
                if seen.insert(key(&next)) {
                    queue.push_back(next);
                }
            }
        }
    }
    (seen.len(), transitions)
}

#[test]
fn no_reachable_state_breaks_an_invariant() {
    let (mut states, mut transitions) = (0, 0);
    for bits in 0_u32..1 << 7 {
        let flag = |bit: u32| bits & (1 << bit) != 0;
        if (flag(2) && !flag(1)) || (flag(3) && !flag(1) && !flag(4)) {
            continue; // Not another definition, but one seen already.
        }
        let mut definition = Definition::new("service", "/service");
        definition.finish = flag(0);
        definition.ready.method = match (flag(1), flag(2)) {
            (false, _) => ReadyMethod::Immediate,
            (true, false) => ReadyMethod::Descriptor(3),
            (true, true) => ReadyMethod::Command {
                command: vec!["probe".to_owned()],
                interval: Duration::from_millis(100),
            },
        };
        definition.ready.timeout = flag(1).then_some(Duration::from_secs(20));
        definition.ready.restart_when_overdue = flag(3);
        if flag(4) {
            definition.kind = Kind::Oneshot;
            definition.start_timeout = Some(Duration::from_secs(15));
            definition.restart.when = if flag(3) { RestartWhen::OnFailure } else { RestartWhen::Never };
        }
        definition.stop.halt_signal = flag(5).then_some(Signal::USR1);
        definition.restart.give_up_deaths = if flag(6) { 2 } else { 0 };
        definition.restart.give_up_within = Duration::from_secs(60);
        let (some_states, some_transitions) = explore(&definition);
        states += some_states;
        transitions += some_transitions;
    }
    assert!(states > 10_000, "explored too little: {states} states, {transitions} transitions");
}
