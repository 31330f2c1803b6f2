//! Answers whoever asks by HTTP at sockets that we are given (sd_listen_fds(3)): `GET /metrics`, and no more. Every request
//! is bounded in length and in time, and a few are answered at once, so that one who says nothing keeps nobody waiting.

use crate::exit::{Exit, Failure};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use sys::poll::{Poller, Ready};

/// The first descriptor that is a socket.
const FIRST: i32 = 3;
/// As many may be asked at.
const SOCKETS_MAX: i32 = 16;
/// The longest head of a request.
const HEAD_MAX: usize = 8192;
/// How long one may take, from its connection to the end of the answer.
const REQUEST_TIME: Duration = Duration::from_secs(5);
/// As many are answered at once.
const AT_ONCE: usize = 8;

const OK: &str = "200 OK";
const TEXT: &str = "text/plain; charset=utf-8";

/// Answers until nobody has asked for `idle`.
///
/// # Errors
/// If there is no socket, or it cannot be waited for.
pub(super) fn serve(idle: Duration, page: &(dyn Fn() -> String + Sync)) -> Result<(), Failure> {
    let listeners = given()?;
    let told = |error: io::Error| Failure::system("unable to wait for connections", &error);
    let poller = Poller::new().map_err(told)?;
    for (listener, token) in listeners.iter().zip(0..) {
        // Another may be quicker to take what we were told of.
        listener.set_nonblocking(true).and_then(|()| poller.add(listener, token)).map_err(told)?;
    }
    let busy = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut ready = [Ready::default(); 8];
        let mut last = sys::clock::now();
        loop {
            let count = poller.wait(&mut ready, Some(last.after(idle))).map_err(told)?;
            let tokens = ready.iter().take(count).filter_map(|ready| usize::try_from(ready.token).ok());
            for listener in tokens.filter_map(|token| listeners.get(token)) {
                let Ok((stream, _)) = listener.accept() else { continue };
                last = sys::clock::now();
                if busy.fetch_add(1, Ordering::AcqRel) >= AT_ONCE {
                    // Whoever asks too much waits for its turn by asking again.
                    busy.fetch_sub(1, Ordering::AcqRel);
                    continue;
                }
                let busy = &busy;
                scope.spawn(move || {
                    // Nobody is left to tell of a client that is gone.
                    let _ = answer(&stream, page);
                    busy.fetch_sub(1, Ordering::AcqRel);
                });
            }
            if last.after(idle) <= sys::clock::now() {
                return Ok(());
            }
        }
    })
}

/// The sockets that were handed to us.
fn given() -> Result<Vec<TcpListener>, Failure> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<i32>().ok();
    let ours = number("LISTEN_PID").is_some_and(|pid| pid.unsigned_abs() == std::process::id());
    let count = number("LISTEN_FDS").filter(|count| ours && (1..=SOCKETS_MAX).contains(count));
    let Some(count) = count else {
        let message = "no socket was given to answer at: a service with [sockets] has some";
        return Err(Failure::new(Exit::Usage, message));
    };
    let take = |number| {
        let descriptor: OwnedFd = sys::fd::inherited(number)
            .map_err(|error| Failure::system(&format!("unable to take descriptor {number}"), &error))?;
        Ok(TcpListener::from(descriptor))
    };
    (FIRST..FIRST + count).map(take).collect()
}

/// Hears one out and answers.
fn answer(stream: &TcpStream, page: &dyn Fn() -> String) -> io::Result<()> {
    let deadline = Instant::now() + REQUEST_TIME;
    stream.set_nonblocking(false)?;
    let head = head(stream, deadline)?;
    let (status, more, text) = respond(head.as_deref(), page);
    let kind = if status == OK { "text/plain; version=0.0.4; charset=utf-8" } else { TEXT };
    let length = text.len();
    let only_head = head.is_some_and(|head| head.starts_with("HEAD "));
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{more}Connection: close\r\n\r\n"
    );
    if !only_head {
        answer.push_str(&text);
    }
    write(stream, answer.as_bytes(), deadline)?;
    // What is unread at the close would have the kernel take the answer back.
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0; 512];
    for _ in 0..64 {
        if read(stream, &mut rest, deadline)? == 0 {
            break;
        }
    }
    Ok(())
}

/// What is answered to a request: the status, a line more, and the text.
fn respond(head: Option<&str>, page: &dyn Fn() -> String) -> (&'static str, &'static str, String) {
    let Some(head) = head else {
        return ("431 Request Header Fields Too Large", "", "the request is too long\n".to_owned());
    };
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let known = version.is_some_and(|version| version.starts_with("HTTP/1.")) && words.next().is_none();
    let path = target.map(|target| target.split('?').next().unwrap_or(target));
    match (method, path) {
        _ if !known => ("400 Bad Request", "", "this is not HTTP\n".to_owned()),
        (Some("GET" | "HEAD"), Some("/metrics")) => (OK, "", page()),
        (Some("GET" | "HEAD"), _) => ("404 Not Found", "", "there is only /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "only GET and HEAD\n".to_owned()),
    }
}

/// The head of a request; none if it is too long.
fn head(stream: &TcpStream, deadline: Instant) -> io::Result<Option<String>> {
    let mut found = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let count = read(stream, &mut buffer, deadline)?;
        found.extend(buffer.iter().take(count));
        if found.len() > HEAD_MAX {
            return Ok(None);
        }
        let whole = found.windows(4).any(|window| window == b"\r\n\r\n");
        if whole || count == 0 {
            return Ok(Some(String::from_utf8_lossy(&found).into_owned()));
        }
    }
}

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn read(mut stream: &TcpStream, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
    stream.set_read_timeout(Some(left(deadline)?))?;
    stream.read(buffer)
}

fn write(mut stream: &TcpStream, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(deadline)?))?;
        let count = stream.write(bytes)?;
        bytes = bytes.get(count..).unwrap_or_default();
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_well_is_answered() {
        let page = || "page".to_owned();
        for (head, status) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", "200"),
            ("HEAD /metrics?x=1 HTTP/1.0\r\n\r\n", "200"),
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metricsx HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("GET /metrics\r\n\r\n", "400"),
            ("GET /metrics HTTP/2 x\r\n\r\n", "400"),
            ("GET /metrics HTTP/1.1 x\r\n\r\n", "400"),
            ("", "400"),
        ] {
            let (found, _, text) = respond(Some(head), &page);
            assert_eq!((found.get(..3), text == "page"), (Some(status), status == "200"), "{head:?}");
        }
        assert!(respond(None, &page).0.starts_with("431"));
    }
}
