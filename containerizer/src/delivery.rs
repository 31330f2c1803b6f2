//! Whether an answer has reached its reader.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::ioctl_fionread;
use std::os::fd::AsFd;

/// The longest wait between two looks, in milliseconds.
const LONGEST: i64 = 100;

/// Looks whether there is anybody to read an answer, before something is done that cannot be done again.
///
/// # Errors
///
/// If standard output was closed (in its place is `/dev/null` then), or its reader has gone.
pub fn expect_reader(output: &impl AsFd) -> Result<()> {
    let nobody = || Error::new("write the answer: nobody can read it");
    let status = fstat(output).map_err(|error| Error::during("write the answer", error))?;
    let null = rustix::fs::makedev(1, 3);
    if FileType::from_raw_mode(status.st_mode) == FileType::CharacterDevice && status.st_rdev == null {
        return Err(nobody());
    }
    let descriptor = output.as_fd();
    let mut polled = [PollFd::new(&descriptor, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_err(|_| nobody())?;
    if polled.iter().any(|one| one.revents().contains(PollFlags::ERR)) { Err(nobody()) } else { Ok(()) }
}

/// Waits until all that was written to a pipe has been read; with anything else it has been.
///
/// Only then is a container forgotten: an agent that is killed before it has read how it ended asks again when it is back.
/// The kernel tells at once that the reader has gone, but not that it has read: that is looked for.
///
/// # Errors
///
/// If the reader has gone before.
pub fn await_reader(output: &impl AsFd) -> Result<()> {
    let wrong = |error: rustix::io::Errno| Error::during("write the answer", error);
    if FileType::from_raw_mode(fstat(output).map_err(wrong)?.st_mode) != FileType::Fifo {
        return Ok(());
    }
    let mut pause = 1;
    loop {
        let descriptor = output.as_fd();
        let mut polled = [PollFd::new(&descriptor, PollFlags::empty())];
        // A reader that read all and then went has read all.
        if ioctl_fionread(output).map_err(wrong)? == 0 {
            return Ok(());
        }
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: pause * 1_000_000 })).map_err(wrong)?;
        if polled.iter().any(|one| one.revents().contains(PollFlags::ERR)) {
            return Err(Error::new("write the answer: nobody has read it"));
        }
        pause = (pause * 2).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write, pipe};

    #[test]
    fn what_has_been_read_has_arrived() {
        let (mut reader, mut writer) = pipe().unwrap();
        writer.write_all(b"text").unwrap();
        let awaited = std::thread::spawn(move || await_reader(&writer).is_ok());
        reader.read_exact(&mut [0; 4]).unwrap();
        assert!(awaited.join().unwrap());
        assert!(await_reader(&tempfile::tempfile().unwrap()).is_ok());
    }

    #[test]
    fn nobody_reads_where_nobody_can() {
        let (reader, writer) = pipe().unwrap();
        assert!(expect_reader(&writer).is_ok());
        drop(reader);
        assert!(expect_reader(&writer).is_err());
        assert!(expect_reader(&std::fs::File::options().write(true).open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn what_nobody_reads_has_not() {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"text").unwrap();
        let awaited = std::thread::spawn(move || await_reader(&writer).is_ok());
        drop(reader);
        assert!(!awaited.join().unwrap());
    }
}
