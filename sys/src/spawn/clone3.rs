//! The clone that puts the child into a control group before it has done anything (clone(2), `CLONE_INTO_CGROUP`,
//! Linux 5.7): nothing that it does is accounted elsewhere, and no limit comes late. The C library has no function
//! that would give such a child a stack of its own.

use super::plan::Plan;
use nix::errno::Errno;
use std::ffi::{c_int, c_void};
use std::os::fd::BorrowedFd;

/// struct clone_args (clone(2)), in the version that has the group.
#[cfg(target_arch = "x86_64")]
#[repr(C, align(8))]
#[derive(Default)]
struct Arguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

#[cfg(target_arch = "x86_64")]
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Makes a child in `group`, which runs [`super::child::main`] on the stack (its bottom and its size). `flags` are as
/// for clone(2), with the signal in them.
#[cfg(target_arch = "x86_64")]
pub(super) fn into_group(
    plan: &mut Plan<'_>,
    group: BorrowedFd<'_>,
    stack: (*mut c_void, usize),
    flags: c_int,
    descriptor: &mut c_int,
) -> Result<c_int, Errno> {
    use std::os::fd::AsRawFd;
    let address = |pointer: *mut c_void| pointer.expose_provenance() as u64;
    let signal = libc::SIGCHLD.cast_unsigned();
    let arguments = Arguments {
        flags: u64::from(flags.cast_unsigned() & !signal) | CLONE_INTO_CGROUP,
        pidfd: address((&raw mut *descriptor).cast()),
        exit_signal: u64::from(signal),
        stack: address(stack.0),
        stack_size: stack.1 as u64,
        cgroup: u64::from(group.as_raw_fd().cast_unsigned()),
        ..Arguments::default()
    };
    let plan = std::ptr::from_mut(plan).cast::<c_void>();
    let main: extern "C" fn(*mut c_void) -> c_int = super::child::main;
    let result: i64;
    // SAFETY: `arguments` is a whole clone_args. The child comes back with the same registers and the new stack, whose
    // end is aligned as a call wants it; it calls `main` with a live Plan, and ends. We are held until then
    // (CLONE_VFORK), and find our stack and our registers as they were, but for those that syscall(2) changes.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r13",
            "call r12",
            "mov edi, eax",
            "mov eax, {exit}",
            "syscall",
            "ud2",
            "2:",
            exit = const libc::SYS_exit,
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const arguments,
            in("rsi") size_of::<Arguments>(),
            in("r12") main,
            in("r13") plan,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    if result < 0 {
        return Err(Errno::from_raw(i32::try_from(-result).unwrap_or(libc::EINVAL)));
    }
    i32::try_from(result).map_err(|_| Errno::EINVAL)
}

/// There is no such clone for this processor here: the child enters the group by itself.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn into_group(
    _: &mut Plan<'_>,
    _: BorrowedFd<'_>,
    _: (*mut c_void, usize),
    _: c_int,
    _: &mut c_int,
) -> Result<c_int, Errno> {
    Err(Errno::ENOSYS)
}
