//! Pipes, and looking into one without taking anything out.

use nix::fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

mod ioctl {
    #![allow(missing_docs, reason = "made by a macro")]
    nix::ioctl_read_bad!(fionread, libc::FIONREAD, libc::c_int);
}

/// A pipe's read and write end, closed at exec.
///
/// # Errors
/// Those of pipe2(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(OFlag::O_CLOEXEC)?)
}

/// Copies up to `length` bytes from one pipe to another without taking them out of the first (tee(2)).
/// Zero is the end of the first pipe.
///
/// # Errors
/// `WouldBlock` when the first is empty or the second full, others of tee(2).
pub fn tee(from: impl AsFd, to: impl AsFd, length: usize) -> io::Result<usize> {
    Ok(nix::fcntl::tee(from, to, length, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

/// How many bytes can be read now (`FIONREAD`, pipe(7)).
///
/// # Errors
/// Those of ioctl(2).
pub fn pending(fd: impl AsFd) -> io::Result<usize> {
    let mut count = 0;
    // SAFETY: FIONREAD stores one int, to which the pointer is valid for the call.
    unsafe { ioctl::fionread(fd.as_fd().as_raw_fd(), &raw mut count) }?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// How many bytes the pipe can hold (`F_GETPIPE_SZ`, fcntl(2)).
///
/// # Errors
/// Those of fcntl(2).
pub fn capacity(fd: impl AsFd) -> io::Result<usize> {
    Ok(usize::try_from(fcntl(fd, FcntlArg::F_GETPIPE_SZ)?).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn tee_leaves_the_bytes_where_they_were() {
        let (from, from_end) = pair().unwrap();
        let (to, to_end) = pair().unwrap();
        std::fs::File::from(from_end).write_all(b"line\n").unwrap();
        assert_eq!(tee(&from, &to_end, 4096).unwrap(), 5);
        assert_eq!((pending(&from).unwrap(), pending(&to).unwrap()), (5, 5));
        assert!(capacity(&from).unwrap() >= 4096);
        let mut text = String::new();
        std::fs::File::from(from).read_to_string(&mut text).unwrap();
        assert_eq!(text, "line\n");
    }

    #[test]
    fn an_empty_pipe_would_block_and_a_closed_one_has_ended() {
        let (from, from_end) = pair().unwrap();
        let (_to, to_end) = pair().unwrap();
        assert_eq!(tee(&from, &to_end, 1).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(from_end);
        assert_eq!(tee(&from, &to_end, 1).unwrap(), 0);
    }
}
