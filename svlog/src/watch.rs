//! Waiting. Service pipes are watched edge-triggered, unlike everything else in the suite: an unfinished
//! line stays in its pipe, and a level would report it again and again. What an edge announced and one
//! batch did not finish is remembered by the [`Logger`](crate::logger::Logger).

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use service::Tick;
use std::io;
use std::os::fd::AsFd;

const MOST: usize = 64;

/// What became of one descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The number that it was added with.
    pub key: u64,
    /// The other side is gone.
    pub ended: bool,
}

/// A set of descriptors to wait for.
#[derive(Debug)]
pub struct Watch {
    epoll: Epoll,
    events: [EpollEvent; MOST],
    count: usize,
}

impl Watch {
    /// An empty set.
    ///
    /// # Errors
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Watch> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Watch { epoll, events: [EpollEvent::empty(); MOST], count: 0 })
    }

    /// Reports `fd` for as long as something can be read from it.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add_level(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, key))?)
    }

    /// Reports `fd` once now if it holds anything, and then once or more after each write to it.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add_edge(&self, fd: impl AsFd, key: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, key))?)
    }

    /// Takes `fd` out of the set.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until something happens or `deadline` has come, for ever without one. Then [`Watch::take`].
    ///
    /// # Errors
    /// Those of epoll_wait(2), which for a valid set are none.
    pub fn wait(&mut self, deadline: Option<Tick>) -> io::Result<()> {
        self.count = match self.epoll.wait(&mut self.events, timeout(deadline)) {
            Ok(count) => count,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// One of the events that the last wait brought, each once.
    pub fn take(&mut self) -> Option<Event> {
        self.count = self.count.checked_sub(1)?;
        let event = self.events.get(self.count)?;
        let ended = event.events().intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        Some(Event { key: event.data(), ended })
    }
}

/// Rounded up to the next millisecond: waking too early would be a busy loop.
fn timeout(deadline: Option<Tick>) -> EpollTimeout {
    let Some(deadline) = deadline else { return EpollTimeout::NONE };
    if deadline == Tick(0) {
        return EpollTimeout::ZERO;
    }
    let milliseconds = deadline.since(sys::clock::now()).as_nanos().div_ceil(1_000_000);
    EpollTimeout::try_from(i32::try_from(milliseconds).unwrap_or(i32::MAX)).unwrap_or(EpollTimeout::ZERO)
}
