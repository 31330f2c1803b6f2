//! Starting programs. The child shares our memory until it has executed the program or failed
//! (`CLONE_VM | CLONE_VFORK`, clone(2)), so that nothing is copied, and a failure is told with the step and
//! the reason instead of as an exit code that the program could have used itself.
//!
//! - `plan.rs`: what the child uses, made before it exists.
//! - `parent.rs`: the clone.
//! - `child.rs`: the table of steps that the child takes, and the short ones among them; the others are in
//!   `session.rs`, `descriptors.rs` and `number.rs`.
//! - `setup.rs`: what a definition asks for besides, step by step.
//! - `users.rs`: who is who in a user namespace of its own.
//! - `clone3.rs`: the clone that enters a control group.
//! - `step.rs`: the names of the steps, for the message of the one that failed.

mod child;
mod clone3;
mod descriptors;
mod number;
mod parent;
mod plan;
mod session;
pub mod setup;
mod step;
#[cfg(test)]
mod tests;
mod users;

pub use descriptors::DESCRIPTORS_MAX;
pub use session::Session;
pub use step::{SpawnError, Step};
pub use users::Maps;

use crate::record::Record;
use plan::{Plan, Texts};
use service::Pid;
use service::setup::Namespace;
use std::ffi::{CStr, CString};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A program to start. Its signals are all unblocked and at their defaults, if [`crate::signals::restore_defaults`]
/// was called when this program began.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// The file to execute: no search is made.
    pub program: &'a CStr,
    /// The files that are executed in its place if it is not there, the first that is: for a program that is looked for
    /// in a tree of files that only the child sees.
    pub otherwise: &'a [CString],
    /// Its arguments, the first being its name.
    pub arguments: &'a [CString],
    /// Its environment, `KEY=VALUE` each.
    pub environment: &'a [CString],
    /// Where it starts.
    pub directory: Option<&'a CStr>,
    /// Which of our descriptors it gets as which number. Everything else is closed at exec.
    pub descriptors: &'a [(BorrowedFd<'a>, i32)],
    /// Whose session it runs in.
    pub session: Session,
    /// Environment variables, with their `=`, that are to hold the child's own number, which only the child
    /// knows before it executes (`LISTEN_PID=`, sd_listen_fds(3)). At most 20 bytes each, and at most two.
    pub own_number: &'a [&'a CStr],
    /// The namespaces that it gets of its own. One of process numbers ends with it (pid_namespaces(7)).
    pub namespaces: &'a [Namespace],
    /// Who is who in a user namespace of its own.
    pub users: Option<&'a Maps>,
    /// The directory of the control group that it is in from its first moment (cgroups(7)).
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Where the child puts down its own number and the time, as [`crate::record::read`] has it, before it
    /// executes anything. If we are gone by then it does not: whoever comes after us finds it there, or finds
    /// nothing that runs.
    pub record: Option<Record<'a>>,
    /// Whether it is killed when we die: for what is of no use to whoever comes after us.
    pub dies_with_us: bool,
    /// What else is done before it is executed.
    pub setup: Option<&'a setup::Prepared>,
}

impl<'a> Spawn<'a> {
    /// A program with nothing but its arguments: the rest is said with `..Spawn::new(…)`.
    #[must_use]
    pub fn new(program: &'a CStr, arguments: &'a [CString]) -> Spawn<'a> {
        Spawn {
            program,
            otherwise: &[],
            arguments,
            environment: &[],
            directory: None,
            descriptors: &[],
            session: Session::Ours,
            own_number: &[],
            namespaces: &[],
            users: None,
            cgroup: None,
            record: None,
            dies_with_us: false,
            setup: None,
        }
    }
}

impl Spawn<'_> {
    /// Whether it gets a namespace of this kind of its own.
    fn apart(&self, kind: Namespace) -> bool {
        self.namespaces.contains(&kind)
    }
}

/// A program that was started.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: Pid,
    /// Readable when it has ended (pidfd_open(2)).
    pub descriptor: OwnedFd,
    /// The steps of [`Spawn::setup`] that have failed and may: it runs without what they would have done.
    pub without: Vec<setup::Failure>,
}

/// Starts a program.
///
/// # Errors
/// [`SpawnError`]: nothing runs then, and there is nothing to reap.
pub fn spawn(spawn: &Spawn<'_>) -> Result<Child, SpawnError> {
    let mut texts = Texts::new(spawn)?;
    parent::start(&mut Plan::new(spawn, &mut texts))
}

/// What a program prints, for tests.
#[cfg(test)]
pub(crate) fn output(words: &[&str]) -> String {
    tests::run(words, None, Session::Ours).unwrap().0
}
