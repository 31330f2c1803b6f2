//! The readiness prober: asks a port or a web page again and again, ever more slowly, until it answers as
//! it should. It is run as a readiness command by a supervisor, which ends it when nobody waits any more.

mod http;

use crate::exit::{Exit, Failure, cause};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

pub use http::Expect;

/// The wait after the first try; it doubles from there.
const WAIT_FIRST: Duration = Duration::from_millis(10);
/// The longest wait between two tries.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// How long one try may take.
const TRY_TIME: Duration = Duration::from_secs(2);

/// What is asked.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// Whether a port accepts a connection.
    Tcp(Address),
    /// Whether a page is as expected.
    Http(Url, Expect),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// Reads `HOST:PORT`, the host being a name, an IPv4 address or an IPv6 address in brackets.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Address, String> {
        let form = || {
            let shown = text.escape_debug();
            format!("\"{shown}\" is not an address such as \"127.0.0.1:22\" or \"[::1]:22\"")
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(form)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(form)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match bare {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                !host.is_empty() && host.chars().all(letter)
            }
        };
        let host = bare.unwrap_or(host).to_owned();
        if good { Ok(Address { host, port }) } else { Err(form()) }
    }

    fn connect(&self, deadline: Instant) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        let addresses: Vec<SocketAddr> = (self.host.as_str(), self.port).to_socket_addrs()?.collect();
        for address in addresses {
            match TcpStream::connect_timeout(&address, left(deadline)?) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// A web page's place: plain HTTP only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    address: Address,
    /// As the request names the host.
    authority: String,
    path: String,
}

impl Url {
    /// Reads `http://HOST[:PORT][/PATH]`.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn parse(text: &str) -> Result<Url, String> {
        let shown = text.escape_debug();
        if text.starts_with("https://") {
            return Err("https is not supported: only http".to_owned());
        }
        let rest = text.strip_prefix("http://");
        let rest =
            rest.ok_or_else(|| format!("\"{shown}\" is not a URL such as \"http://127.0.0.1:5050/health\""))?;
        if rest.bytes().any(|byte| !(0x21..=0x7e).contains(&byte)) {
            return Err(format!("\"{shown}\" has characters that a URL must not have"));
        }
        let rest = rest.split('#').next().unwrap_or(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let address =
            if has_port { Address::parse(authority) } else { Address::parse(&format!("{authority}:80")) }?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Url { address, authority: authority.to_owned(), path })
    }
}

/// Asks until the answer is as it should be.
pub fn until_ready(target: &Target) {
    let mut wait = WAIT_FIRST;
    while once(target).is_err() {
        std::thread::sleep(wait);
        wait = (wait * 2).min(WAIT_MAX);
    }
}

/// Asks once.
///
/// # Errors
/// What is not as it should be.
pub fn once(target: &Target) -> Result<(), Failure> {
    let deadline = Instant::now() + TRY_TIME;
    let result = match target {
        Target::Tcp(address) => address
            .connect(deadline)
            .map(drop)
            .map_err(|error| format!("unable to connect: {}", cause(&error))),
        Target::Http(url, expect) => http::ask(url, expect, deadline),
    };
    result.map_err(|message| Failure::new(Exit::Failed, message))
}

/// The time that is left, as an error when there is none.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_urls_are_told_from_nonsense() {
        for good in ["127.0.0.1:22", "localhost:5050", "[::1]:80"] {
            assert!(Address::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "22", ":22", "host", "host:0", "host:65536", "[x]:1", "a b:1", "::1:80"] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
        let url = Url::parse("http://127.0.0.1:5051/metrics/snapshot?timeout=1s#top").unwrap();
        assert_eq!((url.address.port, url.path.as_str()), (5051, "/metrics/snapshot?timeout=1s"));
        assert_eq!(Url::parse("http://[::1]").unwrap().address, Address { host: "::1".to_owned(), port: 80 });
        assert_eq!(Url::parse("http://a?x").unwrap().path, "/?x");
        for bad in ["", "ftp://a/", "https://a/", "http://", "http://a b/", "http://a/\r\nX: y"] {
            assert!(Url::parse(bad).is_err(), "{bad}");
        }
    }
}
