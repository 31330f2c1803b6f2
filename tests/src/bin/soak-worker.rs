//! What every service of the soak runs: it holds a lock that only one process can have, writes numbered lines, and
//! keeps count of them in a file of its own, so that afterwards every run and every line can be accounted for.
//!
//! `soak-worker PLACE NAME [BEHAVIOUR]...`, each behaviour a word and its value in milliseconds:
//!
//! - `ready-after N`: writes a newline to descriptor 3 then
//! - `notify-after N`: says READY=1 to the socket that it was told of then (sd_notify(3))
//! - `stop-delay N`: takes so long to end after TERM
//! - `deaf 1`: does not end on TERM at all
//! - `dies-within N`: exits with 7 at some time before that
//! - `ends-after N`: exits with success then
//! - `pause N`: the time between two lines (20)
//! - `sinks 1`: appends what it reads from its standard input to a file of its own

#![allow(
    clippy::unwrap_used,
    clippy::exit,
    clippy::indexing_slicing,
    reason = "a program for tests, which is told how to die"
)]

use service::{Signal, Tick};
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (place, name) = (PathBuf::from(&words[0]), words[1].clone());
    let pairs = words[2..].chunks_exact(2);
    let behaviour = pairs.map(|pair| (pair[0].clone(), pair[1].parse().unwrap())).collect();
    // Without this a second process of the service would go unnoticed.
    let _lock = sys::fs::lock(&place.join("held").join(&name)).unwrap_or_else(|error| {
        let own = std::process::id();
        complain(&place, &format!("{name}: process {own} while there is another: {error}"));
        std::process::exit(99);
    });
    Worker::new(&place, name, behaviour).run();
}

fn complain(place: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(place.join("violations")).unwrap();
    file.write_all(format!("{text}\n").as_bytes()).unwrap();
}

struct Worker {
    name: String,
    behaviour: HashMap<String, u64>,
    /// Eight bytes a run: how many lines it has written.
    counts: File,
    run: u64,
    line: u64,
    /// Where what it reads goes.
    sunk: Option<File>,
}

impl Worker {
    fn new(place: &Path, name: String, behaviour: HashMap<String, u64>) -> Worker {
        let mut options = OpenOptions::new();
        let file = place.join("counts").join(&name);
        let counts = options.read(true).write(true).create(true).truncate(false).open(file).unwrap();
        let run = counts.metadata().unwrap().len() / 8;
        counts.write_all_at(&0_u64.to_le_bytes(), run * 8).unwrap();
        let sunk = OpenOptions::new().append(true).create(true).open(place.join("sunk").join(&name));
        let sunk = behaviour.contains_key("sinks").then(|| sunk.unwrap());
        Worker { name, behaviour, counts, run, line: 0, sunk }
    }

    fn after(&self, key: &str, from: Tick) -> Option<Tick> {
        self.behaviour.get(key).map(|time| from.after(Duration::from_millis(*time)))
    }

    fn run(mut self) {
        let signals = Signals::block(&[Signal::TERM, Signal::HUP, Signal::USR1]).unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&signals, 0).unwrap();
        let begun = sys::clock::now();
        let mut ready_at = self.after("ready-after", begun);
        let mut notify_at = self.after("notify-after", begun);
        let share = u64::from(std::process::id()) * 2_654_435_761 % 1000;
        let dies_at = self.behaviour.get("dies-within").map(|most| begun.after(millis(most * share / 1000)));
        let ends_at = self.after("ends-after", begun);
        let mut stop_at: Option<Tick> = None;
        let pause = millis(self.behaviour.get("pause").copied().unwrap_or(20));
        let mut next_line = begun;
        let input = self.behaviour.contains_key("sinks").then(std::io::stdin);
        if let Some(input) = &input {
            poller.add(input, 1).unwrap();
        }
        loop {
            self.sink();
            let now = sys::clock::now();
            let due = |at: Option<Tick>| at.is_some_and(|at| at <= now);
            if due(ready_at.take_if(|at| *at <= now)) {
                let mut descriptor = OpenOptions::new().write(true).open("/proc/self/fd/3").unwrap();
                descriptor.write_all(b"\n").unwrap();
            }
            if due(notify_at.take_if(|at| *at <= now)) {
                let socket = UnixDatagram::unbound().unwrap();
                socket.send_to(b"READY=1", std::env::var_os("NOTIFY_SOCKET").unwrap()).unwrap();
            }
            if due(dies_at) {
                std::process::exit(7);
            }
            if due(ends_at) || due(stop_at) {
                self.sink();
                std::process::exit(0);
            }
            if next_line <= now {
                // Now and then many at once, which do not fit into a page.
                for _ in 0..if self.line % 50 == 49 { 200 } else { 1 } {
                    self.say();
                }
                next_line = now.after(pause);
            }
            let deadlines = [Some(next_line), ready_at, notify_at, dies_at, ends_at, stop_at];
            let deadline = deadlines.into_iter().flatten().min();
            let mut ready = [Ready::default(); 2];
            let count = poller.wait(&mut ready, deadline).unwrap();
            if let Some(input) = &input
                && ready[..count].iter().any(|ready| ready.token == 1 && ready.hangup)
                && sys::pipe::pending(input).unwrap() == 0
            {
                poller.remove(input).unwrap();
            }
            while let Ok(Some((signal, _))) = signals.next() {
                if signal == Signal::TERM && !self.behaviour.contains_key("deaf") && stop_at.is_none() {
                    stop_at = self.after("stop-delay", sys::clock::now()).or(Some(sys::clock::now()));
                }
            }
        }
    }

    /// Takes over what there is to read. It is lost if this is killed in between, so nobody does that.
    fn sink(&mut self) {
        let Some(sunk) = &mut self.sunk else { return };
        while sys::pipe::pending(std::io::stdin()).unwrap() > 0 {
            let mut buffer = [0; 4096];
            // Not by the library's handle, which reads more than it is asked for.
            let count = nix::unistd::read(std::io::stdin(), &mut buffer).unwrap();
            sunk.write_all(&buffer[..count]).unwrap();
        }
    }

    /// A line, and only then its number in the file: the log has all that are counted, and one more at the most.
    fn say(&mut self) {
        self.line += 1;
        let line = format!("L {} {} {}\n", self.name, self.run, self.line);
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        self.counts.write_all_at(&self.line.to_le_bytes(), self.run * 8).unwrap();
    }
}

fn millis(number: u64) -> Duration {
    Duration::from_millis(number)
}
