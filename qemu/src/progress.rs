//! What is being waited for, and for how long: one line that counts on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How much to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Errors only.
    Quiet,
    /// What is going on.
    Normal,
    /// The guest's console too.
    Verbose,
}

/// The voice of the command: lines on the standard error that start with `qemu: `.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress {
    level: Level,
    /// One line may be rewritten; the console in between would break it.
    rewrites: bool,
}

/// Something that is being waited for, until this is dropped.
pub(crate) struct Waiting {
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn new(level: Level) -> Self {
        Self { level, rewrites: level == Level::Normal && stderr().is_terminal() }
    }

    pub(crate) fn say(&self, what: &str) {
        if self.level != Level::Quiet {
            print(&format!("qemu: {what}\n"));
        }
    }

    /// Shows that `what` is being waited for, with the time, until the result is dropped.
    pub(crate) fn waiting_for(&self, what: &str) -> Waiting {
        let (stop, stopped) = channel::<()>();
        let (line, rewrites) = (format!("qemu: waiting for {what} ..."), self.rewrites);
        let interval = Duration::from_millis(if rewrites { 100 } else { 5000 });
        let started = Instant::now();
        let tick = move || {
            while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                let seconds = started.elapsed().as_secs_f32();
                print(&if rewrites {
                    format!("\r{line} {seconds:.1} s")
                } else {
                    format!("{line} {seconds:.0} s\n")
                });
            }
            if rewrites {
                print(ERASE_LINE);
            }
        };
        let quiet = self.level == Level::Quiet;
        // Without the thread nothing is shown, and the waiting itself goes on.
        let ticker =
            if quiet { None } else { thread::Builder::new().name("progress".to_owned()).spawn(tick).ok() };
        Waiting { stop: Some(stop), ticker }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // Hangs up, so that the ticker wakes at once and its last word comes before ours.
        drop(self.stop.take());
        if let Some(ticker) = self.ticker.take() {
            let _ = ticker.join();
        }
    }
}

const ERASE_LINE: &str = "\r\x1b[K";

/// A closed standard error is not worth dying for.
fn print(text: &str) {
    let _ = stderr().write_all(text.as_bytes());
}

pub(crate) fn error(text: &str) {
    print(&format!("qemu: {text}\n"));
}
