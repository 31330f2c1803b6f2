//! The serial console: everything the machine says is read at once and kept; waiting is matching in it.

use std::io::{self, Read, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::process::{interrupted, lock};

/// How many lines an error shows.
const SHOWN_LINES: usize = 30;

/// Called with each piece of output, in order, as it arrives.
pub(crate) type Sink = Box<dyn FnMut(&[u8]) + Send>;

/// The machine's console. Waiting moves a position forward, so that successive waits read like a dialogue.
pub struct Console {
    shared: Arc<Shared>,
    input: Mutex<Box<dyn Write + Send>>,
    /// Where the next `wait_for` starts.
    position: Mutex<usize>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Everything so far, without carriage returns.
    text: Vec<u8>,
    ended: bool,
    sinks: Vec<Sink>,
}

/// Where one of several patterns was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Which of the patterns.
    pub(crate) which: usize,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Console {
    /// Reads `output` from now on, in a thread of its own.
    pub(crate) fn new(
        mut output: impl Read + Send + 'static,
        input: impl Write + Send + 'static,
        sinks: Vec<Sink>,
    ) -> io::Result<Self> {
        let state = Mutex::new(State { sinks, ..State::default() });
        let shared = Arc::new(Shared { state, changed: Condvar::new() });
        let theirs = Arc::clone(&shared);
        thread::Builder::new().name("console".to_owned()).spawn(move || theirs.follow(&mut output))?;
        Ok(Self { shared, input: Mutex::new(Box::new(input)), position: Mutex::new(0) })
    }

    /// Waits until the console has said `pattern`, and returns the text before it since the last match.
    pub fn wait_for(&self, pattern: &str, within: Duration) -> Result<String, Error> {
        self.wait_for_any(&[pattern], within).map(|(_, before)| before)
    }

    /// Waits for the first of several patterns; says which came and what was said before it.
    pub fn wait_for_any(&self, patterns: &[&str], within: Duration) -> Result<(usize, String), Error> {
        let mut position = lock(&self.position);
        let found = self.find_from(*position, patterns, within)?;
        let before = self.text_between(*position, found.start);
        *position = found.end;
        Ok((found.which, before))
    }

    /// Forgets what was said until now: the next wait starts here.
    pub fn skip_to_now(&self) {
        *lock(&self.position) = lock(&self.shared.state).text.len();
    }

    /// Types `line` and the return key.
    pub fn send_line(&self, line: &str) -> Result<(), Error> {
        self.send(format!("{line}\r").as_bytes())
    }

    /// Everything that was said so far.
    pub fn transcript(&self) -> String {
        self.text_between(0, usize::MAX)
    }

    /// The last `count` lines.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        last_lines(&lock(&self.shared.state).text, count)
    }

    pub(crate) fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        let mut input = lock(&self.input);
        input.write_all(bytes).and_then(|()| input.flush()).map_err(|error| Error::Ended {
            waiting_for: "the console to take input".to_owned(),
            how: format!("the machine ended ({error})"),
            console: self.last_lines(SHOWN_LINES),
        })
    }

    /// Waits for the end of the output: the machine is off and its last words are in the transcript.
    pub(crate) fn wait_for_end(&self, deadline: Instant) {
        let mut state = lock(&self.shared.state);
        while !state.ended {
            let Some(left) = deadline.checked_duration_since(Instant::now()) else { return };
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits without touching the dialogue's position.
    pub(crate) fn find_from(&self, from: usize, patterns: &[&str], within: Duration) -> Result<Found, Error> {
        let deadline = Instant::now() + within;
        let mut scan = Scan::new(from, patterns);
        let mut state = lock(&self.shared.state);
        loop {
            if let Some(found) = scan.look(&state.text) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.ended || left.is_zero() {
                let console = last_lines(&state.text, SHOWN_LINES);
                return Err(not_found(patterns, within, state.ended, console));
            }
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn text_between(&self, start: usize, end: usize) -> String {
        let state = lock(&self.shared.state);
        let end = end.min(state.text.len());
        String::from_utf8_lossy(state.text.get(start..end).unwrap_or_default()).into_owned()
    }
}

impl Shared {
    fn follow(&self, output: &mut impl Read) {
        let mut buffer = [0; 4096];
        loop {
            match output.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.take(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        lock(&self.state).ended = true;
        self.changed.notify_all();
    }

    fn take(&self, bytes: &[u8]) {
        let mut state = lock(&self.state);
        state.text.extend(bytes.iter().filter(|byte| **byte != b'\r'));
        for sink in &mut state.sinks {
            sink(bytes);
        }
        self.changed.notify_all();
    }
}

fn not_found(patterns: &[&str], within: Duration, ended: bool, console: Vec<String>) -> Error {
    let quoted: Vec<_> = patterns.iter().map(|pattern| format!("'{pattern}'")).collect();
    let waiting_for = format!("{} on the console", quoted.join(" or "));
    if interrupted() {
        Error::Interrupted
    } else if ended {
        Error::Ended { waiting_for, how: "the machine ended".to_owned(), console }
    } else {
        Error::TimedOut { waiting_for, within, console }
    }
}

/// A search in a text that grows.
struct Scan<'a> {
    patterns: &'a [&'a str],
    /// No match begins before this.
    from: usize,
}

impl<'a> Scan<'a> {
    fn new(from: usize, patterns: &'a [&'a str]) -> Self {
        Self { patterns, from }
    }

    /// The earliest match of any pattern.
    fn look(&mut self, text: &[u8]) -> Option<Found> {
        let tail = text.get(self.from..)?;
        let first = |(which, pattern): (usize, &&str)| {
            let offset =
                tail.windows(pattern.len().max(1)).position(|window| window == pattern.as_bytes())?;
            let start = self.from + offset;
            Some(Found { which, start, end: start + pattern.len() })
        };
        let found = self.patterns.iter().enumerate().filter_map(first).min_by_key(|found| found.start);
        // The beginning of a match may be there already; what lies before need not be looked at again.
        let longest = self.patterns.iter().map(|pattern| pattern.len()).max().unwrap_or(0);
        self.from = self.from.max(text.len().saturating_sub(longest));
        found
    }
}

fn last_lines(text: &[u8], count: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<_> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    const LONG: Duration = Duration::from_secs(60);

    /// A console, and the guest's side of it.
    fn console() -> (Console, UnixStream) {
        let (ours, guest) = UnixStream::pair().unwrap();
        (Console::new(ours.try_clone().unwrap(), ours, Vec::new()).unwrap(), guest)
    }

    #[test]
    fn a_wait_returns_the_text_before_the_match_and_the_next_one_starts_after_it() {
        let (console, mut guest) = console();
        guest.write_all(b"one\r\nlogin: two\r\nlogin: ").unwrap();
        assert_eq!(console.wait_for("login: ", LONG).unwrap(), "one\n");
        assert_eq!(console.wait_for("login: ", LONG).unwrap(), "two\n");
    }

    #[test]
    fn a_pattern_that_arrives_in_pieces_is_found() {
        let text = b"init: startup complete";
        let mut scan = Scan::new(0, &["startup complete", "up"]);
        let found = (0..=text.len()).find_map(|length| scan.look(&text[..length]));
        assert_eq!(found, Some(Found { which: 1, start: 11, end: 13 }));
        let mut scan = Scan::new(0, &["startup complete"]);
        let found = (0..=text.len()).find_map(|length| scan.look(&text[..length]));
        assert_eq!(found, Some(Found { which: 0, start: 6, end: 22 }));
    }

    #[test]
    fn of_several_patterns_the_one_said_first_wins() {
        let (console, mut guest) = console();
        guest.write_all(b"x panic y complete").unwrap();
        assert_eq!(console.wait_for_any(&["complete", "panic"], LONG).unwrap(), (1, "x ".to_owned()));
        assert_eq!(console.wait_for_any(&["complete", "panic"], LONG).unwrap(), (0, " y ".to_owned()));
    }

    #[test]
    fn a_timeout_shows_what_was_waited_for_and_the_last_30_lines() {
        let (console, mut guest) = console();
        for line in 0..40 {
            writeln!(guest, "line {line}.").unwrap();
        }
        console.wait_for("line 39.\n", LONG).unwrap();
        let message = console.wait_for("the end", Duration::ZERO).unwrap_err().to_string();
        assert!(message.starts_with("'the end' on the console did not come within 0.0 s"), "{message}");
        assert!(message.contains("| line 10.") && message.contains("| line 39."), "{message}");
        assert!(!message.contains("line 9."), "{message}");
    }

    #[test]
    fn a_machine_that_ends_ends_the_wait() {
        let (console, mut guest) = console();
        guest.write_all(b"last words\n").unwrap();
        drop(guest);
        let message = console.wait_for("startup", LONG).unwrap_err().to_string();
        assert!(message.contains("the machine ended while waiting for 'startup'"), "{message}");
        assert!(message.contains("last words"), "{message}");
    }

    #[test]
    fn what_was_said_before_the_machine_ended_is_still_found() {
        let (console, mut guest) = console();
        guest.write_all(b"reboot: Power down\n").unwrap();
        drop(guest);
        console.wait_for("reboot: Power down", LONG).unwrap();
    }
}
