//! Adoption: what a new supervisor does about what the one before it had begun, and had not told of.
//!
//! A supervisor can be killed between starting a process and writing its status. The process has then put itself
//! down in the record of spawned processes; the status is older than that. The machine restored from the status
//! is led, by the events that had led the other one there, to where it asks for a process; and instead of
//! starting one it is given what was found. Where nothing leads any more, since something else is wanted by now,
//! it is told of the process, so that every start is counted, and every end that follows.

#[cfg(test)]
mod explore;

use crate::exit::Pid;
use crate::machine::{Event, Machine};
use crate::status::State;
use crate::tick::Tick;

/// A process that the last supervisor had started and not told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// Its process id.
    pub pid: Pid,
    /// When it put itself down.
    pub started: Tick,
    /// What comes with it: how its end is learnt.
    pub with: T,
}

/// Everything that was found, until the machine has asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftovers<T> {
    main: Option<Found<T>>,
    after: Option<Found<T>>,
    /// It has been led to it, or may not be.
    led: bool,
}

impl<T> Default for Leftovers<T> {
    fn default() -> Self {
        Leftovers { main: None, after: None, led: false }
    }
}

impl<T> Leftovers<T> {
    /// What was found: a main process, and a finish script or down command. `written` is when the status was,
    /// from which `machine` is restored: what was put down before that, or is in it, is told of already.
    #[must_use]
    pub fn new(
        machine: &Machine,
        main: Option<Found<T>>,
        after: Option<Found<T>>,
        written: Tick,
    ) -> Leftovers<T> {
        let untold = |found: &Found<T>| found.started > written && machine.awaited() != Some(found.pid);
        Leftovers { main: main.filter(untold), after: after.filter(untold), led: false }
    }

    /// Whether there is a main process that the machine has not asked for.
    #[must_use]
    pub fn has_main(&self) -> bool {
        self.main.is_some()
    }

    /// What this supervisor is told counts more than what the one before it must have been told.
    pub fn note(&mut self, event: Event) {
        self.led |= matches!(event, Event::Stop | Event::Halt | Event::Exit);
    }

    /// The event that leads the machine to where it asks for what was found, or tells it; none if something else
    /// does, or nothing was found. To be called when no other event is waiting. With [`Event::Found`] the process
    /// is to be claimed.
    pub fn lead(&mut self, machine: &Machine) -> Option<Event> {
        let found = self.main.as_ref()?.pid;
        if machine.awaited().is_some() {
            return None;
        }
        if matches!(machine.state(), State::Finishing | State::Stopping) {
            return None;
        }
        if std::mem::replace(&mut self.led, true) {
            return Some(Event::Found(found));
        }
        Some(if machine.next_start().is_some() { Event::Tick } else { Event::Start })
    }

    /// When `event` comes: at the time that the machine waits for, if that had come for the supervisor before.
    #[must_use]
    pub fn time_of(&self, machine: &Machine, event: Event, now: Tick) -> Tick {
        match machine.next_start() {
            Some(at) if event == Event::Tick && self.main.is_some() => now.max(at),
            _ => now,
        }
    }

    /// The main process, if it had been started already; what has become of it is told later.
    pub fn claim_main(&mut self) -> Option<Found<T>> {
        let main = self.main.take()?;
        // What ran before it is not what runs after it.
        self.after.take_if(|after| after.started < main.started);
        Some(main)
    }

    /// The same for what runs once the main process is dead.
    pub fn claim_after(&mut self) -> Option<Found<T>> {
        // Of two, the main process is the later one.
        let later = self.main.as_ref().map_or(Tick(u64::MAX), |found| found.started);
        self.after.take().filter(|found| found.started < later)
    }
}
