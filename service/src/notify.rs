//! What a service says of itself, in the words of sd_notify(3): a datagram of `KEY=VALUE` lines.

use std::time::Duration;

/// The longest message that is taken, in bytes.
pub const MESSAGE_MAX: usize = 4096;
/// As much of a status text is kept.
const TEXT_MAX: usize = 256;

/// One line of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// `READY=1`: it is ready, or has reloaded.
    Ready,
    /// `RELOADING=1`.
    Reloading,
    /// `STOPPING=1`.
    Stopping,
    /// `WATCHDOG=1`: it lives.
    Watchdog,
    /// `WATCHDOG=trigger`: it is broken.
    WatchdogTrigger,
    /// `EXTEND_TIMEOUT_USEC=…`: it needs so much more time for what it does.
    ExtendTimeout(Duration),
    /// `STATUS=…`, made fit to be shown.
    Text(String),
    /// `MAINPID=…`: it would have another process looked after.
    MainPid,
}

/// The notes in a message, in their order. What is not known is passed over, as sd_notify(3) asks of a receiver.
pub fn notes(message: &[u8]) -> impl Iterator<Item = Note> + '_ {
    message.split(|byte| *byte == b'\n').filter_map(note)
}

fn note(line: &[u8]) -> Option<Note> {
    let split = line.iter().position(|byte| *byte == b'=')?;
    let (key, value) = (line.get(..split)?, line.get(split + 1..)?);
    match (key, value) {
        (b"READY", b"1") => Some(Note::Ready),
        (b"RELOADING", b"1") => Some(Note::Reloading),
        (b"STOPPING", b"1") => Some(Note::Stopping),
        (b"WATCHDOG", b"1") => Some(Note::Watchdog),
        (b"WATCHDOG", b"trigger") => Some(Note::WatchdogTrigger),
        (b"MAINPID", _) => Some(Note::MainPid),
        (b"STATUS", _) => Some(Note::Text(text(value))),
        (b"EXTEND_TIMEOUT_USEC", _) => {
            let number = std::str::from_utf8(value).ok()?.parse().ok()?;
            Some(Note::ExtendTimeout(Duration::from_micros(number)))
        }
        (_, _) => None,
    }
}

/// Nothing that could mislead a reader, and not much of it.
fn text(value: &[u8]) -> String {
    let plain = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut text: String = String::from_utf8_lossy(value).chars().map(plain).collect();
    let end = (0..=TEXT_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(message: &[u8]) -> Vec<Note> {
        notes(message).collect()
    }

    #[test]
    fn a_message_is_read_in_its_order_and_what_is_unknown_is_passed_over() {
        let message =
            b"STATUS=serving 3\x1b[0m\nX=1\nREADY=1\nREADY=0\nMAINPID=7\nWATCHDOG=1\nWATCHDOG=trigger";
        let expected = [
            Note::Text("serving 3 [0m".to_owned()),
            Note::Ready,
            Note::MainPid,
            Note::Watchdog,
            Note::WatchdogTrigger,
        ];
        assert_eq!(all(message), expected);
        assert_eq!(all(b"READY=1"), all(b"READY=1\n"));
        assert_eq!(all(b"EXTEND_TIMEOUT_USEC=1500"), [Note::ExtendTimeout(Duration::from_micros(1500))]);
        assert!(all(b"EXTEND_TIMEOUT_USEC=-1\nREADY\n=\nready=1\nREADY=1 ").is_empty());
    }

    proptest! {
        #[test]
        fn whatever_a_service_says_is_short_and_on_one_line(message: Vec<u8>, status: String) {
            let _ = all(&message);
            for note in notes(format!("STATUS={}{status}", "é".repeat(200)).as_bytes()) {
                if let Note::Text(text) = note {
                    prop_assert!(text.len() <= TEXT_MAX && !text.contains('\n'));
                }
            }
        }
    }
}
