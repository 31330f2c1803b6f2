//! Where a registry is: its scheme, host and port, and the addresses of what it has.

use std::fmt;
use std::net::IpAddr;

/// The registry of a reference that names none.
pub const HUB: &str = "registry-1.docker.io";
/// What people call it, and what its credentials are kept under.
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", HUB];

/// How a registry is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without any protection: to this machine, and where the settings say so.
    Http,
    /// With TLS.
    Https,
}

/// A registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// A name or an address; one of version 6 in brackets.
    pub host: String,
    /// None is the scheme's own.
    pub port: Option<u16>,
    /// What comes before `/v2`: empty, or `/` and names, for a mirror below a path.
    pub prefix: String,
}

impl Endpoint {
    /// Reads `[http://|https://]HOST[:PORT][/PREFIX]`.
    ///
    /// Without a scheme, port 80 and a registry on this machine (unless at port 443) are spoken to in the clear, as
    /// Mesos does it, and everything else with TLS. In the clear to another machine is an error, unless `insecure` names it.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str, insecure: &[String]) -> Result<Endpoint, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(Scheme::Http), rest),
            Some(("https", rest)) => (Some(Scheme::Https), rest),
            Some((other, _)) => {
                return Err(format!("{other:?} is no scheme of a registry: http or https is"));
            }
            None => (None, text),
        };
        let (authority, prefix) = match rest.split_once('/') {
            Some((authority, prefix)) => (authority, prefix.trim_matches('/')),
            None => (rest, ""),
        };
        let (host, port) = split_port(authority)?;
        check_host(host)?;
        let local = is_local(host);
        let guess = match port {
            Some(80) => Scheme::Http,
            Some(443) | None => Scheme::Https,
            Some(_) if local => Scheme::Http,
            Some(_) => Scheme::Https,
        };
        // Who declares a registry without TLS need not say so twice.
        let declared = insecure.iter().any(|name| name == authority || name == host);
        let guess = if declared { Scheme::Http } else { guess };
        let scheme = scheme.unwrap_or(guess);
        if scheme == Scheme::Http && !local && !declared {
            return Err(format!(
                "{authority} would be spoken to without TLS, and is neither this machine nor declared insecure"
            ));
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("/{prefix}") };
        Ok(Endpoint { scheme, host: host.to_owned(), port, prefix })
    }

    /// Host and port, as in the head of a request and in a file of credentials.
    #[must_use]
    pub fn authority(&self) -> String {
        match self.port {
            Some(port) => format!("{}:{port}", self.host),
            None => self.host.clone(),
        }
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(&self.host)
    }

    /// Whether it is Docker's own, whose plain names are below `library/`.
    #[must_use]
    pub fn is_hub(&self) -> bool {
        HUB_NAMES.contains(&self.host.as_str())
    }

    /// The address of a manifest, by tag or digest.
    #[must_use]
    pub fn manifest(&self, repository: &str, which: &str) -> String {
        format!("{self}/v2/{repository}/manifests/{which}")
    }

    /// The address of a blob, by digest.
    #[must_use]
    pub fn blob(&self, repository: &str, digest: &str) -> String {
        format!("{self}/v2/{repository}/blobs/{digest}")
    }

    /// What a repository is called there, and at its mirrors.
    #[must_use]
    pub fn repository(&self, name: &str) -> String {
        if self.is_hub() && !name.contains('/') { format!("library/{name}") } else { name.to_owned() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}{}", self.authority(), self.prefix)
    }
}

/// Splits `HOST[:PORT]`.
fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.find(']')) {
        // The closing bracket is one past where it was found without the opening one.
        Some(end) => match authority.split_at_checked(end.saturating_add(2)) {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (
                host,
                Some(rest.strip_prefix(':').ok_or_else(|| format!("{authority:?} is no host and port"))?),
            ),
            None => (authority, None),
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port else { return Ok((host, None)) };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number) if digits && number > 0 => Ok((host, Some(number))),
        _ => Err(format!("{port:?} is no port")),
    }
}

fn check_host(host: &str) -> Result<(), String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return match address.parse::<IpAddr>() {
            Ok(IpAddr::V6(_)) => Ok(()),
            _ => Err(format!("{host} is no address")),
        };
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if host.is_empty() {
        Err("it has no host".to_owned())
    } else if host.bytes().all(good) {
        Ok(())
    } else {
        Err(format!("{host:?} is no host"))
    }
}

fn is_local(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Scheme, String, Option<u16>) {
        let endpoint = Endpoint::parse(text, &[]).unwrap();
        (endpoint.scheme, endpoint.host, endpoint.port)
    }

    // The cases of Mesos's DockerSpecTest.GetRegistrySpec, and what it says of hosts without TLS.
    #[test]
    fn host_port_and_scheme_are_those_that_mesos_finds() {
        for bad in ["", ":", "invalid_port:x80", "invalid_port:80:80"] {
            assert!(Endpoint::parse(bad, &[]).is_err(), "{bad}");
        }
        assert_eq!(parsed("index.docker.io"), (Scheme::Https, "index.docker.io".to_owned(), None));
        assert_eq!(parsed("localhost:80"), (Scheme::Http, "localhost".to_owned(), Some(80)));
        assert_eq!(parsed("localhost:1234"), (Scheme::Http, "localhost".to_owned(), Some(1234)));
        assert_eq!(
            parsed("registry-1.docker.io:443"),
            (Scheme::Https, "registry-1.docker.io".to_owned(), Some(443))
        );
    }

    #[test]
    fn another_machine_is_spoken_to_without_tls_only_if_it_is_declared() {
        let declared = ["r.example:5000".to_owned(), "lan".to_owned()];
        for bad in ["http://r.example:5000", "r.example:80", "http://10.0.0.1"] {
            assert!(Endpoint::parse(bad, &[]).unwrap_err().contains("without TLS"), "{bad}");
        }
        assert_eq!(Endpoint::parse("r.example:5000", &declared).unwrap().scheme, Scheme::Http);
        assert_eq!(Endpoint::parse("https://r.example:5000", &declared).unwrap().scheme, Scheme::Https);
        assert_eq!(Endpoint::parse("lan:80", &declared).unwrap().to_string(), "http://lan:80");
        assert_eq!(Endpoint::parse("r.example:5001", &declared).unwrap().scheme, Scheme::Https);
        for local in ["http://127.0.0.1:5000", "127.0.0.2:5000", "[::1]:5000", "http://localhost"] {
            assert_eq!(Endpoint::parse(local, &[]).unwrap().scheme, Scheme::Http, "{local}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "a b",
            "a@b",
            "user:password@host",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "ftp://a",
            "a:0",
            "a:+80",
            "a:70000",
        ] {
            assert!(Endpoint::parse(bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_below_the_prefix_and_plain_names_of_the_hub_below_library() {
        let mirror = Endpoint::parse("https://m.example/hub/", &[]).unwrap();
        assert_eq!(mirror.manifest("a/b", "latest"), "https://m.example/hub/v2/a/b/manifests/latest");
        let hub = Endpoint::parse(HUB, &[]).unwrap();
        assert_eq!(
            hub.blob(&hub.repository("ubuntu"), "sha256:0"),
            "https://registry-1.docker.io/v2/library/ubuntu/blobs/sha256:0"
        );
        assert_eq!(hub.repository("a/b"), "a/b");
        assert_eq!(Endpoint::parse("quay.io", &[]).unwrap().repository("ubuntu"), "ubuntu");
    }
}
