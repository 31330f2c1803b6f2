//! What a child puts down of itself before it executes its program, so that it can be found by whoever comes
//! after a parent that died at that moment.

use service::{Pid, Tick};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// A process id, a blank, a time, a newline: always as long, so that a new record covers the old one.
const LENGTH: usize = 10 + 1 + 20 + 1;

/// Which line of the file a child writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// The service's main process.
    Main,
    /// What runs once that is dead: a finish script, or the command that undoes a oneshot.
    After,
}

/// What a child writes, and where.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// The file, as [`open`] made it.
    pub file: BorrowedFd<'a>,
    /// The line.
    pub slot: Slot,
}

/// Makes a new file at `path` to write records to, with what stood in the old one, if that is of this `boot`. A
/// child that is late, and will not execute anything since its parent is gone, writes to the old one, where it
/// does no harm.
///
/// # Errors
/// Those of open(2), write(2) and rename(2).
pub fn open(path: &Path, boot: &str) -> io::Result<OwnedFd> {
    let old = std::fs::read_to_string(path).ok();
    let lines = old.as_deref().and_then(|text| text.get(..2 * LENGTH).zip(text.get(2 * LENGTH..)));
    let blank = format!("{:010} {:020}\n", 0, 0).repeat(2);
    let text = match lines {
        Some((lines, end)) if end.trim_end() == boot => format!("{lines}{boot}\n"),
        _ => format!("{blank}{boot}\n"),
    };
    crate::fs::replace(path, text.as_bytes(), 0o644)?;
    Ok(std::fs::File::options().write(true).open(path)?.into())
}

/// The process in a line, and when it wrote that: it had started by then. To be asked after [`open`], which sees
/// to it that it is a process of this boot.
#[must_use]
pub fn read(path: &Path, slot: Slot) -> Option<(Pid, Tick)> {
    let text = std::fs::read_to_string(path).ok()?;
    let (pid, time) = text.lines().nth(slot as usize)?.split_once(' ')?;
    Some((Pid::new(pid.parse().ok()?)?, Tick(time.parse().ok()?)))
}

/// Writes the record of the calling process, whose number is `own`. Called between clone and exec: it neither allocates
/// nor panics. That it cannot be written is no reason not to go on.
pub(crate) fn write(record: Record<'_>, own: i32) {
    put(record, u64::from(own.unsigned_abs()));
}

/// Takes it back: the process has not executed anything, and is gone.
pub(crate) fn erase(record: Record<'_>) {
    put(record, 0);
}

fn put(record: Record<'_>, pid: u64) {
    let mut text = [b' '; LENGTH];
    let (number, rest) = text.split_at_mut(10);
    digits(number, pid);
    let (_, time) = rest.split_at_mut(1);
    digits(time, crate::clock::now().0);
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    let offset = match record.slot {
        Slot::Main => 0,
        Slot::After => LENGTH,
    };
    let _ = nix::sys::uio::pwrite(record.file, &text, i64::try_from(offset).unwrap_or(0));
}

/// Fills `place` with the digits of `number` and zeros before them; the last byte of the time's is the newline's.
fn digits(place: &mut [u8], mut number: u64) {
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
        let file = open(&path, "b").unwrap();
        for slot in [Slot::Main, Slot::After] {
            assert_eq!(read(&path, slot), None);
            let before = crate::clock::now();
            for _ in 0..2 {
                write(Record { file: file.as_fd(), slot }, crate::process::own());
                let (pid, time) = read(&path, slot).unwrap();
                assert_eq!(pid.number(), crate::process::own());
                assert!(time >= before && time <= crate::clock::now());
            }
        }
        let length = u64::try_from(2 * LENGTH + 2).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
        let _new = open(&path, "b").unwrap();
        let kept = read(&path, Slot::Main);
        assert!(kept.is_some(), "opening keeps it");
        write(Record { file: file.as_fd(), slot: Slot::Main }, crate::process::own());
        assert_eq!(read(&path, Slot::Main), kept, "who comes late changes nothing");
        let new = open(&path, "c").unwrap();
        assert_eq!((read(&path, Slot::Main), read(&path, Slot::After)), (None, None), "of another boot");
        write(Record { file: new.as_fd(), slot: Slot::After }, crate::process::own());
        erase(Record { file: new.as_fd(), slot: Slot::After });
        assert_eq!(read(&path, Slot::After), None);
        std::fs::remove_file(&path).unwrap();
    }
}
