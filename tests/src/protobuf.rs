//! Messages of Mesos, made and read by an independent implementation of protocol buffers: `protoc`.

use std::io::Write;
use std::process::{Command, Stdio};

/// What `protoc` makes of its input.
fn protoc(argument: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("protoc")
        .arg(concat!("--proto_path=", env!("CARGO_MANIFEST_DIR"), "/../containerizer/proto"))
        .args([argument, "containerizer.proto"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("protoc (package protobuf-compiler, which `make setup` installs)");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{argument}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// The bytes of a message of this type, from its text.
#[must_use]
pub fn encode(kind: &str, text: &str) -> Vec<u8> {
    protoc(&format!("--encode=mesos.{kind}"), text.as_bytes())
}

/// The text of a message of this type, one field a line.
///
/// # Panics
///
/// If it is none.
#[must_use]
pub fn decode(kind: &str, bytes: &[u8]) -> String {
    String::from_utf8(protoc(&format!("--decode=mesos.{kind}"), bytes)).unwrap()
}

/// A message as it stands on standard input: its length, and it.
///
/// # Panics
///
/// If it has more than 4 GiB.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    [&u32::try_from(message.len()).unwrap().to_ne_bytes(), message].concat()
}
