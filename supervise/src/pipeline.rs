//! What a service is connected to besides its log: the pipes between services, and the lock on itself.

use crate::arguments::Options;
use crate::launch::Surroundings;
use crate::supervisor::Supervisor;
use service::wire::PipeEnd;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The service's ends of pipes that init holds. We hold them as well: for us they never end.
pub(crate) struct Pipeline {
    input: Option<OwnedFd>,
    output: Option<OwnedFd>,
}

impl Pipeline {
    pub(crate) fn inherit(options: &Options) -> io::Result<Pipeline> {
        let inherit = |number: Option<i32>| number.map(sys::fd::inherited).transpose();
        Ok(Pipeline { input: inherit(options.input)?, output: inherit(options.output)? })
    }

    /// Takes another pipe, which is the service's from its next start on; what runs has the one before.
    pub(crate) fn connect(&mut self, end: PipeEnd, descriptor: Option<OwnedFd>) {
        // None arrives if we have as many as we may: then things stay as they are.
        let Some(descriptor) = descriptor else { return };
        match end {
            PipeEnd::Input => self.input = Some(descriptor),
            PipeEnd::Output => self.output = Some(descriptor),
        }
    }

    /// From the next start on its output goes where ours does.
    pub(crate) fn disconnect(&mut self) {
        self.output = None;
    }

    /// The options by which they are passed on.
    pub(crate) fn passed(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        let input = self.input.as_ref().map(|input| ("--input", input.as_fd()));
        input.into_iter().chain(self.output.as_ref().map(|output| ("--output", output.as_fd())))
    }
}

impl Supervisor {
    /// What the service's programs have around them, if nothing else is said.
    pub(crate) fn surroundings(&self) -> Surroundings<'_> {
        Surroundings {
            input: self.pipeline.input.as_ref().unwrap_or(&self.null).as_fd(),
            output: self.pipeline.output.as_ref().map(AsFd::as_fd),
            extra: &[],
            variables: &[],
            own_number: &[],
            cgroup: None,
            role: crate::setup::Role::Helper,
            inherited: None,
            record: None,
            ours_alone: false,
        }
    }

    /// Locks the service, if that is asked for, and says as which descriptor its process gets the lock. It is held as
    /// long as any process has that open. Whoever has it still when the service is to be started again is not
    /// waited for: the start has failed, and is tried again as any other.
    pub(crate) fn lock_service(&self) -> Result<Option<(OwnedFd, i32)>, String> {
        let Some(number) = self.definition.lock_descriptor else { return Ok(None) };
        let path = self.status_path.with_file_name("service-lock");
        match sys::fs::shared_lock(&path) {
            Ok(lock) => Ok(Some((lock, number))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(format!("unable to lock {}: a process of another run still holds it", path.display()))
            }
            Err(error) => {
                Err(format!("unable to lock {}: {}", path.display(), crate::launch::reason(&error)))
            }
        }
    }
}
