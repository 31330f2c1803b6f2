//! The graph's rules, in small worlds and in long random traces.

#![allow(clippy::needless_range_loop, reason = "a test says what it looks for, not what it does not")]

mod transactions;

use super::*;
use crate::definition::{Definition, Kind};
use proptest::prelude::*;

/// `"b requires a, after c"` and so on, one service a line.
pub(super) fn graph(lines: &[&str]) -> Graph {
    let entries = lines.iter().map(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut entry = Entry::from_definition(&Definition::new(name, ""));
        for clause in rest.split(", ").filter(|clause| !clause.is_empty()) {
            match clause.split_once(' ').unwrap_or((clause, "")) {
                ("requires", other) => entry.requires.push(other.to_owned()),
                ("wants", other) => entry.wants.push(other.to_owned()),
                ("after", other) => entry.after.push(other.to_owned()),
                ("contains", other) => {
                    entry.kind = Kind::Bundle;
                    entry.contents.push(other.to_owned());
                }
                ("writes", other) => entry.output_to = Some(other.to_owned()),
                ("conflicts", other) => entry.conflicts.push(other.to_owned()),
                ("undo", _) => {
                    entry.kind = Kind::Oneshot;
                    entry.undo = true;
                }
                ("oneshot", _) => entry.kind = Kind::Oneshot,
                ("drains", _) => entry.drains = true,
                ("broken", _) => entry.problem = Some("broken".to_owned()),
                (other, _) => panic!("{other}"),
            }
        }
        entry
    });
    Graph::new(entries.collect())
}

/// The same graph as another process gets it that goes on in this one's place.
fn handed_on(graph: &Graph) -> Graph {
    let saved = |(index, node): (Index, &Node)| {
        let saved = graph.saved(index).unwrap();
        assert_eq!(Saved::parse(&saved.to_string()), Some(saved));
        (Entry::clone(&node.entry), Some(saved))
    };
    let goal = Goal::parse(&graph.goal().to_string()).unwrap();
    Graph::restored(graph.nodes().iter().enumerate().map(saved).collect(), goal, graph.going_down())
}

/// Does everything that can be done, and tells it in words. Who takes over at this point does the same.
fn steps(graph: &mut Graph) -> Vec<String> {
    let expected = all_steps(&mut handed_on(graph));
    let all = all_steps(graph);
    assert_eq!(all, expected, "of the graph that was handed on");
    all
}

fn all_steps(graph: &mut Graph) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(step) = graph.step() {
        let name = |index: Index| graph.nodes()[index].entry.name.clone();
        match step {
            Step::Launch(index) => all.push(format!("launch {}", name(index))),
            Step::Stop(index) => all.push(format!("stop {}", name(index))),
            Step::Halt(index) => all.push(format!("halt {}", name(index))),
            Step::Restart(index) => all.push(format!("restart {}", name(index))),
            Step::Forget(index) => all.push(format!("forget {}", name(index))),
            Step::Publish(index) => {
                all.push(format!("{} {}", name(index), graph.nodes()[index].state.word()));
            }
        }
        assert!(all.len() < 10_000, "no end: {all:?}");
    }
    all
}

fn say(graph: &mut Graph, name: &str, state: State) -> Vec<String> {
    let index = graph.find(name).unwrap();
    let up = graph.wanted(index) && !graph.stopping(index);
    let want = if up { Want::Up } else { Want::Down };
    graph.report(index, state, want, false);
    steps(graph)
}

fn start(graph: &mut Graph, name: &str) -> Vec<String> {
    graph.request(Request::Start(graph.find(name).unwrap())).unwrap();
    steps(graph)
}

fn stop(graph: &mut Graph, name: &str) -> Vec<String> {
    graph.stop(graph.find(name).unwrap());
    steps(graph)
}

#[test]
fn a_service_is_started_when_what_it_requires_is_ready_and_not_before() {
    let mut g = graph(&["agent requires network", "network"]);
    assert_eq!(start(&mut g, "agent"), ["launch network", "agent blocked"]);
    assert!(say(&mut g, "network", State::Starting).is_empty());
    assert_eq!(say(&mut g, "network", State::Up), ["launch agent"]);
}

#[test]
fn independent_services_are_started_together() {
    let mut g = graph(&["a", "b", "all contains a, contains b"]);
    assert_eq!(start(&mut g, "all"), ["launch a", "launch b", "all blocked"]);
    say(&mut g, "a", State::Up);
    assert_eq!(say(&mut g, "b", State::Up), ["all done"]);
}

#[test]
fn after_orders_only_what_is_wanted_and_survives_its_failure() {
    let mut g = graph(&["agent after clock", "clock"]);
    assert_eq!(start(&mut g, "agent"), ["launch agent"]);
    let mut g = graph(&["agent after clock, wants clock", "clock"]);
    assert_eq!(start(&mut g, "agent"), ["launch clock", "agent blocked"]);
    assert_eq!(say(&mut g, "clock", State::Failed), ["launch agent"]);
}

#[test]
fn wants_neither_waits_nor_fails() {
    let mut g = graph(&["agent wants master", "master broken"]);
    assert_eq!(start(&mut g, "agent"), ["launch agent", "master invalid"]);
}

#[test]
fn what_requires_a_failed_service_fails_with_its_name_and_returns_with_it() {
    let mut g = graph(&["a", "b requires a", "c requires b"]);
    start(&mut g, "c");
    assert_eq!(say(&mut g, "a", State::Failed), ["b failed", "c failed"]);
    assert_eq!(g.nodes()[1].obstacle, Obstacle::Requires(0));
    assert_eq!(start(&mut g, "a"), ["launch a", "b blocked", "c blocked"]);
    assert_eq!(say(&mut g, "a", State::Up), ["launch b"]);
    assert_eq!(say(&mut g, "b", State::Up), ["launch c"]);
}

#[test]
fn a_broken_definition_fails_only_what_requires_it() {
    let mut g = graph(&[
        "bad broken",
        "user requires bad",
        "other",
        "all contains bad, contains user, contains other",
    ]);
    assert_eq!(start(&mut g, "all"), ["bad invalid", "user failed", "launch other", "all failed"]);
}

#[test]
fn a_stop_takes_down_what_requires_it_first_and_a_start_brings_all_back() {
    let mut g = graph(&["network", "sshd requires network", "exporter after network"]);
    for name in ["sshd", "exporter"] {
        start(&mut g, name);
    }
    for name in ["network", "sshd", "exporter"] {
        say(&mut g, name, State::Up);
    }
    assert_eq!(stop(&mut g, "network"), ["stop sshd"]);
    assert!(say(&mut g, "sshd", State::Stopping).is_empty());
    assert_eq!(say(&mut g, "sshd", State::Down), ["stop network", "sshd failed"]);
    assert!(say(&mut g, "network", State::Down).is_empty());
    assert_eq!(start(&mut g, "network"), ["launch network", "sshd blocked"]);
    assert_eq!(say(&mut g, "network", State::Up), ["launch sshd"]);
}

#[test]
fn a_crash_of_what_is_required_touches_nothing() {
    let mut g = graph(&["network", "sshd requires network"]);
    start(&mut g, "sshd");
    say(&mut g, "network", State::Up);
    say(&mut g, "sshd", State::Up);
    for state in [State::Starting, State::Backoff, State::Starting, State::Up] {
        assert!(say(&mut g, "network", state).is_empty());
    }
}

#[test]
fn going_down_drains_first_then_stops_in_reverse_order() {
    let mut g = graph(&["network", "master after network", "agent after network, drains", "sshd"]);
    for name in ["network", "master", "agent", "sshd"] {
        start(&mut g, name);
        say(&mut g, name, State::Up);
    }
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt agent"]);
    assert!(say(&mut g, "agent", State::Stopping).is_empty());
    assert_eq!(say(&mut g, "agent", State::Down), ["halt master", "halt sshd"]);
    assert_eq!(say(&mut g, "master", State::Down), ["halt network"]);
    say(&mut g, "sshd", State::Down);
    assert!(!g.all_down());
    say(&mut g, "network", State::Down);
    assert!(g.all_down());
    assert_eq!(g.request(Request::Start(3)), Err(Refusal::GoingDown), "nothing is started any more");
}

#[test]
fn who_writes_into_a_pipe_is_started_at_once_and_stopped_before_who_reads() {
    let mut g = graph(&["log", "a writes log, wants log", "b writes log"]);
    assert_eq!(start(&mut g, "a"), ["launch log", "launch a"]);
    assert_eq!(start(&mut g, "b"), ["launch b"]);
    for name in ["log", "a", "b"] {
        say(&mut g, name, State::Up);
    }
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt a", "halt b"]);
    assert!(say(&mut g, "a", State::Down).is_empty());
    assert_eq!(say(&mut g, "b", State::Down), ["halt log"]);
}

#[test]
fn a_reader_that_is_ordered_after_who_writes_is_stopped_first_and_nothing_waits_for_ever() {
    let mut g = graph(&["a writes log", "middle after a", "log after middle"]);
    for name in ["a", "middle", "log"] {
        start(&mut g, name);
        say(&mut g, name, State::Up);
    }
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt log"]);
    assert_eq!(say(&mut g, "log", State::Down), ["halt middle"]);
}

#[test]
fn a_oneshot_is_run_again_when_asked_and_what_requires_it_stays() {
    let mut g = graph(&["modules oneshot", "network requires modules"]);
    start(&mut g, "network");
    say(&mut g, "modules", State::Done);
    say(&mut g, "network", State::Up);
    assert!(start(&mut g, "modules").is_empty(), "a start leaves what is done");
    g.request(Request::Restart(0)).unwrap();
    assert_eq!(steps(&mut g), ["launch modules"]);
    assert!(say(&mut g, "modules", State::Done).is_empty());
}

#[test]
fn a_longrun_that_ended_is_started_by_a_start_of_its_own_and_not_by_one_of_another() {
    let mut g = graph(&["job", "user requires job"]);
    start(&mut g, "job");
    say(&mut g, "job", State::Done);
    assert_eq!(start(&mut g, "user"), ["launch user"]);
    assert_eq!(start(&mut g, "job"), ["launch job"]);
}

#[test]
fn a_service_that_dies_again_and_again_does_not_hold_up_the_boot() {
    let mut g = graph(&["a", "b requires a", "c"]);
    for name in ["b", "c"] {
        start(&mut g, name);
    }
    say(&mut g, "c", State::Backoff);
    assert!(!g.settled());
    say(&mut g, "a", State::Up);
    say(&mut g, "b", State::Up);
    assert!(g.settled());
}

#[test]
fn what_drains_goes_down_even_if_others_require_it() {
    let mut g = graph(&["agent drains", "user requires agent"]);
    start(&mut g, "user");
    say(&mut g, "agent", State::Up);
    say(&mut g, "user", State::Up);
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt agent"]);
    assert_eq!(say(&mut g, "agent", State::Down), ["halt user"]);
}

#[test]
fn what_waits_when_the_machine_goes_down_is_not_started() {
    let mut g = graph(&["network", "agent requires network"]);
    start(&mut g, "agent");
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt network", "agent down"]);
    assert_eq!(say(&mut g, "network", State::Up), [""; 0]);
    say(&mut g, "network", State::Down);
    assert!(g.all_down());
}

#[test]
fn a_stop_given_to_the_supervisor_itself_is_respected() {
    let mut g = graph(&["a", "b requires a"]);
    start(&mut g, "b");
    say(&mut g, "a", State::Up);
    say(&mut g, "b", State::Up);
    g.report(0, State::Stopping, Want::Down, false);
    assert_eq!(steps(&mut g), ["stop b"]);
    g.report(0, State::Down, Want::Down, false);
    say(&mut g, "b", State::Down);
    assert!(!g.wanted(0));
    assert!(steps(&mut g).is_empty());
}

#[test]
fn an_overdue_service_is_not_waited_for_by_order_alone() {
    let mut g = graph(&["slow", "other after slow, wants slow", "user requires slow"]);
    start(&mut g, "other");
    start(&mut g, "user");
    g.report(0, State::Starting, Want::Up, true);
    assert_eq!(steps(&mut g), ["launch other"]);
}

#[test]
fn a_cycle_that_slipped_through_blocks_nobody() {
    let mut g = graph(&["a requires b", "b requires a", "c"]);
    for name in ["a", "c"] {
        start(&mut g, name);
    }
    say(&mut g, "c", State::Up);
    assert_eq!(g.order.len(), 3);
}

/// A made-up machine: services that obey, die, fail and dawdle as the trace says.
fn random_graph(edges: &[(usize, usize, u8)], size: usize) -> Graph {
    let mut entries: Vec<Entry> =
        (0..size).map(|n| Entry::from_definition(&Definition::new(&format!("s{n}"), ""))).collect();
    for (from, to, kind) in edges {
        // Edges go from higher to lower numbers, so that there is no cycle.
        let (from, to) = (from % size, to % size);
        let (from, to) = (from.max(to), from.min(to));
        if from != to {
            let name = format!("s{to}");
            match kind % 3 {
                0 => entries[from].requires.push(name),
                1 => entries[from].wants.push(name),
                _ => entries[from].after.push(name),
            }
        }
    }
    entries[0].drains = true;
    Graph::new(entries)
}

/// Carries out steps: what is launched runs, what is told to stop will be down when the trace says so.
fn perform(g: &mut Graph, told: &mut [bool]) {
    let mut copy = handed_on(g);
    let expected: Vec<Step> = std::iter::from_fn(|| copy.step()).take(10_000).collect();
    let mut count = 0;
    while let Some(step) = g.step() {
        assert_eq!(Some(&step), expected.get(count), "who takes over does the same");
        match step {
            Step::Launch(index) => {
                assert!(!g.going_down(), "nothing is started while going down");
                for required in &g.nodes()[index].requires {
                    assert!(g.nodes()[*required].state.good(), "started before what it requires");
                }
                told[index] = false;
            }
            Step::Stop(index) | Step::Halt(index) => {
                for follower in &g.nodes()[index].followers {
                    let follower = &g.nodes()[*follower];
                    let drains = g.nodes()[index].entry.drains && !follower.entry.drains;
                    let may = !follower.runs() || follower.should_run || (g.going_down() && drains);
                    assert!(may, "stopped before what follows it");
                }
                told[index] = true;
            }
            Step::Restart(_) | Step::Publish(_) | Step::Forget(_) => {}
        }
        count += 1;
        assert!(count < 10_000, "no end");
    }
    assert_eq!(count, expected.len(), "and no more");
}

proptest! {
    #[test]
    fn every_trace_obeys_the_order_and_always_comes_to_rest(
        edges in proptest::collection::vec((0_usize..8, 0_usize..8, any::<u8>()), 0..14),
        trace in proptest::collection::vec((0_u8..8, 0_usize..8), 0..60),
    ) {
        let size = 8;
        let mut g = random_graph(&edges, size);
        let mut told = vec![false; size];
        for (action, index) in trace {
            let want = if told[index] || !g.wanted(index) { Want::Down } else { Want::Up };
            let runs = g.nodes()[index].runs();
            match action {
                0 | 1 => drop(g.request(Request::Start(index))),
                2 => g.stop(index),
                3 | 4 if runs && !told[index] => g.report(index, State::Up, want, false),
                5 if runs && told[index] => g.report(index, State::Down, Want::Down, false),
                6 if runs && !told[index] => g.report(index, State::Backoff, want, false),
                7 if runs && !told[index] => g.report(index, State::Failed, want, false),
                _ => {}
            }
            perform(&mut g, &mut told);
        }
        // Whatever happened, going down ends with nothing running.
        g.shut_down();
        for _ in 0..=size {
            perform(&mut g, &mut told);
            for index in 0..size {
                if told[index] && g.nodes()[index].runs() {
                    g.report(index, State::Down, Want::Down, false);
                }
            }
        }
        prop_assert!(g.all_down());
    }

    #[test]
    fn whatever_is_started_and_becomes_ready_ends_with_everything_up(
        edges in proptest::collection::vec((0_usize..8, 0_usize..8, any::<u8>()), 0..14),
    ) {
        let size = 8;
        let mut g = random_graph(&edges, size);
        let mut told = vec![false; size];
        (0..size).for_each(|index| g.request(Request::Start(index)).unwrap());
        for _ in 0..=size {
            perform(&mut g, &mut told);
            for index in 0..size {
                if g.nodes()[index].runs() {
                    g.report(index, State::Up, Want::Up, false);
                }
            }
        }
        prop_assert!(g.settled());
        prop_assert!(g.nodes().iter().all(|node| node.state == State::Up));
    }
}
