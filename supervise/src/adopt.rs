//! Taking over a service that a supervisor before this one left behind.
//!
//! The machine is restored as the status file has it. What the last supervisor had begun and not yet told stands
//! in the record of spawned processes: the machine is led there by the same events, and instead of starting a
//! process it is given the one that was found.

use crate::supervisor::{ADOPTED, Supervisor};
use service::adoption::Found;
use service::machine::{Event, Reason};
use service::status::{State, Status};
use service::wire::SupervisorMessage;
use service::{Pid, Tick, WaitStatus};
use std::os::fd::OwnedFd;
use std::time::Duration;
use sys::record::Slot;

/// How long init may take to tell how an adopted process ended, after it has.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// The kernel's clock tick in nanoseconds: it tells in these when a process started (proc(5), sysconf(3)).
const CLOCK_TICK: u64 = 10_000_000;

/// A process that is not our child, and whose end is waited for.
#[derive(Debug)]
pub(crate) struct Adopted {
    pid: Pid,
    /// Tells its end, and how that was where the kernel keeps it; none if it was gone when we came.
    descriptor: Option<OwnedFd>,
    /// Until when somebody may tell how it ended, since it has.
    pub(crate) deadline: Option<Tick>,
}

/// What tells the end of a process that was found; none if it is gone.
type Descriptor = Option<OwnedFd>;
/// What the last supervisor had started and not told of.
pub(crate) type Leftovers = service::adoption::Leftovers<Descriptor>;

/// What a process was known by when it was written down.
struct Identity {
    start: u64,
    inode: Option<u64>,
}

impl Supervisor {
    /// Takes over what the last supervisor left. `resume` tells that it was to go on; else it had been done with,
    /// or nothing is known of one.
    pub(crate) fn adopt(&mut self, resume: bool) {
        let now = sys::clock::now();
        let old = std::fs::read_to_string(&self.status_path).ok().and_then(|text| Status::decode(&text));
        // Times and processes of another boot mean nothing in this one.
        let old = old.filter(|old| old.boot == self.boot && !self.boot.is_empty());
        self.known = old.as_ref().is_some_and(|old| self.machine.restore(now, &old.saved));
        if self.known && !resume {
            self.machine.renew();
        }
        // As the supervisor wrote it: init may have written the rest anew since then.
        let told = |old: &Status| match self.known {
            true => (self.machine.since(), self.machine.started()),
            false => (old.since, old.started),
        };
        let written =
            old.as_ref().map(told).map_or(Tick(0), |(since, started)| since.max(started.unwrap_or(Tick(0))));
        let (main, after) = (self.unpublished(Slot::Main), self.unpublished(Slot::After));
        self.leftovers = Leftovers::new(&self.machine, main, after, written);
        if let Some(old) = old.as_ref().filter(|_| self.known) {
            self.take_over(old);
        }
        // Of what is down, or done and about to be undone, the first thing told is what became of the first command: that it is down is no news, and
        // init would take it for a stop.
        self.dirty |= self.known && (!matches!(self.machine.state(), State::Down | State::Done));
        self.follow_found();
    }

    fn take_over(&mut self, old: &Status) {
        self.on_file.clone_from(&old.saved);
        self.last_pid = self.machine.pid().or(self.last_pid);
        if old.state == State::Skipped {
            self.skipped = Some(old.reason.clone());
        }
        if matches!(self.machine.reason(), Reason::SpawnFailed | Reason::PrepareFailed) {
            self.problem.clone_from(&old.reason);
        } else if self.machine.reason() == Reason::GaveUp {
            let problem = old.reason.strip_prefix(crate::narrate::NEVER_STARTED).unwrap_or_default();
            problem.clone_into(&mut self.problem);
        }
        self.recall_text(&old.text);
        self.starved = old.starved;
        self.recall_kills(old.oom_kills);
        let Some(pid) = self.machine.awaited() else { return };
        let main = self.machine.pid() == Some(pid);
        let identity = if main {
            Identity { start: old.pid_start, inode: old.pid_inode }
        } else {
            Identity { start: old.finish.map_or(0, |(_, start)| start), inode: None }
        };
        self.note_identity(main, &identity);
        if sys::process::is_child(pid) {
            // A supervisor that was replaced in place has its children still.
            return self.read_kept();
        }
        let descriptor = open(pid, &identity);
        if descriptor.is_some() && main {
            self.say(&format!("notice: adopted process {pid}"));
        }
        self.watch(pid, descriptor);
        // What was kept last is of the run that was begun last.
        if !self.leftovers.has_main() {
            self.read_kept();
        }
    }

    fn note_identity(&mut self, main: bool, identity: &Identity) {
        if main {
            (self.pid_start, self.pid_inode) = (identity.start, identity.inode);
        } else {
            self.after_start = identity.start;
        }
    }

    /// What runs after the main process has been started.
    pub(crate) fn note_after(&mut self, child: Option<&sys::spawn::Child>) {
        let look = child.and_then(|child| sys::process::start_time(child.pid));
        self.after_start = look.map_or(0, |(start, _)| start);
    }

    /// The process that a supervisor before us put into the record last.
    fn unpublished(&self, slot: Slot) -> Option<Found<Descriptor>> {
        let (pid, started) = sys::record::read(&self.record_path, slot)?;
        if sys::process::is_child(pid) {
            return None;
        }
        let identity = sys::process::look(pid).filter(|look| {
            // One that got the number later started after the record was written, and leads no session of ours.
            Tick(look.start.saturating_mul(CLOCK_TICK)) <= started && look.session == pid.number()
        });
        let identity = identity.map(|look| Identity { start: look.start, inode: None });
        let with = identity.and_then(|identity| open(pid, &identity));
        Some(Found { pid, started, with })
    }

    /// Leads the machine to where it asks for what was found, if nothing else does.
    pub(crate) fn follow_found(&mut self) {
        if self.queue.is_empty() {
            self.queue.extend(self.leftovers.lead(&self.machine));
        }
    }

    /// The main process, if it runs already; what has become of it is told later.
    pub(crate) fn claim_main(&mut self) -> Option<Pid> {
        let found = self.leftovers.claim_main()?;
        let look = sys::process::look(found.pid).filter(|_| found.with.is_some());
        self.pid_start = look.map_or(0, |look| look.start);
        self.pid_inode = found.with.as_ref().and_then(sys::process::inode);
        self.last_pid = Some(found.pid);
        self.say(&format!("notice: adopted process {}, started just before", found.pid));
        self.watch(found.pid, found.with);
        self.read_kept();
        Some(found.pid)
    }

    /// The same for what runs once the main process is dead.
    pub(crate) fn claim_after(&mut self) -> Option<Pid> {
        let found = self.leftovers.claim_after()?;
        self.after_start = sys::process::look(found.pid).map_or(0, |look| look.start);
        self.watch(found.pid, found.with);
        Some(found.pid)
    }

    fn watch(&mut self, pid: Pid, descriptor: Option<OwnedFd>) {
        self.release_adopted();
        if let Some(descriptor) = &descriptor {
            let _ = self.poller.add(descriptor, ADOPTED);
        }
        let gone = descriptor.is_none();
        self.adopted = Some(Adopted { pid, descriptor, deadline: None });
        if gone {
            self.ask_init(sys::clock::now());
        }
    }

    fn release_adopted(&mut self) {
        if let Some(descriptor) = self.adopted.take().and_then(|adopted| adopted.descriptor) {
            let _ = self.poller.remove(&descriptor);
        }
    }

    /// The adopted process has ended. It is for init to reap it; from then on the kernel may tell how it ended.
    pub(crate) fn adopted_ended(&mut self, hangup: bool) {
        let Some(adopted) = &mut self.adopted else { return };
        let Some(descriptor) = &adopted.descriptor else { return };
        if let Some(status) = Some(descriptor).filter(|_| hangup).and_then(sys::process::exit_status) {
            let pid = adopted.pid;
            return self.adopted_died(pid, status);
        }
        if hangup {
            let _ = self.poller.remove(descriptor);
            adopted.descriptor = None;
        } else {
            // Its end is known of; that it has been reaped is not to be missed.
            let _ = self.poller.modify(descriptor, ADOPTED, false, false);
        }
        if adopted.deadline.is_none() {
            self.ask_init(sys::clock::now());
        }
    }

    /// Whether this process was adopted and has ended, be it that nobody has told how yet.
    pub(crate) fn adopted_is_gone(&self, pid: Pid) -> bool {
        self.adopted.as_ref().is_some_and(|adopted| adopted.pid == pid && adopted.descriptor.is_none())
    }

    fn ask_init(&mut self, now: Tick) {
        let Some(adopted) = &mut self.adopted else { return };
        let asked = self.channel.as_ref().is_some_and(|channel| {
            let message = SupervisorMessage::Awaits(adopted.pid).to_string();
            sys::socket::send(channel, message.as_bytes(), None).is_ok()
        });
        // Without init there is still the kernel, as long as somebody has yet to reap it.
        let wait = if asked || adopted.descriptor.is_some() { STATUS_WAIT } else { Duration::ZERO };
        adopted.deadline = Some(now.after(wait));
    }

    /// Somebody has told how it ended.
    pub(crate) fn adopted_died(&mut self, pid: Pid, status: WaitStatus) {
        if self.adopted.as_ref().is_some_and(|adopted| adopted.pid == pid) {
            self.release_adopted();
            // What it said before its end comes before that.
            self.read_notification();
            self.read_messages();
            self.queue.push_back(Event::Died(pid, status));
        }
    }

    /// Nobody could tell how it ended.
    pub(crate) fn give_up_waiting_for_status(&mut self, now: Tick) {
        if let Some(adopted) = &self.adopted
            && adopted.deadline.is_some_and(|deadline| deadline <= now)
        {
            self.adopted_died(adopted.pid, WaitStatus::Unknown);
        }
    }
}

/// A descriptor of the process with this number, if it is the one that is meant: dead perhaps, and not reaped.
fn open(pid: Pid, identity: &Identity) -> Option<OwnedFd> {
    let descriptor = sys::process::open(pid).ok()?;
    let inode = sys::process::inode(&descriptor);
    if identity.inode.is_some() && inode.is_some() && identity.inode != inode {
        return None;
    }
    // Looked at after it was opened: a number that was given away before that has another start by now.
    sys::process::look(pid).filter(|look| look.start == identity.start)?;
    Some(descriptor)
}
