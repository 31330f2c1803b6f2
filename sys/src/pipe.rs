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

/// Reads up to `buffer` from a pipe, and leaves it there. Zero is the end.
///
/// # Errors
/// `WouldBlock` when it is empty, others of pipe2(2), tee(2) and read(2).
pub fn peek(from: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let (reader, writer) = pair()?;
    let count = tee(from, writer, buffer.len())?;
    if count == 0 {
        return Ok(0);
    }
    Ok(nix::unistd::read(reader, buffer)?)
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

/// Writes a line into a pipe that others write into as well, without ever waiting for room. A blocking pipe is
/// opened anew for that, since its mode is that of all who have it. At most 4096 bytes, which come whole or
/// not at all (pipe(7), `PIPE_BUF`).
///
/// # Errors
/// `WouldBlock` when it is full; those of open(2), for want of a `/proc` for example.
pub fn append(writer: impl AsFd, line: &[u8]) -> io::Result<()> {
    use nix::sys::stat::Mode;
    let place = format!("/proc/self/fd/{}", writer.as_fd().as_raw_fd());
    let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let again = nix::fcntl::open(place.as_str(), flags, Mode::empty())?;
    nix::unistd::write(again, line.get(..4096).unwrap_or(line))?;
    Ok(())
}

/// Another write end of the pipe that `reader` is the read end of; what is in it stays.
///
/// # Errors
/// Those of open(2), for want of a `/proc` for example.
pub fn writer_of(reader: impl AsFd) -> io::Result<OwnedFd> {
    let place = format!("/proc/self/fd/{}", reader.as_fd().as_raw_fd());
    // It does not wait: there is a reader (fifo(7)).
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    Ok(nix::fcntl::open(place.as_str(), flags, nix::sys::stat::Mode::empty())?)
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
        let mut looked = [0; 8];
        assert_eq!((peek(&from, &mut looked).unwrap(), &looked[..5]), (5, &b"line\n"[..]));
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
        assert_eq!(peek(&from, &mut [0; 4]).unwrap(), 0);
    }

    #[test]
    fn a_pipe_that_has_ended_can_be_written_to_again() {
        let (reader, writer) = pair().unwrap();
        std::fs::File::from(writer).write_all(b"old\n").unwrap();
        let again = writer_of(&reader).unwrap();
        std::fs::File::from(again).write_all(b"new\n").unwrap();
        let mut text = String::new();
        std::fs::File::from(reader).read_to_string(&mut text).unwrap();
        assert_eq!(text, "old\nnew\n");
    }

    #[test]
    fn a_full_pipe_is_not_waited_for_and_stays_blocking_for_others() {
        let (reader, writer) = pair().unwrap();
        append(&writer, b"line\n").unwrap();
        assert_eq!(pending(&reader).unwrap(), 5);
        let full = (0..1000).find_map(|_| append(&writer, &[b'x'; 4096]).err());
        assert_eq!(full.unwrap().kind(), io::ErrorKind::WouldBlock);
        let flags = OFlag::from_bits_retain(fcntl(&writer, FcntlArg::F_GETFL).unwrap());
        assert!(!flags.contains(OFlag::O_NONBLOCK));
    }
}
