//! A program that is followed from one system call to the next (ptrace(2)), so that something can happen to it
//! between any two of them.

#![allow(clippy::wildcard_enum_match_arm, reason = "what else there is, is the end of a test")]

use crate::process;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal as Number;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use service::Pid;

/// Whoever follows one process. Only the thread that began with it may go on.
#[derive(Debug)]
pub struct Tracer {
    pid: nix::unistd::Pid,
    process: Pid,
}

impl Tracer {
    /// Begins to follow a process, which goes on meanwhile.
    ///
    /// # Panics
    /// If that is refused.
    #[must_use]
    pub fn follow(process: Pid) -> Tracer {
        let pid = nix::unistd::Pid::from_raw(process.number());
        ptrace::seize(pid, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC).unwrap();
        Tracer { pid, process }
    }

    fn wait(&self) -> WaitStatus {
        waitpid(self.pid, Some(WaitPidFlag::__WALL)).unwrap()
    }

    /// Lets it go on until it executes a program, and holds it there.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn until_executed(&self) {
        loop {
            let signal = match self.wait() {
                WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => {
                    return;
                }
                WaitStatus::Stopped(_, signal) => Some(signal),
                WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) => None,
                other => panic!("it has ended: {other:?}"),
            };
            ptrace::cont(self.pid, signal).unwrap();
        }
    }

    /// Lets it make system calls until it has a handler for faults, and so many more; then it gets SEGV and is
    /// followed no longer. False if it came to wait for events before that.
    ///
    /// # Panics
    /// If it ends instead.
    #[must_use]
    pub fn fail_after(self, calls: u32) -> bool {
        let mut left = calls * 2;
        let mut prepared = false;
        let mut signal = None;
        loop {
            ptrace::syscall(self.pid, signal.take()).unwrap();
            match self.wait() {
                WaitStatus::PtraceSyscall(_) => {
                    prepared = prepared || process::survives_faults(self.process);
                    if prepared && self.waits_for_events() {
                        ptrace::detach(self.pid, None).unwrap();
                        return false;
                    }
                    if prepared && left == 0 {
                        break;
                    }
                    left -= u32::from(prepared);
                }
                WaitStatus::Stopped(_, other) => signal = Some(other),
                WaitStatus::PtraceEvent(..) => {}
                other => panic!("it has ended: {other:?}"),
            }
        }
        self.fail(signal);
        true
    }

    /// Holds it where it waits for events.
    ///
    /// # Panics
    /// If it ends instead.
    pub fn until_waiting(&self) {
        ptrace::interrupt(self.pid).unwrap();
        loop {
            match self.wait() {
                WaitStatus::PtraceEvent(..) if self.waits_for_events() => return,
                // It was about to.
                WaitStatus::PtraceEvent(..) => {
                    ptrace::cont(self.pid, None).unwrap();
                    ptrace::interrupt(self.pid).unwrap();
                }
                WaitStatus::Stopped(_, signal) => ptrace::cont(self.pid, signal).unwrap(),
                other => panic!("it has ended: {other:?}"),
            }
        }
    }

    /// Lets it see to the events that there are for it, and gives it SEGV after so many system calls of that, and after
    /// `before`. False if it came to wait again before that. It is followed no longer.
    ///
    /// # Panics
    /// If it ends instead.
    #[must_use]
    pub fn fail_after_events(self, calls: u32, before: impl FnOnce()) -> bool {
        let (mut signal, mut waits, mut left, mut inside) = (None, 0, calls, false);
        loop {
            ptrace::syscall(self.pid, signal.take()).unwrap();
            match self.wait() {
                WaitStatus::PtraceSyscall(_) => inside = !inside,
                WaitStatus::Stopped(_, other) => {
                    signal = Some(other);
                    continue;
                }
                WaitStatus::PtraceEvent(..) => continue,
                other => panic!("it has ended: {other:?}"),
            }
            if inside && self.waits_for_events() {
                waits += 1;
                if waits == 2 {
                    ptrace::detach(self.pid, None).unwrap();
                    return false;
                }
            } else if !inside && waits == 1 {
                if left == 0 {
                    before();
                    self.fail(signal);
                    return true;
                }
                left -= 1;
            }
        }
    }

    /// Gives it SEGV, and follows it no longer.
    fn fail(&self, mut signal: Option<Number>) {
        nix::sys::signal::kill(self.pid, Number::SIGSEGV).unwrap();
        loop {
            ptrace::cont(self.pid, signal.take()).unwrap();
            match self.wait() {
                WaitStatus::Stopped(_, Number::SIGSEGV) => break,
                WaitStatus::Stopped(_, other) => signal = Some(other),
                WaitStatus::PtraceEvent(..) | WaitStatus::PtraceSyscall(_) => {}
                other => panic!("it has ended: {other:?}"),
            }
        }
        ptrace::detach(self.pid, Number::SIGSEGV).unwrap();
    }

    /// Whether the call that it makes is epoll_wait(2) or epoll_pwait(2), by their numbers on `x86_64`.
    fn waits_for_events(&self) -> bool {
        let call = std::fs::read_to_string(format!("/proc/{}/syscall", self.process)).unwrap();
        matches!(call.split(' ').next(), Some("232" | "281"))
    }
}
