//! The end of the machine, and the key that asks for it.

use nix::errno::Errno;
use nix::sys::reboot::{RebootMode, reboot, set_cad_enabled};
use service::wire::Power;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Has Ctrl-Alt-Del sent to PID 1 as `SIGINT` instead of rebooting on the spot (reboot(2)). Fails in a
/// container, which tells that there is no machine to care for.
///
/// # Errors
/// `EPERM` without the right, `EINVAL` in a PID namespace of its own.
pub fn take_ctrl_alt_del() -> io::Result<()> {
    Ok(set_cad_enabled(false)?)
}

/// Loads the kernel that [`end`] starts for [`Power::Kexec`], and its initramfs.
///
/// # Errors
/// Those of kexec_file_load(2): `EPERM` without the right or where the kernel is locked down, `ENOEXEC` for what is no
/// kernel, `ENOSYS` from a kernel that cannot.
pub fn load_kernel(
    kernel: BorrowedFd<'_>,
    initramfs: Option<BorrowedFd<'_>>,
    words: &CStr,
) -> io::Result<()> {
    let flags = if initramfs.is_some() { 0 } else { libc::KEXEC_FILE_NO_INITRAMFS };
    let length = words.to_bytes_with_nul().len();
    // SAFETY: `words` is as long as is said, NUL included, and only read; the rest are numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_kexec_file_load,
            kernel.as_raw_fd(),
            initramfs.map_or(-1, |file| file.as_raw_fd()),
            length,
            words.as_ptr(),
            flags,
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
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
