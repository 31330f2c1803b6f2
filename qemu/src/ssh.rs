//! Commands in the guest, through the real ssh client.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::process::{Pipes, Process};

/// How long one attempt listens for a banner. qemu accepts at once and holds the connection until the guest
/// answers it, so a good part of the waiting happens here.
const BANNER_WITHIN: Duration = Duration::from_secs(2);

/// What a command in the guest did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 255 is also ssh's own.
    pub status: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Output {
    /// Whether the command exited with 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Whether ssh failed before there was a session, so that the command cannot have run.
    pub(crate) fn never_connected(&self) -> bool {
        const SIGNS: [&str; 4] =
            ["kex_exchange_identification", "banner exchange", "Connection refused", "Connection timed out"];
        self.status == 255 && SIGNS.iter().any(|sign| self.stderr.contains(sign))
    }
}

/// Where the guest's sshd is reached, and with which key.
#[derive(Clone, Debug)]
pub(crate) struct Ssh {
    pub(crate) port: u16,
    pub(crate) key: PathBuf,
}

impl Ssh {
    /// Runs `command`, captured, for at most `within`; `None` when that was too short.
    pub(crate) fn capture(&self, command: &str, within: Duration) -> io::Result<Option<Output>> {
        let mut ssh = self.client(command);
        ssh.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let (process, Pipes { stdout, stderr, .. }) = Process::spawn(ssh)?;
        let (stdout, stderr) = (collect(stdout)?, collect(stderr)?);
        let Some(status) = process.wait_until(Instant::now() + within) else { return Ok(None) };
        let text = |thread: JoinHandle<String>| thread.join().unwrap_or_default();
        Ok(Some(Output { status: code(status), stdout: text(stdout), stderr: text(stderr) }))
    }

    /// Runs `command` on this process's own standard streams.
    pub(crate) fn stream(&self, command: &str) -> io::Result<i32> {
        let (process, _) = Process::spawn(self.client(command))?;
        Ok(code(process.wait()))
    }

    fn client(&self, command: &str) -> Command {
        let mut client = Command::new("ssh");
        client.args(arguments(self.port, &self.key)).arg(command);
        client
    }
}

/// The command for a person to type.
impl fmt::Display for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ssh -i {} -p {} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
             root@127.0.0.1",
            self.key.display(),
            self.port
        )
    }
}

/// No question, no file read or written, and nothing of the person's own configuration.
fn arguments(port: u16, key: &Path) -> Vec<OsString> {
    const OPTIONS: [&str; 11] = [
        "BatchMode=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "GlobalKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "ConnectTimeout=30",
        "ControlMaster=no",
        "ControlPath=none",
        "ServerAliveInterval=30",
    ];
    let mut arguments: Vec<OsString> = vec!["-F".into(), "/dev/null".into()];
    OPTIONS.iter().for_each(|option| arguments.extend(["-o".into(), (*option).into()]));
    arguments.extend(["-i".into(), key.into(), "-p".into(), port.to_string().into()]);
    arguments.extend(["root@127.0.0.1".into(), "--".into()]);
    arguments
}

/// Tries until an ssh server has said who it is, or `pause` says to give up.
///
/// `pause` waits for as long as it is told and returns whether to go on.
pub(crate) fn wait_for_banner(port: u16, mut pause: impl FnMut(Duration) -> bool) -> bool {
    const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);
    let mut delay = SHORTEST;
    while !has_banner(port).unwrap_or(false) {
        if !pause(delay) {
            return false;
        }
        delay = (delay * 2).min(LONGEST);
    }
    true
}

fn has_banner(port: u16) -> io::Result<bool> {
    const BANNER: &[u8; 4] = b"SSH-";
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, BANNER_WITHIN)?;
    stream.set_read_timeout(Some(BANNER_WITHIN))?;
    let mut start = [0; 4];
    stream.read_exact(&mut start)?;
    Ok(start == *BANNER)
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> io::Result<JoinHandle<String>> {
    thread::Builder::new().name("ssh output".to_owned()).spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is still worth showing.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::net::TcpListener;

    #[test]
    fn ssh_asks_nothing_writes_nothing_and_reads_no_configuration() {
        let arguments = arguments(2222, Path::new("/keys/id"));
        let line = arguments.join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        for part in
            ["-F /dev/null", "-o BatchMode=yes", "-o UserKnownHostsFile=/dev/null", "-o ControlPath=none"]
        {
            assert!(line.contains(part), "{line}");
        }
        assert!(line.ends_with("-i /keys/id -p 2222 root@127.0.0.1 --"), "{line}");
    }

    #[test]
    fn a_port_that_accepts_and_says_nothing_is_not_ready_until_there_is_a_banner() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            // As qemu's forwarding does while the guest's port is closed: accepted, then gone.
            drop(listener.accept().unwrap());
            listener.accept().unwrap().0.write_all(b"SSH-2.0-dropbear\r\n").unwrap();
        });
        let mut pauses = 0;
        assert!(wait_for_banner(port, |_| {
            pauses += 1;
            true
        }));
        assert_eq!(pauses, 1);
        server.join().unwrap();
    }

    #[test]
    fn waiting_for_ssh_ends_when_the_machine_does() {
        let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        assert!(!wait_for_banner(closed, |_| false));
    }

    #[test]
    fn only_a_failure_before_the_session_is_worth_another_try() {
        let output =
            |status, stderr: &str| Output { status, stdout: String::new(), stderr: stderr.to_owned() };
        assert!(output(255, "kex_exchange_identification: read: Connection reset by peer").never_connected());
        assert!(!output(255, "the command said so").never_connected());
        assert!(!output(1, "Connection refused").never_connected());
    }
}
