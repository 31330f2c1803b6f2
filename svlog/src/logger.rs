//! The loop over all logs. A log whose pipe holds something gets one batch a round, so that a flood of one
//! delays each of the others by one batch at most.

use crate::desk::Desk;
use crate::log::{Log, Next};
use crate::report::say;
use crate::timers::Timers;
use crate::watch::Watch;
use service::Tick;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long a line may stay unfinished before it is written as it is, so that prompts and last words are seen.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How long until a file that could not be written is tried again.
pub const RETRY: Duration = Duration::from_secs(1);

const CONTROL: u64 = u64::MAX;

/// All logs.
#[derive(Debug)]
pub struct Logger {
    logs: Vec<Option<Entry>>,
    watch: Watch,
    timers: Timers,
    desk: Desk,
    /// Whose pipe may hold something, in order of their turns; `round` is what is being worked off.
    ready: Vec<usize>,
    round: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    log: Log,
    queued: bool,
}

impl Logger {
    /// Without any log.
    ///
    /// # Errors
    /// Those of pipe2(2) and epoll_create1(2).
    pub fn new() -> io::Result<Logger> {
        Ok(Logger {
            logs: Vec::new(),
            watch: Watch::new()?,
            timers: Timers::default(),
            desk: Desk::new()?,
            ready: Vec::new(),
            round: Vec::new(),
        })
    }

    /// Has [`Logger::round`] report when `fd` can be read.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch_control(&self, fd: impl AsFd) -> io::Result<()> {
        self.watch.add_level(fd, CONTROL)
    }

    /// Stops reporting `fd`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn unwatch_control(&self, fd: impl AsFd) -> io::Result<()> {
        self.watch.remove(fd)
    }

    /// Keeps the log of the service `name` in `directory`. A known service takes the new limits; if the pipe is another
    /// than before, what the old one holds is written first.
    ///
    /// # Errors
    /// It is not a pipe, or cannot be watched.
    pub fn keep(
        &mut self,
        name: &str,
        directory: &Path,
        size: u64,
        keep: u32,
        pipe: OwnedFd,
    ) -> io::Result<()> {
        if let Some((key, entry)) = self.find(name) {
            if entry.log.reads(&pipe) {
                entry.log.limit(size, keep);
                return Ok(());
            }
            self.forget(key);
        }
        let log = Log::new(pipe, directory.to_owned(), size, keep)?;
        let key = self.logs.iter().position(Option::is_none).unwrap_or(self.logs.len());
        self.watch.add_edge(log.pipe(), u64::try_from(key).unwrap_or(CONTROL))?;
        let entry = Some(Entry { name: name.to_owned(), log, queued: false });
        match self.logs.get_mut(key) {
            Some(slot) => *slot = entry,
            None => self.logs.push(entry),
        }
        Ok(())
    }

    /// Gives a known service new limits; whether it is known.
    pub fn limit(&mut self, name: &str, size: u64, keep: u32) -> bool {
        let found = self.find(name);
        found.map(|(_, entry)| entry.log.limit(size, keep)).is_some()
    }

    /// Whether there is nothing to log: every pipe has ended, or none ever came.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.logs.iter().all(Option::is_none)
    }

    /// Waits until something happens and gives every log that is ready its turn. Returns whether the control
    /// descriptor can be read.
    ///
    /// # Errors
    /// Those of epoll_wait(2), which are none.
    pub fn round(&mut self) -> io::Result<bool> {
        let deadline = if self.ready.is_empty() { self.timers.next() } else { Some(Tick(0)) };
        self.watch.wait(deadline)?;
        let control = self.queue_events();
        if self.timers.next().is_some() {
            let now = sys::clock::now();
            while let Some(key) = self.timers.take_due(now) {
                self.time_out(key);
            }
        }
        std::mem::swap(&mut self.ready, &mut self.round);
        while let Some(key) = self.round.pop() {
            if let Some(Some(entry)) = self.logs.get_mut(key) {
                entry.queued = false;
                let next = match entry.log.is_failing() {
                    true => entry.log.relieve(&mut self.desk, false),
                    false => entry.log.serve(&mut self.desk, false),
                };
                self.then(key, next);
            }
        }
        Ok(control)
    }

    /// Writes what the pipes hold, makes it durable, and forgets all logs.
    pub fn finish(&mut self) {
        let mut synced = Vec::new();
        for entry in self.logs.iter_mut().flatten() {
            entry.log.finish(&mut self.desk);
        }
        for entry in self.logs.drain(..).flatten() {
            entry.log.sync(&mut synced);
        }
    }

    fn queue_events(&mut self) -> bool {
        let mut control = false;
        while let Some(event) = self.watch.take() {
            let key = usize::try_from(event.key).unwrap_or(usize::MAX);
            if event.key == CONTROL {
                control = true;
            } else if let Some(Some(entry)) = self.logs.get_mut(key) {
                if event.ended {
                    entry.log.set_ended();
                }
                self.queue(key);
            }
        }
        control
    }

    fn queue(&mut self, key: usize) {
        if let Some(Some(entry)) =
            self.logs.get_mut(key).filter(|slot| slot.as_ref().is_some_and(|e| !e.queued))
        {
            entry.queued = true;
            self.ready.push(key);
        }
    }

    /// A deadline has come: a file is tried again, or an unfinished line has waited long enough.
    fn time_out(&mut self, key: usize) {
        let Some(Some(entry)) = self.logs.get_mut(key) else { return };
        let failing = entry.log.is_failing();
        let mut next = entry.log.serve(&mut self.desk, false);
        if next == (Next::Patience { new: false }) {
            next = entry.log.serve(&mut self.desk, true);
        }
        if failing && next == Next::Retry {
            self.timers.set(key, sys::clock::now().after(RETRY));
            next = entry.log.relieve(&mut self.desk, true);
        }
        self.then(key, next);
    }

    fn then(&mut self, key: usize, next: Next) {
        match next {
            Next::Nothing => self.unless_failing_clear(key),
            Next::Turn => {
                self.unless_failing_clear(key);
                self.queue(key);
            }
            Next::Patience { new: true } => self.timers.set(key, sys::clock::now().after(PATIENCE)),
            Next::Patience { new: false } => {
                self.timers.set_if_none(key, || sys::clock::now().after(PATIENCE));
            }
            Next::Retry => {
                self.timers.set(key, sys::clock::now().after(RETRY));
                // Nothing is written for a second: make room at once if that is needed.
                self.queue(key);
            }
            Next::End => self.forget(key),
        }
    }

    /// The deadline of a log that fails is that of its next try, whatever is in the pipe.
    fn unless_failing_clear(&mut self, key: usize) {
        if !matches!(self.logs.get(key), Some(Some(entry)) if entry.log.is_failing()) {
            self.timers.clear(key);
        }
    }

    fn find(&mut self, name: &str) -> Option<(usize, &mut Entry)> {
        let mut entries = self.logs.iter_mut().enumerate();
        entries.find_map(|(key, slot)| Some((key, slot.as_mut().filter(|entry| entry.name == name)?)))
    }

    /// Writes the rest of a log and lets it go.
    fn forget(&mut self, key: usize) {
        let Some(mut entry) = self.logs.get_mut(key).and_then(Option::take) else { return };
        self.timers.clear(key);
        self.ready.retain(|ready| *ready != key);
        entry.log.finish(&mut self.desk);
        if let Err(error) = self.watch.remove(entry.log.pipe()) {
            say(&format_args!("warning: unable to let go of the pipe of {}: {error}", entry.name));
        }
    }
}
