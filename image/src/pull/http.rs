//! Requests and answers: HTTP by `ureq`, TLS by `rustls`. Nothing here knows of registries.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::retry::{Setback, retry_after};
use crate::error::{Error, Kind};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(15);
/// The longest answer that is read for what is wrong.
const COMPLAINT: u64 = 16 << 10;
/// Where systems keep the certificates that they trust: Debian, Fedora, Alpine.
const BUNDLES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Makes requests.
pub struct Http {
    ca: Option<PathBuf>,
    silence: Duration,
    plain: Agent,
    tls: OnceLock<Result<Agent, Error>>,
}

/// What one is told.
pub struct Answer {
    /// The status.
    pub status: u16,
    response: ureq::http::Response<Body>,
}

/// Why there is nothing to be told.
#[derive(Debug)]
pub enum Failure {
    /// It may be otherwise the next time.
    Passing(Setback, Error),
    /// It will not.
    Final(Error),
}

impl Failure {
    /// The error.
    #[must_use]
    pub fn into_error(self) -> Error {
        match self {
            Failure::Passing(_, error) | Failure::Final(error) => error,
        }
    }

    /// The same with what was being done before it.
    #[must_use]
    pub fn during(self, what: impl std::fmt::Display) -> Failure {
        match self {
            Failure::Passing(setback, error) => Failure::Passing(setback, error.during(what)),
            Failure::Final(error) => Failure::Final(error.during(what)),
        }
    }
}

impl Http {
    /// Trusts the certificates of the system, and those of the file `ca`. A connection of which nothing is heard for
    /// so long is broken.
    #[must_use]
    pub fn new(ca: Option<PathBuf>, silence: Duration) -> Http {
        Http { ca, silence, plain: agent(None, silence), tls: OnceLock::new() }
    }

    /// Asks for something. Redirections are given back as they are.
    ///
    /// # Errors
    /// There is no answer.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Answer, Failure> {
        let mut request = self.agent(url)?.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.call())
    }

    /// Sends a form.
    ///
    /// # Errors
    /// There is no answer.
    pub fn post(&self, url: &str, form: &[(&str, &str)]) -> Result<Answer, Failure> {
        self.answer(self.agent(url)?.post(url).send_form(form.iter().copied()))
    }

    #[expect(clippy::unused_self, reason = "an answer is one of ours")]
    fn answer(&self, outcome: Result<ureq::http::Response<Body>, ureq::Error>) -> Result<Answer, Failure> {
        match outcome {
            Ok(response) => Ok(Answer { status: response.status().as_u16(), response }),
            Err(error) => Err(failure(&error)),
        }
    }

    fn agent(&self, url: &str) -> Result<&Agent, Failure> {
        if !url.starts_with("https://") {
            return Ok(&self.plain);
        }
        let made =
            self.tls.get_or_init(|| roots(self.ca.as_deref()).map(|roots| agent(Some(roots), self.silence)));
        made.as_ref().map_err(|error| Failure::Final(error.clone()))
    }
}

fn agent(roots: Option<RootCerts>, silence: Duration) -> Agent {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("svctl-image/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(silence))
        .timeout_per_write(Some(silence));
    config = match roots {
        Some(roots) => {
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            config.tls_config(
                TlsConfig::builder().unversioned_rustls_crypto_provider(provider).root_certs(roots).build(),
            )
        }
        // Without TLS it is this machine, or one that was declared: not one behind a proxy.
        None => config.proxy(None),
    };
    config.build().into()
}

/// The certificates to trust.
fn roots(ca: Option<&Path>) -> Result<RootCerts, Error> {
    let mut certificates = Vec::new();
    let system = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let system = system.or_else(|| BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()));
    for path in [system.as_deref(), ca].into_iter().flatten() {
        read_bundle(path, &mut certificates)
            .map_err(|error| error.during(format_args!("certificates in {}", path.display())))?;
    }
    if certificates.is_empty() {
        let places = BUNDLES.join(", ");
        return Err(Error::missing(format!(
            "there are no certificates to trust: none of {places} is there, and no other file is named"
        )));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn read_bundle(path: &Path, into: &mut Vec<Certificate<'static>>) -> Result<(), Error> {
    let bytes = std::fs::read(path)?;
    let before = into.len();
    for item in parse_pem(&bytes) {
        match item {
            Ok(PemItem::Certificate(certificate)) => into.push(certificate),
            Ok(_) => {}
            Err(_) => return Err(Error::refused("it is no PEM file")),
        }
    }
    if into.len() == before { Err(Error::refused("it has none")) } else { Ok(()) }
}

/// What an error of the library means for us.
fn failure(error: &ureq::Error) -> Failure {
    let cause = |error: &dyn std::fmt::Display| {
        let text = error.to_string();
        text.find(" (os error").and_then(|end| text.get(..end)).unwrap_or(&text).to_owned()
    };
    #[expect(clippy::wildcard_enum_match_arm, reason = "what the library may add will not pass by itself")]
    match error {
        ureq::Error::Timeout(_) => {
            Failure::Passing(Setback::Broken, Error::new(Kind::TimedOut, "nothing was heard in time"))
        }
        // A certificate that is not trusted now is not trusted a second later.
        ureq::Error::Rustls(error) => Failure::Final(Error::refused(format!("TLS: {error}"))),
        ureq::Error::Tls(error) => Failure::Final(Error::refused(format!("TLS: {error}"))),
        ureq::Error::Io(error) if is_tls(error) => {
            Failure::Final(Error::refused(format!("TLS: {}", cause(error))))
        }
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            Failure::Passing(Setback::Broken, Error::new(Kind::TimedOut, "nothing was heard in time"))
        }
        ureq::Error::Io(error) => Failure::Passing(Setback::Broken, Error::new(Kind::System, cause(error))),
        ureq::Error::HostNotFound | ureq::Error::ConnectionFailed | ureq::Error::Protocol(_) => {
            Failure::Passing(Setback::Broken, Error::new(Kind::System, cause(error)))
        }
        other => Failure::Final(Error::refused(cause(other))),
    }
}

fn is_tls(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

impl Answer {
    /// A header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All headers of a name.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok())
    }

    /// What follows, as a stream.
    pub fn body(self) -> impl Read + Send + 'static {
        self.response.into_body().into_reader()
    }

    /// All that follows.
    ///
    /// # Errors
    /// It is cut off, or longer than `limit`.
    pub fn bytes(self, limit: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let outcome = self.body().take(limit.saturating_add(1)).read_to_end(&mut bytes);
        if let Err(error) = outcome {
            return Err(broken(&error));
        }
        if bytes.len() as u64 > limit {
            return Err(Failure::Final(Error::refused(format!("the answer has more than {limit} bytes"))));
        }
        Ok(bytes)
    }

    /// That it is not what was wanted.
    #[must_use]
    pub fn complaint(self) -> Failure {
        let status = self.status;
        let wait = self.header("retry-after").and_then(|after| retry_after(after, self.header("date")));
        let mut bytes = Vec::new();
        // What cannot be read says nothing.
        let _ = self.body().take(COMPLAINT).read_to_end(&mut bytes);
        let reason = complaint(&bytes).unwrap_or_else(|| reason(status).to_owned());
        let message = format!("status {status}: {reason}");
        let setback = Setback::Status(status, wait);
        match status {
            404 => Failure::Final(Error::missing(message)),
            _ if super::retry::passes(status) => Failure::Passing(setback, Error::new(Kind::System, message)),
            _ => Failure::Final(Error::refused(message)),
        }
    }
}

/// A connection that has ended too early.
#[must_use]
pub fn broken(error: &io::Error) -> Failure {
    failure(&ureq::Error::Io(io::Error::new(error.kind(), error.to_string())))
}

/// What registries say in their errors: `CODE: message`, without what would disturb a terminal.
fn complaint(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let first = value.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&value);
    let text = |key: &str| first.get(key).and_then(serde_json::Value::as_str);
    let said: Vec<&str> = ["code", "message", "details"].into_iter().filter_map(text).collect();
    let said = said.join(": ");
    let clean: String = said.chars().filter(|letter| !letter.is_control()).take(200).collect();
    (!clean.is_empty()).then_some(clean)
}

fn reason(status: u16) -> &'static str {
    match status {
        401 => "it wants to know who asks",
        403 => "it refuses",
        404 => "it is not there",
        429 => "it was asked too often",
        500..=599 => "the server is in trouble",
        _ => "an answer that was not expected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_passed_on_without_what_disturbs_a_terminal() {
        let body = br#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "not \u001b[31mknown"}]}"#;
        assert_eq!(complaint(body).unwrap(), "MANIFEST_UNKNOWN: not [31mknown");
        assert_eq!(complaint(br#"{"details": "incorrect username"}"#).unwrap(), "incorrect username");
        assert_eq!(complaint(b"<html>"), None);
        assert_eq!(complaint(b"{}"), None);
    }

    #[test]
    fn a_file_without_certificates_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca");
        std::fs::write(&path, "nothing").unwrap();
        assert!(roots(Some(&path)).err().unwrap().to_string().ends_with("ca: it has none"));
        assert!(
            roots(Some(&directory.path().join("b"))).err().unwrap().to_string().contains("/b: No such file")
        );
    }
}
