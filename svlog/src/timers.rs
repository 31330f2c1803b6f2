//! Which logs are waiting for a point in time. Usually none, seldom more than a few.

use service::Tick;

/// At most one deadline for each key.
#[derive(Debug, Default)]
pub struct Timers {
    armed: Vec<(usize, Tick)>,
}

impl Timers {
    /// Sets the deadline of `key`, in place of the one it had.
    pub fn set(&mut self, key: usize, at: Tick) {
        match self.armed.iter_mut().find(|(armed, _)| *armed == key) {
            Some((_, old)) => *old = at,
            None => self.armed.push((key, at)),
        }
    }

    /// Forgets the deadline of `key`.
    pub fn clear(&mut self, key: usize) {
        if let Some(at) = self.armed.iter().position(|(armed, _)| *armed == key) {
            self.armed.swap_remove(at);
        }
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Tick> {
        self.armed.iter().map(|(_, at)| *at).min()
    }

    /// Takes out one key whose deadline has come.
    pub fn take_due(&mut self, now: Tick) -> Option<usize> {
        let at = self.armed.iter().position(|(_, at)| *at <= now)?;
        Some(self.armed.swap_remove(at).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_deadline_and_is_due_once() {
        let mut timers = Timers::default();
        assert_eq!(timers.next(), None);
        timers.set(1, Tick(10));
        timers.set(1, Tick(20));
        timers.set(2, Tick(30));
        timers.set(3, Tick(15));
        timers.clear(3);
        assert_eq!(timers.next(), Some(Tick(20)));
        assert_eq!(timers.take_due(Tick(19)), None);
        assert_eq!(timers.take_due(Tick(25)), Some(1));
        assert_eq!(timers.take_due(Tick(25)), None);
        assert_eq!(timers.next(), Some(Tick(30)));
    }
}
