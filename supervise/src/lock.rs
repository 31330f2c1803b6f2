//! There is one supervisor of a service.

use service::Pid;
use service::status::Status;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use sys::fs::Lock;

/// How often, and after which pauses, a lock is tried that nobody has who is known to live.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// Takes the lock of the service, or takes over the one that was passed on.
pub(crate) fn take(directory: &Path, inherited: Option<i32>) -> Result<Lock, String> {
    let file = directory.join("lock");
    let unable = |error: &std::io::Error| {
        format!("unable to lock {}: {}", file.display(), crate::launch::reason(error))
    };
    if let Some(number) = inherited {
        return sys::fd::inherited(number).map(Lock::inherited).map_err(|error| unable(&error));
    }
    let mut tries = 1;
    loop {
        match sys::fs::lock(&file) {
            Ok(lock) => return Ok(lock),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(unable(&error)),
            Err(_) => {}
        }
        if let Some(pid) = holder(directory) {
            return Err(format!("another supervisor, process {pid}, has the service"));
        }
        if tries == TRIES {
            return Err("another supervisor has the service".to_owned());
        }
        // A supervisor that was killed at the moment of a start: its child has all it had, until it executes its
        // program or finds its parent gone.
        tries += 1;
        std::thread::sleep(PAUSE);
    }
}

/// The supervisor that the status names, if it lives.
fn holder(directory: &Path) -> Option<Pid> {
    let status = Status::decode(&std::fs::read_to_string(directory.join("status")).ok()?)?;
    let pid = status.supervisor.filter(|_| status.boot == sys::clock::boot())?;
    (pid.number() != sys::process::own() && sys::process::look(pid).is_some_and(|look| !look.zombie))
        .then_some(pid)
}
