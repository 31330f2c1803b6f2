//! The steps of a start by name, for the message of the one that failed.

use nix::errno::Errno;
use std::fmt;

/// The steps of a start, any of which can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Making the process.
    Clone,
    /// Giving it namespaces of its own.
    Namespace,
    /// Telling which of its users is which outside.
    Users,
    /// Leading a session or a process group.
    Session,
    /// Arranging the descriptors.
    Descriptors,
    /// Entering the control group.
    Cgroup,
    /// Entering the directory.
    Directory,
    /// The step of [`super::Spawn::setup`] with this index.
    Setup(usize),
    /// Putting down who it is.
    Record,
    /// Finding the parent alive.
    Parent,
    /// Executing the program.
    Execute,
}

impl Step {
    /// What could not be done, for people.
    #[must_use]
    pub fn failure(self) -> &'static str {
        match self {
            Step::Clone => "unable to make a process",
            Step::Namespace => "unable to make its namespaces",
            Step::Users => "unable to map its users",
            Step::Session => "unable to lead a session",
            Step::Descriptors => "unable to arrange descriptors",
            Step::Cgroup => "unable to enter the control group",
            Step::Directory => "unable to enter the directory",
            Step::Setup(_) => "unable to set up the process",
            Step::Record => "unable to put down its number",
            Step::Parent => "unable to find the parent alive",
            Step::Execute => "unable to execute",
        }
    }
}

/// Why a program was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpawnError {
    /// What could not be done.
    pub step: Step,
    /// Why.
    pub errno: Errno,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step.failure(), self.errno.desc())
    }
}

impl std::error::Error for SpawnError {}
