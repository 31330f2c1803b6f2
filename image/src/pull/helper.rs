//! Programs that keep credentials for others: `docker-credential-NAME get`, which is told a registry and answers with a
//! name and a secret (docker/docker-credential-helpers, README).

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::credentials::Credentials;

/// The longest answer.
const LIMIT: u64 = 64 << 10;
/// The name that stands before a token.
const TOKEN: &str = "<token>";
/// What all of them say if they have nothing.
const NOTHING: &str = "credentials not found";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// What a helper has for a registry; none if it has nothing.
///
/// # Errors
/// It cannot be asked, in words that have nothing of a secret.
pub fn ask(helper: &str, server: &str) -> Result<Option<Credentials>, String> {
    let program = format!("docker-credential-{helper}");
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if helper.is_empty() || !helper.bytes().all(good) {
        return Err(format!("{program:?} cannot be the name of a program"));
    }
    let unable = |error: std::io::Error| {
        let cause = crate::error::Error::from(error);
        format!("unable to ask {program}: {cause}")
    };
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(unable)?;
    // One that does not listen may answer all the same.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(server.as_bytes()));
    let mut bytes = Vec::new();
    let read = child.stdout.take().map(|stdout| stdout.take(LIMIT).read_to_end(&mut bytes));
    let status = child.wait().map_err(unable)?;
    read.transpose().map_err(unable)?;
    if !status.success() {
        let said = String::from_utf8_lossy(&bytes);
        let said: String =
            said.lines().next().unwrap_or_default().chars().filter(|one| !one.is_control()).collect();
        return if said.starts_with(NOTHING) {
            Ok(None)
        } else {
            Err(format!("{program} has failed: {said}"))
        };
    }
    let answer: Answer =
        serde_json::from_slice(&bytes).map_err(|_| format!("{program} gives an answer that is none"))?;
    Ok(Some(if answer.username == TOKEN {
        Credentials::Identity(answer.secret)
    } else {
        Credentials::Password { user: answer.username, password: answer.secret }
    }))
}
