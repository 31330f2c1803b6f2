//! The one network interface that init itself cares for.

use nix::errno::Errno;
use std::io;
use std::os::fd::AsRawFd;

/// Brings the loopback interface up (netdevice(7)), which gives it its addresses.
///
/// # Errors
/// Those of socket(2) and of the `SIOCSIFFLAGS` ioctl.
pub fn loopback_up() -> io::Result<()> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = byte.cast_signed();
    }
    #[expect(clippy::cast_possible_truncation, reason = "the flag is 1, the field's type is short")]
    let up = libc::IFF_UP as libc::c_short;
    request.ifr_ifru.ifru_flags = up;
    // SAFETY: the kernel reads one ifreq, which is alive.
    Errno::result(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })?;
    Ok(())
}
