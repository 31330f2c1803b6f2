//! The parent's side: the signals that must not come in, the clone and its stack.

use super::plan::Plan;
use super::setup::namespaces::flag;
use super::users::Helper;
use super::{Child, Spawn, SpawnError, Step, child, clone3};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use service::Pid;
use std::ffi::{c_int, c_void};
use std::os::fd::{FromRawFd, OwnedFd};

/// The signals of [`crate::crash::FAULTS`].
const FAULTS: [Signal; 7] = [
    Signal::SIGSEGV,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGSYS,
    Signal::SIGTRAP,
];

/// Makes the child, and returns once it has executed the program or failed.
pub(super) fn start(plan: &mut Plan<'_>) -> Result<Child, SpawnError> {
    // A handler must not run in the child while it shares our memory: nothing may come in until it has reset
    // them all. Faults cannot be put off; their handler knows the child from us.
    let mut all = SigSet::all();
    for signal in FAULTS {
        all.remove(signal);
    }
    let mut old = SigSet::empty();
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut old));
    let changes = plan.spawn.setup.is_some() || plan.spawn.users.is_some();
    let dumpable = changes.then(Dumpable::note);
    let started = attended(plan);
    drop(dumpable);
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&old), None);

    let child = started?;
    // SAFETY: `plan` is alive; the read must not be moved before the clone, after which the child wrote it.
    match unsafe { std::ptr::read_volatile(&raw const plan.failure) } {
        None => {
            // SAFETY: as above.
            let tolerated = unsafe { std::ptr::read_volatile(&raw const plan.tolerated) };
            Ok(Child { without: tolerated.list(), ..child })
        }
        Some(failure) => {
            crate::process::reap_one(child.pid);
            if let Some(record) = plan.spawn.record {
                crate::record::erase(record);
            }
            Err(failure)
        }
    }
}

/// Makes the child, with a helper for as long as it needs one.
fn attended(plan: &mut Plan<'_>) -> Result<Child, SpawnError> {
    let helper = plan.spawn.users.map(Helper::start).transpose();
    let helper = helper.map_err(|errno| SpawnError { step: Step::Users, errno })?;
    plan.helper = helper.as_ref().map(Helper::line);
    let started = clone(plan);
    if let Some(helper) = helper {
        helper.finish();
    }
    started.map_err(|errno| SpawnError { step: refused(plan.spawn, errno), errno })
}

/// What it was that clone(2) refused.
fn refused(spawn: &Spawn<'_>, errno: Errno) -> Step {
    let namespace = matches!(errno, Errno::EPERM | Errno::ENOSPC | Errno::EUSERS | Errno::EINVAL);
    if !spawn.namespaces.is_empty() && namespace { Step::Namespace } else { Step::Clone }
}

/// A stack for the child: mapped for it and given back, since what is once touched of our own stack stays.
pub(super) struct Stack {
    bottom: *mut c_void,
}

impl Stack {
    /// The child calls a handful of thin libc functions; the frames measured are under two kilobytes.
    const SIZE: usize = 32 << 10;

    pub(super) fn new() -> Result<Stack, Errno> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: asks for new memory wherever the kernel likes.
        let bottom = unsafe { libc::mmap(std::ptr::null_mut(), Stack::SIZE, access, flags, -1, 0) };
        if bottom == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(Stack { bottom }) }
    }

    /// Its end, where a stack begins; aligned, as a mapping is.
    pub(super) fn top(&self) -> *mut c_void {
        self.bottom.wrapping_byte_add(Stack::SIZE)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: it is the mapping made in `new`, and the child that used it has executed or is gone.
        unsafe { libc::munmap(self.bottom, Stack::SIZE) };
    }
}

fn clone(plan: &mut Plan<'_>) -> Result<Child, Errno> {
    let stack = Stack::new()?;
    let top = stack.top();
    let namespace = plan.spawn.namespaces.iter().fold(0, |flags, kind| flags | flag(*kind));
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD | namespace;
    let mut descriptor: c_int = -1;
    if let Some(group) = plan.spawn.cgroup {
        plan.enters_group = false;
        match clone3::into_group(plan, group, (stack.bottom, Stack::SIZE), flags, &mut descriptor) {
            Ok(pid) => {
                let child = child_of(pid, descriptor)?;
                // SAFETY: `plan` is alive; the read must not be moved before the clone, after which the child wrote it.
                if unsafe { std::ptr::read_volatile(&raw const plan.begun) } {
                    return Ok(child);
                }
                // Killed before its first instruction: kernels from 6.14 on take a group that was killed (`cgroup.kill`)
                // before the clone for one that was killed during it, if ours was not. The group can be entered.
                crate::process::reap_one(child.pid);
            }
            Err(errno @ (Errno::EAGAIN | Errno::ENOMEM)) => return Err(errno),
            // An older kernel, a filter of system calls, or a group that cannot be entered, which the child will tell.
            Err(_) => {}
        }
        plan.enters_group = true;
    }
    let argument = std::ptr::from_mut(plan).cast::<c_void>();
    // SAFETY: `top` is the aligned end of a stack that outlives the child's use of it, since CLONE_VFORK holds
    // us until it has executed or exited; `argument` is a live Plan; CLONE_PIDFD stores into `descriptor`.
    let pid = unsafe { libc::clone(child::main, top, flags, argument, &raw mut descriptor) };
    child_of(Errno::result(pid)?, descriptor)
}

/// What a clone that has succeeded has made.
fn child_of(pid: c_int, descriptor: c_int) -> Result<Child, Errno> {
    let pid = Pid::new(pid).ok_or(Errno::EINVAL)?;
    // SAFETY: clone succeeded, and so stored a new descriptor that only we know.
    let descriptor = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(Child { pid, descriptor, without: Vec::new() })
}

/// Whether our memory may be looked at, which a child that changes its credentials takes from us as well
/// (prctl(2), `PR_SET_DUMPABLE`). Put back once the child has left it.
struct Dumpable(bool);

impl Dumpable {
    fn note() -> Dumpable {
        Dumpable(nix::sys::prctl::get_dumpable().unwrap_or(false))
    }
}

impl Drop for Dumpable {
    fn drop(&mut self) {
        if self.0 {
            let _ = nix::sys::prctl::set_dumpable(true);
        }
    }
}
