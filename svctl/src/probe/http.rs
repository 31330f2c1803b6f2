//! As much of an HTTP/1.1 client as a probe needs (RFC 9112): one GET, one answer, strict limits.

use super::{Url, left};
use crate::exit::cause;
use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// The longest answer, head and body.
const ANSWER_MAX: usize = 1 << 20;

/// What a page must be like.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expect {
    /// The status; any of 200 to 299 if none is named.
    pub status: Option<u16>,
    /// What the keys of its JSON object must be. A key that begins with `/` and is not one of the object's
    /// is a JSON pointer (RFC 6901).
    pub json: Vec<(String, Value)>,
}

impl Expect {
    /// Adds a `KEY=VALUE` in which the value is JSON, or else a string.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let form = || format!("\"{text}\" is not of the form KEY=VALUE");
        let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(form)?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        self.json.push((key.to_owned(), value));
        Ok(())
    }

    fn check(&self, status: u16, body: &[u8]) -> Result<(), String> {
        let good = self.status.map_or((200..300).contains(&status), |wanted| wanted == status);
        if !good {
            return Err(format!("status {status}"));
        }
        if self.json.is_empty() {
            return Ok(());
        }
        let page: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        for (key, wanted) in &self.json {
            let found = page.get(key).or_else(|| page.pointer(key).filter(|_| key.starts_with('/')));
            match found {
                None => return Err(format!("no key \"{key}\"")),
                Some(found) if !same(found, wanted) => return Err(format!("\"{key}\" is {found}")),
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// Numbers are compared by value: 1 is 1.0.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits() || (a - b).abs() < f64::EPSILON,
        (_, _) => a == b,
    }
}

/// Asks for the page once.
pub(super) fn ask(url: &Url, expect: &Expect, deadline: Instant) -> Result<(), String> {
    let told = |error: io::Error| cause(&error);
    let mut stream =
        url.address.connect(deadline).map_err(|error| format!("unable to connect: {}", cause(&error)))?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: svctl\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        url.path, url.authority
    );
    stream.set_write_timeout(Some(left(deadline).map_err(told)?)).map_err(told)?;
    stream.write_all(request.as_bytes()).map_err(told)?;
    let mut answer = Vec::new();
    loop {
        // An interim answer, 100 to 199, is not the answer.
        while let Some((head, rest)) = split_head(&answer) {
            let head = Head::parse(head)?;
            if !(100..200).contains(&head.status) {
                if let Some(body) = head.body(rest, false)? {
                    return expect.check(head.status, &body);
                }
                break;
            }
            answer = rest.to_vec();
        }
        if read_more(&mut stream, &mut answer, deadline).map_err(told)? == 0 {
            break;
        }
        if answer.len() > ANSWER_MAX {
            return Err("the answer is longer than 1 MiB".to_owned());
        }
    }
    let (head, rest) = split_head(&answer).ok_or("the answer ends within its head")?;
    let head = Head::parse(head)?;
    let body = head.body(rest, true)?.ok_or("the answer ends within its body")?;
    expect.check(head.status, &body)
}

fn read_more(stream: &mut TcpStream, answer: &mut Vec<u8>, deadline: Instant) -> io::Result<usize> {
    let mut part = [0; 8192];
    loop {
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut part) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
            Ok(length) => {
                answer.extend_from_slice(part.get(..length).unwrap_or_default());
                return Ok(length);
            }
        }
    }
}

fn split_head(answer: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    Some((answer.get(..end)?, answer.get(end + 4..)?))
}

/// What an answer's head says about its body.
struct Head {
    status: u16,
    chunked: bool,
    length: Option<usize>,
}

impl Head {
    fn parse(head: &[u8]) -> Result<Head, String> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.split(' ');
        let status = match (words.next(), words.next()) {
            (Some(version), Some(status)) if version.starts_with("HTTP/1.") => status.parse().ok(),
            (_, _) => None,
        };
        let status = status.filter(|status| (100..=999).contains(status)).ok_or("not an HTTP answer")?;
        let mut parsed = Head { status, chunked: false, length: None };
        for line in lines {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            if name.eq_ignore_ascii_case("transfer-encoding") {
                parsed.chunked = value.to_ascii_lowercase().ends_with("chunked");
            } else if name.eq_ignore_ascii_case("content-length") {
                parsed.length = Some(value.parse().map_err(|_| "an odd content-length")?);
            }
        }
        Ok(parsed)
    }

    /// The body in what has come so far; none if it is not complete. `ended` tells that no more comes.
    fn body(&self, rest: &[u8], ended: bool) -> Result<Option<Vec<u8>>, String> {
        if matches!(self.status, 204 | 304) {
            return Ok(Some(Vec::new()));
        }
        if self.chunked {
            return unchunk(rest);
        }
        Ok(match self.length {
            Some(length) => rest.get(..length).map(<[u8]>::to_vec),
            None if ended => Some(rest.to_vec()),
            None => None,
        })
    }
}

/// Joins the chunks; none if the last has not come. What follows the last does not matter.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let line = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).ok().filter(|size| *size <= ANSWER_MAX);
        let size = size.ok_or("an odd chunk")?;
        if size == 0 {
            return Ok(Some(body));
        }
        let Some(chunk) = rest.get(end + 2..end + 2 + size) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2 + size + 2..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{Target, once};
    use std::net::TcpListener;

    /// A server for one connection that sends `answer` and closes.
    fn serve(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/page", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                request.push(byte[0]);
            }
            let _ = stream.write_all(answer);
            String::from_utf8(request).unwrap()
        });
        (url, thread)
    }

    fn ask_for(answer: &'static [u8], json: &[&str], status: Option<u16>) -> Result<(), String> {
        let (url, thread) = serve(answer);
        let mut expect = Expect { status, json: Vec::new() };
        for text in json {
            expect.add(text).unwrap();
        }
        let result = once(&Target::Http(Url::parse(&url).unwrap(), expect));
        assert!(thread.join().unwrap().starts_with("GET /page HTTP/1.1\r\nHost: 127.0.0.1:"));
        result.map_err(|failure| failure.message)
    }

    #[test]
    fn bodies_end_by_length_by_chunks_or_by_the_end() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"slave/registered\":1}and more"[..],
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\n{\"sla\r\n11\r\nve/registered\":1}\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n{\"slave/registered\":1.0}",
            b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{\"slave/registered\":1}",
        ] {
            assert_eq!(ask_for(answer, &["slave/registered=1"], None), Ok(()));
        }
    }

    #[test]
    fn what_is_not_as_expected_is_named() {
        let page = b"HTTP/1.1 200 OK\r\n\r\n{\"a\":0,\"b\":{\"c\":\"x\"}}";
        assert_eq!(ask_for(page, &["/b/c=x", "b={\"c\":\"x\"}"], Some(200)), Ok(()));
        let told = |json: &[&str], status| ask_for(page, json, status).unwrap_err();
        assert_eq!(told(&["a=1"], None), "\"a\" is 0");
        assert_eq!(told(&["z=1"], None), "no key \"z\"");
        assert_eq!(told(&[], Some(204)), "status 200");
        assert_eq!(ask_for(b"HTTP/1.1 503 No\r\n\r\n", &[], None).unwrap_err(), "status 503");
        assert_eq!(
            ask_for(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", &[], None).unwrap_err(),
            "the answer ends within its body"
        );
        assert_eq!(ask_for(b"SSH-2.0-x\r\n\r\n", &[], None).unwrap_err(), "not an HTTP answer");
        assert_eq!(
            ask_for(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n", &[], None)
                .unwrap_err(),
            "an odd chunk"
        );
    }
}
