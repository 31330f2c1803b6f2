//! Steps: what a process may ask the kernel for. No definition can ask for them yet.

use super::Action;
use nix::errno::Errno;
use service::setup::Setup;

pub(super) fn ready(_: &Setup) -> Result<Action, Errno> {
    Err(Errno::ENOSYS)
}
