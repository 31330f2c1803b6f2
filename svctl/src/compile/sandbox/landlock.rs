//! `[sandbox.landlock]`: what may be done below which paths, and on which ports (landlock(7)).

use super::super::reader::{Reader, Value};
use super::paths;
use service::setup::Landlock;

/// The rights on files, by the kernel's bits (linux/landlock.h), in versions 1 to 3.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIRECTORY: u64 = 1 << 3;
const REMOVE_DIRECTORY: u64 = 1 << 4;
const REMOVE_FILE: u64 = 1 << 5;
const MAKE_DIRECTORY: u64 = 1 << 7;
const MAKE_FILE: u64 = 1 << 8;
const MAKE_SOCKET: u64 = 1 << 9;
const MAKE_FIFO: u64 = 1 << 10;
const MAKE_LINK: u64 = 1 << 12;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// All of them.
const ALL: u64 = (1 << 15) - 1;
const READ: u64 = READ_FILE | READ_DIRECTORY;
/// Nobody who is not told so by name makes devices.
const WRITE: u64 = WRITE_FILE
    | REMOVE_DIRECTORY
    | REMOVE_FILE
    | MAKE_DIRECTORY
    | MAKE_FILE
    | MAKE_SOCKET
    | MAKE_FIFO
    | MAKE_LINK
    | REFER
    | TRUNCATE;

/// The rights on TCP ports, in version 4.
const BIND: u64 = 1;
const CONNECT: u64 = 2;

const KNOWN: [&str; 5] = ["read", "write", "execute", "bind", "connect"];

pub(super) fn read(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Landlock> {
    let mut landlock = Landlock::default();
    for item in reader.table(value, "a section") {
        let rights = match item.key {
            "read" => READ,
            // What is executed is read as well.
            "execute" => EXECUTE | READ,
            "write" => READ | WRITE,
            "bind" | "connect" => {
                let right = if item.key == "bind" { BIND } else { CONNECT };
                landlock.handled_ports |= right;
                for port in reader.integers(item.value, &(0..=65_535)).unwrap_or_default() {
                    landlock.ports.extend(u16::try_from(port).ok().map(|port| (right, port)));
                }
                continue;
            }
            _ => {
                reader.unknown(&item, "sandbox.landlock", &KNOWN);
                continue;
            }
        };
        landlock.handled = ALL;
        landlock.paths.extend(paths(reader, item.value).into_iter().map(|path| (rights, path)));
    }
    (landlock != Landlock::default()).then_some(landlock)
}
