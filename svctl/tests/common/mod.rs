//! A run directory of its own for every test, and programs that play init and supervisors on real sockets.

#![allow(dead_code, reason = "each test program uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use service::status::{State, Status, Want};
use service::{Pid, Tick};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Directories that are removed with it.
pub(crate) struct Fixture {
    pub(crate) root: PathBuf,
}

/// What came of one run of the program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("svctl-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for directory in ["run/service", "run/init", "services", "logs"] {
            fs::create_dir_all(root.join(directory)).unwrap();
        }
        Fixture { root }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svctl"));
        for directory in ["run", "services", "logs"] {
            command.arg(format!("--{directory}")).arg(self.root.join(directory));
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        ran(&self.command(arguments).output().unwrap())
    }

    /// Writes a definition, its text being TOML.
    pub(crate) fn define(&self, name: &str, text: &str) {
        let directory = self.root.join("services").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("service.toml"), text).unwrap();
    }

    /// Compiles what was defined.
    pub(crate) fn compile(&self) {
        assert_eq!(self.run(&["compile", "--no-programs"]).code, 0);
    }

    /// Writes a status file as a live supervisor would: this process stands for it.
    pub(crate) fn status(&self, name: &str, change: impl FnOnce(&mut Status)) {
        let mut status = Status::new(name, service::definition::Kind::Longrun);
        status.state = State::Up;
        status.want = Want::Up;
        status.supervisor = Pid::new(std::process::id().cast_signed());
        status.pid = Pid::new(4_194_000);
        status.since = Tick(1);
        change(&mut status);
        let directory = self.root.join("run/service").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("status"), status.encode()).unwrap();
    }

    pub(crate) fn log(&self, name: &str, file: &str, text: &str) {
        let directory = self.root.join("logs").join(name);
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(file), text).unwrap();
    }

    /// Plays the supervisor of a service.
    pub(crate) fn supervisor(
        &self,
        name: &str,
        play: impl FnOnce(Player) + Send + 'static,
    ) -> JoinHandle<()> {
        let directory = self.root.join("run/service").join(name);
        fs::create_dir_all(&directory).unwrap();
        listen(&directory.join("control"), play)
    }

    /// Plays init.
    pub(crate) fn init(&self, play: impl FnOnce(Player) + Send + 'static) -> JoinHandle<()> {
        listen(&self.root.join("run/init/control"), play)
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

pub(crate) fn ran(output: &Output) -> Ran {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(&output.stdout), err: text(&output.stderr) }
}

fn listen(path: &std::path::Path, play: impl FnOnce(Player) + Send + 'static) -> JoinHandle<()> {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        play(Player { reader: BufReader::new(stream.try_clone().unwrap()), stream });
    })
}

/// The other side of one connection.
pub(crate) struct Player {
    reader: BufReader<UnixStream>,
    stream: UnixStream,
}

impl Player {
    /// Takes the next line, which must be this one.
    pub(crate) fn expect(&mut self, expected: &str) -> &mut Player {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), expected);
        self
    }

    /// Says this. A client that is gone does not mind.
    pub(crate) fn say(&mut self, text: &str) -> &mut Player {
        let _ = self.stream.write_all(format!("{text}\n").as_bytes());
        self
    }

    /// Waits for the client to leave.
    pub(crate) fn until_gone(&mut self) {
        let mut line = String::new();
        while self.reader.read_line(&mut line).is_ok_and(|count| count > 0) {}
    }
}
