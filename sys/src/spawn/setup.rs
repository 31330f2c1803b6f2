//! What a definition asks for between clone and exec ([`service::setup`]): every step is made ready before the clone,
//! with its texts and its numbers, and is done by the child without allocating anything.
//!
//! One more kind of step is one small function, which takes the values and returns what does it, and an arm in
//! [`ready`]. By concern: `numbers.rs`, `place.rs`, `rights.rs`, `files.rs`, `namespaces.rs`, `restrict.rs`.

#[cfg(test)]
mod apart;
pub(super) mod call;
mod files;
pub(super) mod namespaces;
mod numbers;
mod place;
mod restrict;
mod rights;
#[cfg(test)]
mod tests;

use super::{SpawnError, Step};
use nix::errno::Errno;
use service::setup::{Setup, Stage};
use std::ffi::CString;
use std::fmt;

/// What does a step, in the child: it owns all that it needs, and makes raw system calls only.
type Action = Box<dyn Fn() -> Result<(), Errno>>;

/// As many failures of lenient steps are told of; the program is started after more of them as well.
const TOLERATED_MAX: usize = 16;

/// Steps that are ready to be done, in their order ([`service::setup::order`]).
#[derive(Default)]
pub struct Prepared {
    steps: Vec<Ready>,
    /// Where the last stage begins.
    calls: usize,
}

struct Ready {
    action: Action,
    lenient: bool,
}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} steps", self.steps.len())
    }
}

/// A step that has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which, from 0.
    pub index: usize,
    /// Why.
    pub errno: Errno,
}

/// Which of the steps are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that make the process: all but the last stage.
    Process,
    /// The filter of system calls, after which nothing is done but to execute.
    Calls,
}

impl Prepared {
    /// Makes steps ready. Users and groups in them are numbers, which are as they are: nothing is looked up here.
    ///
    /// # Errors
    /// The step that cannot be done as it stands: a text with a NUL byte, a user that is no number.
    pub fn new(steps: &[service::setup::Step]) -> Result<Prepared, Failure> {
        let calls = steps.iter().position(|step| step.setup.stage() == Stage::Calls).unwrap_or(steps.len());
        let kept = steps.iter().fold(0, |kept, step| kept | rights::kept(&step.setup));
        let mut prepared = Prepared { steps: Vec::with_capacity(steps.len()), calls };
        for (index, step) in steps.iter().enumerate() {
            let action = ready(step, kept).map_err(|errno| Failure { index, errno })?;
            prepared.steps.push(Ready { action, lenient: step.lenient });
        }
        Ok(prepared)
    }

    /// Does the steps of a part, in the child.
    pub(super) fn perform(&self, part: Part, tolerated: &mut Tolerated) -> Result<(), SpawnError> {
        for (index, step) in self.steps.iter().enumerate() {
            if (index < self.calls) != (part == Part::Process) {
                continue;
            }
            match (step.action)() {
                Ok(()) => {}
                Err(errno) if step.lenient => tolerated.note(Failure { index, errno }),
                Err(errno) => return Err(SpawnError { step: Step::Setup(index), errno }),
            }
        }
        Ok(())
    }
}

/// What was done without, put down by the child in the memory that it shares with us.
#[derive(Clone, Copy)]
pub(super) struct Tolerated {
    failures: [Option<Failure>; TOLERATED_MAX],
}

impl Tolerated {
    pub(super) const NONE: Tolerated = Tolerated { failures: [None; TOLERATED_MAX] };

    fn note(&mut self, failure: Failure) {
        if let Some(free) = self.failures.iter_mut().find(|one| one.is_none()) {
            *free = Some(failure);
        }
    }

    pub(super) fn list(&self) -> Vec<Failure> {
        self.failures.iter().flatten().copied().collect()
    }
}

/// A text for the kernel.
fn text(text: &str) -> Result<CString, Errno> {
    CString::new(text).map_err(|_| Errno::EINVAL)
}

/// What does a step; `kept` are the capabilities that outlive a change of the user.
fn ready(step: &service::setup::Step, kept: u64) -> Result<Action, Errno> {
    let setup = &step.setup;
    Ok(match setup {
        Setup::Nice(value) => numbers::nice(*value),
        Setup::IoPriority { class, level } => numbers::io_priority(*class, *level),
        Setup::Scheduler { policy, priority } => numbers::scheduler(*policy, *priority),
        Setup::Affinity(processors) => numbers::affinity(processors),
        Setup::OomScore(value) => numbers::oom_score(*value)?,
        Setup::Limit { resource, soft, hard } => numbers::limit(*resource, *soft, *hard),
        Setup::Terminal => place::terminal(),
        Setup::Umask(mask) => place::umask(*mask),
        Setup::WorkingDirectory(path) => place::working_directory(path)?,
        Setup::Bounding(set) => rights::bounding(*set),
        Setup::Credentials(credentials) => rights::credentials(credentials, kept)?,
        Setup::Ambient(set) => rights::ambient(*set),
        Setup::NoNewPrivileges => rights::no_new_privileges(),
        Setup::Join { .. } | Setup::Leave(_) | Setup::Hostname(_) | Setup::Loopback => {
            namespaces::ready(setup)?
        }
        Setup::Propagation { .. }
        | Setup::Directory { .. }
        | Setup::File { .. }
        | Setup::Link { .. }
        | Setup::Bind { .. }
        | Setup::Mount { .. }
        | Setup::Remount { .. }
        | Setup::Hide { .. }
        | Setup::Root(_) => files::ready(setup)?,
        Setup::Landlock(_) | Setup::Seccomp(_) => restrict::ready(setup, step.lenient)?,
    })
}
