//! The loop over all logs. A log whose pipe holds something gets one batch a round, so that a flood of one
//! delays each of the others by one batch at most.

use crate::desk::Desk;
use crate::log::{Log, Turn};
use crate::report::{Cause, say};
use crate::timers::Timers;
use service::Tick;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use sys::poll::{Poller, Ready};

/// How long until a file that could not be written is tried again.
pub const RETRY: Duration = Duration::from_secs(1);
/// How long until the pipe of such a log is looked at again if it was nearly full.
const RELIEF: Duration = Duration::from_millis(10);

const CONTROL: u64 = u64::MAX;

/// All logs.
#[derive(Debug)]
pub struct Logger {
    logs: Vec<Option<Entry>>,
    poller: Poller,
    /// Of the logs that fail. Their pipes are not watched: they would be ready all the time.
    timers: Timers,
    desk: Desk,
}

#[derive(Debug)]
struct Entry {
    name: String,
    log: Log,
    /// When to try again to write, if that has failed.
    retry: Option<Tick>,
}

impl Logger {
    /// Without any log.
    ///
    /// # Errors
    /// Those of pipe2(2) and epoll_create1(2).
    pub fn new() -> io::Result<Logger> {
        Ok(Logger { logs: Vec::new(), poller: Poller::new()?, timers: Timers::default(), desk: Desk::new()? })
    }

    /// Has [`Logger::round`] report when `fd` can be read.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch_control(&self, fd: impl AsFd) -> io::Result<()> {
        self.poller.add(fd, CONTROL)
    }

    /// Stops reporting `fd`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn unwatch_control(&self, fd: impl AsFd) -> io::Result<()> {
        self.poller.remove(fd)
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
        self.poller.add(log.pipe(), token(key))?;
        let entry = Some(Entry { name: name.to_owned(), log, retry: None });
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

    /// Writes what the pipe of a service holds, and forgets the service; whether it was known.
    pub fn forget_service(&mut self, name: &str) -> bool {
        let found = self.find(name).map(|(key, _)| key);
        found.map(|key| self.forget(key)).is_some()
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
        let mut ready = [Ready::default(); 64];
        let count = self.poller.wait(&mut ready, self.timers.next())?;
        let mut control = false;
        for event in ready.iter().take(count) {
            match usize::try_from(event.token) {
                Ok(key) if event.token != CONTROL => self.serve(key),
                _ => control = true,
            }
        }
        if self.timers.next().is_some() {
            let now = sys::clock::now();
            while let Some(key) = self.timers.take_due(now) {
                self.time_out(key, now);
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

    fn serve(&mut self, key: usize) {
        let Some(Some(entry)) = self.logs.get_mut(key) else { return };
        match entry.log.serve(&mut self.desk, false) {
            Turn::Served | Turn::Idle => {}
            Turn::Ended => self.forget(key),
            Turn::Failed => {
                let now = sys::clock::now();
                entry.retry = Some(now.after(RETRY));
                if let Err(error) = self.poller.remove(entry.log.pipe()) {
                    say(&format_args!(
                        "warning: unable to leave the pipe of {}: {}",
                        entry.name,
                        Cause(&error)
                    ));
                }
                // It may be full already.
                self.timers.set(key, now.after(RELIEF));
            }
        }
    }

    /// The time has come to try a file again, or to make room in the pipe of a log that fails.
    fn time_out(&mut self, key: usize, now: Tick) {
        let Some(Some(entry)) = self.logs.get_mut(key) else { return };
        let retry = entry.retry.unwrap_or(now);
        let failing = now < retry || entry.log.serve(&mut self.desk, false) == Turn::Failed;
        let watched = !failing && self.poller.add(entry.log.pipe(), token(key)).is_ok();
        entry.retry = (!watched).then(|| if now < retry { retry } else { now.after(RETRY) });
        if let Some(retry) = entry.retry {
            let relieved = failing && entry.log.relieve(&mut self.desk);
            self.timers.set(key, if relieved { now.after(RELIEF).min(retry) } else { retry });
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
        entry.log.finish(&mut self.desk);
        // Init has the other end of the same pipe: it would be watched even when it is closed here.
        let removed = if entry.retry.is_none() { self.poller.remove(entry.log.pipe()) } else { Ok(()) };
        if let Err(error) = removed {
            say(&format_args!("warning: unable to leave the pipe of {}: {}", entry.name, Cause(&error)));
        }
    }
}

/// What the poller calls the log `key`.
fn token(key: usize) -> u64 {
    u64::try_from(key).unwrap_or(CONTROL)
}
