//! Says to the socket that `NOTIFY_SOCKET` names what its arguments are, a line each, as a service would. The
//! first may be `--barrier`: then it waits until that has been heard.

#![allow(clippy::unwrap_used, reason = "a tool for tests")]

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;

fn main() {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let barrier = words.first().is_some_and(|word| word == "--barrier");
    if barrier {
        words.remove(0);
    }
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(std::env::var("NOTIFY_SOCKET").unwrap()).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    sys::socket::send(&socket, words.join("\n").as_bytes(), barrier.then(|| writer.as_fd())).unwrap();
    drop(writer);
    if barrier {
        reader.read_to_end(&mut Vec::new()).unwrap();
    }
}
