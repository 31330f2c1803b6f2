//! A minimal HTTP/1.1 server, a thread for each connection and one request on each.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::{NOTICE, VERSION};

const LARGEST: u64 = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);
const STACK: usize = 128 * 1024;

/// What was asked for. The path has no query and no percent signs.
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) body: String,
}

/// A connection whose request has been read.
pub(crate) struct Connection {
    /// Where more may be read, if the two sides go on talking.
    pub(crate) reader: BufReader<TcpStream>,
}

impl Connection {
    /// Answers, and says that no more will follow.
    pub(crate) fn answer(&mut self, status: u16, content_type: &str, body: &str) {
        let head = head(status, content_type, &format!("Content-Length: {}\r\n", body.len()));
        let _ = self.reader.get_mut().write_all(format!("{head}{body}").as_bytes());
    }

    /// Answers with a body that has no end yet, and waits for the other side without limit.
    pub(crate) fn answer_and_stay(&mut self, body: &str) -> std::io::Result<()> {
        let head = head(200, "text/plain", "");
        let stream = self.reader.get_mut();
        stream.set_read_timeout(None)?;
        stream.write_all(format!("{head}{body}").as_bytes())
    }

    /// The next line that the other side sends.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

fn head(status: u16, content_type: &str, length: &str) -> String {
    let reason = match status {
        200 => "OK",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        _ => "Service Unavailable",
    };
    format!(
        "HTTP/1.1 {status} {reason}\r\nServer: mesos/{VERSION} ({NOTICE})\r\nContent-Type: {content_type}\r\n\
         {length}Connection: close\r\n\r\n"
    )
}

/// Starts a thread with a small stack: there may be many, and none does much.
pub(crate) fn thread(name: &str, body: impl FnOnce() + Send + 'static) {
    let started = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK).spawn(body);
    if let Err(error) = started {
        error!("Failed to start a thread for {name}: {error}");
    }
}

/// Answers requests for ever.
pub(crate) fn serve(listener: TcpListener, handler: impl Fn(Request, Connection) + Send + Sync + 'static) {
    let handler = Arc::new(handler);
    thread("http", move || {
        for stream in listener.incoming() {
            // Out of descriptors: the next connection may find one.
            let Ok(stream) = stream else { continue };
            let handler = Arc::clone(&handler);
            thread("connection", move || {
                if let Some((request, connection)) = read(stream) {
                    handler(request, connection);
                }
            });
        }
    });
}

fn read(stream: TcpStream) -> Option<(Request, Connection)> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let mut reader = BufReader::new(stream);
    let mut limited = reader.by_ref().take(LARGEST);
    let mut line = String::new();
    limited.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let method = words.next()?.to_owned();
    let path = words.next()?.split('?').next()?.replace("%28", "(").replace("%29", ")");
    let length = read_headers(&mut limited)?;
    let mut body = vec![0; length];
    limited.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).ok()?;
    Some((Request { method, path, body }, Connection { reader }))
}

/// Skips the headers; returns the length of the body.
fn read_headers(reader: &mut impl BufRead) -> Option<usize> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end();
        if line.is_empty() {
            return Some(length);
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok().filter(|length| *length <= 32 * 1024)?;
        }
    }
}

/// Posts `body` to `host:port`, and returns the connection behind the answer's head, if that was 200.
pub(crate) fn post(address: &str, path: &str, body: &str) -> std::io::Result<Connection> {
    let stream = crate::address::connect(address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n");
    reader.get_mut().write_all(format!("{head}{body}").as_bytes())?;
    let mut status = String::new();
    reader.read_line(&mut status)?;
    if status.split_whitespace().nth(1) != Some("200") || read_headers(&mut reader).is_none() {
        return Err(std::io::Error::other(format!("answered {:?}", status.trim_end())));
    }
    reader.get_mut().set_read_timeout(None)?;
    Ok(Connection { reader })
}

/// The value of `key=value` among the lines of a body.
pub(crate) fn field<'a>(body: &'a str, key: &str) -> Option<&'a str> {
    body.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}
