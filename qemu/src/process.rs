//! Child processes that cannot outlive this one.
//!
//! Three nets: `Drop` kills and reaps; an interrupt kills everything that is registered here; and for the
//! deaths that run no code (SIGKILL, abort) the kernel kills each child with its parent.

use std::io;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A running or ended child. Dropping the last handle kills it.
pub(crate) struct Process {
    shared: Arc<Shared>,
}

struct Shared {
    pid: Pid,
    /// Set, under the lock, in the same step as the pid is reaped: who holds the lock and sees `None` may
    /// signal the pid.
    status: Mutex<Option<ExitStatus>>,
    ended: Condvar,
}

/// The ends of the pipes that were asked for in the command.
pub(crate) struct Pipes {
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<ChildStdout>,
    pub(crate) stderr: Option<ChildStderr>,
}

impl Process {
    /// Starts `command` so that it dies with this process.
    pub(crate) fn spawn(command: Command) -> io::Result<(Self, Pipes)> {
        let (reply, answer) = channel();
        let gone = || io::Error::other("the thread that starts programs is gone");
        spawner().send((command, reply)).map_err(|_| gone())?;
        let mut child = answer.recv().map_err(|_| gone())??;
        let pipes =
            Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
        let shared = Arc::new(Shared::of(&child)?);
        lock(registry()).push(Arc::downgrade(&shared));
        let process = Self { shared: Arc::clone(&shared) };
        thread::Builder::new().name("reaper".to_owned()).spawn(move || shared.reap(child))?;
        // An interrupt between the fork and the registration found nothing to kill.
        if interrupted() {
            process.signal(Signal::SIGKILL);
        }
        Ok((process, pipes))
    }

    /// The process id, which may already be over.
    pub(crate) fn pid(&self) -> i32 {
        self.shared.pid.as_raw()
    }

    /// How it ended, if it has.
    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *lock(&self.shared.status)
    }

    /// Waits for the end until `deadline`.
    pub(crate) fn wait_until(&self, deadline: Instant) -> Option<ExitStatus> {
        let mut status = lock(&self.shared.status);
        while status.is_none() {
            let left = deadline.checked_duration_since(Instant::now())?;
            status = self.shared.ended.wait_timeout(status, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *status
    }

    /// Waits for the end.
    pub(crate) fn wait(&self) -> ExitStatus {
        loop {
            if let Some(status) = self.wait_until(Instant::now() + Duration::from_secs(3600)) {
                return status;
            }
        }
    }

    /// Sends a signal, unless the process has ended.
    pub(crate) fn signal(&self, signal: Signal) {
        self.shared.signal(signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        self.wait();
        lock(registry())
            .retain(|entry| entry.strong_count() > 0 && !entry.ptr_eq(&Arc::downgrade(&self.shared)));
    }
}

impl Shared {
    fn of(child: &Child) -> io::Result<Self> {
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self { pid: Pid::from_raw(pid), status: Mutex::new(None), ended: Condvar::new() })
    }

    fn reap(&self, mut child: Child) {
        // Waits without reaping, so that the pid stays ours until the lock is held.
        while waitid(Id::Pid(self.pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT) == Err(nix::Error::EINTR)
        {
        }
        let mut status = lock(&self.status);
        *status = Some(child.wait().unwrap_or_default());
        self.ended.notify_all();
    }

    fn signal(&self, signal: Signal) {
        let status = lock(&self.status);
        if status.is_none() {
            // The only failure is that it is a zombie, or about to be one.
            let _ = kill(self.pid, signal);
        }
    }
}

/// Stops every child, and every wait for one: what a Ctrl-C does.
pub(crate) fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
    let living: Vec<_> = lock(registry()).iter().filter_map(Weak::upgrade).collect();
    for process in living {
        process.signal(Signal::SIGKILL);
    }
}

/// Whether [`interrupt`] was called.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn registry() -> &'static Mutex<Vec<Weak<Shared>>> {
    static REGISTRY: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());
    &REGISTRY
}

type Request = (Command, Sender<io::Result<Child>>);

/// The one thread that forks. A child dies with the *thread* that started it, and a machine may outlive the
/// test thread that booted it; this one lives as long as the process.
fn spawner() -> Sender<Request> {
    static SPAWNER: OnceLock<Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = channel::<Request>();
        let work = move || {
            for (mut command, reply) in inbox {
                let child = if interrupted() {
                    Err(io::Error::from(io::ErrorKind::Interrupted))
                } else {
                    sys::child::die_with_parent(&mut command).spawn()
                };
                // Closes the parent's copies of inherited descriptors before anybody waits for their end.
                drop(command);
                let _ = reply.send(child);
            }
        };
        // Without the thread the requests fail, each with its own message.
        let _ = thread::Builder::new().name("spawner".to_owned()).spawn(work);
        requests
    });
    spawner.clone()
}

/// Every value behind these locks is whole at any instant, so a panic elsewhere spoils nothing.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Stdio;

    fn cat() -> (Process, Pipes) {
        let mut command = Command::new("cat");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Process::spawn(command).unwrap()
    }

    #[test]
    fn a_dropped_process_is_dead_and_reaped() {
        let (process, pipes) = cat();
        let pid = Pid::from_raw(process.pid());
        drop(process);
        assert_eq!(kill(pid, None), Err(nix::Error::ESRCH));
        drop(pipes);
    }

    #[test]
    fn a_process_outlives_the_thread_that_asked_for_it() {
        let (process, pipes) = thread::spawn(cat).join().unwrap();
        drop(pipes.stdin);
        let mut text = String::new();
        pipes.stdout.unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(process.wait().code(), Some(0), "it ended by itself, at the end of its input");
    }

    #[test]
    fn a_wait_that_is_too_short_leaves_the_process_alone() {
        let (process, pipes) = cat();
        assert!(process.wait_until(Instant::now()).is_none());
        process.signal(Signal::SIGTERM);
        assert_eq!(process.wait().signal(), Some(15));
        drop(pipes);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_and_not_a_process() {
        let error = Process::spawn(Command::new("/nonexistent/program")).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
