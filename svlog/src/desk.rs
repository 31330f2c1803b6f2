//! Where one batch at a time is worked on: the buffers, and the private pipe behind which a service's pipe is read
//! without taking anything out. One for the whole process; nothing here is allocated after the start.

use crate::lines::{self, Framed, Limits, STRIDE};
use crate::stamp::{Stamp, Stamper};
use nix::fcntl::{FcntlArg, SpliceFFlags, fcntl, splice};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

/// The most bytes of a pipe in one batch: as much as a pipe usually holds.
pub const BATCH: usize = 64 * 1024;
/// Room for a batch whose lines are short, each with its stamp. A batch of very short ones takes several writes.
const OUTPUT: usize = 128 * 1024;

/// What is in a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// So many bytes lie in [`Desk::seen`].
    Bytes(usize),
    /// Nothing now.
    Empty,
    /// Nothing, and nobody is left who could write.
    Ended,
}

/// The buffers and the private pipe.
#[derive(Debug)]
pub struct Desk {
    private: (File, OwnedFd),
    null: Option<File>,
    input: Box<[u8]>,
    /// What is to be written to the file.
    pub output: Vec<u8>,
    stamper: Stamper,
    stamp: Stamp,
}

impl Desk {
    /// Empty buffers.
    ///
    /// # Errors
    /// Those of pipe2(2).
    pub fn new() -> io::Result<Desk> {
        let mut stamper = Stamper::default();
        Ok(Desk {
            private: private()?,
            null: File::options().write(true).open("/dev/null").ok(),
            input: vec![0; BATCH].into_boxed_slice(),
            output: Vec::with_capacity(OUTPUT + STRIDE),
            stamp: stamper.at(sys::clock::wall()),
            stamper,
        })
    }

    /// Copies what `pipe` holds, at most a batch, and leaves it there. The lines of a batch share the stamp of this
    /// moment.
    ///
    /// # Errors
    /// Those of tee(2) and read(2).
    pub fn look(&mut self, pipe: &File) -> io::Result<Look> {
        let count = match sys::pipe::tee(pipe, &self.private.1, BATCH) {
            Ok(0) => return Ok(Look::Ended),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Look::Empty),
            Err(error) => return Err(error),
        };
        let read = match self.input.get_mut(..count) {
            Some(into) => self.private.0.read_exact(into),
            None => Err(io::ErrorKind::InvalidData.into()),
        };
        if read.is_err() {
            // What is left inside would be taken for the next pipe's.
            self.private = private()?;
        }
        read?;
        self.stamp = self.stamper.at(sys::clock::wall());
        Ok(Look::Bytes(count))
    }

    /// The first bytes of the last look.
    #[must_use]
    pub fn seen(&self, count: usize) -> &[u8] {
        self.input.get(..count).unwrap_or(&self.input)
    }

    /// Takes `count` bytes out of `pipe`, which holds at least so many.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn drain(&mut self, pipe: &File, mut count: usize) -> io::Result<()> {
        while count > 0 {
            count -= match self.null.as_ref().map(|null| discard(pipe, null, count)) {
                Some(Ok(taken)) if taken > 0 => taken,
                // Without /dev/null it costs a copy.
                Some(_) | None => self.read_away(pipe, count)?,
            };
        }
        Ok(())
    }

    fn read_away(&mut self, mut pipe: &File, count: usize) -> io::Result<usize> {
        let count = count.min(self.input.len());
        match self.input.get_mut(..count).map(|into| pipe.read(into)) {
            Some(Ok(taken)) if taken > 0 => Ok(taken),
            Some(Err(error)) => Err(error),
            Some(Ok(_)) | None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Puts the lines among the first `seen` bytes into the output, behind `first` and `notice` (which gets a stamp).
    /// None if these alone do not fit.
    pub fn compose(
        &mut self,
        first: &[u8],
        notice: Option<&str>,
        seen: usize,
        limits: Limits,
        open: usize,
        tail: bool,
    ) -> Option<Framed> {
        let limits = Limits { hard: limits.hard.min(OUTPUT), ..limits };
        self.output.clear();
        self.output.extend_from_slice(first);
        if let Some(notice) = notice {
            self.output.extend_from_slice(&self.stamp);
            self.output.extend_from_slice(notice.as_bytes());
            self.output.push(b'\n');
        }
        if self.output.len() > limits.hard {
            self.output.clear();
            return None;
        }
        let input = self.input.get(..seen).unwrap_or(&self.input);
        Some(lines::frame(input, &self.stamp, &limits, open, tail, &mut self.output))
    }
}

fn private() -> io::Result<(File, OwnedFd)> {
    let (read, write) = sys::pipe::pair()?;
    Ok((File::from(read), write))
}

fn discard(pipe: &File, null: &File, count: usize) -> io::Result<usize> {
    Ok(splice(pipe, None, null, None, count, SpliceFFlags::SPLICE_F_NONBLOCK)?)
}

/// Whether a write to `pipe` would block, told from its read end. Bytes do not tell: a pipe of 16 pages
/// can be full with 16 bytes. So its pages are shared with a pipe of the same size, and that one is asked.
///
/// # Errors
/// Those of pipe2(2), fcntl(2), tee(2) and poll(2).
pub fn is_full(pipe: &File) -> io::Result<bool> {
    let capacity = sys::pipe::capacity(pipe)?;
    let (_reader, writer) = sys::pipe::pair()?;
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(i32::try_from(capacity).unwrap_or(i32::MAX)))?;
    match sys::pipe::tee(pipe, &writer, capacity) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
        Err(error) => return Err(error),
    }
    let mut asked = [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)];
    Ok(poll(&mut asked, PollTimeout::ZERO)? == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::OFlag;
    use std::io::Write;

    fn pipe() -> (File, File) {
        let (read, write) = sys::pipe::pair().unwrap();
        (File::from(read), File::from(write))
    }

    #[test]
    fn a_look_takes_nothing_and_a_drain_takes_what_it_was_told() {
        for null in [true, false] {
            let mut desk = Desk::new().unwrap();
            desk.null = desk.null.filter(|_| null);
            let (read, mut write) = pipe();
            assert_eq!(desk.look(&read).unwrap(), Look::Empty);
            write.write_all(b"one\ntwo").unwrap();
            for _ in 0..2 {
                assert_eq!(desk.look(&read).unwrap(), Look::Bytes(7));
                assert_eq!(desk.seen(7), b"one\ntwo");
            }
            desk.drain(&read, 4).unwrap();
            assert_eq!(desk.look(&read).unwrap(), Look::Bytes(3));
            assert_eq!(desk.seen(3), b"two");
            desk.drain(&read, 3).unwrap();
            drop(write);
            assert_eq!(desk.look(&read).unwrap(), Look::Ended);
        }
    }

    #[test]
    fn a_pipe_is_full_by_its_pages_and_not_by_its_bytes() {
        let (read, mut write) = pipe();
        fcntl(&write, FcntlArg::F_SETFL(OFlag::O_DIRECT | OFlag::O_NONBLOCK)).unwrap();
        let mut written = 0;
        loop {
            let full = is_full(&read).unwrap();
            assert_eq!(write.write(b"x").is_err(), full, "after {written} bytes");
            if full {
                break;
            }
            written += 1;
        }
        assert!(written < 100);
        assert_eq!(sys::pipe::pending(&read).unwrap(), written, "nothing was taken");
    }
}
