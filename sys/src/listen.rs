//! Sockets that are opened for services: listening, or bound for datagrams.

use crate::spawn::DESCRIPTORS_MAX;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage, UnixAddr, VsockAddr, bind, connect,
    getsockname, setsockopt, socket, sockopt,
};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

pub use nix::sys::socket::SockType as Type;

/// Binds a socket to an address of the internet. `both` has IPv4 come in on an IPv6 wildcard too (ipv6(7),
/// `IPV6_V6ONLY`). An address of connections that have just ended can be bound again (socket(7), `SO_REUSEADDR`).
///
/// # Errors
/// Those of socket(2), setsockopt(2) and bind(2).
pub fn internet(address: SocketAddr, kind: Type, both: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let descriptor = socket(family, kind, SockFlag::SOCK_CLOEXEC, None)?;
    if kind == SockType::Stream {
        setsockopt(&descriptor, sockopt::ReuseAddr, &true)?;
    }
    if address.is_ipv6() {
        setsockopt(&descriptor, sockopt::Ipv6V6Only, &!both)?;
    }
    bind(descriptor.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(descriptor)
}

/// Binds a socket to a port of this virtual machine, for whoever can reach it (vsock(7)).
///
/// # Errors
/// Those of socket(2) and bind(2).
pub fn vsock(port: u32) -> io::Result<OwnedFd> {
    let descriptor = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    bind(descriptor.as_raw_fd(), &VsockAddr::new(libc::VMADDR_CID_ANY, port))?;
    Ok(descriptor)
}

/// Binds a unix socket to a name in the abstract namespace (unix(7)).
///
/// # Errors
/// Those of socket(2) and bind(2).
pub fn abstract_unix(name: &str, kind: Type) -> io::Result<OwnedFd> {
    let descriptor = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    bind(descriptor.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
    Ok(descriptor)
}

/// Binds a unix socket to a path, in the place of one that nobody has open any more. Only its owner may connect until
/// its mode has been set.
///
/// # Errors
/// `EADDRINUSE` if somebody has it, or it is no socket; others of socket(2), unlink(2) and bind(2).
pub fn unix(path: &Path, kind: Type) -> io::Result<OwnedFd> {
    let descriptor = socket(AddressFamily::Unix, kind, SockFlag::SOCK_CLOEXEC, None)?;
    let address = UnixAddr::new(path)?;
    let old = nix::sys::stat::umask(Mode::from_bits_truncate(0o177));
    let bound = match bind(descriptor.as_raw_fd(), &address) {
        Err(Errno::EADDRINUSE) if remove_stale(path) => bind(descriptor.as_raw_fd(), &address),
        bound => bound,
    };
    nix::sys::stat::umask(old);
    bound?;
    Ok(descriptor)
}

/// Removes the file of a unix socket that nobody has open any more; false if there is none, or somebody has.
pub fn remove_stale(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket && nobody_listens(path) && std::fs::remove_file(path).is_ok()
}

/// Whether a connection is refused (connect(2)): by the kernel, since nobody has the socket. The kernel looks for the
/// other end before it compares kinds (`EPROTOTYPE`), and a datagram socket that connects sends nothing.
fn nobody_listens(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let Ok(address) = UnixAddr::new(path) else { return false };
    socket(AddressFamily::Unix, SockType::Datagram, flags, None)
        .is_ok_and(|probe| connect(probe.as_raw_fd(), &address) == Err(Errno::ECONNREFUSED))
}

/// Opens a FIFO for reading and writing, so that it has no end, and makes it if it is not there.
///
/// # Errors
/// `EEXIST` if it is something else; others of mkfifo(3) and open(2).
pub fn fifo(path: &Path) -> io::Result<OwnedFd> {
    match mkfifo(path, Mode::from_bits_truncate(0o600)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW;
    if !std::fs::symlink_metadata(path)?.file_type().is_fifo() {
        return Err(Errno::EEXIST.into());
    }
    let descriptor = open(path, flags, Mode::empty())?;
    crate::fd::set_blocking(&descriptor)?;
    Ok(descriptor)
}

/// Has connections come in, as many of which may wait; for a socket that listens already, that number anew.
///
/// # Errors
/// Those of listen(2).
pub fn listen(descriptor: impl AsFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: takes numbers only. The kernel lowers what is more than it allows.
    Errno::result(unsafe { libc::listen(descriptor.as_fd().as_raw_fd(), backlog) })?;
    Ok(())
}

/// The path that a unix socket is bound to, if it is bound to one.
#[must_use]
pub fn path(descriptor: impl AsFd) -> Option<PathBuf> {
    let address: SockaddrStorage = getsockname(descriptor.as_fd().as_raw_fd()).ok()?;
    (address.family()? == AddressFamily::Unix).then_some(())?;
    let address: UnixAddr = getsockname(descriptor.as_fd().as_raw_fd()).ok()?;
    address.path().map(|path| Path::new(std::ffi::OsStr::from_bytes(path.as_os_str().as_bytes())).to_owned())
}

/// Whether somebody waits at one of them now.
#[must_use]
pub fn any_readable<'a>(descriptors: impl Iterator<Item = BorrowedFd<'a>>) -> bool {
    let mut entries: Vec<PollFd<'a>> =
        descriptors.take(DESCRIPTORS_MAX).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    poll(&mut entries, PollTimeout::ZERO).is_ok_and(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("mainstay-listen-{}-{name}", std::process::id()))
    }

    #[test]
    fn only_a_socket_that_nobody_has_makes_room() {
        let path = place("stale");
        for kind in [SockType::Stream, SockType::Datagram, SockType::SeqPacket] {
            drop(UnixListener::bind(&path).unwrap());
            drop(unix(&path, kind).unwrap());
            assert!(remove_stale(&path) && !path.exists());
        }
        let listener = UnixListener::bind(&path).unwrap();
        for kind in [SockType::Stream, SockType::Datagram] {
            assert_eq!(unix(&path, kind).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(unix(&path, SockType::Stream).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(datagrams);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert_eq!(unix(&path, SockType::Stream).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_socket_knows_its_path_and_whether_somebody_waits() {
        let path = place("path");
        let listener = unix(&path, SockType::Stream).unwrap();
        listen(&listener, 5).unwrap();
        assert_eq!(super::path(&listener), Some(path.clone()));
        assert!(!any_readable([listener.as_fd()].into_iter()));
        let _client = UnixStream::connect(&path).unwrap();
        assert!(any_readable([listener.as_fd()].into_iter()));
        std::fs::remove_file(&path).unwrap();
        let name = format!("mainstay-{}", std::process::id());
        let named = abstract_unix(&name, SockType::Datagram).unwrap();
        assert_eq!(super::path(&named), None);
        let port = internet("127.0.0.1:0".parse().unwrap(), SockType::Stream, true).unwrap();
        assert_eq!(super::path(&port), None);
    }

    #[test]
    fn a_fifo_has_no_end_and_what_is_no_fifo_stays() {
        let path = place("fifo");
        let reader = fifo(&path).unwrap();
        assert!(fifo(&path).is_ok());
        assert!(!any_readable([reader.as_fd()].into_iter()));
        std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "text").unwrap();
        assert!(fifo(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
