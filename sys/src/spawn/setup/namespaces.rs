//! Namespaces, and what is in them (namespaces(7)).

use super::{Action, call, text};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use service::setup::{Namespace, Setup};
use std::ffi::c_int;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The flag of clone(2) and setns(2) that means a kind of namespace.
pub(in crate::spawn) fn flag(kind: Namespace) -> c_int {
    match kind {
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Network => libc::CLONE_NEWNET,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::User => libc::CLONE_NEWUSER,
        Namespace::Uts => libc::CLONE_NEWUTS,
    }
}

pub(super) fn ready(setup: &Setup) -> Result<Action, Errno> {
    #[allow(clippy::wildcard_enum_match_arm, reason = "the caller knows which steps are about namespaces")]
    match setup {
        Setup::Join { kind, path } => join(*kind, path),
        Setup::Leave(kind) => Ok(leave(*kind)),
        Setup::Hostname(name) => hostname(name),
        Setup::Loopback => Ok(loopback()),
        _ => Err(Errno::ENOSYS),
    }
}

fn join(kind: Namespace, path: &str) -> Result<Action, Errno> {
    let path = text(path)?;
    let flag = i64::from(flag(kind));
    Ok(Box::new(move || {
        let file = open(path.as_c_str(), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        call::numbers(libc::SYS_setns, [i64::from(file.as_raw_fd()), flag]).map(drop)
    }))
}

fn leave(kind: Namespace) -> Action {
    let flag = i64::from(flag(kind));
    Box::new(move || call::numbers(libc::SYS_unshare, [flag]).map(drop))
}

fn hostname(name: &str) -> Result<Action, Errno> {
    let name = text(name)?;
    Ok(Box::new(move || {
        let arguments = [name.as_ptr().expose_provenance(), name.count_bytes(), 0, 0, 0];
        // SAFETY: `name` lives in this closure, and is as long as is said.
        unsafe { call::call(libc::SYS_sethostname, arguments) }.map(drop)
    }))
}

/// struct ifreq (netdevice(7)): a name, and a union of which the flags are the beginning.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

#[allow(clippy::cast_possible_truncation, reason = "the kernel has them in so many bits")]
const UP: libc::c_short = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;

fn loopback() -> Action {
    let request = i64::try_from(libc::SIOCSIFFLAGS).unwrap_or_default();
    Box::new(move || {
        // Any socket reaches the interfaces of its network, and this kind there always is.
        let kind = i64::from(libc::SOCK_DGRAM | libc::SOCK_CLOEXEC);
        let socket = call::numbers(libc::SYS_socket, [i64::from(libc::AF_UNIX), kind, 0])?;
        let number = i32::try_from(socket).map_err(|_| Errno::EBADF)?;
        // SAFETY: the call has made it, and only we know of it.
        let _socket = unsafe { OwnedFd::from_raw_fd(number) };
        let mut up = Request { name: [0; libc::IFNAMSIZ], flags: UP, rest: [0; 22] };
        for (to, from) in up.name.iter_mut().zip(b"lo") {
            *to = *from;
        }
        let arguments = [call::word(socket), call::word(request), (&raw const up).expose_provenance(), 0, 0];
        // SAFETY: `up` is an ifreq and outlives the call.
        unsafe { call::call(libc::SYS_ioctl, arguments) }.map(drop)
    })
}
