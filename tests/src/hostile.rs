//! Clients that mean harm, for the tests of both control sockets.

use crate::process;
use service::Pid;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Every way in which they do.
pub const WAYS: [&str; 7] = ["sleep", "half", "endless", "deaf", "leave", "flood", "noise"];

/// A process that does all of this, and ends with the test.
#[derive(Debug)]
pub struct Hostile(Child);

impl Hostile {
    /// Lets it loose on the socket at `path`, as this user or as ourselves. `program` is
    /// `CARGO_BIN_EXE_hostile` or a copy of it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(program: &Path, path: &Path, ways: &[&str], user: Option<u32>) -> Hostile {
        let mut command = match user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([format!("--reuid={user}"), format!("--regid={user}")]);
                command.args(["--clear-groups", "--pdeathsig=KILL", "--"]).arg(program);
                command
            }
        };
        command.arg(path).args(ways).stdin(Stdio::null());
        Hostile(sys::child::die_with_parent(&mut command).spawn().unwrap())
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a process holds: descriptors, and private memory in kilobytes.
#[must_use]
pub fn held(pid: Pid) -> (usize, u64) {
    (process::descriptors(pid).len(), process::private_memory(pid))
}
