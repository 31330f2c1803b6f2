//! Requests as a whole, what they would do, and new plans in the place of old ones.

use super::*;

fn ask(graph: &mut Graph, request: fn(Index) -> Request, name: &str) -> Vec<String> {
    graph.request(request(graph.find(name).unwrap())).unwrap();
    steps(graph)
}

fn planned(steps: &[PlannedStep]) -> Vec<String> {
    steps.iter().map(|step| format!("{} {}", step.verb.word(), step.name)).collect()
}

#[test]
fn what_conflicts_is_stopped_with_what_requires_it_before_the_other_is_started() {
    let mut g = graph(&["a", "b conflicts a", "user requires a"]);
    start(&mut g, "user");
    say(&mut g, "a", State::Up);
    say(&mut g, "user", State::Up);
    assert_eq!(start(&mut g, "b"), ["b blocked", "stop user"]);
    assert_eq!(g.nodes()[1].obstacle, Obstacle::Waits(0));
    assert_eq!(say(&mut g, "user", State::Down), ["stop a", "user failed"]);
    assert_eq!(say(&mut g, "a", State::Down), ["launch b"]);
    say(&mut g, "b", State::Up);
    // The other way round it holds as well.
    assert_eq!(start(&mut g, "a"), ["a blocked", "stop b", "user blocked"]);
    assert_eq!(say(&mut g, "b", State::Down), ["launch a"]);
}

#[test]
fn a_request_that_needs_two_that_conflict_is_refused_with_their_names_and_changes_nothing() {
    let mut g = graph(&["a conflicts b", "b", "both requires a, wants b", "c"]);
    start(&mut g, "c");
    let both = g.find("both").unwrap();
    let refusal = Refusal::Conflict("a".to_owned(), "b".to_owned());
    for request in [Request::Start(both), Request::Restart(both), Request::Once(both)] {
        assert_eq!(g.request(request), Err(refusal.clone()));
        assert_eq!(g.plan(request), Err(refusal.clone()));
    }
    assert!(steps(&mut g).is_empty());
}

#[test]
fn of_those_that_conflict_the_first_one_is_booted_and_the_other_says_why_it_is_down() {
    let mut g = graph(&["a", "b conflicts a", "c requires b"]);
    g.start_everything();
    assert_eq!(steps(&mut g), ["launch a", "b down", "c failed"]);
    assert_eq!((g.wanted(1), g.nodes()[1].obstacle), (false, Obstacle::Conflicts(0)));
    assert_eq!(g.nodes()[2].obstacle, Obstacle::Requires(1));
    say(&mut g, "a", State::Up);
    assert_eq!(start(&mut g, "b"), ["stop a", "b blocked", "c blocked"]);
    assert_eq!(say(&mut g, "a", State::Down), ["launch b"]);
}

#[test]
fn a_switch_starts_the_bundle_and_stops_everything_else_in_order() {
    let mut g = graph(&["base", "top requires base", "shell", "rescue contains shell"]);
    start(&mut g, "top");
    say(&mut g, "base", State::Up);
    say(&mut g, "top", State::Up);
    let rescue = Request::Switch(g.find("rescue").unwrap());
    assert_eq!(planned(&g.plan(rescue).unwrap()), ["stop top", "start shell", "stop base"]);
    assert_eq!(ask(&mut g, Request::Switch, "rescue"), ["stop top", "launch shell", "rescue blocked"]);
    assert_eq!(say(&mut g, "top", State::Down), ["stop base"]);
    assert_eq!(say(&mut g, "shell", State::Up), ["rescue done"]);
    assert_eq!(g.goal(), Goal::Bundle(3));
    assert_eq!(g.request(Request::Switch(0)), Err(Refusal::NoBundle("base".to_owned())));
}

#[test]
fn what_a_oneshot_has_done_is_undone_in_the_order_of_stops() {
    let mut g = graph(&["mount undo", "user requires mount"]);
    start(&mut g, "user");
    say(&mut g, "mount", State::Done);
    say(&mut g, "user", State::Up);
    assert_eq!(stop(&mut g, "mount"), ["stop user"]);
    assert_eq!(say(&mut g, "user", State::Down), ["stop mount", "user failed"]);
    assert!(!g.all_down());
    assert!(say(&mut g, "mount", State::Down).is_empty());
    start(&mut g, "mount");
    assert_eq!(say(&mut g, "mount", State::Done), ["launch user"]);
    say(&mut g, "user", State::Up);
    // Run again means undone first.
    assert_eq!(ask(&mut g, Request::Restart, "mount"), ["stop mount"]);
    assert_eq!(say(&mut g, "mount", State::Down), ["launch mount"]);
    say(&mut g, "mount", State::Done);
    g.shut_down();
    assert_eq!(steps(&mut g), ["halt user"]);
    assert_eq!(say(&mut g, "user", State::Down), ["halt mount"]);
    say(&mut g, "mount", State::Down);
    assert!(g.all_down());
}

#[test]
fn a_stop_is_not_lost_when_the_service_starts_again_before_its_turn() {
    let mut g = graph(&["base", "top requires base"]);
    start(&mut g, "top");
    say(&mut g, "base", State::Up);
    say(&mut g, "top", State::Up);
    assert_eq!(stop(&mut g, "base"), ["stop top"]);
    // It dies and comes back by itself, wanted up as far as its supervisor has heard.
    for state in [State::Starting, State::Up] {
        g.report(0, state, Want::Up, false);
        assert!(steps(&mut g).is_empty());
    }
    assert!(!g.wanted(0));
    assert_eq!(say(&mut g, "top", State::Down), ["stop base", "top failed"]);
}

fn entries(graph: &Graph) -> Vec<Entry> {
    graph.nodes().iter().map(|node| Entry::clone(&node.entry)).collect()
}

fn with_digest(mut entry: Entry, digest: u64, run_digest: u64) -> Entry {
    (entry.digest, entry.run_digest) = (digest, run_digest);
    entry
}

#[test]
fn a_new_plan_changes_what_differs_and_nothing_else() {
    let mut g = graph(&["a", "b requires a", "c"]);
    g.start_everything();
    steps(&mut g);
    for name in ["a", "b", "c"] {
        say(&mut g, name, State::Up);
    }
    let old = entries(&g);
    assert!(g.update(old.clone()).is_empty());
    assert!(steps(&mut g).is_empty());
    // Another definition of the same process.
    let mut new = old.clone();
    new[0] = with_digest(new[0].clone(), 1, new[0].run_digest);
    assert_eq!(planned(&g.plan_update(new.clone())), ["change a"]);
    assert_eq!(g.update(new.clone()).changed, [0]);
    assert!(steps(&mut g).is_empty());
    // Another process.
    new[0] = with_digest(new[0].clone(), 2, 2);
    assert_eq!(planned(&g.plan_update(new.clone())), ["change a", "restart a"]);
    g.update(new.clone());
    assert_eq!(steps(&mut g), ["restart a"]);
    say(&mut g, "a", State::Up);
    // A new one starts, one that is gone is stopped and forgotten.
    new.remove(2);
    new.push(Entry::from_definition(&Definition::new("d", "")));
    assert_eq!(planned(&g.plan_update(new.clone())), ["add d", "stop c", "start d", "remove c"]);
    let changes = g.update(new.clone());
    assert_eq!((changes.added.as_slice(), changes.removed.as_slice()), ([3].as_slice(), [2].as_slice()));
    assert_eq!(steps(&mut g), ["stop c", "launch d"]);
    assert_eq!(say(&mut g, "d", State::Up), [""; 0]);
    g.report(2, State::Down, Want::Down, false);
    assert_eq!(steps(&mut g), ["forget c"]);
    g.forgotten(2);
    assert_eq!(g.find("c"), None);
    // Its place is taken by the next.
    new.push(old[2].clone());
    assert_eq!(g.update(new).added, [2]);
    assert_eq!(steps(&mut g), ["launch c"]);
}

#[test]
fn a_definition_that_became_broken_hurts_nobody_until_it_is_started_again() {
    let mut g = graph(&["a", "b requires a"]);
    g.start_everything();
    steps(&mut g);
    say(&mut g, "a", State::Up);
    say(&mut g, "b", State::Up);
    let old = entries(&g);
    let mut new = old.clone();
    new[1] = Entry::broken("b", "broken".to_owned());
    assert_eq!(g.update(new.clone()).broken, [1]);
    assert!(steps(&mut g).is_empty());
    // Its edges are still those that it was started with.
    assert_eq!(stop(&mut g, "a"), ["stop b"]);
    assert_eq!(say(&mut g, "b", State::Down), ["stop a", "b invalid"]);
    say(&mut g, "a", State::Down);
    assert_eq!(start(&mut g, "a"), ["launch a"]);
    say(&mut g, "a", State::Up);
    // Mended, it is wanted as before.
    g.update(old);
    assert_eq!(steps(&mut g), ["launch b"]);
}

#[test]
fn a_bundle_that_gets_a_new_member_has_it_started() {
    let mut g = graph(&["a", "b", "all contains a"]);
    g.start_bundle(2);
    assert_eq!(steps(&mut g), ["launch a", "all blocked"]);
    say(&mut g, "a", State::Up);
    let mut new = entries(&g);
    new[2].contents.push("b".to_owned());
    new[2].digest += 1;
    g.update(new);
    assert_eq!(steps(&mut g), ["launch b", "all blocked"]);
}

#[test]
fn a_cycle_costs_only_one_edge_of_it() {
    let g = graph(&["user requires a", "a requires b", "b requires c", "c requires a", "z requires user"]);
    let edges = |name: &str| g.nodes()[g.find(name).unwrap()].requires.len();
    assert_eq!([edges("user"), edges("z")], [1, 1]);
    assert_eq!([edges("a"), edges("b"), edges("c")].iter().sum::<usize>(), 2);
}

#[test]
fn a_planted_mistake_is_made_and_then_no_more() {
    let mut g = graph(&["agent requires network", "network"]);
    let made = planted::with(planted::Bug::RequirementsAreNotWaitedFor, || start(&mut g, "agent"));
    assert_eq!(made, ["launch network", "launch agent"]);
    assert!(!planted::is(planted::Bug::RequirementsAreNotWaitedFor));
}
