//! The one place where a program waits: level-triggered epoll(7), so that what was not finished in one
//! round is reported again in the next.

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use service::Tick;
use std::io;
use std::os::fd::AsFd;

/// What became of one descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The number that it was added with.
    pub token: u64,
    /// Something can be read, or the end.
    pub readable: bool,
    /// Something can be written.
    pub writable: bool,
    /// The other side is gone.
    pub hangup: bool,
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Poller {
    epoll: Epoll,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Poller> {
        Ok(Poller { epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)? })
    }

    /// Waits for `fd` to be readable; it is reported as `token`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2); `EPERM` for a regular file.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }

    /// Waits for what is told of `fd` out of turn, such as a change of a control group's events; it is reported as
    /// `token`, again and again until the file is read.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add_priority(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLPRI, token))?)
    }

    /// Waits for `fd` to be writable; it is reported as `token`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add_writer(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLOUT, token))?)
    }

    /// Changes what is waited for.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn modify(&self, fd: impl AsFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        let mut flags = EpollFlags::empty();
        flags.set(EpollFlags::EPOLLIN, read);
        flags.set(EpollFlags::EPOLLOUT, write);
        Ok(self.epoll.modify(fd, &mut EpollEvent::new(flags, token))?)
    }

    /// Takes `fd` out of the set.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until something is ready or `deadline` has come, for ever without one; returns how many
    /// entries of `ready` were filled. A signal that interrupts the wait does not end it.
    ///
    /// # Errors
    /// Those of epoll_wait(2), which for a valid set are none.
    pub fn wait<const N: usize>(&self, ready: &mut [Ready; N], deadline: Option<Tick>) -> io::Result<usize> {
        let mut events = [EpollEvent::empty(); N];
        let count = loop {
            match self.epoll.wait(&mut events, timeout(deadline)) {
                Err(Errno::EINTR) => {}
                other => break other?,
            }
        };
        for (slot, event) in ready.iter_mut().zip(events.iter().take(count)) {
            let flags = event.events();
            let gone = flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
            *slot = Ready {
                token: event.data(),
                readable: flags.contains(EpollFlags::EPOLLIN) || gone,
                writable: flags.contains(EpollFlags::EPOLLOUT),
                hangup: gone,
            };
        }
        Ok(count)
    }
}

/// Rounded up to the next millisecond: waking too early would be a busy loop.
fn timeout(deadline: Option<Tick>) -> EpollTimeout {
    let Some(deadline) = deadline else { return EpollTimeout::NONE };
    let wait = deadline.since(crate::clock::now());
    let milliseconds = wait.as_nanos().div_ceil(1_000_000).min(86_400_000);
    EpollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    #[test]
    fn what_is_not_read_is_reported_again() {
        let (reader, mut writer) = io::pipe().unwrap();
        let poller = Poller::new().unwrap();
        poller.add(&reader, 7).unwrap();
        let mut ready = [Ready::default(); 4];
        assert_eq!(poller.wait(&mut ready, Some(Tick(0))).unwrap(), 0);
        writer.write_all(b"x").unwrap();
        for _ in 0..2 {
            assert_eq!(poller.wait(&mut ready, None).unwrap(), 1);
            assert_eq!(ready[0], Ready { token: 7, readable: true, writable: false, hangup: false });
        }
    }

    #[test]
    fn a_deadline_is_never_early() {
        let poller = Poller::new().unwrap();
        let deadline = crate::clock::now().after(Duration::from_micros(1500));
        poller.wait(&mut [Ready::default(); 1], Some(deadline)).unwrap();
        assert!(crate::clock::now() >= deadline);
    }
}
