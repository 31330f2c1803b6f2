//! Sockets that are held for a service across its restarts (sd_listen_fds(3)).

use crate::codec::words::{join, split};
use std::fmt;
use std::str::FromStr;

/// As many sockets can be held for one service.
pub const SOCKETS_MAX: usize = 32;

/// The number of the first of them in the service (sd_listen_fds(3)).
pub const FIRST_SOCKET: i32 = 3;

/// A socket that the service is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// What it is called in `LISTEN_FDNAMES`.
    pub name: String,
    /// What it is bound to.
    pub address: Address,
    /// How many connections may wait (listen(2)).
    pub backlog: u32,
    /// The mode of a unix socket's file.
    pub mode: u32,
    /// Its owner, by name or number, if it is not root.
    pub user: Option<String>,
    /// Its group.
    pub group: Option<String>,
    /// Whether IPv4 connections come in on an IPv6 wildcard too (ipv6(7), `IPV6_V6ONLY`).
    pub both: bool,
}

/// What a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `ADDRESS:PORT`: connections.
    Tcp(String),
    /// `ADDRESS:PORT`: datagrams.
    Udp(String),
    /// A path, or `@NAME` in the abstract namespace (unix(7)).
    Unix {
        /// Where.
        path: String,
        /// Of what kind.
        kind: UnixKind,
    },
    /// A port of this virtual machine for its host (vsock(7)).
    Vsock(u32),
    /// A FIFO, opened for reading and writing.
    Fifo(String),
}

/// What a unix socket carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnixKind {
    /// Connections, as a stream.
    Stream,
    /// Messages.
    Datagram,
    /// Connections that keep messages apart.
    Packet,
}

impl Address {
    /// The file that it is, or is reached at.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Address::Fifo(path) => Some(path),
            Address::Unix { path, .. } if !path.starts_with('@') => Some(path),
            Address::Tcp(_) | Address::Udp(_) | Address::Unix { .. } | Address::Vsock(_) => None,
        }
    }

    /// Whether connections are accepted on it.
    #[must_use]
    pub fn listens(&self) -> bool {
        !matches!(self, Address::Udp(_) | Address::Fifo(_) | Address::Unix { kind: UnixKind::Datagram, .. })
    }

    fn parts(&self) -> (&'static str, String) {
        match self {
            Address::Tcp(address) => ("tcp", address.clone()),
            Address::Udp(address) => ("udp", address.clone()),
            Address::Unix { path, kind: UnixKind::Stream } => ("unix", path.clone()),
            Address::Unix { path, kind: UnixKind::Datagram } => ("unix-datagram", path.clone()),
            Address::Unix { path, kind: UnixKind::Packet } => ("unix-packet", path.clone()),
            Address::Vsock(port) => ("vsock", port.to_string()),
            Address::Fifo(path) => ("fifo", path.clone()),
        }
    }

    fn read(kind: &str, place: &str) -> Option<Address> {
        let place = place.to_owned();
        Some(match kind {
            "tcp" => Address::Tcp(place),
            "udp" => Address::Udp(place),
            "unix" => Address::Unix { path: place, kind: UnixKind::Stream },
            "unix-datagram" => Address::Unix { path: place, kind: UnixKind::Datagram },
            "unix-packet" => Address::Unix { path: place, kind: UnixKind::Packet },
            "vsock" => Address::Vsock(place.parse().ok()?),
            "fifo" => Address::Fifo(place),
            _ => return None,
        })
    }
}

impl Socket {
    /// What tells an open socket that is kept for this one from any other: where it is bound, and how. Its name may
    /// change, its queue and its owner too: those of an open socket can be changed.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let (kind, place) = self.address.parts();
        super::fnv(&format!("{kind} {} {place}", self.both))
    }
}

impl fmt::Display for Address {
    /// As people say it: `tcp 127.0.0.1:80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, place) = self.parts();
        write!(f, "{kind} {place}")
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, place) = self.address.parts();
        let numbers = [self.backlog.to_string(), self.mode.to_string()];
        let owners = [self.user.clone().unwrap_or_default(), self.group.clone().unwrap_or_default()];
        let both = if self.both { "both" } else { "own" }.to_owned();
        let words = [self.name.clone(), kind.to_owned(), place].into_iter();
        f.write_str(&join(words.chain(numbers).chain(owners).chain([both])))
    }
}

/// A socket that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl FromStr for Socket {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Socket, Unreadable> {
        let words: [String; 8] = split(text).try_into().map_err(|_| Unreadable)?;
        let [name, kind, place, backlog, mode, user, group, both] = words;
        Ok(Socket {
            name,
            address: Address::read(&kind, &place).ok_or(Unreadable)?,
            backlog: backlog.parse().map_err(|_| Unreadable)?,
            mode: mode.parse().map_err(|_| Unreadable)?,
            user: Some(user).filter(|user| !user.is_empty()),
            group: Some(group).filter(|group| !group.is_empty()),
            both: both == "both",
        })
    }
}

#[cfg(test)]
pub(crate) fn full() -> Vec<Socket> {
    let socket = |name: &str, address| Socket {
        name: name.to_owned(),
        address,
        backlog: 128,
        mode: 0o660,
        user: Some("a".to_owned()),
        group: None,
        both: true,
    };
    let unix = |kind| Address::Unix { path: "/run/a b".to_owned(), kind };
    vec![
        socket("http", Address::Tcp("[::]:80".to_owned())),
        socket("dns", Address::Udp("127.0.0.1:53".to_owned())),
        socket("a", unix(UnixKind::Stream)),
        socket("b", unix(UnixKind::Datagram)),
        socket("c", unix(UnixKind::Packet)),
        socket("d", Address::Vsock(9)),
        socket("e", Address::Fifo("/run/fifo".to_owned())),
    ]
}
