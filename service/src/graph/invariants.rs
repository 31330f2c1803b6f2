//! What must hold whatever happens, by name. Each is told from the words of the requests, the names in the entries and
//! what the supervisors really do, not from what the graph thinks of it.

use super::world::{Happening, Phase, World};
use super::*;
use crate::definition::Kind;
use std::fmt;

/// When an invariant is looked at.
pub(super) enum Moment<'a> {
    /// The graph wants this done next.
    Step(&'a World, Step),
    /// This has happened, and these steps were all that followed from it. Before, each service was wanted or not, and
    /// told something that it had not answered or not.
    Done { before: &'a [(bool, bool)], world: &'a World, happening: Happening, steps: &'a [Step] },
    /// Nothing is on its way, and nothing goes on by itself.
    Rest(&'a World),
}

/// What did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: &'static str,
    pub(super) story: String,
}

impl Violation {
    pub(super) fn after(mut self, path: &[Happening]) -> Violation {
        self.story = format!("{} after {path:?}", self.story);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.story)
    }
}

type Verdict = Result<(), String>;
type Invariant = fn(&Moment<'_>) -> Verdict;

/// By name, in the order in which they are looked at.
pub(super) const ALL: [(&str, Invariant); 10] = [
    ("nothing_is_launched_unless_wanted", nothing_is_launched_unless_wanted),
    ("conflicting_services_never_run_together", conflicting_services_never_run_together),
    ("dependents_consistent_with_dependencies", dependents_consistent_with_dependencies),
    ("stop_order_is_reverse", stop_order_is_reverse),
    ("a_restart_touches_nothing_else", a_restart_touches_nothing_else),
    ("power_off_ends_everything", power_off_ends_everything),
    ("no_wedge", no_wedge),
    ("what_a_stop_took_down_comes_back", what_a_stop_took_down_comes_back),
    ("plan_equals_what_happens", plan_equals_what_happens),
    ("reload_touches_only_what_changed", reload_touches_only_what_changed),
];

pub(super) fn check(moment: &Moment<'_>) -> Result<(), Violation> {
    for (invariant, holds) in ALL {
        holds(moment).map_err(|story| Violation { invariant, story })?;
    }
    Ok(())
}

/// Whether a service should run, by the requests and what has failed for good.
fn should(world: &World, index: Index) -> bool {
    let node = &world.graph.nodes[index];
    let broken = |other: &Index| !should(world, *other) || world.graph.nodes[*other].state == State::Failed;
    let required = [world.named(index, |entry| &entry.requires), world.named(index, |entry| &entry.contents)];
    world.wanted[index]
        && !world.down
        && node.entry.problem.is_none()
        && !required.concat().iter().any(broken)
}

fn name(world: &World, index: Index) -> &str {
    world.graph.name(index)
}

fn is_bundle(world: &World, index: Index) -> bool {
    world.graph.nodes[index].entry.kind == Kind::Bundle
}

fn each(world: &World) -> impl Iterator<Item = Index> {
    (0..world.graph.nodes.len()).filter(|index| !is_bundle(world, *index))
}

/// A service is started only if somebody has asked for it or for what needs it; and at rest nothing else runs.
fn nothing_is_launched_unless_wanted(moment: &Moment<'_>) -> Verdict {
    match moment {
        Moment::Step(world, Step::Launch(index) | Step::Restart(index))
            if !world.tainted && (!world.wanted[*index] || world.down) =>
        {
            Err(format!("{} is started", name(world, *index)))
        }
        Moment::Rest(world) if !world.tainted => {
            match each(world).find(|index| world.runs(*index) && !world.wanted[*index]) {
                Some(index) => Err(format!("{} runs", name(world, index))),
                None => Ok(()),
            }
        }
        Moment::Step(..) | Moment::Done { .. } | Moment::Rest(_) => Ok(()),
    }
}

/// What conflicts is down before the other is started.
fn conflicting_services_never_run_together(moment: &Moment<'_>) -> Verdict {
    let (Moment::Done { world, .. } | Moment::Rest(world) | Moment::Step(world, _)) = moment;
    if world.tainted {
        return Ok(());
    }
    for index in each(world).filter(|index| world.runs(*index)) {
        if let Some(rival) = world.rivals(index).into_iter().find(|rival| world.runs(*rival)) {
            return Err(format!("{} and {} run", name(world, index), name(world, rival)));
        }
    }
    Ok(())
}

/// A service is started when what it requires is good, and at rest none runs whose requirement cannot be had.
fn dependents_consistent_with_dependencies(moment: &Moment<'_>) -> Verdict {
    match moment {
        Moment::Step(world, Step::Launch(index) | Step::Restart(index)) => {
            let required = world.named(*index, |entry| &entry.requires);
            match required.into_iter().find(|other| !world.graph.nodes[*other].state.good()) {
                Some(other) => {
                    Err(format!("{} is started before {}", name(world, *index), name(world, other)))
                }
                None => Ok(()),
            }
        }
        Moment::Rest(world) if !world.tainted => {
            let astray = each(world)
                .find(|index| world.runs(*index) && world.wanted[*index] && !should(world, *index));
            match astray.filter(|_| !world.down) {
                Some(index) => Err(format!("{} runs without what it requires", name(world, index))),
                None => Ok(()),
            }
        }
        Moment::Step(..) | Moment::Done { .. } | Moment::Rest(_) => Ok(()),
    }
}

/// A service is stopped only when nothing that is ordered after it, and has to stop too, still runs.
fn stop_order_is_reverse(moment: &Moment<'_>) -> Verdict {
    let Moment::Step(world, Step::Stop(index) | Step::Halt(index)) = moment else { return Ok(()) };
    let node = &world.graph.nodes[*index];
    if world.tainted || node.should_run {
        return Ok(());
    }
    for other in each(world).filter(|other| other != index) {
        let leaders =
            [world.named(other, |entry| &entry.requires), world.named(other, |entry| &entry.after)].concat();
        let follower = &world.graph.nodes[other];
        // What drains goes first when the machine goes down.
        let first = world.down && node.entry.drains && !follower.entry.drains;
        if leaders.contains(index) && follower.runs() && !should(world, other) && !first {
            return Err(format!("{} is stopped before {}", name(world, *index), name(world, other)));
        }
    }
    Ok(())
}

/// A service that dies and comes back, or is restarted, has nothing stopped that should run, and a restart is planned
/// to touch nothing else.
fn a_restart_touches_nothing_else(moment: &Moment<'_>) -> Verdict {
    match moment {
        Moment::Done { before, world, happening: Happening::Reports(index), steps }
            if !world.tainted && !world.down =>
        {
            let node = &world.graph.nodes[*index];
            let restarts = matches!(node.state, State::Starting | State::Backoff | State::Stopping)
                && node.heard == Want::Up
                && before[*index] == (true, false);
            // A oneshot that should be done is undone to be run again, which somebody has asked for. And what
            // should not run has a reason of its own to be stopped, even if that is seen only now: it may be
            // this one, started by a command that crossed its failure while what it requires failed too.
            let kept = |other| should(world, other) && !world.graph.nodes[other].entry.undo;
            let stop = steps
                .iter()
                .find(|step| matches!(step, Step::Stop(other) | Step::Halt(other) if kept(*other)));
            match stop.filter(|_| restarts) {
                Some(stop) => Err(format!("{} comes back, and {stop:?} follows", name(world, *index))),
                None => Ok(()),
            }
        }
        Moment::Rest(world) if !world.tainted && !world.down => {
            for index in each(world).filter(|index| world.supervisors[*index].phase == Phase::Up) {
                let complete = world.graph.closure(&[index]).iter().all(|member| {
                    let state = world.graph.nodes[*member].state;
                    world.wanted[*member] && (state.good() || state == State::Backoff)
                });
                let alone = [PlannedStep { verb: Verb::Restart, name: name(world, index).to_owned() }];
                let plan = world.graph.plan(Request::Restart(index));
                if complete && plan.as_deref() != Ok(&alone) {
                    return Err(format!("a restart of {} does {plan:?}", name(world, index)));
                }
            }
            Ok(())
        }
        Moment::Step(..) | Moment::Done { .. } | Moment::Rest(_) => Ok(()),
    }
}

/// Once the machine goes down everything comes to an end.
fn power_off_ends_everything(moment: &Moment<'_>) -> Verdict {
    let Moment::Rest(world) = moment else { return Ok(()) };
    if !world.down {
        return Ok(());
    }
    match each(world).find(|index| world.runs(*index)) {
        Some(index) => Err(format!("{} still runs", name(world, index))),
        None if !world.graph.all_down() => Err("the graph thinks that something runs".to_owned()),
        None => Ok(()),
    }
}

/// At rest everything runs that should: what was taken down is back as soon as its cause is gone.
fn what_a_stop_took_down_comes_back(moment: &Moment<'_>) -> Verdict {
    let Moment::Rest(world) = moment else { return Ok(()) };
    let lost = each(world).find(|index| {
        let supervisor = &world.supervisors[*index];
        should(world, *index) && matches!(supervisor.phase, Phase::Idle)
    });
    match lost.filter(|_| !world.tainted) {
        Some(index) => Err(format!("{} stays down", name(world, index))),
        None => Ok(()),
    }
}

/// At rest nothing is waited for, and the graph knows where everything stands.
fn no_wedge(moment: &Moment<'_>) -> Verdict {
    let Moment::Rest(world) = moment else { return Ok(()) };
    if !world.down && !world.graph.settled() {
        return Err("what is wanted never settles".to_owned());
    }
    for index in each(world) {
        let (node, supervisor) = (&world.graph.nodes[index], &world.supervisors[index]);
        if node.runs() != world.runs(index) || (world.runs(index) && node.state != supervisor.state()) {
            return Err(format!(
                "{} is taken for {}, and is {}",
                name(world, index),
                node.state.word(),
                supervisor.state().word()
            ));
        }
        if node.told == Some(Want::Down) && node.runs() {
            return Err(format!("{} was told {:?} and never answers", name(world, index), node.told));
        }
    }
    Ok(())
}

/// A request does what its plan says, whoever comes to an end first.
fn plan_equals_what_happens(moment: &Moment<'_>) -> Verdict {
    let Moment::Rest(world) = moment else { return Ok(()) };
    if world.down || world.tainted {
        return Ok(());
    }
    for request in world.requests().chain([Request::PowerOff]) {
        let Ok(mut planned) = world.graph.plan(request) else { continue };
        let mut happened = happens(world, request);
        planned.sort();
        happened.sort();
        if planned != happened {
            return Err(format!("{request:?} does {happened:?}, and was planned to do {planned:?}"));
        }
    }
    Ok(())
}

/// What a request does if what was told last comes to its end first.
fn happens(world: &World, request: Request) -> Vec<PlannedStep> {
    let mut graph = world.graph.clone();
    let (mut done, mut under_way) = (Vec::new(), Vec::new());
    if graph.request(request).is_err() {
        return done;
    }
    loop {
        while let Some(step) = graph.step() {
            let (verb, index) = match step {
                Step::Launch(index) => (Verb::Start, index),
                Step::Restart(index) => (Verb::Restart, index),
                Step::Stop(index) | Step::Halt(index) => (Verb::Stop, index),
                Step::Publish(_) | Step::Forget(_) => continue,
            };
            done.push(PlannedStep { verb, name: graph.name(index).to_owned() });
            under_way.push((verb, index));
        }
        let Some((verb, index)) = under_way.pop() else { return done };
        let kind = graph.nodes[index].entry.kind;
        match verb {
            Verb::Stop => graph.report(index, State::Down, Want::Down, false),
            Verb::Start | Verb::Restart | Verb::Add | Verb::Change | Verb::Break | Verb::Remove => {
                let state = if kind == Kind::Oneshot { State::Done } else { State::Up };
                graph.report(index, state, Want::Up, false);
            }
        }
    }
}

/// The same plan again does nothing, and another definition of one service concerns that one alone.
fn reload_touches_only_what_changed(moment: &Moment<'_>) -> Verdict {
    let Moment::Rest(world) = moment else { return Ok(()) };
    if world.down || world.tainted {
        return Ok(());
    }
    let entries: Vec<Entry> = world.graph.nodes.iter().map(|node| Entry::clone(&node.entry)).collect();
    let same = world.graph.plan_update(entries.clone());
    if !same.is_empty() {
        return Err(format!("the same plan does {same:?}"));
    }
    for index in each(world) {
        let mut changed = entries.clone();
        changed[index].digest += 1;
        changed[index].run_digest += 1;
        let own = name(world, index).to_owned();
        let mut expected = vec![PlannedStep { verb: Verb::Change, name: own.clone() }];
        match world.supervisors[index].phase {
            Phase::Up => expected.push(PlannedStep { verb: Verb::Restart, name: own }),
            // It is tried again, and with it what it took down.
            Phase::Failed => continue,
            Phase::Idle | Phase::Ended | Phase::Starting | Phase::Backoff | Phase::Stopping { .. } => {}
        }
        let plan = world.graph.plan_update(changed);
        if plan != expected {
            return Err(format!("another definition of {} does {plan:?}", name(world, index)));
        }
    }
    Ok(())
}
