//! Every way of going down: each stage ends by what it waits for or by its deadline, with any facts, with and without
//! somebody who is in a hurry. The invariants stand by name below; each is broken by a mistake that is planted.

use super::*;
use std::collections::HashSet;

/// A mistake that is planted between the stages and who asks for the next order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    None,
    DeadlinesAreIgnored,
    NobodyIsWaitedFor,
    KillComesFirst,
    TheLoggerIsForgotten,
    NothingIsUnmounted,
    ThoseAloneAreKilled,
    TheEndIsRepeated,
}

/// A way down so far.
#[derive(Clone, Debug)]
struct Descent {
    shutdown: Shutdown,
    now: Tick,
    hurried: bool,
    orders: Vec<Order>,
    bug: Bug,
}

const FLAGS: [bool; 2] = [false, true];

fn all_facts() -> Vec<Facts> {
    let mut all = Vec::new();
    for services_down in FLAGS {
        for alone in FLAGS {
            for logger_gone in FLAGS {
                for unmounted in FLAGS {
                    all.push(Facts { services_down, alone, logger_gone, unmounted });
                }
            }
        }
    }
    all
}

impl Descent {
    fn advance(&mut self, facts: Facts) -> Option<Order> {
        let before = self.shutdown;
        let order = match self.bug {
            Bug::DeadlinesAreIgnored => {
                let early = Tick(before.deadline.0.saturating_sub(1)).min(self.now);
                self.shutdown.advance(early, facts)
            }
            Bug::NobodyIsWaitedFor => self.shutdown.advance(before.deadline, facts),
            Bug::TheEndIsRepeated if before.stage == Stage::End => Some(Order::End),
            Bug::None
            | Bug::KillComesFirst
            | Bug::TheLoggerIsForgotten
            | Bug::NothingIsUnmounted
            | Bug::ThoseAloneAreKilled
            | Bug::TheEndIsRepeated => self.shutdown.advance(self.now, facts),
        };
        match (self.bug, order?) {
            (Bug::KillComesFirst, Order::Terminate) => Some(Order::Kill),
            (Bug::TheLoggerIsForgotten, Order::FinishLogger) => Some(Order::Unmount),
            (Bug::NothingIsUnmounted, Order::Unmount) => Some(Order::End),
            (Bug::ThoseAloneAreKilled, Order::FinishLogger) if facts.alone => Some(Order::Terminate),
            (_, order) => Some(order),
        }
    }

    /// Asks for orders at a time and with facts, and holds the invariants against what comes.
    fn ask(&mut self, facts: Facts) -> Result<(), &'static str> {
        for _ in 0..8 {
            let (stage, deadline) = (self.shutdown.stage, self.shutdown.deadline);
            let over = match stage {
                Stage::Services => facts.services_down,
                Stage::Terminate | Stage::Kill => facts.alone,
                Stage::Logger => facts.logger_gone,
                Stage::Unmount => facts.unmounted,
                Stage::End => false,
            };
            let late = self.now >= deadline;
            let Some(order) = self.advance(facts) else {
                return if late && stage != Stage::End { Err("every_stage_ends") } else { Ok(()) };
            };
            self.check(order, facts, over || late)?;
            self.orders.push(order);
        }
        Err("the_end_comes_once_and_last")
    }

    fn check(&self, order: Order, facts: Facts, may: bool) -> Result<(), &'static str> {
        let had = |order| self.orders.contains(&order);
        let holds = [
            ("the_end_comes_once_and_last", !had(Order::End)),
            ("nothing_comes_before_its_time", may),
            ("nobody_is_signalled_when_nobody_is_left", {
                !(facts.alone && matches!(order, Order::Terminate | Order::Kill))
            }),
            ("term_comes_before_kill_unless_somebody_hurries", {
                order != Order::Kill || had(Order::Terminate) || self.hurried
            }),
            (
                "the_logger_ends_after_everybody_else_and_before_unmounting",
                match order {
                    Order::FinishLogger => !had(Order::Unmount) && !had(Order::FinishLogger),
                    Order::Unmount => had(Order::FinishLogger),
                    Order::Terminate | Order::Kill => !had(Order::FinishLogger),
                    Order::End => true,
                },
            ),
            ("disks_are_written_back_before_the_end", order != Order::End || had(Order::Unmount)),
        ];
        holds.into_iter().find(|(_, holds)| !holds).map_or(Ok(()), |(name, _)| Err(name))
    }
}

/// Visits everything; how many states there are, or which invariant does not hold.
fn explore(bug: Bug) -> Result<usize, &'static str> {
    let shutdown = Shutdown::new(Tick(0), Limits::default());
    let mut rest = vec![Descent { shutdown, now: Tick(0), hurried: false, orders: Vec::new(), bug }];
    let mut seen = HashSet::new();
    while let Some(descent) = rest.pop() {
        let left = descent.shutdown.deadline.since(descent.now);
        let orders =
            format!("{:?} {:?} {} {left:?}", descent.shutdown.stage, descent.orders, descent.hurried);
        if !seen.insert(orders) {
            continue;
        }
        for facts in all_facts() {
            for to_deadline in FLAGS {
                for hurry in FLAGS {
                    let mut next = descent.clone();
                    if hurry {
                        next.shutdown.hurry(next.now);
                        next.hurried = true;
                    }
                    if to_deadline {
                        next.now = next.now.max(next.shutdown.deadline);
                    }
                    next.ask(facts)?;
                    rest.push(next);
                }
            }
        }
    }
    Ok(seen.len())
}

#[test]
fn every_way_down_keeps_every_invariant() {
    let states = explore(Bug::None).unwrap_or_else(|broken| panic!("{broken}"));
    assert!(states > 20, "{states}");
}

#[test]
fn every_invariant_is_broken_by_a_planted_mistake_and_reported_by_its_name() {
    for (bug, invariant) in [
        (Bug::DeadlinesAreIgnored, "every_stage_ends"),
        (Bug::NobodyIsWaitedFor, "nothing_comes_before_its_time"),
        (Bug::KillComesFirst, "term_comes_before_kill_unless_somebody_hurries"),
        (Bug::TheLoggerIsForgotten, "the_logger_ends_after_everybody_else_and_before_unmounting"),
        (Bug::NothingIsUnmounted, "disks_are_written_back_before_the_end"),
        (Bug::ThoseAloneAreKilled, "nobody_is_signalled_when_nobody_is_left"),
        (Bug::TheEndIsRepeated, "the_end_comes_once_and_last"),
    ] {
        assert_eq!(explore(bug).err(), Some(invariant), "{bug:?}");
    }
}
