//! A hardware watchdog: a device that resets the machine unless it hears from us in time (the kernel's
//! `Documentation/watchdog/watchdog-api.rst`).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;

mod ioctl {
    #![allow(missing_docs, reason = "made by a macro")]
    nix::ioctl_read!(keep_alive, b'W', 5, libc::c_int);
    nix::ioctl_readwrite!(set_timeout, b'W', 6, libc::c_int);
    nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);
}

/// A watchdog that runs. Dropping it leaves it running: only [`Watchdog::disarm`] stops it.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
}

impl Watchdog {
    /// Opens the device, which starts it, and sets after how long without a word it resets the machine. Returns
    /// the time that the device has made of it.
    ///
    /// # Errors
    /// Those of open(2): `ENOENT` without a driver, `EBUSY` when somebody else has it. `EINVAL` for a time that the
    /// device cannot do, and then it does not run.
    pub fn start(place: &Path, timeout: Duration) -> io::Result<(Watchdog, Duration)> {
        let mut watchdog = Watchdog { device: File::options().write(true).open(place)? };
        let mut seconds = i32::try_from(timeout.as_secs().max(1)).unwrap_or(i32::MAX);
        // SAFETY: the request reads and stores one int, which lives.
        if let Err(error) = unsafe { ioctl::set_timeout(watchdog.device.as_raw_fd(), &raw mut seconds) } {
            // Some have one time and no other: that is good enough if it is not shorter.
            let mut fixed = 0;
            // SAFETY: the request stores one int, which lives.
            let known = unsafe { ioctl::get_timeout(watchdog.device.as_raw_fd(), &raw mut fixed) };
            if known.is_err() || fixed < 1 {
                watchdog.disarm();
                return Err(error.into());
            }
            seconds = fixed;
        }
        Ok((watchdog, Duration::from_secs(u64::from(seconds.unsigned_abs()))))
    }

    /// Tells it that we live.
    ///
    /// # Errors
    /// Those of ioctl(2).
    pub fn feed(&self) -> io::Result<()> {
        let mut unused = 0;
        // SAFETY: the request stores at most one int, which lives.
        unsafe { ioctl::keep_alive(self.device.as_raw_fd(), &raw mut unused) }?;
        Ok(())
    }

    /// Stops it, where the driver lets it be stopped: it is told so by the letter that the interface has for that.
    pub fn disarm(&mut self) {
        let _ = self.device.write_all(b"V");
    }
}
