//! A registry of container images on the loopback, written for tests: it serves what it was given, in memory, and
//! misbehaves as it is told. It can do no more than pulls need (OCI distribution specification, "pull").

mod answer;
mod contents;

pub use answer::Head;
pub use contents::{Contents, Sample, digest, sample};

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::wait::DEADLINE;

/// How it misbehaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It answers with a status and headers, and nothing else.
    Status(u16, Vec<(String, String)>),
    /// It closes the connection after so many bytes of the body.
    Cut(usize),
    /// One byte of the body is another one.
    Wrong,
    /// There is more than was promised.
    Longer,
    /// It knows nothing of ranges.
    NoRanges,
    /// It answers with another part than it was asked for.
    WrongPart,
    /// It says nothing after so many bytes, until the client goes away.
    Silence(usize),
    /// It sends the body in pieces of so many bytes, each as a packet of its own.
    Trickle(usize),
    /// It closes the connection without an answer.
    Hangup,
    /// It answers when so many requests are waiting for that.
    Together(usize),
}

/// What it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing.
    Open,
    /// A name and a password.
    Basic(String, String),
    /// A token, which everybody gets (no name), or who has a name and a password.
    Token(Option<(String, String)>),
    /// A token, which is given for this other token.
    Identity(String),
}

/// What is true while it serves.
#[derive(Debug)]
struct State {
    contents: Contents,
    access: Access,
    /// What it says next of what has this in its address; so many times.
    faults: Vec<(String, usize, Fault)>,
    requests: Vec<Head>,
    /// The token that is good now.
    token: u64,
    /// How many requests wait for others.
    waiting: usize,
    /// How many are answered now, and how many it were at the most.
    serving: (usize, usize),
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    address: String,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// The registry. It serves until the test ends.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
    certificate: Option<(tempdir::Directory, PathBuf)>,
}

/// A directory that goes away.
mod tempdir {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    pub(super) struct Directory(pub(super) PathBuf);

    impl Directory {
        pub(super) fn new() -> Directory {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name =
                format!("ms-registry-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

impl Default for Registry {
    fn default() -> Registry {
        Registry::start()
    }
}

impl Registry {
    /// One without TLS.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start() -> Registry {
        Registry::listen(None, None)
    }

    /// One with TLS, whose certificate nobody has signed but itself.
    ///
    /// # Panics
    /// If there is no port, or no certificate can be made.
    #[must_use]
    pub fn start_tls() -> Registry {
        let made =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let directory = tempdir::Directory::new();
        let path = directory.0.join("ca.pem");
        std::fs::write(&path, made.cert.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        Registry::listen(Some(Arc::new(config)), Some((directory, path)))
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        certificate: Option<(tempdir::Directory, PathBuf)>,
    ) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = State {
            contents: Contents::default(),
            access: Access::Open,
            faults: Vec::new(),
            requests: Vec::new(),
            token: 1,
            waiting: 0,
            serving: (0, 0),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), address, tls });
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&served);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Registry { shared, certificate }
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Where it is, with the scheme.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.url()
    }

    /// The file with its certificate.
    ///
    /// # Panics
    /// If it has none.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.certificate.as_ref().map(|(_, path)| path.clone()).unwrap()
    }

    /// Changes what it serves.
    ///
    /// # Panics
    /// If it has panicked.
    pub fn contents<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        change(&mut self.shared.state.lock().unwrap().contents)
    }

    /// Asks for this from now on.
    ///
    /// # Panics
    /// If it has panicked.
    pub fn access(&self, access: Access) {
        self.shared.state.lock().unwrap().access = access;
    }

    /// Forgets the tokens that it has given.
    ///
    /// # Panics
    /// If it has panicked.
    pub fn expire_tokens(&self) {
        self.shared.state.lock().unwrap().token += 1;
    }

    /// Misbehaves so many times when an address has this in it.
    ///
    /// # Panics
    /// If it has panicked.
    pub fn fault(&self, part: &str, times: usize, fault: Fault) {
        self.shared.state.lock().unwrap().faults.push((part.to_owned(), times, fault));
    }

    /// Sends requests with this in their address somewhere else, with what follows the last slash appended.
    pub fn redirect(&self, part: &str, times: usize, to: &str) {
        let headers = vec![("Location".to_owned(), to.to_owned())];
        self.fault(part, times, Fault::Status(307, headers));
    }

    /// What it was asked.
    ///
    /// # Panics
    /// If it has panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<Head> {
        self.shared.state.lock().unwrap().requests.clone()
    }

    /// What it was asked, of which the address has this in it.
    #[must_use]
    pub fn requests_for(&self, part: &str) -> Vec<Head> {
        self.requests().into_iter().filter(|head| head.path.contains(part)).collect()
    }

    /// How many requests are being answered.
    ///
    /// # Panics
    /// If it has panicked.
    #[must_use]
    pub fn serving(&self) -> usize {
        self.shared.state.lock().unwrap().serving.0
    }

    /// How many requests were answered at once, at the most.
    ///
    /// # Panics
    /// If it has panicked.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.shared.state.lock().unwrap().serving.1
    }
}

/// A connection, with TLS or without.
trait Stream: std::io::Read + Write {}
impl<T: std::io::Read + Write> Stream for T {}

impl Shared {
    fn url(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Answers one request.
    fn serve(&self, stream: TcpStream) {
        // A client that says nothing does not keep us.
        let _ = stream.set_read_timeout(Some(DEADLINE));
        let Ok(handle) = stream.try_clone() else { return };
        let outcome = match &self.tls {
            Some(config) => match rustls::ServerConnection::new(Arc::clone(config)) {
                Ok(connection) => self.converse(&mut rustls::StreamOwned::new(connection, stream)),
                Err(_) => return,
            },
            None => self.converse(&mut &stream),
        };
        // Who goes away before the answer is no concern.
        let _ = outcome.and_then(|()| handle.shutdown(std::net::Shutdown::Both));
    }

    fn converse(&self, stream: &mut dyn Stream) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let mut head = Head::parse(&lines);
        let mut body = vec![0; head.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0)];
        std::io::Read::read_exact(&mut reader, &mut body)?;
        head.body = String::from_utf8_lossy(&body).into_owned();
        let fault = self.admit(&head);
        self.answer(reader.into_inner(), &head, fault.as_ref())
    }

    /// Takes note that a request is as good as answered.
    fn dismiss(&self) {
        self.state.lock().unwrap().serving.0 -= 1;
    }

    /// Takes note of a request, and finds how to misbehave at it.
    fn admit(&self, head: &Head) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        state.requests.push(head.clone());
        state.serving.0 += 1;
        state.serving.1 = state.serving.1.max(state.serving.0);
        let fault = state.faults.iter_mut().find(|(part, times, _)| *times > 0 && head.path.contains(part));
        let fault = fault.map(|(_, times, fault)| {
            *times -= 1;
            fault.clone()
        });
        if let Some(Fault::Together(count)) = fault {
            state.waiting += 1;
            self.changed.notify_all();
            let outcome = self.changed.wait_timeout_while(state, DEADLINE, |state| state.waiting < count);
            drop(outcome.unwrap());
        }
        fault
    }
}

/// How long a silent registry waits for its client to go away.
const PATIENCE: Duration = DEADLINE;
