//! Unix sockets: the channels between the programs, and the control sockets.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr,
    accept4, bind, getsockopt, listen, recvmsg, sendmsg, setsockopt, socket, socketpair, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// `SO_PEERGROUPS` (asm-generic/socket.h), which the libc crate does not have for every target.
const PEER_GROUPS: i32 = 59;

const FLAGS: SockFlag = SockFlag::SOCK_CLOEXEC.union(SockFlag::SOCK_NONBLOCK);

/// Two connected sockets that keep messages apart (`SOCK_SEQPACKET`), closed at exec and non-blocking.
///
/// # Errors
/// Those of socketpair(2).
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, FLAGS)?)
}

/// Sends one message, with a descriptor if there is one. Never blocks and never raises `SIGPIPE`.
///
/// # Errors
/// `WouldBlock` when the other side does not keep up, `EPIPE` when it is gone, others of sendmsg(2).
pub fn send(fd: impl AsFd, message: &[u8], passed: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let raw = passed.map(|fd| [fd.as_raw_fd()]);
    let rights = raw.as_ref().map(|raw| ControlMessage::ScmRights(raw));
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    sendmsg::<()>(fd.as_fd().as_raw_fd(), &[IoSlice::new(message)], rights.as_slice(), flags, None)?;
    Ok(())
}

/// Sends all of `bytes` on a stream, or fails: it never blocks, and never raises `SIGPIPE`.
///
/// # Errors
/// `WouldBlock` when the other side does not read, also if a part was taken; others of sendmsg(2).
pub fn send_all(fd: impl AsFd, bytes: &[u8]) -> io::Result<()> {
    let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
    let sent = nix::sys::socket::send(fd.as_fd().as_raw_fd(), bytes, flags)?;
    if sent == bytes.len() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
}

/// Receives one message into `buffer`: its length, and the descriptor that came with it. None when the
/// other side is gone. Descriptors beyond the first are closed.
///
/// # Errors
/// `WouldBlock` when there is none now, others of recvmsg(2).
pub fn receive(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    match receive_once(&fd, buffer) {
        // The other side has closed before it read everything. That is told once, before its last words.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => receive_once(&fd, buffer),
        received => received,
    }
}

fn receive_once(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<(usize, Option<OwnedFd>)>> {
    let mut space = nix::cmsg_space!([std::os::fd::RawFd; 4]);
    let mut slices = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC | MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(fd.as_fd().as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    let mut passed = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            for number in numbers {
                // SAFETY: the kernel has just put this descriptor into our table for us, and nobody else knows it.
                let owned = unsafe { OwnedFd::from_raw_fd(number) };
                passed.get_or_insert(owned);
            }
        }
    }
    // An empty message is never sent, so that no bytes mean the end.
    Ok((message.bytes > 0).then_some((message.bytes, passed)))
}

/// Listens on a stream socket at `path`, which is replaced if it exists; only its owner may connect.
///
/// # Errors
/// Those of socket(2), bind(2), chmod(2) and listen(2).
pub fn listen_at(path: &Path) -> io::Result<OwnedFd> {
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, FLAGS, None)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // The address of a socket has 108 bytes (unix(7)): a longer path is reached through its directory.
    let directory = path.parent().map(std::fs::File::open).transpose()?;
    let short = directory
        .as_ref()
        .zip(path.file_name())
        .map(|(directory, name)| Path::new(&format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name));
    // Bound under a mask, so that there is no moment at which others could connect.
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let address =
        UnixAddr::new(path).or_else(|error| short.map_or(Err(error), |short| UnixAddr::new(&short)));
    let bound = address.and_then(|address| bind(descriptor.as_raw_fd(), &address));
    nix::sys::stat::umask(old);
    bound?;
    listen(&descriptor, Backlog::new(64)?)?;
    Ok(descriptor)
}

/// Connects to the stream socket at `path`. A listener that hangs has a queue, and when that is full a caller
/// would wait for ever: this one waits for so long, and later no longer than that to write.
///
/// # Errors
/// `WouldBlock` when the time is over, others of connect(2).
pub fn connect(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let descriptor = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let time = TimeVal::milliseconds(i64::try_from(patience.as_millis()).unwrap_or(i64::MAX));
    setsockopt(&descriptor, sockopt::SendTimeout, &time)?;
    nix::sys::socket::connect(descriptor.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(descriptor.into())
}

/// Takes the next connection, closed at exec and non-blocking.
///
/// # Errors
/// `WouldBlock` when there is none, others of accept4(2).
pub fn accept(listener: impl AsFd) -> io::Result<OwnedFd> {
    let number = accept4(listener.as_fd().as_raw_fd(), FLAGS)?;
    // SAFETY: accept4 has just made this descriptor, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Who is at the other end of a connection, as it was when that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process; zero for one of a PID namespace that we do not see.
    pub pid: i32,
    /// The user.
    pub user: u32,
    /// The primary group.
    pub group: u32,
}

/// Who is at the other end of a connection (unix(7), `SO_PEERCRED`).
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer(connection: impl AsFd) -> io::Result<Peer> {
    let credentials = getsockopt(&connection.as_fd(), sockopt::PeerCredentials)?;
    Ok(Peer { pid: credentials.pid(), user: credentials.uid(), group: credentials.gid() })
}

/// Every other group of the process at the other end (socket(7), `SO_PEERGROUPS`, Linux 4.13).
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_groups(connection: impl AsFd) -> io::Result<Vec<u32>> {
    let mut groups = vec![0_u32; 64];
    loop {
        let bytes = groups.len() * size_of::<libc::gid_t>();
        let mut length = libc::socklen_t::try_from(bytes).map_err(|_| Errno::EOVERFLOW)?;
        // SAFETY: at most `length` bytes are stored in the vector, which has as many and lives on.
        let result = unsafe {
            libc::getsockopt(
                connection.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                PEER_GROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).unwrap_or(0) / size_of::<libc::gid_t>();
        match Errno::result(result) {
            Ok(_) => {
                groups.truncate(count);
                return Ok(groups);
            }
            // The kernel has said how many there are (at most 65536, credentials(7)).
            Err(Errno::ERANGE) if count > groups.len() => groups.resize(count, 0),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Who may connect to the socket at `path`, which is ours: everybody, or its owner alone.
///
/// # Errors
/// Those of chmod(2).
pub fn open_to_all(path: &Path, all: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(if all { 0o666 } else { 0o600 }))
}

/// Reads what there is from a connection, at most `buffer`; zero is the end.
///
/// # Errors
/// `WouldBlock` when there is nothing, others of read(2).
pub fn read(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    Ok(nix::unistd::read(fd.as_fd(), buffer)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    #[test]
    fn messages_stay_apart_and_carry_a_descriptor() {
        let (a, b) = pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(&a, b"one", None).unwrap();
        send(&a, b"two", Some(writer.as_fd())).unwrap();
        drop(writer);
        let mut buffer = [0; 16];
        let (length, passed) = receive(&b, &mut buffer).unwrap().unwrap();
        assert_eq!((&buffer[..length], passed.is_none()), (&b"one"[..], true));
        let (length, passed) = receive(&b, &mut buffer).unwrap().unwrap();
        assert_eq!(&buffer[..length], b"two");
        std::fs::File::from(passed.unwrap()).write_all(b"through").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn the_last_words_of_one_that_left_without_listening_are_heard() {
        let (a, b) = pair().unwrap();
        send(&a, b"to it", None).unwrap();
        send(&b, b"last words", None).unwrap();
        drop(b);
        let mut buffer = [0; 16];
        assert_eq!(receive(&a, &mut buffer).unwrap().map(|(length, _)| length), Some(10));
        assert!(receive(&a, &mut buffer).unwrap().is_none());
    }

    #[test]
    fn a_socket_can_have_a_path_of_any_length() {
        let directory =
            std::env::temp_dir().join(format!("mainstay-{}-{}", std::process::id(), "n".repeat(180)));
        std::fs::create_dir_all(&directory).unwrap();
        let listener = listen_at(&directory.join("control")).unwrap();
        let again = listen_at(&directory.join("control"));
        assert!(again.is_ok(), "and is replaced: {again:?}");
        assert_eq!(accept(&listener).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_other_end_is_known_by_process_user_and_groups() {
        let (a, _b) = pair().unwrap();
        let peer = peer(&a).unwrap();
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let numbers = |key: &str| -> Vec<u32> {
            let line = own.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            line.split_whitespace().map(|word| word.parse().unwrap()).collect()
        };
        assert_eq!(peer.pid, crate::process::own());
        assert_eq!((peer.user, peer.group), (numbers("Uid:")[1], numbers("Gid:")[1]));
        assert_eq!(peer_groups(&a).unwrap(), numbers("Groups:"));
    }

    #[test]
    fn the_end_and_nothing_yet_are_told_apart() {
        let (a, b) = pair().unwrap();
        assert_eq!(receive(&b, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive(&b, &mut [0; 4]).unwrap().is_none());
        assert_eq!(send(&b, b"x", None).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
