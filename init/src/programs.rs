//! Starting programs.

use crate::runtime::Init;
use service::Pid;
use std::ffi::{CString, OsStr};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use sys::spawn::{Session, Spawn, spawn};

/// What our own programs get for an environment, and the path of a command without one.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Init {
    /// Starts one of our own programs.
    pub(crate) fn spawn_program(
        &self,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
    ) -> Result<Pid, String> {
        let path = CString::new(format!("PATH={PATH}")).unwrap_or_default();
        self.spawn_with(name, arguments, descriptors, &[path], Session::New)
    }

    /// The same, with an environment of its own, in this session.
    pub(crate) fn spawn_with(
        &self,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
        environment: &[CString],
        session: Session,
    ) -> Result<Pid, String> {
        let file = self.options.programs.join(name);
        self.spawn_file(&file, name, arguments, descriptors, environment, session)
    }

    /// Starts any program.
    pub(crate) fn spawn_file(
        &self,
        file: &std::path::Path,
        name: &str,
        arguments: &[&OsStr],
        descriptors: &[(std::os::fd::BorrowedFd<'_>, i32)],
        environment: &[CString],
        session: Session,
    ) -> Result<Pid, String> {
        let to_c =
            |text: &OsStr| CString::new(text.as_bytes()).map_err(|_| "a NUL byte in an argument".to_owned());
        let program = to_c(file.as_os_str())?;
        let mut words = vec![to_c(OsStr::new(name))?];
        for argument in arguments {
            words.push(to_c(argument)?);
        }
        let mut all = vec![(self.null.as_fd(), 0)];
        all.extend_from_slice(descriptors);
        let child = spawn(&Spawn {
            environment,
            directory: Some(c"/"),
            descriptors: &all,
            session,
            ..Spawn::new(&program, &words)
        });
        child.map(|child| child.pid).map_err(|problem| format!("{problem} ({})", file.display()))
    }
}
