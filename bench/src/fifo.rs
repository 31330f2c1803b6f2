//! How the sleepers tell that they have started.

use crate::sleeper::MESSAGE;
use crate::unable;
use nix::sys::stat::Mode;
use service::{Pid, Tick};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::poll::{Poller, Ready};

/// No start takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// One start of a sleeper.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Start {
    pub(crate) at: Tick,
    pub(crate) pid: Pid,
}

/// A fifo that any number of sleepers write to.
#[derive(Debug)]
pub(crate) struct Fifo {
    path: PathBuf,
    file: File,
    poller: Poller,
}

impl Fifo {
    pub(crate) fn new(path: &Path) -> Result<Fifo, String> {
        nix::unistd::mkfifo(path, Mode::from_bits_truncate(0o666))
            .map_err(|errno| unable("make a fifo")(errno.into()))?;
        // Open for both, so that it is never at its end.
        let flags = nix::libc::O_NONBLOCK;
        let file = File::options().read(true).write(true).custom_flags(flags).open(path);
        let file = file.map_err(unable("open a fifo"))?;
        let poller = Poller::new().map_err(unable("wait"))?;
        poller.add(&file, 0).map_err(unable("wait"))?;
        Ok(Fifo { path: path.to_owned(), file, poller })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next start that is told.
    pub(crate) fn next(&mut self) -> Result<Start, String> {
        let deadline = sys::clock::now().after(PATIENCE);
        let mut message = [0; MESSAGE];
        // Messages are shorter than PIPE_BUF, and so come whole.
        while !matches!(sys::socket::read(&self.file, &mut message), Ok(MESSAGE)) {
            if sys::clock::now() >= deadline {
                return Err("a service that was to start has not".to_owned());
            }
            self.poller.wait(&mut [Ready::default(); 1], Some(deadline)).map_err(unable("wait"))?;
        }
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.iter_mut().zip(message.iter().skip(at)).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(bytes)
        };
        let pid = i32::try_from(number(16)).ok().and_then(Pid::new).ok_or("a start without a process id")?;
        Ok(Start { at: Tick(number(0) * 1_000_000_000 + number(8)), pid })
    }

    /// The process ids of the next `count` starts.
    pub(crate) fn starts(&mut self, count: usize) -> Result<Vec<Pid>, String> {
        (0..count).map(|_| self.next().map(|start| start.pid)).collect()
    }
}
