//! The handler itself, and how it is installed.

use super::attend::attend;
use super::mask::all_but_faults;
use super::{DEPTH, HIGHEST, LEDGER_NUMBER, Prepared, STACK, prepared, say};
use nix::errno::Errno;
use std::ffi::{c_char, c_int, c_void};
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering::SeqCst;

/// A stack with a page below it that cannot be touched.
pub(super) fn own_stack() -> io::Result<()> {
    const PAGE: usize = 4096;
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: asks for new memory wherever the kernel likes.
    let bottom = unsafe { libc::mmap(null_mut(), STACK + PAGE, access, flags, -1, 0) };
    if bottom == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the first page of the mapping just made, which nothing uses yet.
    unsafe { libc::mprotect(bottom, PAGE, libc::PROT_NONE) };
    let stack = libc::stack_t { ss_sp: bottom.wrapping_byte_add(PAGE), ss_flags: 0, ss_size: STACK };
    // SAFETY: the stack is memory of ours that is never given back.
    Errno::result(unsafe { libc::sigaltstack(&raw const stack, null_mut()) })?;
    Ok(())
}

pub(super) fn handle_with(signal: c_int) -> io::Result<()> {
    let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) = on_fault;
    // SAFETY: all zero is a valid sigaction, whose fields are set next.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as usize;
    // A fault in the handler comes to the handler, which counts them.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    action.sa_mask = all_but_faults();
    // SAFETY: the action is live, and its handler uses only what may be used in one.
    Errno::result(unsafe { libc::sigaction(signal, &raw const action, null_mut()) })?;
    Ok(())
}

/// The handler.
extern "C" fn on_fault(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let own = nix::unistd::getpid().as_raw();
    let Some(prepared) = prepared().filter(|prepared| prepared.owner == own) else {
        return die_of(signal, own);
    };
    match DEPTH.fetch_add(1, SeqCst) {
        0 => {
            say::say(signal, say::cause(info));
            become_again(prepared, signal);
            attend()
        }
        1 => {
            become_again(prepared, signal);
            attend()
        }
        _ => attend(),
    }
}

/// In a child that shares our memory and has yet to execute its program: what would have happened without us.
fn die_of(signal: c_int, own: i32) {
    // The kernel's struct sigaction, all zero: the default.
    let default = [0_u64; 4];
    // SAFETY: the kernel reads one sigaction from a live array.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), null::<u64>(), 8) };
    // SAFETY: takes numbers only. A fault comes again by itself when the handler returns.
    unsafe { libc::kill(own, signal) };
}

/// Executes our own program in our place. Returns if that cannot be done.
pub(super) fn become_again(prepared: &Prepared, signal: c_int) {
    if LEDGER_NUMBER.load(SeqCst) < 0 {
        // Without one the program would begin anew, beside all that runs.
        return;
    }
    hand_on(prepared, signal);
    let (words, environment) = (prepared.words.as_ptr(), environment());
    let empty = c"".as_ptr();
    // SAFETY: all texts are null-terminated and live for ever; with AT_EMPTY_PATH the descriptor is executed.
    unsafe {
        libc::syscall(libc::SYS_execveat, prepared.program, empty, words, environment, libc::AT_EMPTY_PATH)
    };
    // SAFETY: as above.
    unsafe { libc::execve(prepared.path.as_ptr(), words, environment) };
}

unsafe extern "C" {
    /// environ(7).
    static environ: *const *const c_char;
}

pub(super) fn environment() -> *const *const c_char {
    // SAFETY: reads one pointer, which nothing in these programs changes.
    unsafe { environ }
}

/// Everything that the program which takes our place is to have: the descriptors, the mask, the numbers.
pub(super) fn hand_on(prepared: &Prepared, signal: c_int) {
    prepared.ledger_word.set(LEDGER_NUMBER.load(SeqCst));
    prepared.fault_word.set(signal);
    for number in 3..=HIGHEST.load(SeqCst) {
        // SAFETY: takes numbers only; one that is not open fails harmlessly.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
    }
    // SAFETY: the mask is live.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const prepared.mask, null_mut()) };
}
