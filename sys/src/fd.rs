//! Descriptors that come from elsewhere.

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::stat::Mode;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// Takes over a descriptor that was passed at exec, and has it closed at the next one.
///
/// # Errors
/// `EBADF` when no such descriptor is open, `EINVAL` for the standard three.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: only borrowed for the call that finds out whether it is open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and by the caller's protocol it was passed to this program to be owned here.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Has a descriptor stay open at exec, or be closed.
///
/// # Errors
/// Those of fcntl(2).
pub fn pass_on(descriptor: impl AsFd, stays: bool) -> io::Result<()> {
    let flags = if stays { FdFlag::empty() } else { FdFlag::FD_CLOEXEC };
    fcntl(descriptor.as_fd(), FcntlArg::F_SETFD(flags))?;
    Ok(())
}

/// Run by the C library before Rust's own runtime, which ends the program when a standard descriptor is closed and
/// there is no `/dev/null`: a kernel that finds no console in an initramfs without devices starts process 1 so.
#[used]
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn() = {
    extern "C" fn early() {
        open_standard();
    }
    early
};

/// Opens `/dev/null` on each of descriptors 0 to 2 that is closed, lest a later file becomes one of them.
pub fn open_standard() {
    // Whoever calls this has the above linked in too.
    std::hint::black_box(&EARLY);
    while let Ok(descriptor) = null() {
        if std::os::fd::AsRawFd::as_raw_fd(&descriptor) > 2 {
            break;
        }
        // It is for those who come after us too.
        let _ = fcntl(&descriptor, FcntlArg::F_SETFD(FdFlag::empty()));
        std::mem::forget(descriptor);
    }
}

/// Standard input, output and error. The handles of the standard library come with buffers, of which the first costs
/// the process three pages, even if only the number is asked for.
#[must_use]
pub fn standard() -> [BorrowedFd<'static>; 3] {
    // SAFETY: nothing closes the three, and `open_standard` opens what was not; to borrow a number does no more than
    // the handles' own `as_fd`, which is as safe.
    [0, 1, 2].map(|number| unsafe { BorrowedFd::borrow_raw(number) })
}

/// `/dev/null`; where there is none, the reading end of a pipe whose other end is closed: to read from it is
/// the end of file, and to write to it an error that everybody ignores.
///
/// # Errors
/// Those of pipe2(2).
pub fn null() -> io::Result<OwnedFd> {
    match open("/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(descriptor) => Ok(descriptor),
        Err(_) => Ok(crate::pipe::pair()?.0),
    }
}

/// Has every descriptor beyond the standard three closed at the next exec: what whoever started us left open is
/// no business of the programs that we start (close_range(2), Linux 5.11).
pub fn close_at_exec() {
    // SAFETY: takes numbers only.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if done != 0 {
        for number in 3..256 {
            // SAFETY: takes numbers only; one that is not open fails harmlessly.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Flags of open(2) for what people name: no FIFO's other end is waited for, no line's carrier, and no terminal
/// becomes ours.
pub const OPEN_AT_ONCE: i32 = libc::O_NONBLOCK | libc::O_NOCTTY;

/// The flag of open(2) by which a link at the end of a path is not followed.
pub const OPEN_NO_LINK: i32 = libc::O_NOFOLLOW;

/// Makes reads and writes of `fd` return rather than wait.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}

/// Makes reads and writes of `fd` wait.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_blocking(fd: impl AsFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd.as_fd(), FcntlArg::F_GETFL)?);
    fcntl(fd.as_fd(), FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    Ok(())
}

/// The soft limit of open descriptors that this process was started with, if it was raised; else zero.
static SOFT_LIMIT: AtomicU64 = AtomicU64::new(0);

/// Raises the soft limit of open descriptors to the hard one, for this process alone: what it spawns begins
/// with the limit that it had itself.
///
/// # Errors
/// Those of setrlimit(2).
pub fn raise_limit() -> io::Result<()> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        SOFT_LIMIT.store(soft, Ordering::Relaxed);
    }
    Ok(())
}

/// The soft limit that children are given, if this process has raised its own.
#[must_use]
pub fn soft_limit() -> Option<u64> {
    Some(SOFT_LIMIT.load(Ordering::Relaxed)).filter(|soft| *soft != 0)
}

/// The same for a program that was executed by one that had raised its own.
pub fn set_soft_limit(soft: u64) {
    SOFT_LIMIT.store(soft, Ordering::Relaxed);
}

/// The highest number that an open descriptor of ours can have.
pub(crate) fn highest_open() -> i32 {
    let listed = std::fs::read_dir("/proc/self/fd").ok().map(|entries| {
        let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.max().unwrap_or(2)
    });
    // Without /proc, as far as anything was ever opened in a program like this.
    listed.unwrap_or_else(|| {
        let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
        i32::try_from(limit.min(65_536)).unwrap_or(65_536)
    })
}

/// Gives a child the limit that this process was started with. To be called between clone and exec.
pub(crate) fn restore_limit() {
    let soft = SOFT_LIMIT.load(Ordering::Relaxed);
    if soft != 0
        && let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
    {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
    }
}

/// Writes `bytes` if that can be done at once, and nothing if it cannot: for messages, which matter less than
/// going on. At most 4096 bytes are written, which a pipe that is ready takes whole (pipe(7), `PIPE_BUF`).
pub fn write_if_ready(fd: impl AsFd, bytes: &[u8]) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let fd = fd.as_fd();
    let mut entry = [PollFd::new(fd, PollFlags::POLLOUT)];
    let ready = poll(&mut entry, PollTimeout::ZERO).is_ok_and(|count| count > 0);
    if ready && entry[0].revents().is_some_and(|flags| flags.contains(PollFlags::POLLOUT)) {
        let _ = nix::unistd::write(fd, bytes.get(..4096).unwrap_or(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raised_limit_is_not_handed_on() {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, soft.min(hard - 1), hard).unwrap();
        raise_limit().unwrap();
        let text = crate::spawn::output(&["/bin/sh", "-c", "ulimit -S -n"]);
        assert_eq!(text, format!("{}\n", soft.min(hard - 1)));
        assert_eq!(getrlimit(Resource::RLIMIT_NOFILE).unwrap().0, hard);
    }

    #[test]
    fn a_full_pipe_is_not_waited_for() {
        let (_reader, writer) = crate::pipe::pair().unwrap();
        let capacity = crate::pipe::capacity(&writer).unwrap();
        for _ in 0..capacity / 4096 + 10 {
            write_if_ready(&writer, &[b'x'; 4096]);
        }
        assert_eq!(crate::pipe::pending(&writer).unwrap(), capacity);
    }

    #[test]
    fn what_we_were_given_is_not_handed_on() {
        let file = std::fs::File::open("/dev/zero").unwrap();
        fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        close_at_exec();
        let flags = FdFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFD).unwrap());
        assert!(flags.contains(FdFlag::FD_CLOEXEC));
    }
}
