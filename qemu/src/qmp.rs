//! qemu's machine protocol (QMP): one JSON object per line, over a socket that has no name.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::error::Error;

/// How long qemu may take to answer: it is on this machine, but the machine may be busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A connection on which commands have been enabled.
pub(crate) struct Qmp {
    stream: UnixStream,
    /// Received and not yet a whole line.
    pending: Vec<u8>,
}

impl Qmp {
    /// Reads the greeting and enables commands. When this returns qemu has made the whole machine.
    pub(crate) fn open(stream: UnixStream) -> Result<Self, Error> {
        let mut qmp = Self { stream, pending: Vec::new() };
        qmp.execute("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    /// Runs one command and returns its result.
    pub(crate) fn execute(&mut self, command: &str, arguments: &Value) -> Result<Value, Error> {
        self.exchange(command, arguments)
            .map_err(|cause| Error::Monitor { command: command.to_owned(), cause })
    }

    /// Runs one command of the monitor for people, for the few things that QMP has no command for.
    pub(crate) fn human(&mut self, command: &str) -> Result<String, Error> {
        let answer = self.execute("human-monitor-command", &json!({ "command-line": command }))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    fn exchange(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let request = json!({ "execute": command, "arguments": arguments });
        let line = format!("{request}\n");
        self.stream.write_all(line.as_bytes()).map_err(|error| format!("qemu is gone ({error})"))?;
        let deadline = Instant::now() + ANSWER_WITHIN;
        loop {
            let line = self.line(deadline)?;
            match classify(&line) {
                Message::Result(value) => return Ok(value),
                Message::Refusal(why) => return Err(why),
                Message::Other => {}
            }
        }
    }

    fn line(&mut self, deadline: Instant) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let rest = self.pending.split_off(end + 1);
                return Ok(std::mem::replace(&mut self.pending, rest));
            }
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).map_err(|error| error.to_string())?;
            let mut buffer = [0; 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err("qemu is gone".to_owned()),
                Ok(count) => self.pending.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err(format!("no answer within {} s", ANSWER_WITHIN.as_secs()));
                }
                Err(error) => return Err(format!("qemu is gone ({error})")),
            }
        }
    }
}

enum Message {
    Result(Value),
    Refusal(String),
    /// The greeting, or an event.
    Other,
}

fn classify(line: &[u8]) -> Message {
    let Ok(Value::Object(mut message)) = serde_json::from_slice(line) else { return Message::Other };
    if let Some(value) = message.remove("return") {
        return Message::Result(value);
    }
    match message.get("error") {
        Some(error) => {
            let text = error.get("desc").and_then(Value::as_str);
            Message::Refusal(text.unwrap_or("refused without a reason").to_owned())
        }
        None => Message::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::thread;

    /// A qemu that greets, enables commands, and answers the next command with `lines`.
    fn talk_to(lines: &'static str) -> Result<Value, Error> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let fake = thread::spawn(move || {
            let mut requests = BufReader::new(theirs.try_clone().unwrap()).lines();
            theirs.write_all(b"{\"QMP\": {}}\n").unwrap();
            requests.next().unwrap().unwrap();
            theirs.write_all(b"{\"return\": {}}\n").unwrap();
            let request = requests.next().unwrap().unwrap();
            theirs.write_all(lines.as_bytes()).unwrap();
            request
        });
        let answer = Qmp::open(ours).unwrap().execute("system_powerdown", &json!({}));
        assert_eq!(fake.join().unwrap(), r#"{"arguments":{},"execute":"system_powerdown"}"#);
        answer
    }

    #[test]
    fn events_before_the_answer_are_passed_over() {
        let answer = talk_to("{\"event\": \"POWERDOWN\"}\n{\"return\": 7}\n").unwrap();
        assert_eq!(answer, json!(7));
    }

    #[test]
    fn a_refusal_carries_qemus_reason() {
        let error =
            talk_to("{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n").unwrap_err();
        assert_eq!(error.to_string(), "unable to tell qemu 'system_powerdown': not now");
    }

    #[test]
    fn a_qemu_that_dies_in_mid_answer_is_an_error() {
        let error = talk_to("{\"retu").unwrap_err();
        assert!(error.to_string().contains("qemu is gone"), "{error}");
    }
}
