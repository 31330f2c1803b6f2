//! Files that exist in memory alone, and live as long as a descriptor of theirs is open (memfd_create(2)): no
//! full or read-only filesystem keeps them from being written.

use nix::sys::memfd::{MFdFlags, memfd_create};
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// An empty file, closed at exec; `name` is shown in `/proc/PID/fd`.
///
/// # Errors
/// Those of memfd_create(2).
pub fn create(name: &CStr) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MFdFlags::MFD_CLOEXEC)?)
}

/// Writes all of `bytes` at `offset`, in one call: nothing but the machine's end interrupts it, so that a
/// reader sees all of them or none.
///
/// # Errors
/// Those of pwrite(2); `WriteZero` if not all of them were taken.
pub fn write_at(file: impl AsFd, bytes: &[u8], offset: u64) -> io::Result<()> {
    let offset = i64::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
    let written = nix::sys::uio::pwrite(file, bytes, offset)?;
    if written == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Everything in the file.
///
/// # Errors
/// Those of read(2).
pub fn read(file: &OwnedFd) -> io::Result<Vec<u8>> {
    let file = File::from(file.try_clone()?);
    let length = file.metadata()?.len();
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| io::ErrorKind::FileTooLarge)?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_a_later_write_covers_it() {
        let file = create(c"test").unwrap();
        write_at(&file, b"0123456789", 0).unwrap();
        write_at(&file, b"xx", 4).unwrap();
        assert_eq!(read(&file).unwrap(), b"0123xx6789");
    }
}
