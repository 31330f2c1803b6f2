//! A web server for one page.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::wait::eventually;

/// A server on a free port of the loopback.
#[derive(Debug)]
pub struct Server {
    port: u16,
    page: Arc<Mutex<(u16, String)>>,
    requests: Arc<AtomicUsize>,
}

impl Server {
    /// Serves a page with this status and body to everybody, until the test ends.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(status: u16, body: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server {
            port: listener.local_addr().unwrap().port(),
            page: Arc::new(Mutex::new((status, body.to_owned()))),
            requests: Arc::default(),
        };
        let (page, requests) = (Arc::clone(&server.page), Arc::clone(&server.requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (status, body) = page.lock().unwrap().clone();
                // Who goes away before the answer is no concern.
                let _ = answer(stream, status, &body);
                requests.fetch_add(1, Ordering::SeqCst);
            }
        });
        server
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Waits until it has answered this often, and tells how often it has.
    #[track_caller]
    pub fn wait_for_requests(&self, count: usize) -> usize {
        eventually("somebody asks for the page", || self.requests.load(Ordering::SeqCst) >= count);
        self.requests.load(Ordering::SeqCst)
    }

    /// Serves another page from now on.
    ///
    /// # Panics
    /// If the server has panicked.
    pub fn set(&self, status: u16, body: &str) {
        *self.page.lock().unwrap() = (status, body.to_owned());
    }
}

fn answer(mut stream: TcpStream, status: u16, body: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}
