//! Where a process is: its directory, its mask for new files, its terminal.

use super::{Action, call};
use nix::errno::Errno;

pub(super) fn umask(mask: u32) -> Action {
    Box::new(move || call::numbers(libc::SYS_umask, [i64::from(mask)]).map(drop))
}

pub(super) fn working_directory(path: &str) -> Result<Action, Errno> {
    let path = super::text(path)?;
    Ok(Box::new(move || nix::unistd::chdir(path.as_c_str())))
}

/// The terminal on its standard input; only root takes one that is another session's.
pub(super) fn terminal() -> Action {
    // Its type differs between C libraries.
    let request = i64::try_from(libc::TIOCSCTTY).unwrap_or_default();
    Box::new(move || {
        let take = |steal| call::numbers(libc::SYS_ioctl, [0, request, steal]).map(drop);
        take(1).or_else(|errno| if errno == Errno::EPERM { take(0) } else { Err(errno) })
    })
}
