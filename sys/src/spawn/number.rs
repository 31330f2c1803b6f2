//! The child's own number, which only it knows before it executes, and its parent's.

use super::plan::{DIGITS, Plan};
use nix::errno::Errno;
use service::setup::Namespace;

/// Tells the program its number, and whoever comes after us.
pub(super) fn put_down(plan: &Plan<'_>) -> Result<(), Errno> {
    let own = digits(nix::unistd::getpid().as_raw());
    for place in plan.own_number {
        if !place.is_null() {
            // SAFETY: `Texts` made room for so many bytes there, and lives.
            unsafe { std::ptr::copy_nonoverlapping(own.as_ptr(), place, DIGITS) };
        }
    }
    if let Some(record) = plan.spawn.record {
        crate::record::write(record, numbers(plan)?.0);
    }
    Ok(())
}

/// Sees that the parent is still the one that has started us. If it is not, nobody else takes back what we have put down.
pub(super) fn find_parent(plan: &Plan<'_>) -> Result<(), Errno> {
    let asked = plan.spawn.dies_with_us || plan.spawn.record.is_some();
    if !asked || numbers(plan)?.1 == plan.parent.as_raw() {
        return Ok(());
    }
    if let Some(record) = plan.spawn.record {
        crate::record::erase(record);
    }
    Err(Errno::ESRCH)
}

/// Our number and our parent's, as the parent has them.
pub(super) fn numbers(plan: &Plan<'_>) -> Result<(i32, i32), Errno> {
    if plan.spawn.apart(Namespace::Pid) {
        return outside().ok_or(Errno::ENOENT);
    }
    Ok((nix::unistd::getpid().as_raw(), nix::unistd::getppid().as_raw()))
}

/// A process's number in decimal digits, and NULs after it. Allocates nothing.
pub(super) fn digits(number: i32) -> [u8; DIGITS] {
    let (mut reversed, mut digits) = ([0; DIGITS], [0; DIGITS]);
    let mut rest = number.unsigned_abs();
    let mut count = 0;
    for digit in reversed.iter_mut().take(DIGITS - 1) {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        count += 1;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    for (to, from) in digits.iter_mut().zip(reversed.iter().take(count).rev()) {
        *to = *from;
    }
    digits
}

/// Our number and our parent's as those have them who see this `/proc`: in a new PID namespace we are 1, and have no
/// parent (pid_namespaces(7)). Called between clone and exec: it neither allocates nor panics.
fn outside() -> Option<(i32, i32)> {
    let flags = nix::fcntl::OFlag::O_RDONLY | nix::fcntl::OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(c"/proc/self/stat", flags, nix::sys::stat::Mode::empty()).ok()?;
    let mut buffer = [0; 256];
    let count = nix::unistd::read(&file, &mut buffer).ok()?;
    let text = buffer.get(..count)?;
    // The name may have anything in it; it ends at the last parenthesis (proc(5)).
    let own = number(text)?;
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let parent = number(text.get(after + 4..)?)?;
    Some((own, parent))
}

/// The decimal number that `text` begins with.
fn number(text: &[u8]) -> Option<i32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits
        .map(|byte| i32::from(*byte - b'0'))
        .reduce(|value, digit| value.wrapping_mul(10).wrapping_add(digit))
}
