//! The sockets that are held for a service, and how many wait at them: by what the kernel tells everybody (proc(5)).

use super::Row;
use service::Definition;
use service::definition::{Address, Socket};
use service::status::State;
use std::fs;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A socket as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) name: String,
    pub(super) address: String,
    /// Connections that nobody has accepted, or bytes of datagrams that nobody has read; none if that is not told.
    pub(super) waiting: Option<u64>,
}

/// Those of a service.
pub(super) fn of(run: &Path, row: &Row) -> Vec<Shown> {
    let file = run.join("service").join(&row.status.name).join("definition");
    let Ok(definition) = Definition::decode(&fs::read_to_string(file).unwrap_or_default()) else {
        return Vec::new();
    };
    let held = !matches!(
        row.status.state,
        State::Down | State::Done | State::Failed | State::Skipped | State::Invalid | State::Blocked
    );
    let shown = |socket: &Socket| Shown {
        name: socket.name.clone(),
        address: socket.address.to_string(),
        waiting: if held { waiting(&socket.address) } else { None },
    };
    definition.sockets.iter().map(shown).collect()
}

impl Shown {
    /// The line for people.
    pub(super) fn line(&self) -> String {
        let unit = if self.address.starts_with("udp ") { "bytes waiting" } else { "waiting" };
        let waiting = self.waiting.map(|count| format!(", {count} {unit}")).unwrap_or_default();
        format!("{}: {}{waiting}", self.name, self.address)
    }
}

fn waiting(address: &Address) -> Option<u64> {
    let (protocol, text) = match address {
        Address::Tcp(text) => ("tcp", text),
        Address::Udp(text) => ("udp", text),
        Address::Unix { .. } | Address::Vsock(_) | Address::Fifo(_) => return None,
    };
    let address: SocketAddr = text.parse().ok()?;
    let suffix = if address.is_ipv6() { "6" } else { "" };
    let table = fs::read_to_string(format!("/proc/net/{protocol}{suffix}")).ok()?;
    table.lines().skip(1).find_map(|line| queue(line, protocol, address))
}

/// The length of the queue in a line of such a table, if it is of this address.
fn queue(line: &str, protocol: &str, wanted: SocketAddr) -> Option<u64> {
    let mut words = line.split_whitespace().skip(1);
    let local = address(words.next()?)?;
    let (_, state) = (words.next()?, words.next()?);
    let found = local.ip() == wanted.ip() && local.port() == wanted.port();
    if !found || (protocol == "tcp" && state != LISTENS) {
        return None;
    }
    let (_, received) = words.next()?.split_once(':')?;
    u64::from_str_radix(received, 16).ok()
}

/// An address in hexadecimal: words of 32 bits in the order of this machine's bytes, and a port.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |place: usize| u32::from_str_radix(host.get(place * 8..place * 8 + 8)?, 16).ok();
    let port = u16::from_str_radix(port, 16).ok()?;
    if host.len() == 8 {
        return Some((IpAddr::from(word(0)?.to_ne_bytes()), port).into());
    }
    let mut bytes = [0; 16];
    for (place, four) in bytes.chunks_exact_mut(4).enumerate() {
        four.copy_from_slice(&word(place)?.to_ne_bytes());
    }
    Some((Ipv6Addr::from(bytes), port).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_found_by_its_address_in_the_tables_of_the_kernel() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 1 1";
        let four: SocketAddr = "127.0.0.1:8080".parse().unwrap();
        assert_eq!(queue(line, "tcp", four), Some(3));
        assert_eq!(queue(&line.replace(" 0A ", " 01 "), "tcp", four), None, "a connection");
        assert_eq!(queue(line, "tcp", "127.0.0.1:8081".parse().unwrap()), None);
        let line = "  1: 00000000000000000000000001000000:0050 0:0 07 00000000:0000001C 00:0 0 0 0 1";
        assert_eq!(queue(line, "udp", "[::1]:80".parse().unwrap()), Some(28));
        for bad in ["", "0:", "0: x", "0: 0100007F:1F90", "0: 01:1F90 a b c"] {
            assert_eq!(queue(bad, "tcp", four), None);
        }
    }
}
