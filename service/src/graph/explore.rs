//! Everything that can happen in small worlds: [`explore`] visits every state that a world can come to within its
//! [`Budget`], and holds every invariant against every step and every state at rest.

use super::Request;
use super::invariants::{self, Moment, Violation};
use super::planted::{self, Bug};
use super::world::{Budget, Happening, Phase, Slow, World};
use proptest::prelude::*;
use std::collections::HashSet;

/// Visits every state that the world can come to, and returns how many there are.
fn explore(world: World) -> Result<usize, Violation> {
    let mut seen = HashSet::from([world.key()]);
    let mut path: Vec<Happening> = Vec::new();
    let mut rest: Vec<(usize, Option<Happening>, World)> = vec![(0, None, world)];
    while let Some((depth, happening, mut world)) = rest.pop() {
        path.truncate(depth.saturating_sub(1));
        if let Some(happening) = happening {
            path.push(happening);
            world.happen(happening).map_err(|violation| violation.after(&path))?;
            if !seen.insert(world.key()) {
                continue;
            }
        }
        if world.at_rest() {
            invariants::check(&Moment::Rest(&world)).map_err(|violation| violation.after(&path))?;
        }
        for next in world.happenings() {
            rest.push((depth + 1, Some(next), world.clone()));
        }
    }
    Ok(seen.len())
}

/// One service that depends on another in every way that there is, and does not.
const EDGES: [&str; 6] = ["", "requires", "wants", "after", "conflicts", "wants+after"];

fn clause(edge: usize, to: &str) -> Option<String> {
    match EDGES[edge] {
        "" => None,
        "wants+after" => Some(format!("wants {to}, after {to}")),
        edge => Some(format!("{edge} {to}")),
    }
}

/// Every world of three services with at most one edge between any two.
fn worlds() -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (one, two, three) in (0..216).map(|n| (n % 6, n / 6 % 6, n / 36)) {
        let b: Vec<String> = clause(one, "a").into_iter().collect();
        let c: Vec<String> = [clause(two, "a"), clause(three, "b")].into_iter().flatten().collect();
        all.push(vec!["a".to_owned(), format!("b {}", b.join(", ")), format!("c {}", c.join(", "))]);
    }
    all
}

const PROMPT: Budget = Budget { requests: 2, failures: 1, strangers: 0, slow: Slow::Nothing };

/// Worlds with what has rules of its own.
const SPECIAL: [&[&str]; 10] = [
    &["a undo", "b requires a"],
    &["a undo", "b undo, requires a", "c conflicts a"],
    &["a oneshot", "b requires a"],
    &["a", "b drains, requires a", "c after b"],
    &["a drains", "b requires a"],
    &["a", "b", "both contains a, contains b"],
    &["a", "b conflicts a", "one contains a", "other contains b"],
    &["a", "all contains a", "b requires all"],
    &["a", "b broken", "c requires a, wants b"],
    &["a", "b conflicts all", "all contains a"],
];

/// Two services in every way of depending on each other.
const PAIRS: [&[&str]; 7] = [
    &["a", "b"],
    &["a", "b requires a"],
    &["a", "b wants a"],
    &["a", "b after a"],
    &["a", "b wants a, after a"],
    &["a", "b conflicts a"],
    &["a undo", "b requires a"],
];

/// Explores worlds, and returns how many states they have together.
fn explore_all<'a>(worlds: impl IntoIterator<Item = &'a [&'a str]>, budget: Budget) -> usize {
    let explored = |lines: &[&str]| {
        explore(World::new(lines, budget)).unwrap_or_else(|violation| panic!("{lines:?}: {violation}"))
    };
    worlds.into_iter().map(explored).sum()
}

#[test]
fn every_world_of_three_services_keeps_every_invariant() {
    let worlds = worlds();
    let lines: Vec<Vec<&str>> =
        worlds.iter().map(|lines| lines.iter().map(|line| line.trim_end()).collect()).collect();
    let states = explore_all(lines.iter().map(Vec::as_slice), PROMPT);
    assert!(states > 50_000, "{states}");
}

#[test]
fn worlds_with_bundles_oneshots_and_broken_definitions_keep_every_invariant() {
    let states = explore_all(SPECIAL, PROMPT)
        + explore_all(SPECIAL, Budget { requests: 1, slow: Slow::Reports, ..PROMPT });
    assert!(states > 5_000, "{states}");
}

#[test]
fn commands_and_reports_that_cross_on_their_way_break_no_invariant() {
    let states = explore_all(PAIRS, Budget { slow: Slow::ReportsAndCommands, ..PROMPT });
    assert!(states > 50_000, "{states}");
    // It takes three to have a restart cross a failure, and then want the other.
    let rivals = [&["a", "b conflicts a"] as &[&str]];
    let states = explore_all(rivals, Budget { requests: 3, slow: Slow::ReportsAndCommands, ..PROMPT });
    assert!(states > 50_000, "{states}");
}

#[test]
fn who_speaks_to_a_supervisor_past_init_breaks_nothing_for_good() {
    let states = explore_all(PAIRS, Budget { requests: 1, strangers: 1, slow: Slow::Reports, ..PROMPT });
    assert!(states > 5_000, "{states}");
}

/// Has all of this happen in a world where everything takes its time.
fn replay(lines: &[&str], trace: &[Happening]) -> World {
    let budget = Budget { requests: 9, failures: 9, strangers: 0, slow: Slow::ReportsAndCommands };
    let mut world = World::new(lines, budget);
    for happening in trace {
        assert!(world.happenings().contains(happening), "{happening:?} cannot happen");
        world.happen(*happening).unwrap_or_else(|violation| panic!("{violation}"));
    }
    world
}

/// A restart is on its way to `b`, which fails meanwhile and has said so.
const CROSSED: [Happening; 6] = [
    Happening::Request(Request::Start(1)),
    Happening::Request(Request::Restart(1)),
    Happening::Hears(1),
    Happening::Goes(1, Phase::Failed),
    Happening::Reports(1),
    Happening::Reports(1),
];

#[test]
fn a_restart_that_crosses_a_failure_is_taken_back_if_what_is_required_has_failed_too() {
    let first = [Happening::Request(Request::Start(0)), Happening::Hears(0), Happening::Goes(0, Phase::Up)];
    let heard = [Happening::Reports(0), Happening::Reports(0)];
    let then = [
        Happening::Goes(0, Phase::Failed),
        Happening::Reports(0),
        Happening::Hears(1),
        Happening::Reports(1),
        Happening::Hears(1),
    ];
    let world = replay(&["a", "b requires a"], &[&first[..], &heard, &CROSSED, &then].concat());
    assert_eq!(world.supervisors[1].phase, Phase::Stopping { again: false });
}

#[test]
fn what_conflicts_waits_for_a_service_whose_restart_may_have_crossed_its_failure() {
    let wanted = [Happening::Request(Request::Start(0))];
    let mut world = replay(&["a", "b conflicts a"], &[&CROSSED[..], &wanted].concat());
    assert!(!world.happenings().contains(&Happening::Hears(0)), "a is started at once");
    world.calm();
    let next = |world: &World| {
        world.happenings().into_iter().find(|next| !matches!(next, Happening::Request(Request::PowerOff)))
    };
    while let Some(happening) = next(&world) {
        world.happen(happening).unwrap_or_else(|violation| panic!("{violation}"));
    }
    assert_eq!((world.supervisors[0].phase, world.supervisors[1].phase), (Phase::Up, Phase::Idle));
}

/// Every mistake, and the invariant that it breaks.
const MISTAKES: [(Bug, &str); 11] = [
    (Bug::StopsAreForgotten, "nothing_is_launched_unless_wanted"),
    (Bug::RivalsAreNotWaitedFor, "conflicting_services_never_run_together"),
    (Bug::RequirementsAreNotWaitedFor, "dependents_consistent_with_dependencies"),
    (Bug::AFailureTakesNothingDown, "dependents_consistent_with_dependencies"),
    (Bug::StopsInAnyOrder, "stop_order_is_reverse"),
    (Bug::ARestartTakesDependentsDown, "a_restart_touches_nothing_else"),
    (Bug::NothingIsUndone, "power_off_ends_everything"),
    (Bug::FailuresAreWaitedFor, "no_wedge"),
    (Bug::NothingComesBack, "what_a_stop_took_down_comes_back"),
    (Bug::PlansEndEarly, "plan_equals_what_happens"),
    (Bug::AReloadRestartsEverything, "reload_touches_only_what_changed"),
];

#[test]
fn every_invariant_is_broken_by_a_planted_mistake_and_reported_by_its_name() {
    for (bug, invariant) in MISTAKES {
        let found = planted::with(bug, || {
            let worlds = PAIRS.iter().chain(&SPECIAL);
            worlds.map(|lines| explore(World::new(lines, PROMPT))).find_map(Result::err)
        });
        let found = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        assert_eq!(found.invariant, invariant, "{bug:?}: {found}");
    }
    for (invariant, _) in invariants::ALL {
        assert!(MISTAKES.iter().any(|(_, broken)| *broken == invariant), "{invariant} was never broken");
    }
}

proptest! {
    #[test]
    fn long_traces_in_random_worlds_keep_every_invariant(
        edges in proptest::collection::vec((0_usize..7, 0_usize..7, 0_usize..6), 0..12),
        oneshots in proptest::collection::vec(any::<bool>(), 7),
        trace in proptest::collection::vec(any::<usize>(), 0..150),
        slow in any::<bool>(),
    ) {
        let lines: Vec<String> = (0..7).map(|from| {
            let mut clauses: Vec<String> = Vec::new();
            // Edges go from higher to lower numbers, so that there is no cycle.
            for (_, to, edge) in edges.iter().filter(|(one, other, _)| *one == from && other < one) {
                clauses.extend(clause(*edge, &format!("s{to}")));
            }
            if oneshots[from] && from % 2 == 0 {
                clauses.push("undo".to_owned());
            }
            format!("s{from} {}", clauses.join(", ")).trim_end().to_owned()
        }).collect();
        let slow = if slow { Slow::ReportsAndCommands } else { Slow::Nothing };
        let budget = Budget { requests: 40, failures: 30, strangers: 0, slow };
        let mut world = World::new(&lines.iter().map(String::as_str).collect::<Vec<_>>(), budget);
        let mut path = Vec::new();
        for choice in trace {
            // To go down would be the end of the trace.
            let mut happenings = world.happenings();
            happenings.retain(|happening| *happening != Happening::Request(Request::PowerOff));
            if let Some(happening) = happenings.get(choice % happenings.len().max(1)) {
                step_in(&mut world, &mut path, *happening)?;
            }
        }
        // Whatever has happened, it comes to rest, and goes down.
        for request in [None, Some(Request::PowerOff)] {
            if let Some(request) = request {
                step_in(&mut world, &mut path, Happening::Request(request))?;
            }
            world.calm();
            let mut count = 0;
            while let Some(happening) = world.happenings().into_iter().find(|next| !matches!(next, Happening::Request(_))) {
                step_in(&mut world, &mut path, happening)?;
                count += 1;
                prop_assert!(count < 2000, "no rest");
            }
            prop_assert!(world.at_rest());
        }
    }
}

fn step_in(world: &mut World, path: &mut Vec<Happening>, happening: Happening) -> Result<(), TestCaseError> {
    path.push(happening);
    let fail = |violation: Violation| TestCaseError::fail(violation.after(path).to_string());
    world.happen(happening).map_err(fail)?;
    if world.at_rest() {
        invariants::check(&Moment::Rest(world)).map_err(fail)?;
    }
    Ok(())
}
