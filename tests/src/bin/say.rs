//! Says to the socket that `NOTIFY_SOCKET` names what its arguments are, a line each, as a service would. The
//! first may be `--barrier`: then it waits until that has been heard. After it may come `--kill-parent N`: then it
//! kills the process that started it, so many microseconds later, and stays.

#![allow(clippy::unwrap_used, reason = "a tool for tests")]

use service::{Pid, Signal};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let barrier = words.first().is_some_and(|word| word == "--barrier");
    if barrier {
        words.remove(0);
    }
    let kill_after = words.first().is_some_and(|word| word == "--kill-parent").then(|| {
        let time = words.drain(..2).next_back().unwrap().parse().unwrap();
        Duration::from_micros(time)
    });
    let parent = Pid::new(std::os::unix::process::parent_id().cast_signed()).unwrap();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(std::env::var("NOTIFY_SOCKET").unwrap()).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    sys::socket::send(&socket, words.join("\n").as_bytes(), barrier.then(|| writer.as_fd())).unwrap();
    drop(writer);
    if barrier {
        reader.read_to_end(&mut Vec::new()).unwrap();
    }
    if let Some(time) = kill_after {
        let said = sys::clock::now();
        while sys::clock::now().since(said) < time {}
        sys::process::signal(parent, Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
}
