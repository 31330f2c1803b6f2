//! What the handler says: who or what has raised the signal, in one write.

use super::KERNEL_LOG;
use std::ffi::c_int;
use std::sync::atomic::Ordering::SeqCst;

/// Where a signal comes from.
#[derive(Clone, Copy)]
pub(super) enum Cause {
    /// The process with this number has sent it.
    Process(usize),
    /// What was done with this address.
    Address(usize),
}

pub(super) fn cause(info: *const libc::siginfo_t) -> Cause {
    // SAFETY: the kernel has filled it in for the handler that was given it.
    let info = unsafe { &*info };
    if info.si_code <= 0 {
        // SAFETY: a signal that was sent has this field.
        let sender = unsafe { info.si_pid() };
        return Cause::Process(usize::try_from(sender).unwrap_or(0));
    }
    // SAFETY: a signal that the processor has raised has this field; others have a number there.
    Cause::Address(unsafe { info.si_addr() }.addr())
}

/// The digits of a number, in the buffer.
fn digits(mut number: usize, base: usize, buffer: &mut [u8; 20]) -> &[u8] {
    let mut first = buffer.len();
    for (place, byte) in buffer.iter_mut().enumerate().rev() {
        *byte = b"0123456789abcdef".get(number % base).copied().unwrap_or(b'?');
        number /= base;
        first = place;
        if number == 0 {
            break;
        }
    }
    buffer.get(first..).unwrap_or_default()
}

fn name(signal: c_int) -> &'static str {
    match signal {
        libc::SIGSEGV => "SEGV",
        libc::SIGABRT => "ABRT",
        libc::SIGBUS => "BUS",
        libc::SIGILL => "ILL",
        libc::SIGFPE => "FPE",
        libc::SIGSYS => "SYS",
        libc::SIGTRAP => "TRAP",
        _ => "unknown",
    }
}

/// Says so in one write, unless that would have to be waited for.
pub(super) fn say(signal: c_int, cause: Cause) {
    let kernel = KERNEL_LOG.load(SeqCst) >= 0;
    let descriptor = if kernel { KERNEL_LOG.load(SeqCst) } else { 2 };
    let mut line = [0_u8; 128];
    let mut used = 0;
    let level = if kernel { "<27>" } else { "" };
    let mut buffer = [0; 20];
    let (from, number) = match cause {
        Cause::Process(pid) => (" from process ", digits(pid, 10, &mut buffer)),
        Cause::Address(address) => (" at address 0x", digits(address, 16, &mut buffer)),
    };
    let parts = [level, "init: error: signal ", name(signal), from];
    let parts = parts.iter().map(|part| part.as_bytes());
    for byte in parts.chain([number, b" (executing init again)\n"]).flatten() {
        if let Some(slot) = line.get_mut(used) {
            *slot = *byte;
            used += 1;
        }
    }
    let mut entry = libc::pollfd { fd: descriptor, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one live entry.
    let ready = unsafe { libc::poll(&raw mut entry, 1, 0) };
    if ready == 1 {
        // SAFETY: the bytes are live, and `used` of them are written.
        unsafe { libc::write(descriptor, line.as_ptr().cast(), used) };
    }
}
