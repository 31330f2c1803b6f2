//! In which order filesystems are unmounted: what is mounted on another goes first, and apart from that none waits
//! for any other. One that hangs takes as long as one may take, and so does any number of them.
//!
//! The executor begins what [`Unmounting::next`] names, each in a process of its own, and says when that has ended.

use crate::tick::Tick;
use std::path::Path;
use std::time::Duration;

/// Where one stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    /// It has until then.
    Begun(Tick),
    Over,
}

/// All filesystems that are to be unmounted.
#[derive(Clone, Debug)]
pub struct Unmounting {
    each: Duration,
    stages: Vec<Stage>,
    /// For each, what was mounted on it or over it since.
    above: Vec<Vec<usize>>,
}

impl Unmounting {
    /// Those at `places`, in the order in which they were mounted; each may take `each`.
    pub fn new<P: AsRef<Path>>(places: &[P], each: Duration) -> Unmounting {
        let above = places.iter().enumerate().map(|(index, place)| {
            let later = places.iter().enumerate().skip(index + 1);
            later.filter(|(_, other)| other.as_ref().starts_with(place)).map(|(other, _)| other).collect()
        });
        Unmounting { each, stages: vec![Stage::Waiting; places.len()], above: above.collect() }
    }

    /// One that may begin now, the last mounted first; it counts as begun.
    pub fn next(&mut self, now: Tick) -> Option<usize> {
        let over = |index: &usize| self.stages.get(*index) == Some(&Stage::Over);
        let may_begin = |index: &usize| {
            self.stages.get(*index) == Some(&Stage::Waiting)
                && self.above.get(*index).is_some_and(|above| above.iter().all(over))
        };
        let index = (0..self.stages.len()).rev().find(may_begin)?;
        *self.stages.get_mut(index)? = Stage::Begun(now.after(self.each));
        Some(index)
    }

    /// Its process has ended, or there is none.
    pub fn ended(&mut self, index: usize) {
        if let Some(stage) = self.stages.get_mut(index) {
            *stage = Stage::Over;
        }
    }

    /// One that has taken too long: it is left behind.
    pub fn give_up(&mut self, now: Tick) -> Option<usize> {
        let late = |stage: &Stage| matches!(stage, Stage::Begun(deadline) if *deadline <= now);
        let index = self.stages.iter().position(late)?;
        self.ended(index);
        Some(index)
    }

    /// When the next one will have taken too long.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        let deadline = |stage: &Stage| match stage {
            Stage::Begun(deadline) => Some(*deadline),
            Stage::Waiting | Stage::Over => None,
        };
        self.stages.iter().filter_map(deadline).min()
    }

    /// Whether there is nothing left to begin, nor to wait for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.stages.iter().all(|stage| *stage == Stage::Over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const EACH: Duration = Duration::from_secs(2);

    fn begin(order: &mut Unmounting, now: Tick) -> Vec<usize> {
        std::iter::from_fn(|| order.next(now)).collect()
    }

    #[test]
    fn none_waits_for_another_but_for_what_is_mounted_on_it() {
        let mut order = Unmounting::new(&["/", "/data", "/data/db", "/database", "/data"], EACH);
        let now = Tick(0);
        // The second on /data is over the first one, and over what is below it.
        assert_eq!(begin(&mut order, now), [4, 3, 2]);
        order.ended(2);
        order.ended(3);
        assert_eq!(begin(&mut order, now), [0; 0]);
        order.ended(4);
        assert_eq!(begin(&mut order, now), [1]);
        order.ended(1);
        assert_eq!(begin(&mut order, now), [0]);
        order.ended(0);
        assert!(order.is_over());
    }

    #[test]
    fn any_number_that_hang_delay_no_healthy_one_and_end_together() {
        let mut places: Vec<String> = (0..300).map(|number| format!("/stuck/{number}")).collect();
        places.insert(150, "/healthy".to_owned());
        let mut order = Unmounting::new(&places, EACH);
        let begun = begin(&mut order, Tick(0));
        assert_eq!(begun.len(), 301);
        order.ended(150);
        let late = Tick(0).after(EACH);
        assert_eq!(order.deadline(), Some(late));
        let left: Vec<usize> = std::iter::from_fn(|| order.give_up(late)).collect();
        assert!(left.len() == 300 && !left.contains(&150) && order.is_over());
    }

    proptest! {
        /// Whatever hangs: each is begun once, after what is on it, and all comes to its end within one limit for
        /// each level.
        #[test]
        fn it_ends_and_nothing_is_begun_before_what_is_on_it(
            tree in prop::collection::vec((prop::collection::vec(0_u8..3, 0..4), any::<bool>()), 0..24)
        ) {
            let place = |steps: &Vec<u8>| format!("/{}", steps.iter().map(u8::to_string).collect::<Vec<_>>().join("/"));
            let places: Vec<String> = tree.iter().map(|(steps, _)| place(steps)).collect();
            let mut order = Unmounting::new(&places, EACH);
            let (mut now, mut begun, mut over) = (Tick(0), vec![false; tree.len()], vec![false; tree.len()]);
            for _ in 0..=tree.len() {
                while let Some(index) = order.next(now) {
                    prop_assert!(!std::mem::replace(&mut begun[index], true));
                    for other in index + 1..tree.len() {
                        prop_assert!(over[other] || !Path::new(&places[other]).starts_with(&places[index]));
                    }
                    if tree[index].1 {
                        order.ended(index);
                        over[index] = true;
                    }
                }
                let Some(deadline) = order.deadline() else { break };
                now = deadline;
                while let Some(index) = order.give_up(now) {
                    over[index] = true;
                }
            }
            prop_assert!(order.is_over() && begun.into_iter().all(|begun| begun));
        }
    }
}
