//! The ledger: what another init needs to go on in this one's place, always up to date, in a file that exists
//! in memory alone.
//!
//! It is text in records of a fixed width: what the ledger is; the faults so far; the machine; one record for
//! each service. Behind them are the plan and the settings as they are applied, so that recovery depends on no file.
//! A record is written with one call when it has changed, and a new plan makes a new ledger.
//!
//! **When**: what somebody has asked for is written before it is carried out or answered; a descriptor that a
//! child is about to get is written before the child exists; a dead child is reaped after what follows from its
//! death was written. Everything else can be done twice, and is written once a round.

use crate::runtime::Init;
use service::codec::pairs;
use service::graph::{Index, Saved};
use service::init_status::InitStatus;
use service::{STATE_VERSION, Signal, Tick};
use std::fmt::{Display, Write};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::str::FromStr;
use sys::memfd;

/// The width of a record, in bytes: a service may have [`crate::store::KEPT_MAX`] descriptors kept, with a line each.
const RECORD: usize = 3072;
/// Where the records are.
const HEAD: usize = 0;
const FAULTS: usize = 1;
const MACHINE: usize = 2;
const SERVICES: usize = 3;
/// The faults that matter are the last ones.
const RECENT: usize = 8;

/// One record as it is made: lines of `key value`, and newlines up to its width.
pub(crate) struct Record {
    bytes: [u8; RECORD],
    used: usize,
}

impl Record {
    pub(crate) fn new() -> Record {
        Record { bytes: [b'\n'; RECORD], used: 0 }
    }

    /// Appends a line. One that does not fit is left out: the ones that must be there come first.
    pub(crate) fn line(&mut self, key: &str, value: impl Display) {
        let before = self.used;
        if writeln!(self, "{key} {value}").is_err() {
            if let Some(rest) = self.bytes.get_mut(before..) {
                rest.fill(b'\n');
            }
            self.used = before;
        }
    }

    /// Appends a line if there is a value.
    pub(crate) fn option(&mut self, key: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.line(key, value);
        }
    }

    /// Tells one content from another (FNV-1a).
    fn digest(&self) -> u64 {
        let filled = self.bytes.get(..self.used).unwrap_or_default();
        filled.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

impl Write for Record {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.used + text.len();
        let place = self.bytes.get_mut(self.used..end).ok_or(std::fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.used = end;
        Ok(())
    }
}

/// One record as it is read.
#[derive(Clone, Copy)]
pub(crate) struct Lines<'a>(&'a str);

impl<'a> Lines<'a> {
    pub(crate) fn get(self, key: &str) -> Option<&'a str> {
        self.all(key).next()
    }

    /// Every value of a key that repeats.
    pub(crate) fn all(self, key: &str) -> impl Iterator<Item = &'a str> {
        pairs(self.0).filter(move |(found, _)| *found == key).map(|(_, value)| value)
    }

    pub(crate) fn number<T: FromStr>(self, key: &str) -> Option<T> {
        self.get(key)?.parse().ok()
    }

    pub(crate) fn flag(self, key: &str) -> bool {
        self.get(key) == Some("true")
    }
}

/// A ledger that was left by another.
pub(crate) struct Found {
    text: String,
    pub(crate) services: usize,
    plan: usize,
    settings: usize,
    options: usize,
}

impl Found {
    /// Reads it; none if it is not a ledger, or of another version.
    pub(crate) fn read(file: &OwnedFd) -> Option<Found> {
        let text = String::from_utf8(memfd::read(file).ok()?).ok()?;
        let found = Found { text, services: 0, plan: 0, settings: 0, options: 0 };
        let head = found.record(HEAD)?;
        if head.number::<u32>("mainstay-ledger") != Some(STATE_VERSION) {
            return None;
        }
        let (services, plan) = (head.number("services")?, head.number("plan")?);
        let (settings, options) = (head.number("settings")?, head.number("options")?);
        Some(Found { services, plan, settings, options, ..found })
    }

    fn record(&self, place: usize) -> Option<Lines<'_>> {
        self.text.get(place * RECORD..(place + 1) * RECORD).map(Lines)
    }

    pub(crate) fn machine(&self) -> Option<Lines<'_>> {
        self.record(MACHINE)
    }

    pub(crate) fn service(&self, index: Index) -> Option<Lines<'_>> {
        self.record(SERVICES + index)
    }

    /// Every descriptor that it names: the values of keys that begin with `fd-`, and what is kept for supervisors.
    pub(crate) fn descriptors(&self) -> impl Iterator<Item = i32> {
        let records =
            self.machine().into_iter().chain((0..self.services).filter_map(|index| self.service(index)));
        let numbers = records
            .flat_map(|lines| pairs(lines.0).filter(|(key, _)| key.starts_with("fd-") || *key == "kept"));
        numbers.filter_map(|(_, value)| value.split(' ').next()?.parse().ok())
    }

    pub(crate) fn plan(&self) -> Option<&str> {
        self.behind(0, self.plan)
    }

    pub(crate) fn settings(&self) -> Option<&str> {
        self.behind(self.plan, self.settings)
    }

    pub(crate) fn options(&self) -> Option<&str> {
        self.behind(self.plan + self.settings, self.options)
    }

    /// What stands behind the records.
    fn behind(&self, place: usize, length: usize) -> Option<&str> {
        let begin = (SERVICES + self.services) * RECORD + place;
        self.text.get(begin..begin + length)
    }
}

/// The faults so far, and the replacements on purpose.
#[derive(Default)]
pub(crate) struct Faults {
    total: u32,
    last: Option<(Signal, Tick)>,
    /// When, the newest last.
    recent: Vec<Tick>,
    replaced: u32,
    replaced_at: Option<Tick>,
}

impl Faults {
    pub(crate) fn read(file: &OwnedFd) -> Faults {
        let Some(found) = Found::read(file) else { return Faults::default() };
        let Some(lines) = found.record(FAULTS) else { return Faults::default() };
        let signal = lines.get("signal").and_then(Signal::parse);
        Faults {
            total: lines.number("total").unwrap_or(0),
            last: signal.zip(lines.number("at").map(Tick)),
            recent: lines.all("recent").filter_map(|at| at.parse().ok().map(Tick)).collect(),
            replaced: lines.number("replaced").unwrap_or(0),
            replaced_at: lines.number("replaced-at").map(Tick),
        }
    }

    /// Notes what has brought this process about: a fault with this signal, or a replacement.
    pub(crate) fn note(&mut self, fault: Option<Signal>, now: Tick) {
        let Some(signal) = fault else {
            self.replaced = self.replaced.saturating_add(1);
            self.replaced_at = Some(now);
            return;
        };
        self.total = self.total.saturating_add(1);
        self.last = Some((signal, now));
        self.recent.push(now);
        let surplus = self.recent.len().saturating_sub(RECENT);
        self.recent.drain(..surplus);
    }

    /// How many there were since `begin`.
    pub(crate) fn since(&self, begin: Tick) -> usize {
        self.recent.iter().filter(|at| **at >= begin).count()
    }

    /// How many there were in all.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// What to tell of them.
    pub(crate) fn status(&self) -> InitStatus {
        InitStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: service::Pid::new(sys::process::own()),
            recovered: self.total,
            last_fault: self.last,
            replaced: self.replaced,
            replaced_at: self.replaced_at,
        }
    }

    fn record(&self) -> Record {
        let mut record = Record::new();
        record.line("total", self.total);
        record.option("signal", self.last.map(|(signal, _)| signal));
        record.option("at", self.last.map(|(_, at)| at.0));
        for at in &self.recent {
            record.line("recent", at.0);
        }
        record.line("replaced", self.replaced);
        record.option("replaced-at", self.replaced_at.map(|at| at.0));
        record
    }
}

/// The ledger that is written.
#[derive(Default)]
pub(crate) struct Ledger {
    file: Option<OwnedFd>,
    /// How many records there is room for: behind them is the plan.
    room: usize,
    /// What each record was written with last.
    written: Vec<u64>,
    /// Where each service stood in the graph then.
    nodes: Vec<Option<Saved>>,
    pub(crate) faults: Faults,
}

impl Ledger {
    /// Goes on with one that was left by another.
    pub(crate) fn adopt(file: OwnedFd, faults: Faults) -> Ledger {
        let room = SERVICES + Found::read(&file).map_or(0, |found| found.services);
        let mut ledger = Ledger { file: Some(file), room, faults, ..Ledger::default() };
        // Before anything that may fail again.
        ledger.write(FAULTS, &ledger.faults.record());
        ledger
    }

    /// The number of its descriptor.
    pub(crate) fn number(&self) -> Option<i32> {
        self.file.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// A new one, not yet the one to go on from.
    fn create(services: usize, plan: &str, settings: &str, options: &str) -> io::Result<Ledger> {
        let file = memfd::create(c"mainstay-ledger")?;
        let mut head = Record::new();
        head.line("mainstay-ledger", STATE_VERSION);
        head.line("services", services);
        head.line("plan", plan.len());
        head.line("settings", settings.len());
        head.line("options", options.len());
        let mut place = (SERVICES + services) * RECORD;
        for text in [plan, settings, options] {
            memfd::write_at(&file, text.as_bytes(), place as u64)?;
            place += text.len();
        }
        let mut ledger = Ledger { file: Some(file), room: SERVICES + services, ..Ledger::default() };
        ledger.write(HEAD, &head);
        Ok(ledger)
    }

    /// Writes a record, if it is another than before.
    fn write(&mut self, place: usize, record: &Record) {
        // A plan that is new has a ledger of its own, in a moment.
        let Some(file) = self.file.as_ref().filter(|_| place < self.room) else { return };
        if self.written.len() <= place {
            self.written.resize(place + 1, 0);
        }
        let digest = record.digest();
        if let Some(written) = self.written.get_mut(place)
            && *written != digest
            && memfd::write_at(file, &record.bytes, (place * RECORD) as u64).is_ok()
        {
            *written = digest;
        }
    }
}

impl Init {
    /// Makes a new ledger for the plan as it is now, and goes over to it once it is whole.
    pub(crate) fn renew_ledger(&mut self) {
        let entries: Vec<_> = self.graph.nodes().iter().map(|node| (*node.entry).clone()).collect();
        let plan = service::plan::encode(&entries);
        let (settings, options) = (self.settings.encode(), self.options.encode());
        match Ledger::create(self.services.len(), &plan, &settings, &options) {
            Ok(ledger) => {
                let old = std::mem::replace(&mut self.ledger, ledger);
                self.ledger.faults = old.faults;
                let faults = self.ledger.faults.record();
                self.ledger.write(FAULTS, &faults);
                self.services.touch_all();
                self.write_ledger();
                if let Some(file) = &self.ledger.file {
                    sys::crash::set_ledger(file.as_fd());
                }
                // The old one is closed only now.
                drop(old.file);
            }
            Err(error) => {
                let reason = crate::message::reason(&error);
                self.messages.error(&format!(
                    "unable to keep a ledger: {reason} (a fault of init would not be recovered from)"
                ));
            }
        }
    }

    /// Writes what has changed.
    pub(crate) fn write_ledger(&mut self) {
        let mut record = Record::new();
        self.record_machine(&mut record);
        self.ledger.write(MACHINE, &record);
        self.logger.closing.clear();
        // The graph changes by itself, and many services at a time.
        self.ledger.nodes.resize(self.graph.nodes().len(), None);
        for (index, node) in self.ledger.nodes.iter_mut().enumerate() {
            let now = self.graph.saved(index);
            if *node != now {
                *node = now;
                self.services.touch(index);
            }
        }
        while let Some(index) = self.services.next_touched() {
            self.write_service(index);
        }
    }

    /// Writes the record of one service now.
    pub(crate) fn write_service(&mut self, index: Index) {
        let (Some(node), Some(service)) = (self.graph.nodes().get(index), self.services.get(index)) else {
            return;
        };
        let mut record = Record::new();
        record.line("name", &node.entry.name);
        record.option("node", self.graph.saved(index));
        service.record(&mut record);
        self.ledger.write(SERVICES + index, &record);
        // No record names these any more.
        self.services.close(index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_full_leaves_out_what_does_not_fit_and_nothing_else() {
        let mut record = Record::new();
        record.line("first", 1);
        record.line("long", "x".repeat(RECORD));
        record.line("last", "end");
        let text = std::str::from_utf8(&record.bytes).unwrap();
        let lines = Lines(text);
        assert_eq!(
            (lines.number("first"), lines.get("long"), lines.get("last")),
            (Some(1), None, Some("end"))
        );
        assert_eq!(text.len(), RECORD);
    }

    #[test]
    fn a_ledger_is_read_as_it_was_written_and_faults_are_counted_in_it() {
        let mut ledger = Ledger::create(2, "the plan", "the settings", "the options").unwrap();
        let mut record = Record::new();
        record.line("name", "b");
        ledger.write(SERVICES + 1, &record);
        ledger.faults.note(Signal::parse("SEGV"), Tick(5));
        ledger.write(FAULTS, &ledger.faults.record());
        let file = ledger.file.unwrap();
        let found = Found::read(&file).unwrap();
        assert_eq!((found.plan(), found.settings()), (Some("the plan"), Some("the settings")));
        assert_eq!(found.options(), Some("the options"));
        assert_eq!(found.service(1).and_then(|lines| lines.get("name")), Some("b"));
        let mut faults = Faults::read(&file);
        faults.note(Signal::parse("ABRT"), Tick(9));
        faults.note(None, Tick(10));
        assert_eq!((faults.total(), faults.since(Tick(5)), faults.since(Tick(6))), (2, 2, 1));
        assert_eq!(faults.status().replaced, 1);
    }

    #[test]
    fn a_service_with_as_many_sockets_as_it_can_have_is_recorded_with_all_that_is_asked_of_it() {
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut service = crate::services::Service::default();
        let tag = |number| format!("socket:{number:016x}:{}:{}", u16::MAX, u32::MAX);
        service.kept = (0..crate::store::KEPT_MAX).map(|number| (tag(number), null())).collect();
        service.main = service::Pid::new(i32::MAX);
        service.unheard.extend([service::wire::Command::Stop, service::wire::Command::Exit]);
        let mut record = Record::new();
        record.line("name", "n".repeat(200));
        service.record(&mut record);
        let lines = Lines(std::str::from_utf8(&record.bytes).unwrap());
        assert_eq!(lines.all("kept").count(), crate::store::KEPT_MAX);
        assert_eq!(lines.number("main"), Some(i32::MAX));
        assert_eq!(lines.all("unheard").collect::<Vec<_>>(), ["stop", "exit"]);
    }

    #[test]
    fn what_is_no_ledger_is_not_read() {
        let file = memfd::create(c"other").unwrap();
        assert!(Found::read(&file).is_none());
        memfd::write_at(&file, &[b'x'; RECORD], 0).unwrap();
        assert!(Found::read(&file).is_none());
    }
}
