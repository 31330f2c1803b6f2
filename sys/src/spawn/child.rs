//! The child's side, between clone and exec. It runs on the parent's memory and a stack of its own: here are
//! async-signal-safe calls only, no allocation and no panic.
//!
//! Every attribute that a program is given is a row in [`STEPS`]: a step to blame, and a function that does nothing
//! unless it was asked for. One more attribute is a field of [`Spawn`](super::Spawn), a name in [`Step`], a function
//! and a row. What a definition asks for is not there, but in `setup.rs`, and is done after all of them: it may take
//! away what they need.

use super::plan::Plan;
use super::setup::{Part, Tolerated};
use super::{SpawnError, Step, descriptors, number, session, users};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use service::setup::Namespace;
use std::ffi::{CStr, c_int, c_void};

/// What is done in a step.
type Take = fn(&Plan<'_>) -> Result<(), Errno>;

/// The steps before those of the definition, in their order.
const STEPS: &[(Step, Take)] = &[
    // As whoever we are: users of its own may be nobody to whom the group is open.
    (Step::Cgroup, enter_cgroup),
    // Before that it is nobody there.
    (Step::Users, users::ask),
    (Step::Session, session::leave),
    (Step::Parent, die_with_parent),
    (Step::Record, number::put_down),
    // After that: whoever comes after a parent that is gone finds what it says, or finds nothing that runs.
    (Step::Parent, number::find_parent),
    // Up to here descriptors have the numbers that we know. From here on one of the child's may have taken the place of
    // any of ours.
    (Step::Descriptors, descriptors::arrange),
    // The terminal is the one on the new standard input.
    (Step::Session, session::take_terminal),
    // The copies of descriptors had numbers beyond it; the definition may set another.
    (Step::Descriptors, restore_limit),
];

/// The steps after those of the definition. The directory is entered below the root that those have made, and as the
/// user that they have made it: what may not enter it may not work there, and on a network only the user may be let
/// in. A filter of system calls comes later still.
const LAST: &[(Step, Take)] = &[
    (Step::Directory, enter_directory),
    // A change of credentials takes it back (prctl(2)).
    (Step::Parent, die_with_parent),
    (Step::Parent, still_have_parent),
];

/// Returns only on failure, and the return value becomes an exit code that nobody looks at.
pub(super) extern "C" fn main(argument: *mut c_void) -> c_int {
    // SAFETY: the parent passed a live Plan, and is held until we are done.
    let plan = unsafe { &mut *argument.cast::<Plan<'_>>() };
    plan.begun = true;
    let mut tolerated = Tolerated::NONE;
    let prepared = prepare(plan, &mut tolerated);
    plan.tolerated = tolerated;
    let failure = prepared.err().unwrap_or_else(|| execute(plan));
    // Nothing else: a filter of system calls may be in force that kills for it.
    plan.failure = Some(failure);
    127
}

fn prepare(plan: &Plan<'_>, tolerated: &mut Tolerated) -> Result<(), SpawnError> {
    crate::signals::reset();
    take_all(plan, STEPS)?;
    let Some(setup) = plan.spawn.setup else { return take_all(plan, LAST) };
    setup.perform(Part::Process, tolerated)?;
    take_all(plan, LAST)?;
    setup.perform(Part::Calls, tolerated)
}

fn take_all(plan: &Plan<'_>, steps: &[(Step, Take)]) -> Result<(), SpawnError> {
    for (step, take) in steps {
        take(plan).map_err(|errno| SpawnError { step: *step, errno })?;
    }
    Ok(())
}

fn execute(plan: &Plan<'_>) -> SpawnError {
    // The very last step, so that what was ignored or blocked here does not reach the program.
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
    let mut errno = attempt(plan, plan.spawn.program);
    for program in plan.spawn.otherwise {
        if !matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::EACCES) {
            break;
        }
        let other = attempt(plan, program);
        // That one may not be executed says more than that another is not there.
        if !matches!(other, Errno::ENOENT | Errno::ENOTDIR) {
            errno = other;
        }
    }
    SpawnError { step: Step::Execute, errno }
}

/// Executes a file; returns why that cannot be done.
fn attempt(plan: &Plan<'_>, program: &CStr) -> Errno {
    // SAFETY: the three are null-terminated, and alive in the parent's memory.
    unsafe { libc::execve(program.as_ptr(), plan.arguments, plan.environment) };
    Errno::last()
}

fn enter_cgroup(plan: &Plan<'_>) -> Result<(), Errno> {
    let Some(group) = plan.spawn.cgroup.filter(|_| plan.enters_group) else { return Ok(()) };
    let flags = nix::fcntl::OFlag::O_WRONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::openat(group, c"cgroup.procs", flags, nix::sys::stat::Mode::empty())?;
    // Zero is whoever writes it.
    nix::unistd::write(&file, b"0").map(drop)
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

/// The parent may have died before that was asked for again.
fn still_have_parent(plan: &Plan<'_>) -> Result<(), Errno> {
    let lost = plan.spawn.dies_with_us && nix::unistd::getppid() != plan.parent;
    if lost && !plan.spawn.apart(Namespace::Pid) { Err(Errno::ESRCH) } else { Ok(()) }
}

fn restore_limit(_: &Plan<'_>) -> Result<(), Errno> {
    crate::fd::restore_limit();
    Ok(())
}
