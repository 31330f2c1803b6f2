//! One service's log: its pipe, its directory, and what is done when they do not get on.

use crate::desk::{self, BATCH, Desk, Look};
use crate::file::LogFile;
use crate::lines::{Framed, Limits};
use crate::report::{Cause, Trouble, say};
use nix::sys::stat::{FileStat, fstat};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// Lines longer than this are split.
pub const LINE_MAX: usize = 8192;
/// How many more batches a log gets at the end, once it has written what its pipe held.
const LAST_ROUNDS: u32 = 4;

/// What a log needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing until something is written to the pipe.
    Nothing,
    /// Another turn: the pipe holds more.
    Turn,
    /// A line without its end lies in the pipe; `new` if it was not the first thing there at this turn.
    Patience {
        /// Its time begins now.
        new: bool,
    },
    /// Another try later: the file cannot be written.
    Retry,
    /// To be forgotten: everything is written and nobody is left who could write.
    End,
}

/// A pipe and the directory that its lines go to.
#[derive(Debug)]
pub struct Log {
    pipe: File,
    file: LogFile,
    line_max: usize,
    /// Nobody has the other end of the pipe any more.
    ended: bool,
    /// Since when the file cannot be written, in the words of the first failure.
    incident: Option<String>,
    lost_lines: u64,
    lost_bytes: u64,
    /// Bytes taken out of the pipe so far.
    taken: u64,
}

impl Log {
    /// Joins a pipe to a directory.
    ///
    /// # Errors
    /// It is not a pipe.
    pub fn new(pipe: OwnedFd, directory: PathBuf, size: u64, keep: u32) -> io::Result<Log> {
        // Of a small pipe a line may take three quarters: one that filled it could never end.
        let line_max = (sys::pipe::capacity(&pipe)? / 4 * 3).clamp(1, LINE_MAX);
        let mut log = Log {
            pipe: File::from(pipe),
            file: LogFile::new(directory, size, keep),
            line_max,
            ended: false,
            incident: None,
            lost_lines: 0,
            lost_bytes: 0,
            taken: 0,
        };
        // `current` is there from the start, for those who follow it. A failure is reported at the first line.
        if log.file.open().is_ok() {
            log.prune();
        }
        Ok(log)
    }

    /// Takes new limits.
    pub fn limit(&mut self, size: u64, keep: u32) {
        self.file.limit(size, keep);
        self.prune();
    }

    /// Whether the other pipe is the one that this log reads.
    #[must_use]
    pub fn reads(&self, other: &OwnedFd) -> bool {
        let identity = |stat: FileStat| (stat.st_dev, stat.st_ino);
        fstat(&self.pipe).map(identity) == fstat(other).map(identity)
    }

    /// The pipe, to be watched.
    #[must_use]
    pub fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Takes note that nobody has the other end of the pipe any more.
    pub fn set_ended(&mut self) {
        self.ended = true;
    }

    /// Whether the file cannot be written at present.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.incident.is_some()
    }

    /// One turn: at most one batch from the pipe to the file. With `flush`, a line without its end is written too.
    pub fn serve(&mut self, desk: &mut Desk, flush: bool) -> Next {
        match self.batch(desk, flush) {
            Ok(next) => next,
            Err(trouble) => {
                if self.incident.is_none() {
                    say(&format_args!("warning: {trouble} (retrying every second)"));
                    self.incident = Some(Cause(&trouble.cause).to_string());
                }
                Next::Retry
            }
        }
    }

    fn batch(&mut self, desk: &mut Desk, flush: bool) -> Result<Next, Trouble> {
        let seen = self.look(desk)?;
        // Only what is last in the pipe is unfinished: behind a cut-off batch there is more of the line.
        let ending = (flush || self.ended) && seen < BATCH && self.pending()? == seen;
        if seen > 0 || self.lost_bytes > 0 {
            self.file.open()?;
        }
        let framed = self.compose(desk, seen, ending, usize::MAX);
        if !desk.output.is_empty() {
            self.store(desk, seen, framed, ending)?;
        }
        // Also when there was nothing to try it with.
        if framed.consumed == seen {
            self.recover();
        }
        let left = seen - framed.consumed;
        Ok(if framed.stopped || self.pending()? > left {
            Next::Turn
        } else if left > 0 {
            if self.ended { Next::Turn } else { Next::Patience { new: framed.consumed > 0 } }
        } else if self.ended {
            Next::End
        } else {
            Next::Nothing
        })
    }

    /// How many bytes the desk has from the pipe now.
    fn look(&mut self, desk: &mut Desk) -> Result<usize, Trouble> {
        match desk.look(&self.pipe) {
            Ok(Look::Bytes(count)) => Ok(count),
            Ok(Look::Empty) => Ok(0),
            Ok(Look::Ended) => {
                self.ended = true;
                Ok(0)
            }
            Err(cause) => Err(self.trouble("read the pipe for", cause)),
        }
    }

    fn compose(&self, desk: &mut Desk, seen: usize, ending: bool, hard: usize) -> Framed {
        let limits = Limits { line: self.line_max, soft: self.file.room(), hard };
        let first: &[u8] = if self.file.is_torn() { b"\n" } else { b"" };
        let notice = self.lost_notice();
        if seen == 0 && notice.is_none() {
            desk.output.clear();
            return Framed { consumed: 0, stopped: false };
        }
        desk.compose(first, notice.as_deref(), seen, limits, ending)
    }

    /// Writes the output, then takes what it was made of out of the pipe. If only a part can be written, that many whole
    /// lines are kept, so that the retry goes on behind them.
    fn store(&mut self, desk: &mut Desk, seen: usize, framed: Framed, ending: bool) -> Result<(), Trouble> {
        if let Err(failed) = self.file.append(&desk.output) {
            let kept = self.compose(desk, seen, ending, failed.written);
            self.file.settle(desk.output.len());
            if !desk.output.is_empty() {
                self.forget_loss();
            }
            self.drain(desk, kept.consumed)?;
            return Err(failed.trouble);
        }
        self.forget_loss();
        self.drain(desk, framed.consumed)?;
        self.recover();
        if let Err(trouble) = self.file.rotate(sys::clock::wall()) {
            say(&format_args!("warning: {trouble} (logging goes on)"));
        }
        Ok(())
    }

    /// While the file cannot be written: when the pipe is nearly full, drops the oldest quarter of what it holds, so that
    /// the service never waits for the disk. Only with `thorough` are pipes found that are full with few bytes.
    pub fn relieve(&mut self, desk: &mut Desk, thorough: bool) -> Next {
        let (pending, capacity) = (self.pending().unwrap_or(0), sys::pipe::capacity(&self.pipe).unwrap_or(0));
        let nearly_full = pending > 0 && pending / 3 >= capacity / 4;
        let full = nearly_full || (thorough && desk::is_full(&self.pipe).unwrap_or(false));
        if !full {
            return Next::Nothing;
        }
        let Ok(seen) = self.look(desk) else { return Next::Nothing };
        let quarter = desk.seen((pending / 4).max(1).min(seen));
        let whole = quarter.iter().rposition(|byte| *byte == b'\n').map_or(quarter.len(), |at| at + 1);
        let dropped = quarter.get(..whole).unwrap_or(quarter);
        let newlines = dropped.iter().filter(|byte| **byte == b'\n').count();
        // A piece of a line is a line that will not be read.
        let lines = newlines.max(1);
        if self.drain(desk, whole).is_err() {
            return Next::Nothing;
        }
        self.lost_lines += u64::try_from(lines).unwrap_or(0);
        self.lost_bytes += u64::try_from(whole).unwrap_or(0);
        if nearly_full { Next::Turn } else { Next::Nothing }
    }

    /// Writes all that the pipe holds now, and what comes meanwhile, but not for ever.
    pub fn finish(&mut self, desk: &mut Desk) {
        let owed = self.taken + u64::try_from(self.pending().unwrap_or(0)).unwrap_or(0);
        let mut rounds = LAST_ROUNDS;
        while rounds > 0 {
            match self.serve(desk, true) {
                Next::Turn | Next::Patience { .. } => {}
                Next::Nothing | Next::End => break,
                Next::Retry => {
                    let left = self.pending().unwrap_or(0);
                    say(&format_args!("warning: {left} bytes for {} are lost", self.file.path().display()));
                    break;
                }
            }
            if self.taken >= owed {
                rounds -= 1;
            }
        }
    }

    /// Makes what was written durable; see [`LogFile::sync`].
    pub fn sync(&self, done: &mut Vec<u64>) {
        if let Err(cause) = self.file.sync(done) {
            say(&format_args!("warning: {} (it may not survive a crash)", self.trouble("sync", cause)));
        }
    }

    fn recover(&mut self) {
        if self.incident.take().is_some() {
            say(&format_args!("writing {} again", self.file.path().display()));
        }
    }

    fn prune(&self) {
        if let Err(trouble) = self.file.prune() {
            say(&format_args!("warning: {trouble} (keeping it)"));
        }
    }

    fn drain(&mut self, desk: &mut Desk, count: usize) -> Result<(), Trouble> {
        self.taken += u64::try_from(count).unwrap_or(0);
        desk.drain(&self.pipe, count).map_err(|cause| self.trouble("drain the pipe for", cause))
    }

    fn pending(&self) -> Result<usize, Trouble> {
        sys::pipe::pending(&self.pipe).map_err(|cause| self.trouble("ask the pipe for", cause))
    }

    fn trouble(&self, verb: &'static str, cause: io::Error) -> Trouble {
        Trouble { verb, path: self.file.path(), cause }
    }

    fn lost_notice(&self) -> Option<String> {
        let (lines, bytes) = (self.lost_lines, self.lost_bytes);
        let cause = self.incident.as_deref().unwrap_or("unknown cause");
        (bytes > 0).then(|| format!("svlog: lost {lines} lines ({bytes} bytes): {cause}"))
    }

    fn forget_loss(&mut self) {
        (self.lost_lines, self.lost_bytes) = (0, 0);
    }
}
