//! What it answers.

use super::{Access, Fault, PATIENCE, Shared, Stream};

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// `GET`.
    pub method: String,
    /// With the query.
    pub path: String,
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    /// What follows.
    pub body: String,
}

impl Head {
    pub(super) fn parse(lines: &[String]) -> Head {
        let mut words = lines[0].split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let path = words.next().unwrap_or_default().to_owned();
        let headers = lines[1..].iter().filter_map(|line| line.split_once(':'));
        let headers =
            headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Head { method, path, headers, body: String::new() }
    }

    /// A header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn new(status: u16, body: Vec<u8>) -> Answer {
        Answer { status, headers: Vec::new(), body }
    }

    fn with(mut self, name: &str, value: impl Into<String>) -> Answer {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn error(status: u16, code: &str) -> Answer {
        let body = format!(r#"{{"errors": [{{"code": "{code}", "message": "as the test wants it"}}]}}"#);
        Answer::new(status, body.into_bytes()).with("Content-Type", "application/json")
    }
}

impl Shared {
    pub(super) fn answer(
        &self,
        stream: &mut dyn Stream,
        head: &Head,
        fault: Option<&Fault>,
    ) -> std::io::Result<()> {
        let mut answer = match fault {
            Some(Fault::Hangup) => {
                self.dismiss();
                return Ok(());
            }
            Some(Fault::Status(status, headers)) => {
                let mut answer = Answer::error(*status, "UNAVAILABLE");
                answer.headers.extend(headers.iter().cloned());
                answer
            }
            Some(_) | None => self.honest(head, fault == Some(&Fault::NoRanges)),
        };
        match fault {
            Some(Fault::Wrong) => {
                if let Some(byte) = answer.body.last_mut() {
                    *byte ^= 1;
                }
            }
            Some(Fault::Longer) => answer.body.push(0),
            Some(Fault::WrongPart) => {
                answer.headers.retain(|(name, _)| name != "Content-Range");
                answer = answer.with("Content-Range", "bytes 1000000-1000001/1000002");
            }
            Some(_) | None => {}
        }
        // The client can ask for the next thing as soon as it has the last byte: up to there we serve it.
        let last = if answer.body.len() > 1 && send_is_plain(fault) { answer.body.pop() } else { None };
        let length = answer.body.len() + usize::from(last.is_some());
        let outcome = send(stream, &answer, length, fault).and_then(|()| stream.flush());
        self.dismiss();
        outcome?;
        stream.write_all(last.as_slice())?;
        stream.flush()
    }

    /// The answer of a registry that behaves.
    fn honest(&self, head: &Head, no_ranges: bool) -> Answer {
        let (path, query) = head.path.split_once('?').unwrap_or((&head.path, ""));
        if path == "/token" {
            return self.token(head, query);
        }
        let mut state = self.state.lock().unwrap();
        if let Some(bytes) = state.contents.files.get(path) {
            return Answer::new(200, bytes.clone());
        }
        if !allowed(&state.access, state.token, head) {
            drop(state);
            return self.challenge(path);
        }
        let Some((repository, kind, which)) = split(path) else {
            return Answer::error(404, "NOT_FOUND");
        };
        if kind == "manifests" {
            return match state.contents.manifests.get(&(repository.to_owned(), which.to_owned())) {
                Some((media, bytes)) => Answer::new(200, bytes.clone()).with("Content-Type", media.clone()),
                None => Answer::error(404, "MANIFEST_UNKNOWN"),
            };
        }
        let Some(bytes) = state.contents.blobs.get_mut(which) else {
            return Answer::error(404, "BLOB_UNKNOWN");
        };
        let from = head
            .header("range")
            .and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
        match from {
            Some(from) if !no_ranges && from < bytes.len() => {
                let (last, length) = (bytes.len() - 1, bytes.len());
                Answer::new(206, bytes[from..].to_vec())
                    .with("Content-Range", format!("bytes {from}-{last}/{length}"))
            }
            _ => Answer::new(200, bytes.clone()),
        }
    }

    fn challenge(&self, path: &str) -> Answer {
        let repository = split(path).map_or("", |(repository, _, _)| repository);
        let url = self.url();
        let header = match self.state.lock().unwrap().access {
            Access::Basic(..) => "Basic realm=\"test\"".to_owned(),
            Access::Open | Access::Token(_) | Access::Identity(_) => format!(
                "Bearer realm=\"{url}/token\",service=\"test registry\",scope=\"repository:{repository}:pull\""
            ),
        };
        Answer::error(401, "UNAUTHORIZED").with("WWW-Authenticate", header)
    }

    /// Gives a token, to who may have one.
    fn token(&self, head: &Head, query: &str) -> Answer {
        let state = self.state.lock().unwrap();
        let good = match &state.access {
            Access::Token(None) => true,
            Access::Token(Some((user, password))) => {
                head.header("authorization") == Some(&basic(user, password))
            }
            Access::Identity(token) => {
                head.method == "POST" && head.body.contains(&format!("refresh_token={token}"))
            }
            Access::Open | Access::Basic(..) => false,
        };
        let asked = format!("{query}{}", head.body);
        if !good || !asked.contains("scope=repository%3A") || !asked.contains("service=test") {
            return Answer::error(401, "UNAUTHORIZED");
        }
        Answer::new(200, format!(r#"{{"token": "good-{}"}}"#, state.token).into_bytes())
    }
}

fn allowed(access: &Access, token: u64, head: &Head) -> bool {
    let authorization = head.header("authorization");
    match access {
        Access::Open => true,
        Access::Basic(user, password) => authorization == Some(&basic(user, password)),
        Access::Token(_) | Access::Identity(_) => authorization == Some(&format!("Bearer good-{token}")),
    }
}

/// The header for a name and a password.
fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let words = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {words}")
}

/// `/v2/REPOSITORY/KIND/WHICH`.
fn split(path: &str) -> Option<(&str, &str, &str)> {
    let (rest, which) = path.split_once("/v2/")?.1.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    Some((repository, kind, which))
}

/// Whether the whole body is sent at once.
fn send_is_plain(fault: Option<&Fault>) -> bool {
    !matches!(fault, Some(Fault::Cut(_) | Fault::Silence(_) | Fault::Trickle(_)))
}

fn send(
    stream: &mut dyn Stream,
    answer: &Answer,
    length: usize,
    fault: Option<&Fault>,
) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if fault == Some(&Fault::Longer) {
        // Without a length, the end of the connection is the end of the body.
        head.push_str("\r\n");
    } else {
        head.push_str(&format!("Content-Length: {length}\r\n\r\n"));
    }
    stream.write_all(head.as_bytes())?;
    match fault {
        Some(Fault::Cut(after)) => stream.write_all(&answer.body[..answer.body.len().min(*after)])?,
        Some(Fault::Silence(after)) => {
            stream.write_all(&answer.body[..answer.body.len().min(*after)])?;
            stream.flush()?;
            wait_for_end(stream);
        }
        Some(Fault::Trickle(size)) => {
            for piece in answer.body.chunks(*size) {
                stream.write_all(piece)?;
                stream.flush()?;
            }
        }
        _ => stream.write_all(&answer.body)?,
    }
    stream.flush()
}

/// Says nothing more until the client goes away, or its patience ends.
fn wait_for_end(stream: &mut dyn Stream) {
    let begun = std::time::Instant::now();
    let mut byte = [0];
    while begun.elapsed() < PATIENCE && stream.read(&mut byte).is_ok_and(|count| count > 0) {}
}
