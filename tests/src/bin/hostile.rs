//! A client of a control socket that does everything wrong that a client can do, until it is killed.
//!
//! `hostile SOCKET WAY...`; each way has a thread of its own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a program for tests")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

fn main() {
    let _ = sys::fd::raise_limit();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let path = words[0].clone();
    std::thread::scope(|scope| {
        for way in &words[1..] {
            let path = Path::new(&path);
            scope.spawn(move || act(path, way));
        }
    });
}

fn act(path: &Path, way: &str) {
    let mut round: u64 = 0;
    let mut kept: Vec<UnixStream> = Vec::new();
    loop {
        round += 1;
        let Ok(mut stream) = UnixStream::connect(path) else {
            // The other side is short of something, or gone.
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        let _ = stream.set_write_timeout(Some(Duration::from_millis(100)));
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        // That it is refused, cut off, or not served, is what it is here for.
        let _ = match way {
            // Takes a place and says nothing.
            "sleep" => {
                kept.push(stream);
                if kept.len() >= 1000 {
                    std::thread::sleep(Duration::from_millis(1));
                    kept.remove(0);
                }
                Ok(())
            }
            "half" => {
                let sent = stream.write_all(b"sto");
                kept.push(stream);
                kept.truncate(100);
                sent
            }
            "endless" => (0..1000).try_for_each(|_| stream.write_all(&[b'x'; 4096])),
            // Asks for more than it will ever read.
            "deaf" => (0..10_000).try_for_each(|_| stream.write_all(b"events\nstatus\n")),
            // Is gone before it is answered.
            "leave" => stream.write_all(b"events\nstatus\nno-such-command\n"),
            // Asks and asks, and reads.
            "flood" => (0..1000).try_for_each(|_| {
                stream.write_all(&b"kill a NOSUCH\nnonsense\n\n".repeat(40))?;
                stream.read(&mut [0; 65_536]).map(|_| ())
            }),
            _ => {
                let mixed = |at: u64| at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round);
                let noise = |at: u64| mixed(at).to_le_bytes()[4];
                stream.write_all(&(0..2000).map(noise).collect::<Vec<u8>>())
            }
        };
    }
}
