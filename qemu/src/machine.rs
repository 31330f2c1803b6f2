//! A running machine.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, Command};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;

use crate::builder::{Builder, OnReboot};
use crate::console::{Console, Sink};
use crate::error::Error;
use crate::ports::{SSH, parse_usernet};
use crate::process::{Process, interrupted, lock};
use crate::qmp::Qmp;
use crate::ssh::{Output, Ssh, wait_for_banner};

/// What `init` prints when every service has settled.
const UP: &str = "init: startup complete";
const PANIC: &str = "Kernel panic";

/// How long the guest may take to answer ssh when a command is to run, and the command itself.
const SSH_READY_WITHIN: Duration = Duration::from_secs(60);
const COMMAND_WITHIN: Duration = Duration::from_secs(120);

/// A machine that runs, or has ended. Dropping it kills it.
pub struct Machine {
    pub(crate) process: Process,
    console: Console,
    monitor: Mutex<Qmp>,
    ports: BTreeMap<u16, u16>,
    ssh_key: Option<PathBuf>,
    pub(crate) on_reboot: OnReboot,
    started: Instant,
}

impl Machine {
    /// Begins to describe a machine for the image in `directory`.
    pub fn builder(directory: impl AsRef<Path>) -> Builder {
        Builder::new(directory.as_ref())
    }

    pub(crate) fn start(
        command: Command,
        monitor: UnixStream,
        ssh_key: Option<PathBuf>,
        on_reboot: OnReboot,
        sinks: Vec<Sink>,
    ) -> Result<Self, Error> {
        let (process, pipes) = Process::spawn(command).map_err(|error| not_started(&error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (pipes.stdin, pipes.stdout, pipes.stderr) else {
            return Err(Error::Start { cause: "its standard streams are not pipes".to_owned() });
        };
        let complaints = listen(stderr)?;
        let console = Console::new(stdout, stdin, sinks).map_err(|error| not_started(&error))?;
        let (monitor, ports) = match open_monitor(monitor) {
            Ok(opened) => opened,
            Err(error) => return Err(why_it_ended(&process, complaints, &error)),
        };
        let monitor = Mutex::new(monitor);
        Ok(Self { process, console, monitor, ports, ssh_key, on_reboot, started: Instant::now() })
    }

    /// The serial console.
    pub fn console(&self) -> &Console {
        &self.console
    }

    /// Everything the console said so far.
    pub fn transcript(&self) -> String {
        self.console.transcript()
    }

    /// The port of this host that leads to `guest`, if it is forwarded.
    pub fn port(&self, guest: u16) -> Option<u16> {
        self.ports.get(&guest).copied()
    }

    /// qemu's process id.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// How long the machine has existed.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits, in the console's dialogue, until the default bundle has settled; returns how, such as
    /// `8 of 8 services up`.
    pub fn wait_until_up(&self, within: Duration) -> Result<String, Error> {
        const LINE_WITHIN: Duration = Duration::from_secs(10);
        let (which, _) = self.console.wait_for_any(&[UP, PANIC], within)?;
        let rest = self.console.wait_for("\n", LINE_WITHIN)?;
        if which == 0 {
            return Ok(rest.trim_start_matches(':').trim().to_owned());
        }
        // The rest of the panic explains it; the kernel ends it with a line of its own.
        let _ = self.console.wait_for("end Kernel panic", LINE_WITHIN);
        Err(Error::Ended {
            waiting_for: format!("'{UP}' on the console"),
            how: "the kernel panicked".to_owned(),
            console: self.console.last_lines(30),
        })
    }

    /// Waits until the guest's sshd answers.
    pub fn wait_for_ssh(&self, within: Duration) -> Result<(), Error> {
        let ssh = self.ssh_client("true")?;
        let deadline = Instant::now() + within;
        let pause = |delay| {
            let now = Instant::now();
            now < deadline && !interrupted() && self.process.wait_until(deadline.min(now + delay)).is_none()
        };
        if wait_for_banner(ssh.port, pause) {
            return Ok(());
        }
        let waiting_for = format!("ssh on 127.0.0.1:{}", ssh.port);
        let console = self.console.last_lines(30);
        Err(match self.process.status() {
            _ if interrupted() => Error::Interrupted,
            Some(_) => Error::Ended { waiting_for, how: "the machine ended".to_owned(), console },
            None => Error::TimedOut { waiting_for, within, console },
        })
    }

    /// Runs `command` in the guest and returns what it did.
    pub fn ssh(&self, command: &str) -> Result<Output, Error> {
        self.ssh_within(command, COMMAND_WITHIN)
    }

    /// The same, for a command that may take longer, or must not.
    pub fn ssh_within(&self, command: &str, within: Duration) -> Result<Output, Error> {
        let ssh = self.ssh_client(command)?;
        self.wait_for_ssh(SSH_READY_WITHIN)?;
        let mut output = self.capture(&ssh, command, within)?;
        // The server that greeted may be on its way out, or the next one on its way in.
        if output.never_connected() {
            self.wait_for_ssh(SSH_READY_WITHIN)?;
            output = self.capture(&ssh, command, within)?;
        }
        Ok(output)
    }

    /// Runs `command` in the guest; fails unless it succeeds; returns what it wrote to its standard output.
    pub fn run(&self, command: &str) -> Result<String, Error> {
        let Output { status, stdout, stderr } = self.ssh(command)?;
        if status == 0 {
            return Ok(stdout);
        }
        Err(Error::Command { command: command.to_owned(), status, output: stderr + &stdout })
    }

    /// Runs `command` in the guest on this process's own standard streams; returns its exit status.
    pub fn ssh_streamed(&self, command: &str) -> Result<i32, Error> {
        let ssh = self.ssh_client(command)?;
        self.wait_for_ssh(SSH_READY_WITHIN)?;
        let status = ssh.stream(command).map_err(|error| no_ssh(command, &error.to_string()))?;
        if interrupted() { Err(Error::Interrupted) } else { Ok(status) }
    }

    /// The ssh command for a person to type.
    pub fn ssh_command(&self) -> Result<String, Error> {
        self.ssh_client("true").map(|ssh| ssh.to_string())
    }

    /// Presses Ctrl-Alt-Del.
    pub fn ctrl_alt_del(&self) -> Result<(), Error> {
        let keys = ["ctrl", "alt", "delete"].map(|key| json!({ "type": "qcode", "data": key }));
        self.monitor("send-key", &json!({ "keys": keys }))
    }

    /// Presses the power button.
    pub fn power_button(&self) -> Result<(), Error> {
        self.monitor("system_powerdown", &json!({}))
    }

    /// Presses the reset button.
    pub fn reset_button(&self) -> Result<(), Error> {
        self.monitor("system_reset", &json!({}))
    }

    /// Pulls the plug: nothing in the guest gets to know.
    pub fn pull_plug(&self) {
        self.process.signal(Signal::SIGKILL);
    }

    /// Waits for qemu to exit, and for the console's last words; returns whether it did.
    pub fn wait_for_exit(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let exited = self.process.wait_until(deadline).is_some();
        if exited {
            self.console.wait_for_end(deadline);
        }
        exited
    }

    fn monitor(&self, command: &str, arguments: &serde_json::Value) -> Result<(), Error> {
        lock(&self.monitor).execute(command, arguments).map(drop)
    }

    fn ssh_client(&self, command: &str) -> Result<Ssh, Error> {
        let port = self.port(SSH).ok_or_else(|| no_ssh(command, "the guest's port 22 is not forwarded"))?;
        let key = self.ssh_key.clone().ok_or_else(|| {
            no_ssh(command, "the image names no ssh key (name the private key with --ssh-key)")
        })?;
        if !key.is_file() {
            return Err(no_ssh(command, &format!("there is no ssh key {}", key.display())));
        }
        Ok(Ssh { port, key })
    }

    fn capture(&self, ssh: &Ssh, command: &str, within: Duration) -> Result<Output, Error> {
        let output = ssh.capture(command, within).map_err(|error| no_ssh(command, &error.to_string()))?;
        let waiting_for = || format!("the end of '{command}' in the guest");
        match output {
            _ if interrupted() => Err(Error::Interrupted),
            Some(output) => Ok(output),
            None => Err(Error::TimedOut {
                waiting_for: waiting_for(),
                within,
                console: self.console.last_lines(30),
            }),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        const LAST_WORDS_WITHIN: Duration = Duration::from_secs(5);
        self.pull_plug();
        self.wait_for_exit(LAST_WORDS_WITHIN);
    }
}

/// qemu answers only when the machine is whole, its ports included.
fn open_monitor(stream: UnixStream) -> Result<(Qmp, BTreeMap<u16, u16>), Error> {
    let mut monitor = Qmp::open(stream)?;
    let ports = parse_usernet(&monitor.human("info usernet")?);
    Ok((monitor, ports))
}

/// Reads what qemu itself has to say, which is nothing unless it cannot go on.
fn listen(mut stderr: ChildStderr) -> Result<JoinHandle<String>, Error> {
    let read = move || {
        let mut bytes = Vec::new();
        let _ = stderr.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    };
    thread::Builder::new().name("complaints".to_owned()).spawn(read).map_err(|error| not_started(&error))
}

fn why_it_ended(process: &Process, complaints: JoinHandle<String>, error: &Error) -> Error {
    const EXIT_WITHIN: Duration = Duration::from_secs(5);
    if process.wait_until(Instant::now() + EXIT_WITHIN).is_none() {
        process.signal(Signal::SIGKILL);
    }
    let complaints = complaints.join().unwrap_or_default();
    if interrupted() {
        return Error::Interrupted;
    }
    Error::Start { cause: if complaints.is_empty() { error.to_string() } else { complaints } }
}

fn not_started(error: &std::io::Error) -> Error {
    if interrupted() {
        Error::Interrupted
    } else if error.kind() == ErrorKind::NotFound {
        let cause = format!("{} is not installed (make setup installs it)", crate::builder::PROGRAM);
        Error::Start { cause }
    } else {
        Error::Start { cause: error.to_string() }
    }
}

fn no_ssh(command: &str, cause: &str) -> Error {
    Error::Ssh { command: command.to_owned(), cause: cause.to_owned() }
}
