//! The minimal way of being, when not even the program can be executed again.

use super::handler::become_again;
use super::mask::{all_but_faults, empty_set};
use super::{is_machine, prepared};
use std::ffi::c_int;
use std::ptr::null_mut;

/// The minimal way of being: reaps, and answers to the signals that end the machine, and to HUP by executing
/// the program again. Nothing else can fail here, since nothing else is done; descriptors stay open, so that
/// supervisors and services go on.
pub fn attend() -> ! {
    loop {
        attend_once();
    }
}

/// Waits for one signal and does what it asks for.
fn attend_once() {
    let mut set = all_but_faults();
    // SAFETY: the set is live.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, null_mut()) };
    reap_all();
    // SAFETY: the set is live, and nothing more is asked for than the number.
    let signal = unsafe { libc::sigwaitinfo(&raw mut set, null_mut()) };
    let machine = is_machine();
    match signal {
        libc::SIGHUP => {
            if let Some(prepared) = prepared() {
                become_again(prepared, 0);
            }
        }
        libc::SIGTERM | libc::SIGINT if machine => end(libc::RB_AUTOBOOT),
        libc::SIGUSR1 => end(libc::RB_HALT_SYSTEM),
        libc::SIGTERM | libc::SIGINT | libc::SIGUSR2 | libc::SIGPWR => end(libc::RB_POWER_OFF),
        _ => {}
    }
}

fn reap_all() {
    // SAFETY: nothing is stored.
    while unsafe { libc::waitpid(-1, null_mut(), libc::WNOHANG) } > 0 {}
}

/// Writes back what can be in ten seconds, and ends the machine, or the process where there is none.
fn end(how: c_int) {
    // SAFETY: a fork of a process with one thread, whose child only makes system calls.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    let child = i32::try_from(child).unwrap_or(-1);
    if child == 0 {
        // SAFETY: takes nothing.
        unsafe { libc::sync() };
        // SAFETY: ends the child without running anything of ours.
        unsafe { libc::_exit(0) };
    }
    let mut set = empty_set();
    // SAFETY: the set is live and initialised.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    let tenth = libc::timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    for _ in 0..100 {
        // SAFETY: nothing is stored; the child of our own is reaped, or still lives.
        if child < 0 || unsafe { libc::waitpid(child, null_mut(), libc::WNOHANG) } != 0 {
            break;
        }
        // SAFETY: the set and the time are live.
        unsafe { libc::sigtimedwait(&raw const set, null_mut(), &raw const tenth) };
    }
    let own = nix::unistd::getpid().as_raw();
    if own == 1 {
        // SAFETY: takes a number only.
        unsafe { libc::reboot(how) };
    }
    if !is_machine() {
        // SAFETY: ends the process.
        unsafe { libc::_exit(111) };
    }
}
