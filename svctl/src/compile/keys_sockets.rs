//! The section `[sockets]`: what is held open for the service across its restarts.

use super::keys::set;
use super::reader::{Item, Reader, Value};
use crate::suggest::nearest;
use service::definition::{Address, Definition, SOCKETS_MAX, Socket, UnixKind};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use toml::de::DeValue;

/// As many connections may wait, if nothing else is said; the kernel lowers it to `net.core.somaxconn` (listen(2)).
const BACKLOG: u32 = 4096;
/// The mode of a socket's file, if nothing else is said: everybody may connect (systemd.socket(5), `SocketMode`).
const MODE: u32 = 0o666;
/// The longest path or name (unix(7)).
const PATH_MAX: usize = 107;
/// The longest name of a socket (sd_listen_fds_with_names(3)).
const NAME_MAX: usize = 255;
/// The key in the section that is no socket.
const START: &str = "start";

const KNOWN: [&str; 6] = ["listen", "backlog", "mode", "user", "group", "both"];
const KINDS: [&str; 7] = ["tcp", "udp", "unix", "unix-datagram", "unix-packet", "vsock", "fifo"];
/// What others call them.
const OTHER_NAMES: [(&str, &str); 6] = [
    ("stream", "tcp"),
    ("datagram", "udp"),
    ("unix-dgram", "unix-datagram"),
    ("seqpacket", "unix-packet"),
    ("unix-seqpacket", "unix-packet"),
    ("unix-stream", "unix"),
];

/// Reads the section.
pub(super) fn sockets(reader: &mut Reader<'_>, section: Value<'_>, definition: &mut Definition) {
    let mut addresses: Vec<Range<usize>> = Vec::new();
    for item in reader.table(section, "a section such as { http = \"tcp 0.0.0.0:80\" }") {
        if item.key == START {
            let words = ["at-once", "on-connection"];
            let parse = |word: &str| words.contains(&word).then_some(word == "on-connection");
            set(&mut definition.start_on_connection, reader.word(item.value, &words, parse));
            continue;
        }
        name(reader, &item);
        let Some(socket) = socket(reader, &item) else { continue };
        if let Some(other) = definition.sockets.iter().find(|other| overlap(other, &socket)) {
            let message =
                format!("{} is the address of the socket \"{}\" already", socket.address, other.name);
            reader.error(&item.value.span(), message);
        }
        addresses.push(item.value.span());
        definition.sockets.push(socket);
    }
    if let Some(span) = addresses.get(SOCKETS_MAX) {
        reader.error(span, format!("a service can have at most {SOCKETS_MAX} sockets"));
    }
}

/// Its names stand in one variable, with colons between them (sd_listen_fds_with_names(3)).
fn name(reader: &mut Reader<'_>, item: &Item<'_>) {
    let name = item.key;
    if name.is_empty() || name.len() > NAME_MAX || name.contains(|c: char| c == ':' || !c.is_ascii_graphic())
    {
        let better: String = name
            .chars()
            .map(|c| if c == ':' || !c.is_ascii_graphic() { '-' } else { c })
            .take(NAME_MAX)
            .collect();
        let message = format!("\"{}\" cannot name a socket", name.escape_debug());
        reader.suggest(&item.span, message, Some(better.as_str()).filter(|better| !better.is_empty()));
    }
}

fn socket(reader: &mut Reader<'_>, item: &Item<'_>) -> Option<Socket> {
    let mut socket = Socket {
        name: item.key.to_owned(),
        address: Address::Vsock(0),
        backlog: BACKLOG,
        mode: MODE,
        user: None,
        group: None,
        both: true,
    };
    if item.value.get_ref().is_str() {
        socket.address = address(reader, item.value)?;
        return Some(socket);
    }
    let section = format!("sockets.{}", item.key.escape_debug());
    let items = reader.table(item.value, "an address such as \"tcp 0.0.0.0:80\", or a table with listen");
    let mut found = None;
    let mut named = false;
    for inner in &items {
        match inner.key {
            "listen" => {
                named = true;
                found = address(reader, inner.value);
            }
            "backlog" => set(&mut socket.backlog, reader.integer(inner.value, 1..=i32::MAX.unsigned_abs())),
            "mode" => set(&mut socket.mode, mode(reader, inner.value)),
            "user" => set(&mut socket.user, reader.filled(inner.value).map(|name| Some(name.to_owned()))),
            "group" => set(&mut socket.group, reader.filled(inner.value).map(|name| Some(name.to_owned()))),
            "both" => set(&mut socket.both, reader.boolean(inner.value)),
            _ => reader.unknown(inner, &section, &KNOWN),
        }
    }
    if !named && item.value.get_ref().is_table() {
        reader.error(
            &item.span,
            format!("the socket \"{}\" needs an address: listen", item.key.escape_debug()),
        );
    }
    socket.address = found?;
    for inner in &items {
        pointless(reader, inner, &socket.address);
    }
    Some(socket)
}

/// What has no meaning for sockets of its kind.
fn pointless(reader: &mut Reader<'_>, item: &Item<'_>, address: &Address) {
    let text = match item.key {
        "backlog" if !address.listens() => "backlog is for sockets that take connections",
        "mode" | "user" | "group" if address.file().is_none() => {
            "only a socket or FIFO with a path has an owner"
        }
        "both" if !is_ipv6(address) => "both is for an address of IPv6",
        _ => return,
    };
    reader.error(&item.span, text);
}

fn is_ipv6(address: &Address) -> bool {
    matches!(address, Address::Tcp(text) | Address::Udp(text) if text.starts_with('['))
}

/// An octal number in quotes: in TOML a plain 0660 is none at all.
fn mode(reader: &mut Reader<'_>, value: Value<'_>) -> Option<u32> {
    if let DeValue::Integer(number) = value.get_ref() {
        let guess = format!("0{}", number.as_str().trim_start_matches('0'));
        reader.suggest(&value.span(), "expected a mode in quotes, found an integer", Some(&guess));
        return None;
    }
    let text = reader.string(value)?;
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && text.len() >= 3);
    if mode.is_none() {
        reader.error(&value.span(), format!("\"{}\" is not a mode such as \"0660\"", text.escape_debug()));
    }
    mode
}

/// A kind and a place.
fn address(reader: &mut Reader<'_>, value: Value<'_>) -> Option<Address> {
    let text = reader.filled(value)?;
    let span = value.span();
    let Some((kind, place)) = text.split_once(' ').map(|(kind, place)| (kind, place.trim())) else {
        let guess = guess(text);
        reader.suggest(&span, "expected a kind and an address, such as \"tcp 0.0.0.0:80\"", guess.as_deref());
        return None;
    };
    let unix = |kind| Address::Unix { path: place.to_owned(), kind };
    match kind {
        "tcp" => internet(reader, &span, place).map(|()| Address::Tcp(place.to_owned())),
        "udp" => internet(reader, &span, place).map(|()| Address::Udp(place.to_owned())),
        "unix" => file(reader, &span, place, true).map(|()| unix(UnixKind::Stream)),
        "unix-datagram" => file(reader, &span, place, true).map(|()| unix(UnixKind::Datagram)),
        "unix-packet" => file(reader, &span, place, true).map(|()| unix(UnixKind::Packet)),
        "fifo" => file(reader, &span, place, false).map(|()| Address::Fifo(place.to_owned())),
        "vsock" => vsock(reader, &span, place).map(Address::Vsock),
        other => {
            let alias = OTHER_NAMES.iter().find(|(name, _)| *name == other).map(|(_, kind)| *kind);
            let guess = alias.or_else(|| nearest(other, KINDS));
            let message = format!("unknown kind of socket \"{}\"", other.escape_debug());
            reader.suggest(&span, message, guess.map(|kind| format!("{kind} {place}")).as_deref());
            None
        }
    }
}

/// What was probably meant by an address without a kind.
fn guess(text: &str) -> Option<String> {
    if text.starts_with(['/', '@']) {
        return Some(format!("unix {text}"));
    }
    if text.parse::<SocketAddr>().is_ok() {
        return Some(format!("tcp {text}"));
    }
    port(text.trim_start_matches([':', '*'])).map(|port| format!("tcp 0.0.0.0:{port}"))
}

fn port(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn internet(reader: &mut Reader<'_>, span: &Range<usize>, place: &str) -> Option<()> {
    match place.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => return Some(()),
        Ok(_) => {
            reader.error(span, "expected a port from 1 to 65535: nobody would know one that is chosen anew");
        }
        Err(_) => {
            let (host, end) = place.rsplit_once(':').unwrap_or(("", place));
            let inner = host.trim_start_matches('[').trim_end_matches(']');
            let host = match inner.parse::<IpAddr>() {
                Ok(IpAddr::V6(address)) => Some(format!("[{address}]")),
                Ok(IpAddr::V4(address)) => Some(address.to_string()),
                Err(_) if inner == "localhost" => Some("127.0.0.1".to_owned()),
                Err(_) if matches!(inner, "" | "*") => Some("0.0.0.0".to_owned()),
                Err(_) => None,
            };
            let guess = host.zip(port(end)).map(|(host, port)| format!("{host}:{port}"));
            let message = format!(
                "\"{}\" is not an address and a port, such as 0.0.0.0:80 or [::]:80",
                place.escape_debug()
            );
            reader.suggest(span, message, guess.as_deref());
        }
    }
    None
}

fn file(reader: &mut Reader<'_>, span: &Range<usize>, place: &str, may_be_abstract: bool) -> Option<()> {
    let name = place.strip_prefix('@').filter(|_| may_be_abstract);
    if name.unwrap_or(place).is_empty() || (name.is_none() && !place.starts_with('/')) {
        let what = if may_be_abstract { "an absolute path, or @ and a name" } else { "an absolute path" };
        reader.error(span, format!("expected {what}"));
    } else if place.len() > PATH_MAX && may_be_abstract {
        reader.error(
            span,
            format!("longer than the {PATH_MAX} bytes that the address of a unix socket can have"),
        );
    } else {
        return Some(());
    }
    None
}

fn vsock(reader: &mut Reader<'_>, span: &Range<usize>, place: &str) -> Option<u32> {
    let port = place.parse().ok().filter(|port| *port != u32::MAX);
    if port.is_none() {
        reader.error(span, format!("\"{}\" is not a port of a virtual machine", place.escape_debug()));
    }
    port
}

/// Whether two sockets cannot both be open.
pub(super) fn overlap(one: &Socket, two: &Socket) -> bool {
    match (&one.address, &two.address) {
        (Address::Tcp(a), Address::Tcp(b)) | (Address::Udp(a), Address::Udp(b)) => {
            let (Ok(a), Ok(b)) = (a.parse::<SocketAddr>(), b.parse::<SocketAddr>()) else { return false };
            let covers = |wide: SocketAddr, socket: &Socket, other: SocketAddr| {
                wide.ip().is_unspecified()
                    && (wide.is_ipv4() == other.is_ipv4() || (wide.is_ipv6() && socket.both))
            };
            a.port() == b.port() && (a.ip() == b.ip() || covers(a, one, b) || covers(b, two, a))
        }
        (a, b) => match (a.file(), b.file()) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}
