//! The machine in every world that matters: each event in each reachable state, with the invariants watched.

#![allow(clippy::wildcard_enum_match_arm, reason = "a test says what it looks for, not what it does not")]

use super::care::Check;
use super::invariants::{Asked, Invariant, MAIN, Node, Violation, World};
use super::phase::{Phase, Probe, Readiness};
use super::planted::{self, Bug};
use super::reload::Reload;
use super::{Event, Machine, Task};
use crate::definition::{Definition, Health, Kind, NotifyFrom, ReadyMethod, RestartWhen, Scope};
use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::tick::Tick;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;

const SCRIPT: i32 = 200;
/// The time to which every state is moved before it is compared and gone on from.
const BASE: Tick = Tick(1_000_000_000_000);
const SECOND: Duration = Duration::from_secs(1);

/// Moves every time so that `now` becomes [`BASE`], and forgets what only counts up.
fn normalise(mut machine: Machine, now: Tick) -> Machine {
    let map = |tick: Tick| {
        let moved = (i128::from(tick.0) - i128::from(now.0)).clamp(-1, i128::from(u64::MAX) / 4);
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
    machine.last_exit = None;
    match &mut machine.phase {
        Phase::Waiting { until } => *until = map(*until),
        Phase::Preparing { deadline }
        | Phase::Stopping { deadline, .. }
        | Phase::Finishing { deadline, .. }
        | Phase::Undoing { deadline, .. } => *deadline = deadline.map(map),
        Phase::Running { readiness: Readiness::Pending { probe, .. }, .. } => match probe {
            Probe::Again(at) => *at = map(*at),
            Probe::Running(until) => *until = until.map(map),
            Probe::None => {}
        },
        _ => {}
    }
    let care = &mut machine.care;
    care.failures = care.failures.min(2);
    care.paused = care.paused.map(|_| BASE);
    care.extended = care.extended.map(map).filter(|extended| *extended >= BASE);
    care.watchdog = care.watchdog.map(map);
    match &mut care.check {
        Check::Again(tick) | Check::Running(tick) => *tick = map(*tick),
        Check::None => {}
    }
    match &mut care.reload {
        Some(Reload::ByCommand { deadline }) => *deadline = map(*deadline),
        Some(Reload::BySelf { deadline }) => *deadline = deadline.map(map),
        None => {}
    }
    machine
}

/// The events that can happen now.
fn possible(node: &Node, definition: &Definition) -> Vec<Event> {
    let script = Pid::new(SCRIPT);
    match node.world.asked {
        Asked::Listen => return vec![Event::Listening(false), Event::Listening(true), Event::SpawnFailed],
        Asked::Spawn => return vec![Event::Spawned(MAIN), Event::SpawnFailed],
        Asked::Finish => return vec![Event::FinishSpawned(script), Event::FinishSpawned(None)],
        Asked::Down => return vec![Event::DownSpawned(script), Event::DownSpawned(None)],
        Asked::Nothing => {}
    }
    let mut events = vec![
        Event::Start,
        Event::Once,
        Event::Stop,
        Event::Restart,
        Event::Reload,
        Event::Kill(Signal::USR1),
        Event::Pause,
        Event::Continue,
        Event::Halt,
        Event::Exit,
        Event::Ready,
        Event::Tick,
    ];
    // Not in all of the many worlds.
    if matches!(definition.ready.method, ReadyMethod::Notify(_)) {
        events.extend([Event::Reloading, Event::Stopping, Event::ExtendTimeout(SECOND * 5)]);
        events.extend([Event::Watchdog, Event::WatchdogTrigger]);
    }
    if definition.start_on_connection {
        events.push(Event::Connected);
    }
    let ends = [WaitStatus::Exited(0), WaitStatus::Exited(125), WaitStatus::from_raw(9)];
    if node.machine.awaited().is_none() {
        events.push(Event::Found(MAIN));
    }
    if let Some(pid) = node.machine.awaited() {
        events.extend(ends.map(|status| Event::Died(pid, status)));
    }
    for (task, runs) in
        [Task::Probe, Task::Health, Task::Reload, Task::Prepare].into_iter().zip(node.world.tasks)
    {
        if runs {
            events.extend([Event::TaskEnded(task, true), Event::TaskEnded(task, false)]);
        }
    }
    events
}

/// How many states there are, and how many ways from one to another.
fn explore(definition: &Definition) -> Result<(usize, usize), Violation> {
    let start = Node { machine: Machine::new(definition, BASE), world: World::default() };
    let key = |Node { machine: m, world }: &Node| {
        let flags = (m.start_again, m.exiting, m.ready_since.is_some(), m.starts);
        (m.phase, m.want, m.reason, m.backoff, m.care, flags, m.started, *world)
    };
    let mut seen = HashSet::from([key(&start)]);
    let mut queue = VecDeque::from([start]);
    let mut transitions = 0;
    while let Some(node) = queue.pop_front() {
        if node.world.exited {
            continue;
        }
        node.survives(definition, BASE)?;
        node.settles(BASE)?;
        if node.world.asked == Asked::Nothing {
            node.stops(BASE)?;
        }
        for event in possible(&node, definition) {
            let mut nows = vec![BASE];
            if event == Event::Tick {
                nows.extend(node.machine.deadline());
            } else if matches!(event, Event::Died(..)) {
                nows.push(BASE.after(Duration::from_secs(70)));
            }
            for now in nows {
                let mut next = node.step(event, now)?;
                next.machine = normalise(next.machine, now);
                transitions += 1;
                if seen.insert(key(&next)) {
                    queue.push_back(next);
                }
            }
        }
    }
    Ok((seen.len(), transitions))
}

/// Definitions that differ in what the machine goes by.
fn definitions() -> Vec<Definition> {
    let mut all = Vec::new();
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
            (true, true) => ReadyMethod::Command { command: vec!["probe".to_owned()], interval: SECOND * 5 },
        };
        definition.reload_timeout = SECOND * 10;
        definition.ready.timeout = flag(1).then_some(SECOND * 20);
        definition.ready.restart_when_overdue = flag(3);
        if flag(4) {
            definition.kind = Kind::Oneshot;
            definition.start_timeout = Some(SECOND * 15);
            definition.restart.when = if flag(3) { RestartWhen::OnFailure } else { RestartWhen::Never };
        }
        definition.stop.halt_signal = flag(5).then_some(Signal::USR1);
        definition.restart.give_up_deaths = if flag(6) { 2 } else { 0 };
        definition.restart.give_up_within = SECOND * 60;
        all.push(definition);
    }
    let mut plain = Definition::new("service", "/service");
    plain.ready.method = ReadyMethod::Notify(NotifyFrom::Main);
    plain.ready.timeout = Some(SECOND * 10);
    plain.reload_timeout = SECOND * 10;
    let check = |restart| {
        let command = vec!["check".to_owned()];
        Some(Health { command, interval: SECOND * 5, timeout: SECOND * 5, threshold: 2, restart })
    };
    let reload_command = vec!["reload".to_owned()];
    let mut more = [(); 14].map(|()| plain.clone());
    let [
        watched,
        checked,
        shown,
        reloading,
        undone,
        halted,
        swept,
        patient,
        again,
        made,
        hurried,
        once,
        idle,
        limited,
    ] = &mut more;
    watched.watchdog = Some(SECOND * 10);
    watched.restart.when = RestartWhen::OnFailure;
    checked.health = check(true);
    checked.finish = true;
    shown.health = check(false);
    reloading.reload_command = reload_command;
    undone.kind = Kind::Oneshot;
    undone.down_command = vec!["undo".to_owned()];
    undone.restart.when = RestartWhen::Never;
    halted.stop.halt_by_end_of_input = true;
    (swept.stop.scope, swept.stop.kill_scope) = (Scope::Cgroup, Scope::Cgroup);
    (patient.stop.timeout, patient.finish_timeout, patient.finish) = (None, None, true);
    again.kind = Kind::Oneshot;
    again.down_command = vec!["undo".to_owned()];
    again.finish = true;
    for definition in [&mut *made, hurried, once] {
        definition.prepare_command = vec!["make".to_owned()];
    }
    hurried.prepare_timeout = Some(SECOND * 15);
    hurried.finish = true;
    hurried.restart.when = RestartWhen::OnFailure;
    hurried.restart.give_up_deaths = 2;
    hurried.restart.give_up_within = SECOND * 60;
    once.kind = Kind::Oneshot;
    once.prepare_timeout = Some(SECOND * 5);
    once.restart.when = RestartWhen::Never;
    for on_connection in [&mut *idle, &mut *limited] {
        on_connection.start_on_connection = true;
        on_connection.sockets = crate::definition::some_sockets();
    }
    limited.ready.method = ReadyMethod::Immediate;
    limited.finish = true;
    limited.restart.when = RestartWhen::OnFailure;
    limited.restart.give_up_deaths = 2;
    limited.restart.give_up_within = SECOND * 60;
    all.extend(more);
    all
}

/// The first violation in any of them.
fn explore_all() -> Result<(usize, usize), Violation> {
    let (mut states, mut transitions) = (0, 0);
    for definition in definitions() {
        let (some_states, some_transitions) = explore(&definition)?;
        states += some_states;
        transitions += some_transitions;
    }
    Ok((states, transitions))
}

#[test]
fn no_reachable_state_breaks_an_invariant() {
    let (states, transitions) = explore_all().unwrap_or_else(|found| panic!("{found:#?}"));
    assert!(states > 20_000, "explored too little: {states} states, {transitions} transitions");
}

/// A test that the exploration reports just this invariant, when this bug is planted.
macro_rules! breaks {
    ($($bug:ident => $invariant:ident,)*) => {
        $(
            #[test]
            fn $invariant() {
                let found = planted::with(Bug::$bug, explore_all).expect_err("the bug is found");
                assert_eq!(found.invariant, Invariant::$invariant, "{}", found.seen);
            }
        )*
    };
}

breaks! {
    RestartAtOnce => one_child_at_a_time,
    StopForgotten => no_spawn_unless_wanted,
    EndlessStop => every_stop_ends,
    DeathCountedTwice => every_death_is_counted_once,
    FinishAwaitedForEver => no_wedge,
    FinishRunTwice => finish_runs_once_per_death,
    StopPutOff => kill_is_never_postponed,
    StopWithoutContinue => a_paused_service_is_continued_when_it_is_stopped,
    ReadyAfterDeath => ready_is_never_claimed_for_a_dead_process,
    ShortDelay => backoff_delay_at_least_policy,
    PermanentFailureForgotten => permanent_failure_stays,
    FailedNeverExits => exiting_ends,
    SavedByHalves => restore_of_save_is_equal,
    TaskLeftBehind => no_task_outlives_the_service,
    UntoldChange => every_change_is_published,
    DeadSignalled => only_the_living_are_signalled,
    UnpreparedStart => nothing_starts_unprepared,
    PrepareLeftBehind => the_machine_knows_what_is_prepared,
    StartedUnasked => no_start_without_a_connection,
    WaitingUnseen => who_leaves_somebody_waiting_is_put_off,
    SpawnForgotten => the_machine_knows_what_runs,
}
