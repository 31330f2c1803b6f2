//! The child's side, between clone and exec. It runs on the parent's memory and a stack of its own: here are
//! async-signal-safe calls only, no allocation and no panic.
//!
//! Every attribute that a program is given is a row in [`STEPS`]: a step to blame, and a function that does nothing
//! unless it was asked for. One more attribute is a field of [`Spawn`](super::Spawn), a name in [`Step`], a function
//! and a row.

use super::plan::Plan;
use super::{SpawnError, Step, descriptors, number, session};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use std::ffi::{c_int, c_void};

/// What is done in a step.
type Take = fn(&Plan<'_>) -> Result<(), Errno>;

/// All steps, in their order.
const STEPS: &[(Step, Take)] = &[
    (Step::Session, session::leave),
    // Our descriptors have other numbers from here on.
    (Step::Descriptors, descriptors::arrange),
    (Step::Cgroup, enter_cgroup),
    // The terminal is the one on the new standard input.
    (Step::Session, session::take_terminal),
    (Step::Directory, enter_directory),
    // A change of credentials takes this back (prctl(2)).
    (Step::Parent, die_with_parent),
    (Step::Record, number::put_down),
    // After that: whoever comes after a parent that is gone finds what it says, or finds nothing that runs.
    (Step::Parent, number::find_parent),
    // The copies of descriptors had numbers beyond it.
    (Step::Descriptors, restore_limit),
];

/// Returns only on failure, and the return value becomes an exit code that nobody looks at.
pub(super) extern "C" fn main(argument: *mut c_void) -> c_int {
    // SAFETY: the parent passed a live Plan, and is held until we are done.
    let plan = unsafe { &mut *argument.cast::<Plan<'_>>() };
    let failure = prepare(plan).err().unwrap_or_else(|| execute(plan));
    if let Some(record) = plan.spawn.record {
        crate::record::erase(record);
    }
    plan.failure = Some(failure);
    127
}

fn prepare(plan: &Plan<'_>) -> Result<(), SpawnError> {
    crate::signals::reset();
    for (step, take) in STEPS {
        take(plan).map_err(|errno| SpawnError { step: *step, errno })?;
    }
    Ok(())
}

fn execute(plan: &Plan<'_>) -> SpawnError {
    // The very last step, so that what was ignored or blocked here does not reach the program.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    // SAFETY: the three are null-terminated, and alive in the parent's memory.
    unsafe { libc::execve(plan.spawn.program.as_ptr(), plan.arguments, plan.environment) };
    SpawnError { step: Step::Execute, errno: Errno::last() }
}

fn enter_cgroup(plan: &Plan<'_>) -> Result<(), Errno> {
    let Some(group) = plan.spawn.cgroup else { return Ok(()) };
    // Zero is whoever writes it.
    nix::unistd::write(group, b"0").map(drop)
}

fn enter_directory(plan: &Plan<'_>) -> Result<(), Errno> {
    plan.spawn.directory.map_or(Ok(()), nix::unistd::chdir)
}

fn die_with_parent(plan: &Plan<'_>) -> Result<(), Errno> {
    if plan.spawn.dies_with_us {
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    }
    Ok(())
}

fn restore_limit(_: &Plan<'_>) -> Result<(), Errno> {
    crate::fd::restore_limit();
    Ok(())
}
