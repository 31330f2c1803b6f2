//! The socket on which services say how they are (sd_notify(3)): datagrams, each with who sent it.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, bind, recv, recvmsg,
    setsockopt, socket, sockopt,
};
use service::Pid;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The most descriptors that one message carries (`SCM_MAX_FD`, unix(7)).
const DESCRIPTORS_MAX: usize = 253;

/// A datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// How many bytes of the buffer it has.
    pub length: usize,
    /// Whether it had more than there was room for.
    pub cut: bool,
    /// The process that sent it, as the kernel says (`SO_PASSCRED`); none for one that we have no number for.
    pub sender: Option<Pid>,
    /// Its user.
    pub user: u32,
}

/// Opens such a socket at `path`, in the place of what was there. Every user may write to it: who sent a message
/// is told with it.
///
/// # Errors
/// Those of socket(2), setsockopt(2), bind(2) and chmod(2); `ENAMETOOLONG` for a path that no sender could reach.
pub fn receive_at(path: &Path) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let descriptor = socket(AddressFamily::Unix, SockType::Datagram, flags, None)?;
    setsockopt(&descriptor, sockopt::PassCred, &true)?;
    let address = UnixAddr::new(path)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    bind(descriptor.as_raw_fd(), &address)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(descriptor)
}

/// Reads the next datagram into `buffer`, and leaves it there for [`drop_next`].
///
/// # Errors
/// `WouldBlock` when there is none now, others of recvmsg(2).
pub fn peek(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX], nix::sys::socket::UnixCredentials);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    let message = loop {
        match recvmsg::<()>(fd.as_fd().as_raw_fd(), &mut slices, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            other => break other?,
        }
    };
    let (mut sender, mut user) = (None, u32::MAX);
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmCredentials(credentials) = control {
            (sender, user) = (Pid::new(credentials.pid()), credentials.uid());
        } else if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just put this copy into our table for us, and nobody else knows it.
                drop(unsafe { OwnedFd::from_raw_fd(number) });
            }
        }
    }
    Ok(Datagram { length: message.bytes, cut: message.flags.contains(MsgFlags::MSG_TRUNC), sender, user })
}

/// Takes the next datagram away. Descriptors that came with it are closed, which is what a sender waits for that
/// wants to know that it was heard (sd_notify_barrier(3)).
///
/// # Errors
/// `WouldBlock` when there is none, others of recv(2).
pub fn drop_next(fd: impl AsFd) -> io::Result<()> {
    loop {
        match recv(fd.as_fd().as_raw_fd(), &mut [], MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EINTR) => {}
            other => return other.map(drop).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn a_datagram_comes_with_its_sender_and_stays_with_what_came_along_until_it_is_taken_away() {
        let path = std::env::temp_dir().join(format!("notify-{}", std::process::id()));
        let socket = receive_at(&path).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(peek(&socket, &mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let sender = UnixDatagram::unbound().unwrap();
        sender.connect(&path).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        crate::socket::send(&sender, b"READY=1 and more", Some(writer.as_fd())).unwrap();
        drop(writer);
        sender.send(b"next").unwrap();
        let datagram = peek(&socket, &mut buffer).unwrap();
        assert_eq!(peek(&socket, &mut buffer).unwrap(), datagram);
        assert_eq!((datagram.length, datagram.cut), (8, true));
        assert_eq!(datagram.sender, Pid::new(crate::process::own()));
        assert_eq!(Some(datagram.user), datagram.sender.and_then(crate::process::user));
        assert_eq!(&buffer, b"READY=1 ");
        let end = PollFd::new(reader.as_fd(), PollFlags::POLLIN);
        assert_eq!(poll(&mut [end], PollTimeout::ZERO).unwrap(), 0, "the socket has the other end");
        drop_next(&socket).unwrap();
        let end = io::Read::read(&mut reader, &mut [0]).unwrap();
        assert_eq!(end, 0, "nobody has the other end");
        assert_eq!(peek(&socket, &mut buffer).unwrap().length, 4);
        drop_next(&socket).unwrap();
        assert_eq!(drop_next(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_file(path).unwrap();
    }
}
