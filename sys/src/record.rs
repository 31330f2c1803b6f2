//! What a child puts down of itself before it executes its program, so that it can be found by whoever comes
//! after a parent that died at that moment.

use service::{Pid, Tick};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// A process id, a blank, a time, a newline: always as long, so that a new record covers the old one.
const LENGTH: usize = 10 + 1 + 20 + 1;

/// Makes a new file at `path` to write records to, with what stood in the old one. A child that is late, and
/// will not execute anything since its parent is gone, writes to the old one, where it does no harm.
///
/// # Errors
/// Those of open(2), write(2) and rename(2).
pub fn open(path: &Path) -> io::Result<OwnedFd> {
    crate::fs::replace(path, &std::fs::read(path).unwrap_or_default(), 0o644)?;
    Ok(std::fs::File::options().write(true).open(path)?.into())
}

/// The process in the record, and when it wrote that: it had started by then.
#[must_use]
pub fn read(path: &Path) -> Option<(Pid, Tick)> {
    let text = std::fs::read_to_string(path).ok()?;
    let (pid, time) = text.strip_suffix('\n')?.split_once(' ')?;
    Some((Pid::new(pid.parse().ok()?)?, Tick(time.parse().ok()?)))
}

/// Writes the record of the calling process, whose number is `own`. Called between clone and exec: it neither allocates
/// nor panics. That it cannot be written is no reason not to go on.
pub(crate) fn write(descriptor: BorrowedFd<'_>, own: i32) {
    let mut text = [b' '; LENGTH];
    let pid = u64::from(own.unsigned_abs());
    let (number, rest) = text.split_at_mut(10);
    put(number, pid);
    let (_, time) = rest.split_at_mut(1);
    put(time, crate::clock::now().0);
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    let _ = nix::sys::uio::pwrite(descriptor, &text, 0);
}

/// Fills `place` with the digits of `number` and zeros before them; the last byte of the time's is the newline's.
fn put(place: &mut [u8], mut number: u64) {
    let digits = place.len().min(20);
    for byte in place.iter_mut().take(digits).rev() {
        *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_record_comes_back_and_a_new_one_covers_it() {
        let path = std::env::temp_dir().join(format!("record-{}", std::process::id()));
        let file = open(&path).unwrap();
        assert_eq!(read(&path), None);
        let before = crate::clock::now();
        for _ in 0..2 {
            write(file.as_fd(), crate::process::own());
            let (pid, time) = read(&path).unwrap();
            assert_eq!(pid.number(), crate::process::own());
            assert!(time >= before && time <= crate::clock::now());
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::try_from(LENGTH).unwrap());
        let _new = open(&path).unwrap();
        let kept = read(&path);
        assert!(kept.is_some(), "opening keeps it");
        write(file.as_fd(), crate::process::own());
        assert_eq!(read(&path), kept, "who comes late changes nothing");
        std::fs::remove_file(&path).unwrap();
    }
}
