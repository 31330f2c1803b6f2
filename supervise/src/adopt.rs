//! Taking over a service that a supervisor before this one left behind.

use crate::supervisor::{ADOPTED, Supervisor};
use service::definition::{Kind, ReadyMethod};
use service::machine::Event;
use service::status::{State, Status, Want};
use service::{Tick, WaitStatus};
use std::time::Duration;

/// How long init may take to tell how an adopted process ended, after it has.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// The kernel's clock tick in nanoseconds: it tells in these when a process started (proc(5), sysconf(3)).
const CLOCK_TICK: u64 = 10_000_000;

impl Supervisor {
    /// Reads what the last supervisor wrote, and takes over the process if it still is that one.
    pub(crate) fn adopt(&mut self) {
        let old = std::fs::read_to_string(&self.status_path).ok().and_then(|text| Status::decode(&text));
        if let Some(found) = self.unpublished(old.as_ref()) {
            return self.take_over(&found);
        }
        if let Some(old) = old
            && old.pid.is_some()
            && old.state != State::Skipped
        {
            self.take_over(&old);
        }
    }

    /// The process that the last supervisor had started when it was killed, before it could say so.
    fn unpublished(&self, old: Option<&Status>) -> Option<Status> {
        let (pid, started) = sys::record::read(&self.record_path)?;
        let (start, zombie) = sys::process::start_time(pid)?;
        // A process that got the number later started after the record was written.
        let begun = Tick(start.saturating_mul(CLOCK_TICK));
        let known = old.is_some_and(|old| old.pid == Some(pid) && old.pid_start == start);
        if zombie || known || begun > started {
            return None;
        }
        let mut status = Status::new(&self.definition.name, self.definition.kind);
        status.pid = Some(pid);
        status.pid_start = start;
        status.started = Some(started);
        let immediate = self.definition.ready.method == ReadyMethod::Immediate;
        status.ready_since = Some(started).filter(|_| immediate && self.definition.kind == Kind::Longrun);
        // It was started since it was wanted.
        status.want = if old.is_some_and(|old| old.want == Want::Once) { Want::Once } else { Want::Up };
        status.restarts = old.map_or(0, |old| old.restarts + u32::from(old.started.is_some()));
        Some(status)
    }

    fn take_over(&mut self, old: &Status) {
        let Some(pid) = old.pid else { return };
        let now = sys::clock::now();
        let lives =
            sys::process::start_time(pid).is_some_and(|(start, zombie)| start == old.pid_start && !zombie);
        let watched = lives.then(|| sys::process::open(pid).ok()).flatten();
        // It may have died and its number been given away between the two looks.
        let lives = sys::process::start_time(pid).is_some_and(|(start, _)| start == old.pid_start);
        let started = old.started.unwrap_or(now);
        self.machine.adopt(now, pid, old.want, started, old.ready_since, old.restarts.saturating_add(1));
        self.pid_start = old.pid_start;
        self.last_pid = Some(pid);
        match watched.filter(|_| lives) {
            Some(descriptor) => {
                self.say(&format!("notice: adopted process {pid}"));
                let _ = self.poller.add(&descriptor, ADOPTED);
                self.adopted = Some(descriptor);
            }
            None => self.adopted_gone(now),
        }
        if old.want == Want::Down || old.state == State::Stopping {
            self.queue.push_back(Event::Stop);
            if old.want != Want::Down {
                self.queue.push_back(Event::Start);
            }
        }
        self.dirty = true;
    }

    /// The adopted process has ended. Init is its parent, has reaped it, and will tell how it ended.
    pub(crate) fn adopted_gone(&mut self, now: Tick) {
        if let Some(descriptor) = self.adopted.take() {
            let _ = self.poller.remove(&descriptor);
        }
        let wait = if self.channel.is_some() { STATUS_WAIT } else { Duration::ZERO };
        self.adopted_deadline = Some(now.after(wait));
    }

    /// Nobody could tell how it ended.
    pub(crate) fn give_up_waiting_for_status(&mut self, now: Tick) {
        if self.adopted_deadline.is_some_and(|deadline| deadline <= now) {
            self.adopted_deadline = None;
            if let Some(pid) = self.machine.pid() {
                self.queue.push_back(Event::Died(pid, WaitStatus::Unknown));
            }
        }
    }
}
