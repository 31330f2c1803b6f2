//! Messages between the agent and this program: four bytes of length in this machine's order, and the message.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

/// The longest message that is read, as protocol buffers have it.
pub const LONGEST: u32 = 64 << 20;

/// Reads the one message that `input` has. The agent leaves its end open, so the end is not waited for; what is there
/// behind the message is an error all the same.
///
/// # Errors
///
/// If it is cut short, longer than [`LONGEST`], or not alone.
pub fn receive(input: &mut (impl Read + AsFd)) -> Result<Vec<u8>> {
    let message = read_frame(input)?;
    if has_more(input).map_err(|error| wrong(&error))? {
        return Err(Error::new("read the message: something follows it"));
    }
    Ok(message)
}

fn read_frame(input: &mut impl Read) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    read_whole(input, &mut length)?;
    let length = u32::from_ne_bytes(length);
    if length > LONGEST {
        return Err(Error::new(format!(
            "read the message: it has {length} bytes, of {LONGEST} that it may have"
        )));
    }
    // The memory grows with what comes, not with what is promised.
    let mut message = Vec::new();
    input.take(u64::from(length)).read_to_end(&mut message).map_err(|error| wrong(&error))?;
    if message.len() as u64 == u64::from(length) {
        return Ok(message);
    }
    let there = message.len();
    Err(Error::new(format!("read the message: it ends after {there} of {length} bytes")))
}

fn read_whole(input: &mut impl Read, bytes: &mut [u8]) -> Result<()> {
    input.read_exact(bytes).map_err(|error| {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Error::new("read the message: it ends before its length")
        } else {
            wrong(&error)
        }
    })
}

fn wrong(error: &io::Error) -> Error {
    Error::during("read the message", error)
}

/// Whether there is more to be read, without waiting for it.
fn has_more(input: &mut (impl Read + AsFd)) -> io::Result<bool> {
    let ready = {
        let descriptor = input.as_fd();
        let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?
    };
    Ok(ready > 0 && input.read(&mut [0])? > 0)
}

/// Writes a message.
///
/// # Errors
///
/// If it is too long, or nobody reads it.
pub fn send(output: &mut impl Write, message: &[u8]) -> Result<()> {
    let length = u32::try_from(message.len()).ok().filter(|length| *length <= LONGEST);
    let length = length.ok_or_else(|| Error::new("write the answer: it is too long"))?;
    // In one call, so that there is no half of it.
    let mut frame = length.to_ne_bytes().to_vec();
    frame.extend(message);
    output
        .write_all(&frame)
        .and_then(|()| output.flush())
        .map_err(|error| Error::during("write the answer", error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Seek;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        file
    }

    fn received(bytes: &[u8]) -> std::result::Result<Vec<u8>, String> {
        receive(&mut file(bytes)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_sent_is_received() {
        for message in [&b""[..], b"a", &[7; 100_000]] {
            let mut frame = Vec::new();
            send(&mut frame, message).unwrap();
            assert_eq!(frame.len(), message.len() + 4);
            assert_eq!(received(&frame), Ok(message.to_vec()));
        }
    }

    #[test]
    fn a_message_is_received_although_the_other_end_stays_open() {
        let (reader, mut writer) = io::pipe().unwrap();
        send(&mut writer, b"text").unwrap();
        assert_eq!(receive(&mut File::from(std::os::fd::OwnedFd::from(reader))), Ok(b"text".to_vec()));
        drop(writer);
    }

    #[test]
    fn what_is_cut_short_too_long_or_not_alone_is_refused() {
        assert_eq!(received(b""), Err("read the message: it ends before its length".to_owned()));
        assert_eq!(received(b"\x01\0\0"), Err("read the message: it ends before its length".to_owned()));
        let short = [5_u32.to_ne_bytes().as_slice(), b"text"].concat();
        assert_eq!(received(&short), Err("read the message: it ends after 4 of 5 bytes".to_owned()));
        let more = [3_u32.to_ne_bytes().as_slice(), b"text"].concat();
        assert_eq!(received(&more), Err("read the message: something follows it".to_owned()));
        assert!(received(&u32::MAX.to_ne_bytes()).unwrap_err().contains("of 67108864 that it may have"));
        assert!(received(&(LONGEST).to_ne_bytes()).unwrap_err().contains("ends after 0 of"));
    }
}
