//! One service's log: its pipe, its directory, and what is done when they do not get on.

use crate::desk::{self, BATCH, Desk, Look};
use crate::file::LogFile;
use crate::lines::{Framed, Limits};
use crate::report::{Cause, Trouble, say};
use nix::sys::stat::{FileStat, fstat};
use service::Tick;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

/// Lines longer than this are split.
pub const LINE_MAX: usize = 8192;
/// When a line has been left unfinished for so long, what comes next is another line.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How many more batches a log gets at the end, once it has written what its pipe held.
const LAST_ROUNDS: u32 = 4;

/// What came of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Something was written; there may be more.
    Served,
    /// There was nothing to write.
    Idle,
    /// The file cannot be written.
    Failed,
    /// Everything is written, and nobody is left who could write more.
    Ended,
}

/// A pipe and the directory that its lines go to.
#[derive(Debug)]
pub struct Log {
    pipe: File,
    file: LogFile,
    /// How many bytes of an unfinished line are in the file, and since when.
    open: usize,
    open_since: Tick,
    /// Why the file cannot be written, in the words of the first failure.
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
        sys::pipe::capacity(&pipe)?;
        let mut log = Log {
            pipe: File::from(pipe),
            file: LogFile::new(directory, size, keep),
            open: 0,
            open_since: Tick(0),
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

    /// One turn: at most one batch from the pipe to the file. With `last`, an unfinished line is given its newline when
    /// nothing comes after it.
    pub fn serve(&mut self, desk: &mut Desk, last: bool) -> Turn {
        match self.batch(desk, last) {
            Ok(turn) => turn,
            Err(trouble) => {
                if self.incident.is_none() {
                    say(&format_args!("warning: {trouble} (retrying every second)"));
                    self.incident = Some(Cause(&trouble.cause).to_string());
                }
                Turn::Failed
            }
        }
    }

    fn batch(&mut self, desk: &mut Desk, last: bool) -> Result<Turn, Trouble> {
        let look = desk.look(&self.pipe).map_err(|cause| self.trouble("read the pipe for", cause))?;
        let seen = if let Look::Bytes(seen) = look { seen } else { 0 };
        let closing = self.open > 0 && seen == 0 && (last || look == Look::Ended);
        if seen == 0 && self.lost_bytes == 0 && !closing {
            self.recover();
            return Ok(if look == Look::Ended { Turn::Ended } else { Turn::Idle });
        }
        self.file.open()?;
        let batch = Batch { seen, closing, tail: self.has_all(desk, seen)?, now: sys::clock::now() };
        let framed = self.compose(desk, batch, usize::MAX);
        self.store(desk, batch, framed)?;
        Ok(Turn::Served)
    }

    /// Whether the bytes seen are all that the pipe holds: then a line that has no end is taken as far as it goes. It must
    /// not stay behind alone: a write that blocks tells the reader of a pipe only if the pipe was empty before.
    fn has_all(&self, desk: &Desk, seen: usize) -> Result<bool, Trouble> {
        if seen == BATCH || desk.seen(seen).last() == Some(&b'\n') {
            return Ok(false);
        }
        let pending =
            sys::pipe::pending(&self.pipe).map_err(|cause| self.trouble("ask the pipe for", cause))?;
        Ok(pending == seen)
    }

    /// Makes the output for a batch, of at most `hard` bytes.
    fn compose(&self, desk: &mut Desk, batch: Batch, hard: usize) -> Option<Framed> {
        let stale = batch.now.since(self.open_since) > PATIENCE;
        let ends = self.open > 0 && (stale || batch.closing || self.lost_bytes > 0);
        let (first, open) = match self.file.is_torn() || ends {
            true => (&b"\n"[..], 0),
            false => (&b""[..], self.open),
        };
        let limits = Limits { line: LINE_MAX, soft: self.file.room(), hard };
        desk.compose(first, self.lost_notice().as_deref(), batch.seen, limits, open, batch.tail)
    }

    /// Writes the output, then takes what it was made of out of the pipe. If only a part can be written, as many whole
    /// lines are kept as there is room for, and the retry goes on behind them.
    fn store(&mut self, desk: &mut Desk, batch: Batch, framed: Option<Framed>) -> Result<(), Trouble> {
        if let Err(failed) = self.file.append(&desk.output) {
            let kept = self.compose(desk, Batch { tail: false, ..batch }, failed.written);
            self.file.settle(desk.output.len());
            self.account(desk, batch, kept)?;
            return Err(failed.trouble);
        }
        self.account(desk, batch, framed)?;
        self.recover();
        if self.open == 0
            && let Err(trouble) = self.file.rotate(sys::clock::wall())
        {
            say(&format_args!("warning: {trouble} (logging goes on)"));
        }
        Ok(())
    }

    /// Takes note of what is in the file, and only then takes it out of the pipe.
    fn account(&mut self, desk: &mut Desk, batch: Batch, framed: Option<Framed>) -> Result<(), Trouble> {
        let Some(framed) = framed.filter(|_| !desk.output.is_empty()) else { return Ok(()) };
        (self.open, self.open_since) = (framed.open, batch.now);
        (self.lost_lines, self.lost_bytes) = (0, 0);
        self.drain(desk, framed.consumed)
    }

    /// While the file cannot be written: when the pipe is nearly full, drops the oldest quarter of what it holds, so that
    /// the service never waits for the disk. Returns whether it did.
    pub fn relieve(&mut self, desk: &mut Desk) -> bool {
        let capacity = sys::pipe::capacity(&self.pipe).unwrap_or(0);
        let pending = sys::pipe::pending(&self.pipe).unwrap_or(0);
        let nearly_full = pending >= capacity / 4 * 3 || desk::is_full(&self.pipe).unwrap_or(false);
        let Ok(Look::Bytes(seen)) = desk.look(&self.pipe) else { return false };
        if !nearly_full {
            return false;
        }
        let quarter = desk.seen((pending / 4).clamp(1, seen));
        // A piece of a line counts as a line: nobody will be able to read it.
        let whole = quarter.iter().rposition(|byte| *byte == b'\n').map_or(quarter.len(), |at| at + 1);
        let lines = quarter.iter().filter(|byte| **byte == b'\n').count().max(1);
        if self.drain(desk, whole).is_err() {
            return false;
        }
        self.lost_lines += u64::try_from(lines).unwrap_or(0);
        self.lost_bytes += u64::try_from(whole).unwrap_or(0);
        true
    }

    /// Writes all that the pipe holds now, and what comes meanwhile, but not for ever.
    pub fn finish(&mut self, desk: &mut Desk) {
        let pending = |log: &Log| u64::try_from(sys::pipe::pending(&log.pipe).unwrap_or(0)).unwrap_or(0);
        let owed = self.taken + pending(self);
        let mut rounds = LAST_ROUNDS;
        while rounds > 0 {
            match self.serve(desk, true) {
                Turn::Served if self.taken < owed => {}
                Turn::Served => rounds -= 1,
                Turn::Idle | Turn::Ended => return,
                Turn::Failed => {
                    let (path, lost) = (self.file.path(), self.lost_bytes + pending(self));
                    say(&format_args!("warning: unable to finish {}: {lost} bytes are lost", path.display()));
                    return;
                }
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

    fn trouble(&self, verb: &'static str, cause: io::Error) -> Trouble {
        Trouble { verb, path: self.file.path(), cause }
    }

    fn lost_notice(&self) -> Option<String> {
        let (lines, bytes) = (self.lost_lines, self.lost_bytes);
        let cause = self.incident.as_deref().unwrap_or("unknown cause");
        (bytes > 0).then(|| format!("svlog: lost {lines} lines ({bytes} bytes): {cause}"))
    }
}

/// What one turn is about: the output is made from it, and made again when only a part could be written.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Bytes of the pipe that lie on the desk.
    seen: usize,
    /// The pipe has nothing more for a line that is open.
    closing: bool,
    /// Take a line that has no end as far as it goes.
    tail: bool,
    now: Tick,
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, fcntl};
    use std::io::Write;

    struct Bench {
        directory: PathBuf,
        write: File,
        log: Log,
        desk: Desk,
    }

    impl Bench {
        fn new(name: &str) -> Bench {
            let directory = std::env::temp_dir().join(format!("svlog-{}-{name}", std::process::id()));
            let (read, write) = sys::pipe::pair().unwrap();
            let log = Log::new(read, directory.clone(), 4096, 3).unwrap();
            Bench { directory, write: File::from(write), log, desk: Desk::new().unwrap() }
        }

        fn says(&mut self, text: &[u8]) -> Turn {
            self.write.write_all(text).unwrap();
            self.log.serve(&mut self.desk, false)
        }

        /// What the file holds, without stamps.
        fn texts(&self) -> Vec<String> {
            let text = std::fs::read_to_string(self.directory.join("current")).unwrap();
            text.split_inclusive('\n').map(|line| line[28.min(line.len())..].to_owned()).collect()
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }

    #[test]
    fn what_follows_an_unfinished_line_after_a_while_is_another_line() {
        let mut bench = Bench::new("stale");
        assert_eq!(bench.says(b"login: "), Turn::Served);
        assert_eq!(bench.says(b"root"), Turn::Served);
        assert_eq!(bench.texts(), ["login: root"]);
        bench.log.open_since = Tick(0);
        bench.says(b"service starts\n");
        assert_eq!(bench.texts(), ["login: root\n", "service starts\n"]);
    }

    #[test]
    fn an_unfinished_line_behind_whole_ones_is_taken_only_if_nothing_follows() {
        let mut bench = Bench::new("tail");
        bench.log.limit(1 << 20, 3);
        fcntl(&bench.write, FcntlArg::F_SETPIPE_SZ(1 << 18)).unwrap();
        // More than one batch: the cut through a line is not its end.
        let text = format!("{}\n", "z".repeat(98)).repeat(1200);
        bench.write.write_all(text.as_bytes()).unwrap();
        bench.says(b"rest");
        assert!(bench.texts().last().unwrap().ends_with('\n'));
        while bench.log.serve(&mut bench.desk, false) != Turn::Idle {}
        assert_eq!(bench.texts().concat(), text + "rest");
    }

    #[test]
    fn an_open_line_is_never_cut_by_a_rotation() {
        let mut bench = Bench::new("rotation");
        bench.says(&[b'x'; 4200]);
        bench.says(&[b'y'; 100]);
        assert_eq!(bench.texts().len(), 1);
        bench.says(b"\nnext\n");
        while bench.log.serve(&mut bench.desk, false) != Turn::Idle {}
        assert_eq!(bench.texts(), ["next\n"]);
    }

    #[test]
    fn relief_drops_whole_lines_only_from_a_pipe_that_is_nearly_full() {
        let mut bench = Bench::new("relief");
        bench.write.write_all(&b"a line of some length\n".repeat(2000)).unwrap();
        assert!(!bench.log.relieve(&mut bench.desk), "two thirds full");
        bench.write.write_all(&b"a line of some length\n".repeat(300)).unwrap();
        assert!(bench.log.relieve(&mut bench.desk));
        assert_eq!((bench.log.lost_lines, bench.log.lost_bytes), (575, 575 * 22));
        bench.log.incident = Some("No space left on device".to_owned());
        bench.log.limit(1 << 20, 3);
        bench.log.serve(&mut bench.desk, false);
        assert_eq!(bench.texts()[0], "svlog: lost 575 lines (12650 bytes): No space left on device\n");
        assert_eq!(bench.texts().len(), 1 + 2300 - 575);
    }
}
