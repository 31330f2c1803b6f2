//! The users and groups of a user namespace of the child's own (user_namespaces(7)): which of its numbers is which
//! outside. Only somebody outside may say so, and we are held until the child has executed. So a helper says it: a
//! process that shares our memory, does nothing else, and is gone before the child executes anything.

use super::plan::Plan;
use super::setup::call;
use super::{number, parent};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use std::ffi::{CStr, c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Which numbers inside are which outside, as uid_map and gid_map have it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Maps {
    /// Of users: `INSIDE OUTSIDE COUNT`, a line each.
    pub users: String,
    /// Of groups.
    pub groups: String,
    /// Whether the supplementary groups are as they are for good: what somebody without privileges has to agree to.
    pub keep_groups: bool,
    /// Whether our user has no number inside, and the child has to become the user 0 that it has there.
    pub strange_user: bool,
    /// The same of our group; the child is in no other group then.
    pub strange_group: bool,
}

/// The helper, and the line to it.
pub(super) struct Helper {
    pid: c_int,
    /// The child's end of the line.
    line: OwnedFd,
    /// What it runs on.
    _stack: parent::Stack,
    /// What it reads: in a place of its own, which does not move.
    _order: Box<Order>,
}

/// What the helper is told.
struct Order {
    maps: *const Maps,
    /// Its end of the line, and the child's, which it has a copy of.
    own: c_int,
    other: c_int,
}

impl Helper {
    /// Starts it, to wait for the child.
    pub(super) fn start(maps: &Maps) -> Result<Helper, Errno> {
        let kind = SockType::SeqPacket;
        let (own, line) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
        let order = Box::new(Order { maps, own: own.as_raw_fd(), other: line.as_raw_fd() });
        let stack = parent::Stack::new()?;
        let argument = std::ptr::from_ref(order.as_ref()).cast_mut().cast::<c_void>();
        // SAFETY: the stack, the order and the maps outlive the helper, which we wait for. It ends without a signal,
        // and nobody who waits for any child sees it.
        let pid = unsafe { libc::clone(main, stack.top(), libc::CLONE_VM, argument) };
        let pid = Errno::result(pid)?;
        Ok(Helper { pid, line, _stack: stack, _order: order })
    }

    /// The descriptor by which the child asks.
    pub(super) fn line(&self) -> c_int {
        self.line.as_raw_fd()
    }

    /// Waits for its end: it ends once it has answered, or when nobody is left who might ask.
    pub(super) fn finish(self) {
        let Helper { pid, line, _stack, _order } = self;
        drop(line);
        let mut status = 0;
        // SAFETY: `status` outlives the call.
        while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } == -1
            && Errno::last() == Errno::EINTR
        {}
    }
}

/// The helper's side. It shares our memory, `errno` with it: while it makes calls that may fail, the child waits.
extern "C" fn main(argument: *mut c_void) -> c_int {
    // SAFETY: the parent passed a live Order, and waits for us.
    let order = unsafe { &*argument.cast::<Order>() };
    // SAFETY: the maps outlive us likewise.
    let maps = unsafe { &*order.maps };
    // SAFETY: this copy of the descriptor is ours alone: the line ends for us when the child's copies are gone.
    unsafe { libc::close(order.other) };
    // SAFETY: our copy, open until we end.
    let own = unsafe { BorrowedFd::borrow_raw(order.own) };
    let mut question = [0; 4];
    if nix::unistd::read(own, &mut question) == Ok(4) {
        let answer = match write_maps(maps, i32::from_ne_bytes(question)) {
            Ok(()) => 0,
            Err(errno) => errno as i32,
        };
        let _ = nix::unistd::write(own, &answer.to_ne_bytes());
    }
    0
}

fn write_maps(maps: &Maps, pid: i32) -> Result<(), Errno> {
    if maps.keep_groups {
        write(pid, b"/setgroups", "deny")?;
    }
    write(pid, b"/gid_map", &maps.groups)?;
    write(pid, b"/uid_map", &maps.users)
}

/// Writes a file of a process in one call, as these files want it.
fn write(pid: i32, file: &[u8], text: &str) -> Result<(), Errno> {
    let mut path = [0_u8; 48];
    let digits = number::digits(pid);
    let digits = digits.iter().take_while(|digit| **digit != 0);
    for (to, from) in path.iter_mut().zip(b"/proc/".iter().chain(digits).chain(file)) {
        *to = *from;
    }
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| Errno::ENAMETOOLONG)?;
    let file = open(path, OFlag::O_WRONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    nix::unistd::write(&file, text.as_bytes()).map(drop)
}

/// The child's side: it asks, waits, and is somebody in its namespace from then on.
pub(super) fn ask(plan: &Plan<'_>) -> Result<(), Errno> {
    let (Some(maps), Some(line)) = (plan.spawn.users, plan.helper) else { return Ok(()) };
    // SAFETY: our copy, open until we execute.
    let line = unsafe { BorrowedFd::borrow_raw(line) };
    let pid = number::numbers(plan)?.0;
    nix::unistd::write(line, &pid.to_ne_bytes())?;
    let mut answer = [0; 4];
    // The end of the line is the helper's.
    if nix::unistd::read(line, &mut answer)? != answer.len() {
        return Err(Errno::ECHILD);
    }
    match i32::from_ne_bytes(answer) {
        0 => {}
        errno => return Err(Errno::from_raw(errno)),
    }
    if maps.strange_group {
        if !maps.keep_groups {
            call::numbers(libc::SYS_setgroups, [0; 2])?;
        }
        call::numbers(libc::SYS_setresgid, [0; 3])?;
    }
    if maps.strange_user {
        call::numbers(libc::SYS_setresuid, [0; 3])?;
    }
    Ok(())
}
