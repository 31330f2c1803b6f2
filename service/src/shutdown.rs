//! Going down: what comes after what, and how long each may take.
//!
//! [`Shutdown::advance`] takes the time and the facts, and returns the next thing to do; it is called
//! whenever a fact may have changed or the [`Shutdown::deadline`] has come. Every stage is bounded, so that
//! the last action always comes.

#[cfg(test)]
mod explore;

use crate::tick::Tick;
use std::time::Duration;

/// How long each stage may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All services together, whose own deadlines should be the shorter ones.
    pub services: Duration,
    /// What is left after TERM.
    pub terminate: Duration,
    /// What is left after KILL.
    pub kill: Duration,
    /// The logger, writing what it still has.
    pub logger: Duration,
    /// Unmounting and writing back.
    pub unmount: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Limits {
            services: seconds(180),
            terminate: seconds(3),
            kill: seconds(2),
            logger: seconds(5),
            unmount: seconds(10),
        }
    }
}

/// What is so now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// No service runs, and no supervisor.
    pub services_down: bool,
    /// No process is left but init and the logger.
    pub alone: bool,
    /// The logger has ended.
    pub logger_gone: bool,
    /// The unmounting has ended.
    pub unmounted: bool,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send TERM and CONT to everything but the logger.
    Terminate,
    /// Send KILL to everything but the logger.
    Kill,
    /// Have the logger write what it has and end.
    FinishLogger,
    /// Kill the logger and whatever else there is; then unmount and write back.
    Unmount,
    /// Call reboot(2).
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Services,
    Terminate,
    Kill,
    Logger,
    Unmount,
    End,
}

/// When it is first said what is waited for, and how often from then on.
const FIRST_WORD: Duration = Duration::from_secs(5);
const NEXT_WORD: Duration = Duration::from_secs(10);

/// How far going down has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    stage: Stage,
    /// When the stage began, and when it has taken too long.
    began: Tick,
    deadline: Tick,
    /// When it is time to say what is waited for.
    word: Tick,
    limits: Limits,
    /// Nobody wants to wait for anything that can be killed.
    hurried: bool,
}

impl Stage {
    const ALL: [(&str, Stage); 6] = [
        ("services", Stage::Services),
        ("terminate", Stage::Terminate),
        ("kill", Stage::Kill),
        ("logger", Stage::Logger),
        ("unmount", Stage::Unmount),
        ("end", Stage::End),
    ];
}

impl Shutdown {
    /// A line from which another process can go on in this one's place.
    #[must_use]
    pub fn save(&self) -> String {
        let stage = Stage::ALL.iter().find(|(_, stage)| *stage == self.stage).map_or("end", |(word, _)| word);
        let Limits { services, terminate, kill, logger, unmount } = self.limits;
        let limits =
            [services, terminate, kill, logger, unmount].map(|limit| format!(" {}", limit.as_millis()));
        let (began, deadline, word, hurried) = (self.began.0, self.deadline.0, self.word.0, self.hurried);
        format!("{stage} {began} {deadline} {word} {hurried}{}", limits.concat())
    }

    /// Reads what [`Shutdown::save`] wrote.
    #[must_use]
    pub fn restore(text: &str) -> Option<Shutdown> {
        let mut words = text.split(' ');
        let word = words.next()?;
        let stage = Stage::ALL.iter().find(|(name, _)| *name == word)?.1;
        let mut tick = || words.next()?.parse().ok().map(Tick);
        let (began, deadline, word) = (tick()?, tick()?, tick()?);
        let hurried = words.next()? == "true";
        let mut limit = || words.next()?.parse().ok().map(Duration::from_millis);
        let limits = Limits {
            services: limit()?,
            terminate: limit()?,
            kill: limit()?,
            logger: limit()?,
            unmount: limit()?,
        };
        Some(Shutdown { stage, began, deadline, word, limits, hurried })
    }

    /// Begins by waiting for the services, which have been told.
    #[must_use]
    pub fn new(now: Tick, limits: Limits) -> Shutdown {
        let deadline = now.after(limits.services);
        let word = now.after(FIRST_WORD);
        Shutdown { stage: Stage::Services, began: now, deadline, word, limits, hurried: false }
    }

    /// When to call again at the latest; none once the last order was given.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        (self.stage != Stage::End).then_some(self.deadline)
    }

    /// When to ask next whether it is time to say what is waited for.
    #[must_use]
    pub fn word(&self) -> Option<Tick> {
        (self.stage != Stage::End).then_some(self.word)
    }

    /// Whether it is time to say what is waited for; if so, for how long the stage has lasted and may last.
    pub fn take_word(&mut self, now: Tick) -> Option<(Duration, Duration)> {
        if self.stage == Stage::End || now < self.word {
            return None;
        }
        self.word = now.after(NEXT_WORD);
        Some((now.since(self.began), self.deadline.since(self.began)))
    }

    /// Gives nobody any more time: what runs is killed next, and only what writes to disks is waited for.
    pub fn hurry(&mut self, now: Tick) {
        if matches!(self.stage, Stage::Services | Stage::Terminate) {
            self.hurried = true;
            self.deadline = now;
        }
    }

    /// Whether the services have had their time: from then on nothing is started any more.
    #[must_use]
    pub fn past_services(&self) -> bool {
        self.stage != Stage::Services
    }

    /// What is waited for, in words.
    #[must_use]
    pub fn waits_for(&self) -> &'static str {
        match self.stage {
            Stage::Services => "the services",
            Stage::Terminate => "processes that were sent TERM",
            Stage::Kill => "processes that were sent KILL",
            Stage::Logger => "the logger",
            Stage::Unmount => "unmounting",
            Stage::End => "nothing",
        }
    }

    /// The next order, if the stage is over or out of time. To be called until it returns none.
    pub fn advance(&mut self, now: Tick, facts: Facts) -> Option<Order> {
        let over = match self.stage {
            Stage::Services => facts.services_down,
            Stage::Terminate | Stage::Kill => facts.alone,
            Stage::Logger => facts.logger_gone,
            Stage::Unmount => facts.unmounted,
            Stage::End => return None,
        };
        if !over && now < self.deadline {
            return None;
        }
        let (stage, wait, order) = match self.stage {
            Stage::Services | Stage::Terminate if self.hurried && !facts.alone => {
                (Stage::Kill, self.limits.kill, Order::Kill)
            }
            Stage::Services if facts.alone => (Stage::Logger, self.limits.logger, Order::FinishLogger),
            Stage::Services => (Stage::Terminate, self.limits.terminate, Order::Terminate),
            Stage::Terminate if !facts.alone => (Stage::Kill, self.limits.kill, Order::Kill),
            Stage::Terminate | Stage::Kill => (Stage::Logger, self.limits.logger, Order::FinishLogger),
            Stage::Logger => (Stage::Unmount, self.limits.unmount, Order::Unmount),
            Stage::Unmount | Stage::End => (Stage::End, Duration::ZERO, Order::End),
        };
        self.stage = stage;
        self.began = now;
        self.deadline = now.after(wait);
        self.word = now.after(FIRST_WORD);
        Some(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTHING: Facts = Facts { services_down: false, alone: false, logger_gone: false, unmounted: false };
    const ALL: Facts = Facts { services_down: true, alone: true, logger_gone: true, unmounted: true };

    #[test]
    fn with_nothing_left_there_is_no_wait_at_all() {
        let mut shutdown = Shutdown::new(Tick(0), Limits::default());
        let orders: Vec<Order> = std::iter::from_fn(|| shutdown.advance(Tick(0), ALL)).collect();
        assert_eq!(orders, [Order::FinishLogger, Order::Unmount, Order::End]);
    }

    #[test]
    fn with_everything_stuck_each_deadline_passes_and_the_end_comes() {
        let limits = Limits::default();
        let mut shutdown = Shutdown::new(Tick(0), limits);
        let mut orders = Vec::new();
        let mut now = Tick(0);
        while let Some(deadline) = shutdown.deadline() {
            assert_eq!(shutdown.advance(now, NOTHING), None, "not before its time");
            now = deadline;
            assert_eq!(Shutdown::restore(&shutdown.save()), Some(shutdown), "it can be gone on with");
            orders.extend(shutdown.advance(now, NOTHING));
        }
        let all = [Order::Terminate, Order::Kill, Order::FinishLogger, Order::Unmount, Order::End];
        assert_eq!(orders, all);
        let total = limits.services + limits.terminate + limits.kill + limits.logger + limits.unmount;
        assert_eq!(now, Tick(0).after(total));
    }

    #[test]
    fn who_is_in_a_hurry_waits_for_no_service_and_still_for_the_disks() {
        let limits = Limits::default();
        let mut shutdown = Shutdown::new(Tick(0), limits);
        assert_eq!(shutdown.advance(Tick(1), NOTHING), None);
        shutdown.hurry(Tick(1));
        let mut orders = vec![shutdown.advance(Tick(1), NOTHING)];
        let mut now = Tick(1);
        while let Some(deadline) = shutdown.deadline() {
            now = deadline;
            shutdown.hurry(now);
            orders.push(shutdown.advance(now, NOTHING));
        }
        let all = [Order::Kill, Order::FinishLogger, Order::Unmount, Order::End];
        assert_eq!(orders, all.map(Some));
        assert_eq!(now, Tick(1).after(limits.kill + limits.logger + limits.unmount));
    }

    #[test]
    fn it_is_said_what_is_waited_for_after_5_seconds_and_then_every_10() {
        let seconds = |count| Tick(0).after(Duration::from_secs(count));
        let mut shutdown = Shutdown::new(Tick(0), Limits::default());
        let mut said = Vec::new();
        for now in 0..40 {
            assert!(shutdown.word().is_some_and(|word| word > Tick(0)));
            if let Some((waited, limit)) = shutdown.take_word(seconds(now)) {
                assert_eq!((waited.as_secs(), limit.as_secs()), (now, 180));
                said.push(now);
            }
        }
        assert_eq!(said, [5, 15, 25, 35]);
        // A new stage is a new wait.
        assert_eq!(shutdown.advance(seconds(180), NOTHING), Some(Order::Terminate));
        assert_eq!(shutdown.take_word(seconds(181)), None);
    }

    proptest! {
        #[test]
        fn the_loggers_turn_comes_after_everybody_elses(
            events in proptest::collection::vec((0_u64..4, any::<[bool; 4]>()), 1..100),
        ) {
            let mut shutdown = Shutdown::new(Tick(0), Limits::default());
            let (mut now, mut orders) = (Tick(0), Vec::new());
            for (wait, [services_down, alone, logger_gone, unmounted]) in events {
                now = now.after(Duration::from_secs(wait));
                orders.extend(shutdown.advance(now, Facts { services_down, alone, logger_gone, unmounted }));
            }
            let place = |order| orders.iter().position(|other| *other == order);
            for (earlier, later) in
                [(Order::Terminate, Order::Kill), (Order::Kill, Order::FinishLogger), (Order::FinishLogger, Order::Unmount), (Order::Unmount, Order::End)]
            {
                if let (Some(first), Some(second)) = (place(earlier), place(later)) {
                    prop_assert!(first < second);
                }
            }
            prop_assert!(place(Order::Unmount).is_none() || place(Order::FinishLogger).is_some());
        }
    }
}
