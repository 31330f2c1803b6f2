//! Failing on purpose, to see what becomes of it.

use service::wire::Fault;
use std::ptr::null_mut;

/// Fails as asked.
pub fn fail(fault: Fault) -> ! {
    match fault {
        Fault::Segv => {
            // SAFETY: not sound, and meant not to be: page zero is never mapped, so that this raises SIGSEGV.
            unsafe { null_mut::<u8>().write_volatile(1) };
            std::process::abort()
        }
        Fault::Abort => std::process::abort(),
        #[expect(clippy::panic, reason = "asked for")]
        Fault::Panic => panic!("asked to"),
        Fault::Overflow => {
            overflow(1);
            std::process::abort()
        }
    }
}

/// Uses up the stack.
#[inline(never)]
#[expect(unconditional_recursion, reason = "meant to have no end")]
fn overflow(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    overflow(depth + 1) + std::hint::black_box(frame).iter().sum::<u64>()
}
