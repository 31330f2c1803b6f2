//! How far a pull has come, for whoever watches: a bar on a terminal, now and then a line elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The least time between two lines.
const BETWEEN_LINES: Duration = Duration::from_secs(5);
/// The least time between two pictures of the bar.
const BETWEEN_BARS: Duration = Duration::from_millis(100);
/// How long the bar is.
const WIDTH: u64 = 30;

/// How it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Not at all.
    Silent,
    /// By lines.
    Lines,
    /// By a bar, which is drawn over itself.
    Bar,
}

impl Manner {
    /// A bar if the standard error is a terminal.
    #[must_use]
    pub fn fitting() -> Manner {
        if std::io::stderr().is_terminal() { Manner::Bar } else { Manner::Lines }
    }
}

/// Keeps account, and tells it.
pub struct Report {
    manner: Manner,
    name: String,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    total: u64,
    done: u64,
    /// When it began, or was told of for the last time.
    last: Option<Instant>,
    told: bool,
}

impl Report {
    /// One of nothing yet; `name` is what is pulled.
    #[must_use]
    pub fn new(manner: Manner, name: impl Into<String>) -> Report {
        Report { manner, name: name.into(), state: Mutex::default() }
    }

    /// So much more is to be done.
    pub fn begin(&self, size: u64) {
        self.change(|state| state.total = state.total.saturating_add(size));
    }

    /// So much more is done.
    pub fn advance(&self, bytes: u64) {
        self.change(|state| state.done = state.done.saturating_add(bytes));
    }

    /// What was begun is not to be had here.
    pub fn take_back(&self, size: u64, done: u64) {
        self.change(|state| {
            state.total = state.total.saturating_sub(size);
            state.done = state.done.saturating_sub(done);
        });
    }

    /// There is nothing more to come.
    pub fn finish(&self) {
        let state = *self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Who was done before anything was told has nothing to tell.
        if state.told {
            self.tell(state);
            if self.manner == Manner::Bar {
                say("\n");
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let pause = match self.manner {
            Manner::Silent => return,
            Manner::Lines => BETWEEN_LINES,
            Manner::Bar => BETWEEN_BARS,
        };
        let now = Instant::now();
        match state.last {
            None => state.last = Some(now),
            Some(last) if now.duration_since(last) >= pause => {
                state.last = Some(now);
                state.told = true;
                self.tell(*state);
            }
            Some(_) => {}
        }
    }

    fn tell(&self, state: State) {
        match self.manner {
            Manner::Silent => {}
            Manner::Lines => say(&format!("{}: {}\n", self.name, amounts(state.done, state.total))),
            Manner::Bar => {
                say(&format!(
                    "\r{}: {} {}\x1b[K",
                    self.name,
                    bar(state.done, state.total),
                    amounts(state.done, state.total)
                ));
            }
        }
    }
}

fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    // Who does not listen is not told.
    let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
}

fn bar(done: u64, total: u64) -> String {
    let full = done.saturating_mul(WIDTH).checked_div(total).unwrap_or(0).min(WIDTH);
    let cells = (0..WIDTH).map(|cell| if cell < full { '#' } else { '.' });
    format!("[{}]", cells.collect::<String>())
}

/// Such as `1.5 of 12.0 MiB`.
fn amounts(done: u64, total: u64) -> String {
    format!("{} of {} MiB", mebibytes(done), mebibytes(total))
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_the_bar_are_what_they_say() {
        assert_eq!(amounts(3 << 19, 12 << 20), "1.5 of 12.0 MiB");
        assert_eq!(bar(1, 2), format!("[{}{}]", "#".repeat(15), ".".repeat(15)));
        assert_eq!(bar(0, 0), format!("[{}]", ".".repeat(30)));
        assert_eq!(bar(3, 2), format!("[{}]", "#".repeat(30)));
    }
}
