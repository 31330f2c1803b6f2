//! A service with sockets that are held for it, for tests: on each connection it sends back what comes, byte by byte
//! until the other end has no more; what comes as a datagram, or in a FIFO, goes to a file.
//!
//! `socket-worker PLACE [BEHAVIOUR]...`, each behaviour a word and its value:
//!
//! - `idle N`: ends with success when nothing has come for so many milliseconds
//! - `ends N`: exits with this code at once, and takes nothing
//! - `version N`: what `PLACE/starts` is to say of it
//!
//! The sockets whose names begin with `d` have no connections. On TERM it ends what it has begun, and exits.

#![allow(
    clippy::unwrap_used,
    clippy::exit,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a program for tests"
)]

use service::{Signal, Tick};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::poll::{Poller, Ready};
use sys::signals::Signals;

fn main() {
    let signals = Signals::block(&[Signal::TERM]).unwrap();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let place = PathBuf::from(&words[0]);
    let behaviour =
        |name: &str| words[1..].chunks_exact(2).find(|pair| pair[0] == name).map(|pair| pair[1].clone());
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let count: i32 = variable("LISTEN_FDS").parse().unwrap_or(0);
    let names: Vec<String> = variable("LISTEN_FDNAMES").split(':').map(str::to_owned).collect();
    let ours = variable("LISTEN_PID") == std::process::id().to_string();
    let version = behaviour("version").unwrap_or_default();
    append(&place.join("starts"), &format!("{count} {} {ours} {version}\n", names.join(":")));
    if let Some(code) = behaviour("ends") {
        std::process::exit(code.parse().unwrap());
    }
    let sockets: Vec<OwnedFd> = (0..count).map(|number| sys::fd::inherited(3 + number).unwrap()).collect();
    let idle = behaviour("idle").map(|text| Duration::from_millis(text.parse().unwrap()));
    serve(&signals, &sockets, &names, &place, idle);
}

fn serve(signals: &Signals, sockets: &[OwnedFd], names: &[String], place: &Path, idle: Option<Duration>) {
    let poller = Poller::new().unwrap();
    poller.add(signals, u64::MAX).unwrap();
    for (socket, token) in sockets.iter().zip(0..) {
        poller.add(socket, token).unwrap();
    }
    let mut ready = [Ready::default(); 8];
    loop {
        let deadline: Option<Tick> = idle.map(|idle| sys::clock::now().after(idle));
        let count = poller.wait(&mut ready, deadline).unwrap();
        if count == 0 && deadline.is_some_and(|deadline| deadline <= sys::clock::now()) {
            return;
        }
        for event in &ready[..count] {
            if event.token == u64::MAX {
                return;
            }
            let place_of = event.token as usize;
            let socket = &sockets[place_of];
            if names[place_of].starts_with('d') {
                take(socket, &place.join("datagrams"));
            } else if let Ok(connection) = sys::socket::accept(socket) {
                echo(connection);
            }
        }
    }
}

fn echo(connection: OwnedFd) {
    sys::fd::set_blocking(&connection).unwrap();
    let mut connection = File::from(connection);
    let mut byte = [0];
    while let Ok(1) = connection.read(&mut byte) {
        if connection.write_all(&byte).is_err() {
            return;
        }
    }
}

fn take(socket: &OwnedFd, file: &Path) {
    let mut buffer = [0; 4096];
    let count = File::from(socket.try_clone().unwrap()).read(&mut buffer).unwrap();
    append(file, &String::from_utf8_lossy(&buffer[..count]));
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
