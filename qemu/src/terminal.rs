//! A person's terminal as the machine's console, with the keys of qemu's own.

use std::io::{self, IsTerminal as _, Read as _, Write as _, stdin, stdout};
use std::sync::Mutex;
use std::thread;

use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use crate::process::lock;

const ESCAPE: u8 = 0x01;

/// What the keys mean.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// For the guest.
    Type(u8),
    /// End the machine.
    Quit,
    /// Say what the keys are.
    Help,
}

/// The settings to go back to, while the terminal is raw.
static COOKED: Mutex<Option<Termios>> = Mutex::new(None);

/// A terminal that is raw until this is dropped.
pub(crate) struct Raw;

impl Raw {
    /// Sends every key to us as it is pressed, Ctrl-C included; `None` when the input is no terminal.
    pub(crate) fn enter() -> Option<Self> {
        if !stdin().is_terminal() {
            return None;
        }
        let cooked = tcgetattr(stdin()).ok()?;
        let mut raw = cooked.clone();
        cfmakeraw(&mut raw);
        // Our own lines end in a bare newline.
        raw.output_flags |= OutputFlags::OPOST;
        *lock(&COOKED) = Some(cooked);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Self)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Makes the terminal what it was.
pub(crate) fn restore() {
    if let Some(cooked) = lock(&COOKED).take() {
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &cooked);
    }
}

/// Shows a piece of the console. A reader that is gone misses it, and the machine runs on.
pub(crate) fn show(bytes: &[u8]) {
    let mut stdout = stdout().lock();
    let _ = stdout.write_all(bytes).and_then(|()| stdout.flush());
}

/// Calls `act` for each key, in a thread of its own, until the input ends or `act` returns false.
pub(crate) fn follow_keys(mut act: impl FnMut(Key) -> bool + Send + 'static) -> io::Result<()> {
    let follow = move || {
        let mut escaped = false;
        let mut buffer = [0; 256];
        while let Ok(count @ 1..) = stdin().read(&mut buffer) {
            let mut keys = buffer.iter().take(count).filter_map(|byte| key(*byte, &mut escaped));
            if !keys.all(&mut act) {
                return;
            }
        }
    };
    thread::Builder::new().name("keys".to_owned()).spawn(follow).map(drop)
}

fn key(byte: u8, escaped: &mut bool) -> Option<Key> {
    if !std::mem::replace(escaped, false) {
        *escaped = byte == ESCAPE;
        return (!*escaped).then_some(Key::Type(byte));
    }
    match byte {
        b'x' => Some(Key::Quit),
        b'h' | b'?' => Some(Key::Help),
        b'a' | ESCAPE => Some(Key::Type(ESCAPE)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut escaped = false;
        bytes.iter().filter_map(|byte| key(*byte, &mut escaped)).collect()
    }

    #[test]
    fn every_key_is_the_guests_but_ctrl_a_and_the_one_after_it() {
        assert_eq!(keys(b"a\x03x"), [Key::Type(b'a'), Key::Type(3), Key::Type(b'x')]);
        assert_eq!(keys(b"\x01xy"), [Key::Quit, Key::Type(b'y')]);
        assert_eq!(keys(b"\x01a\x01\x01"), [Key::Type(1), Key::Type(1)]);
        assert_eq!(keys(b"\x01h\x01zq"), [Key::Help, Key::Type(b'q')]);
    }
}
