//! The status of a service: what its `status` file says, and the words for it.

use crate::codec::{Writer, pairs, unescape};
use crate::definition::Kind;
use crate::exit::{Pid, WaitStatus};
use crate::tick::Tick;

/// The first line of a status file; the number is its version.
pub const HEADER: &str = "mainstay-status 1";

/// Where a service stands, as people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Not running, and not wanted.
    Down,
    /// Wanted, and waiting for other services.
    Blocked,
    /// Running, and not yet ready; or a oneshot that runs.
    Starting,
    /// Not running, and started as soon as somebody connects to one of its sockets, which are open.
    Listening,
    /// Running, and ready.
    Up,
    /// Told to stop, and not yet dead.
    Stopping,
    /// Dead, and its finish script runs.
    Finishing,
    /// Dead, and waiting for its next start.
    Backoff,
    /// A oneshot that succeeded.
    Done,
    /// Given up until somebody asks again.
    Failed,
    /// Not started since a condition does not hold.
    Skipped,
    /// Its definition is broken.
    Invalid,
}

/// Every state, in the order of their declaration.
const STATES: [(State, &str); 12] = [
    (State::Down, "down"),
    (State::Blocked, "blocked"),
    (State::Starting, "starting"),
    (State::Listening, "listening"),
    (State::Up, "up"),
    (State::Stopping, "stopping"),
    (State::Finishing, "finishing"),
    (State::Backoff, "backoff"),
    (State::Done, "done"),
    (State::Failed, "failed"),
    (State::Skipped, "skipped"),
    (State::Invalid, "invalid"),
];

impl State {
    /// All of them.
    pub fn all() -> impl Iterator<Item = State> {
        STATES.iter().map(|(state, _)| *state)
    }

    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("unknown", |(_, word)| word)
    }

    /// The state called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<State> {
        STATES.iter().find(|(_, candidate)| *candidate == word).map(|(state, _)| *state)
    }

    /// Whether nothing more happens by itself: what a waiting client waits for.
    #[must_use]
    pub fn settled(self) -> bool {
        match self {
            State::Down
            | State::Listening
            | State::Up
            | State::Done
            | State::Failed
            | State::Skipped
            | State::Invalid => true,
            State::Blocked | State::Starting | State::Stopping | State::Finishing | State::Backoff => false,
        }
    }

    /// Whether the service is as it should be: up, listening, done, or skipped with a reason.
    #[must_use]
    pub fn good(self) -> bool {
        matches!(self, State::Up | State::Listening | State::Done | State::Skipped)
    }
}

/// What is wanted of a service, apart from where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Want {
    /// It shall run, and be restarted as its definition says.
    Up,
    /// It shall not run.
    Down,
    /// It shall run until it ends.
    Once,
}

impl Want {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Want::Up => "up",
            Want::Down => "down",
            Want::Once => "once",
        }
    }

    /// The want called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Want> {
        [Want::Up, Want::Down, Want::Once].into_iter().find(|want| want.word() == word)
    }
}

/// The content of a status file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The service.
    pub name: String,
    /// Longrun, oneshot or bundle.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// What is wanted.
    pub want: Want,
    /// Whether it declares how it becomes ready.
    pub has_readiness: bool,
    /// The main process.
    pub pid: Option<Pid>,
    /// When the main process started, in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)).
    /// With the pid it names one process and no other.
    pub pid_start: u64,
    /// What tells the main process from any other that ever had its number, where the kernel has such a thing:
    /// the inode of its pidfd (pidfs, Linux 6.9).
    pub pid_inode: Option<u64>,
    /// The finish script, while it runs, and when it started.
    pub finish: Option<(Pid, u64)>,
    /// The boot that all times and processes belong to (random(4), `boot_id`).
    pub boot: String,
    /// Whether its processes were stopped where they are.
    pub paused: bool,
    /// Whether it reloads its configuration now.
    pub reloading: bool,
    /// Whether what it runs in is being made, before it is started.
    pub preparing: bool,
    /// How many health checks in a row have failed.
    pub unhealthy: u32,
    /// What it says of itself (sd_notify(3), STATUS).
    pub text: String,
    /// Its control group, a directory; empty without one of its own.
    pub group: String,
    /// What it is not held to although its definition says so, and why; empty if there is nothing.
    pub unlimited: String,
    /// How many processes of that the kernel has killed for want of memory.
    pub oom_kills: u64,
    /// Whether its last run ended so.
    pub starved: bool,
    /// What its supervisor has to remember to be replaced at any time. Private to it.
    pub saved: String,
    /// The supervisor; none if it has none now.
    pub supervisor: Option<Pid>,
    /// When it came into its state.
    pub since: Tick,
    /// When the main process was started.
    pub started: Option<Tick>,
    /// When it became ready.
    pub ready_since: Option<Tick>,
    /// How often it was started again since its supervisor began.
    pub restarts: u32,
    /// How its last run ended.
    pub last_exit: Option<WaitStatus>,
    /// When that was.
    pub last_exit_at: Option<Tick>,
    /// When it will be started next.
    pub next_start: Option<Tick>,
    /// Why it is where it is, for people; may be empty.
    pub reason: String,
}

impl Status {
    /// The status of a service that nothing has been done for.
    #[must_use]
    pub fn new(name: &str, kind: Kind) -> Status {
        Status {
            name: name.to_owned(),
            kind,
            state: State::Down,
            want: Want::Down,
            has_readiness: false,
            pid: None,
            pid_start: 0,
            pid_inode: None,
            finish: None,
            boot: String::new(),
            paused: false,
            reloading: false,
            preparing: false,
            unhealthy: 0,
            text: String::new(),
            group: String::new(),
            unlimited: String::new(),
            oom_kills: 0,
            starved: false,
            saved: String::new(),
            supervisor: None,
            since: Tick(0),
            started: None,
            ready_since: None,
            restarts: 0,
            last_exit: None,
            last_exit_at: None,
            next_start: None,
            reason: String::new(),
        }
    }

    /// The text of the status file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = Writer::new(HEADER);
        out.line("name", &self.name);
        out.line("kind", self.kind.word());
        out.line("state", self.state.word());
        out.line("want", self.want.word());
        out.line("readiness", self.has_readiness);
        if let Some(pid) = self.pid {
            out.line("pid", pid);
            out.line("pid-start", self.pid_start);
            out.lines("pid-inode", self.pid_inode);
        }
        if let Some(supervisor) = self.supervisor {
            out.line("supervisor", supervisor);
        }
        out.line("since", self.since.0);
        for (key, tick) in [
            ("started", self.started),
            ("ready-since", self.ready_since),
            ("last-exit-at", self.last_exit_at),
            ("next-start", self.next_start),
        ] {
            if let Some(tick) = tick {
                out.line(key, tick.0);
            }
        }
        out.line("restarts", self.restarts);
        if let Some((pid, start)) = self.finish {
            out.line("finish-pid", pid);
            out.line("finish-start", start);
        }
        for (key, holds) in [
            ("paused", self.paused),
            ("reloading", self.reloading),
            ("preparing", self.preparing),
            ("starved", self.starved),
        ] {
            if holds {
                out.line(key, holds);
            }
        }
        if self.unhealthy > 0 {
            out.line("unhealthy", self.unhealthy);
        }
        if self.oom_kills > 0 {
            out.line("oom-kills", self.oom_kills);
        }
        for (key, text) in [
            ("text", &self.text),
            ("group", &self.group),
            ("unlimited", &self.unlimited),
            ("boot", &self.boot),
            ("saved", &self.saved),
        ] {
            if !text.is_empty() {
                out.line(key, text);
            }
        }
        if let Some(status) = self.last_exit {
            out.line("last-exit", status);
        }
        if !self.reason.is_empty() {
            out.line("reason", &self.reason);
        }
        out.finish()
    }

    /// Reads a status file; none if it is not one, or of another version. Unknown keys are passed over,
    /// so that an old `svctl` can read what a newer supervisor writes.
    #[must_use]
    pub fn decode(text: &str) -> Option<Status> {
        if text.lines().next()? != HEADER {
            return None;
        }
        let mut status = Status::new("", Kind::Longrun);
        for (key, value) in pairs(text).skip(1) {
            status.set(key, value)?;
        }
        (!status.name.is_empty()).then_some(status)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let tick = || value.parse().ok().map(Tick);
        match key {
            "name" => self.name = unescape(value),
            "kind" => self.kind = Kind::parse(value)?,
            "state" => self.state = State::parse(value)?,
            "want" => self.want = Want::parse(value)?,
            "readiness" => self.has_readiness = value.parse().ok()?,
            "pid" => self.pid = Some(Pid::new(value.parse().ok()?)?),
            "pid-start" => self.pid_start = value.parse().ok()?,
            "pid-inode" => self.pid_inode = Some(value.parse().ok()?),
            "finish-pid" => self.finish = Some((Pid::new(value.parse().ok()?)?, 0)),
            "finish-start" => self.finish = Some((self.finish?.0, value.parse().ok()?)),
            "paused" => self.paused = value.parse().ok()?,
            "preparing" => self.preparing = value.parse().ok()?,
            "reloading" => self.reloading = value.parse().ok()?,
            "unhealthy" => self.unhealthy = value.parse().ok()?,
            "text" => self.text = unescape(value),
            "group" => self.group = unescape(value),
            "unlimited" => self.unlimited = unescape(value),
            "oom-kills" => self.oom_kills = value.parse().ok()?,
            "starved" => self.starved = value.parse().ok()?,
            "boot" => self.boot = unescape(value),
            "saved" => self.saved = unescape(value),
            "supervisor" => self.supervisor = Some(Pid::new(value.parse().ok()?)?),
            "since" => self.since = tick()?,
            "started" => self.started = Some(tick()?),
            "ready-since" => self.ready_since = Some(tick()?),
            "last-exit-at" => self.last_exit_at = Some(tick()?),
            "next-start" => self.next_start = Some(tick()?),
            "restarts" => self.restarts = value.parse().ok()?,
            "last-exit" => self.last_exit = Some(WaitStatus::parse(value)?),
            "reason" => self.reason = unescape(value),
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::Signal;

    #[test]
    fn a_status_comes_back_from_its_text() {
        let mut status = Status::new("mesos-agent", Kind::Longrun);
        assert_eq!(Status::decode(&status.encode()), Some(status.clone()));
        status.state = State::Backoff;
        status.want = Want::Up;
        status.pid = Pid::new(42);
        status.pid_start = 7;
        status.pid_inode = Some(70);
        status.finish = Pid::new(43).map(|pid| (pid, 8));
        status.boot = "b-1".to_owned();
        (status.paused, status.reloading, status.unhealthy) = (true, true, 2);
        status.preparing = true;
        status.text = "serving\nall".to_owned();
        status.saved = "1 2 3".to_owned();
        (status.group, status.oom_kills, status.starved) = ("/g".to_owned(), 4, true);
        status.unlimited = "unable to".to_owned();
        status.supervisor = Pid::new(41);
        status.next_start = Some(Tick(99));
        status.restarts = 3;
        status.last_exit = Some(WaitStatus::Signalled { signal: Signal::KILL, core: false });
        status.reason = "because\nof this".to_owned();
        assert_eq!(Status::decode(&status.encode()), Some(status));
    }

    #[test]
    fn every_state_has_its_own_word() {
        for (state, word) in STATES {
            assert_eq!(State::parse(word), Some(state));
            assert_eq!(state.word(), word);
        }
    }

    #[test]
    fn what_is_not_a_status_is_refused_and_unknown_keys_are_not() {
        assert_eq!(Status::decode(""), None);
        assert_eq!(Status::decode("mainstay-status 2\nname a\n"), None);
        assert_eq!(Status::decode(&format!("{HEADER}\nname a\nstate odd\n")), None);
        assert!(Status::decode(&format!("{HEADER}\nname a\ncolour blue\n")).is_some());
    }
}
