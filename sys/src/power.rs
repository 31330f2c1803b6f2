//! The end of the machine, and the key that asks for it.

use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use service::wire::Power;
use std::io;

/// Has Ctrl-Alt-Del sent to PID 1 as `SIGINT` instead of rebooting on the spot (reboot(2)). Fails in a
/// container, which tells that there is no machine to care for.
///
/// # Errors
/// `EPERM` without the right, `EINVAL` in a PID namespace of its own.
pub fn take_ctrl_alt_del() -> io::Result<()> {
    Ok(set_cad_enabled(false)?)
}

/// Ends the machine. Unwritten data is lost: sync(2) comes before. In a PID namespace of its own this ends
/// the calling process, which must be its PID 1.
///
/// # Errors
/// Those of reboot(2); on success it does not return.
pub fn end(power: Power) -> io::Result<std::convert::Infallible> {
    let mode = match power {
        Power::PowerOff => RebootMode::RB_POWER_OFF,
        Power::Reboot => RebootMode::RB_AUTOBOOT,
        Power::Halt => RebootMode::RB_HALT_SYSTEM,
        Power::Kexec => RebootMode::RB_KEXEC,
    };
    Ok(reboot(mode)?)
}
