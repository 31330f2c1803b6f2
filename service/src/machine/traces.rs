//! Long random lives of services with random definitions, in random time, whose supervisor is killed now and
//! then; the same invariants are watched as in the exploration.

use super::invariants::{Asked, Node, Violation, World};
use super::{Event, Machine, Task};
use crate::definition::{Definition, Health, Kind, NotifyFrom, ReadyMethod, RestartWhen, Scope};
use crate::exit::{Pid, WaitStatus};
use crate::signal::Signal;
use crate::tick::Tick;
use proptest::prelude::*;
use std::time::Duration;

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(0), 1_u64..300, Just(1000), Just(10_000), Just(60_000)].prop_map(Duration::from_millis)
}

fn limit() -> impl Strategy<Value = Option<Duration>> {
    proptest::option::of(duration())
}

fn ready() -> impl Strategy<Value = ReadyMethod> {
    prop_oneof![
        Just(ReadyMethod::Immediate),
        Just(ReadyMethod::Descriptor(3)),
        Just(ReadyMethod::Notify(NotifyFrom::Main)),
        duration().prop_map(|interval| ReadyMethod::Command { command: vec!["probe".to_owned()], interval }),
    ]
}

fn health() -> impl Strategy<Value = Option<Health>> {
    let health = (duration(), duration(), 0_u32..4, any::<bool>()).prop_map(
        |(interval, timeout, threshold, restart)| {
            let command = vec!["check".to_owned()];
            // The compiler takes no interval of nothing: it would be a loop.
            Health { command, interval: interval + Duration::from_millis(1), timeout, threshold, restart }
        },
    );
    proptest::option::of(health)
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![Just(Scope::Main), Just(Scope::Group), Just(Scope::Cgroup)]
}

fn command(holds: bool) -> Vec<String> {
    if holds { vec!["command".to_owned()] } else { Vec::new() }
}

prop_compose! {
    fn definition()(
        (oneshot, finish, undo, by_command, overdue, end_of_input, connected) in any::<(bool, bool, bool, bool, bool, bool, bool)>(),
        (prepares, prepare_timeout) in (any::<bool>(), limit()),
        (finish_timeout, ready_timeout, probe_timeout) in (limit(), limit(), limit()),
        (start_timeout, stop_timeout, watchdog) in (limit(), limit(), limit()),
        (method, health, scope, kill_scope) in (ready(), health(), scope(), scope()),
        (when, deaths) in (0_u8..3, 0_u32..5),
        (delay, max_delay, reset_after) in (duration(), duration(), duration()),
    ) -> Definition {
        let mut definition = Definition::new("service", "/service");
        definition.kind = if oneshot { Kind::Oneshot } else { Kind::Longrun };
        (definition.finish, definition.finish_timeout) = (finish, finish_timeout);
        (definition.down_command, definition.reload_command) = (command(undo), command(by_command));
        (definition.prepare_command, definition.prepare_timeout) = (command(prepares), prepare_timeout);
        if connected {
            definition.start_on_connection = true;
            definition.sockets = crate::definition::some_sockets();
        }
        definition.ready.method = method;
        (definition.ready.timeout, definition.ready.probe_timeout) = (ready_timeout, probe_timeout);
        definition.ready.restart_when_overdue = overdue;
        (definition.health, definition.watchdog) = (health, watchdog);
        definition.start_timeout = start_timeout;
        (definition.stop.timeout, definition.stop.halt_by_end_of_input) = (stop_timeout, end_of_input);
        (definition.stop.scope, definition.stop.kill_scope) = (scope, kill_scope);
        let restart = &mut definition.restart;
        restart.when = [RestartWhen::Always, RestartWhen::OnFailure, RestartWhen::Never][usize::from(when)];
        (restart.delay, restart.max_delay, restart.reset_after) = (delay, max_delay, reset_after);
        (restart.give_up_deaths, restart.give_up_within) = (deaths, Duration::from_secs(30));
        definition
    }
}

/// What is to happen next; the numbers choose among what can happen.
type Step = (u8, u8, u64);

/// A life, and the time in it.
struct Life {
    definition: Definition,
    node: Node,
    now: Tick,
    pids: i32,
}

impl Life {
    fn pid(&mut self) -> Pid {
        self.pids += 1;
        Pid::new(self.pids).unwrap()
    }

    fn answer(&mut self, choice: u8) -> Event {
        let pid = self.pid();
        let good = !choice.is_multiple_of(4);
        match self.node.world.asked {
            Asked::Listen if good => Event::Listening(choice.is_multiple_of(2)),
            Asked::Spawn if good => Event::Spawned(pid),
            Asked::Listen | Asked::Spawn | Asked::Nothing => Event::SpawnFailed,
            Asked::Finish => Event::FinishSpawned(good.then_some(pid)),
            Asked::Down => Event::DownSpawned(good.then_some(pid)),
        }
    }

    fn event(&mut self, choice: u8, detail: u8) -> Event {
        if self.node.world.asked != Asked::Nothing {
            return self.answer(detail);
        }
        let commands = [Event::Start, Event::Once, Event::Stop, Event::Restart, Event::Reload];
        let messages = [
            Event::Ready,
            Event::Reloading,
            Event::Stopping,
            Event::ExtendTimeout(Duration::from_millis(u64::from(detail) * 100)),
            Event::Watchdog,
            Event::WatchdogTrigger,
        ];
        let signals = [Signal::HUP, Signal::STOP, Signal::CONT].map(Event::Kill);
        let status =
            [WaitStatus::Exited(0), WaitStatus::Exited(125), WaitStatus::Unknown][usize::from(detail % 3)];
        let tasks = [Task::Probe, Task::Health, Task::Reload, Task::Prepare];
        let ended = tasks.into_iter().zip(self.node.world.tasks).find(|(_, runs)| *runs);
        let pick = |events: &[Event]| events[usize::from(detail) % events.len()];
        match choice {
            0..30 => pick(&commands),
            30..60 => pick(&messages),
            60..70 => pick(&signals),
            70..80 => pick(&[Event::Pause, Event::Continue]),
            80 => pick(&[Event::Halt, Event::Exit]),
            81..130 => self.node.machine.awaited().map_or(Event::Tick, |pid| Event::Died(pid, status)),
            130..160 => {
                ended.map_or(Event::Tick, |(task, _)| Event::TaskEnded(task, detail.is_multiple_of(2)))
            }
            // A death that is none of its business.
            160..165 => Event::Died(self.pid(), status),
            165..180 => Event::Connected,
            _ => Event::Tick,
        }
    }

    /// The supervisor is killed, with the commands beside the service, and another begins.
    fn kill_supervisor(&mut self) {
        let saved = self.node.machine.save();
        let mut machine = Machine::new(&self.definition, self.now);
        assert!(machine.restore(self.now, &saved), "{saved}");
        let World { main, script, killed, stopped, .. } = self.node.world;
        self.node = Node { machine, world: World { main, script, killed, stopped, ..World::default() } };
    }

    fn live(&mut self, (choice, detail, wait): Step) -> Result<(), Violation> {
        self.node.survives(&self.definition, self.now)?;
        self.node.settles(self.now)?;
        if choice >= 240 {
            self.kill_supervisor();
            return Ok(());
        }
        let event = self.event(choice, detail);
        self.now = match self.node.machine.deadline() {
            // An answer comes at once; a deadline is met, or missed by a little.
            _ if self.node.world.asked != Asked::Nothing => self.now,
            Some(deadline) if event == Event::Tick => {
                self.now.max(deadline).after(Duration::from_nanos(wait % 2))
            }
            _ => self.now.after(Duration::from_millis(wait)),
        };
        self.node = self.node.step(event, self.now)?;
        let World { asked, exited, .. } = self.node.world;
        if asked == Asked::Nothing && !exited { self.node.stops(self.now) } else { Ok(()) }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_life_of_a_service_breaks_an_invariant(
        definition in definition(),
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0_u64..20_000), 1..150),
    ) {
        let now = Tick(1_000_000_000_000);
        let node = Node { machine: Machine::new(&definition, now), world: World::default() };
        let mut life = Life { definition, node, now, pids: 100 };
        for step in steps {
            if life.node.world.exited {
                break;
            }
            if let Err(found) = life.live(step) {
                prop_assert!(false, "{found:#?}");
            }
        }
    }
}
